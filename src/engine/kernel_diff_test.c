// SPDX-License-Identifier: Apache-2.0
// Random programs, in the interpreter and in the kernel (BPF_PROG_TEST_RUN): the same return value,
// packet and contents of maps.
//
//	kernel_diff_test [SECONDS [SEED]]
//
// Exits 77 where bpf(2) is not allowed. Prints its seed; where the two differ, the packet and the
// smallest program found on which they still do.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"
#include "engine/bare.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/random_program.h"
#include "engine/space.h"
#include "map/map.h"

#define PACKET_SIZE RANDOM_PACKET_SIZE
#define ENTRIES     RANDOM_ENTRIES
#define SKIP        77

struct sides {
	struct space *space;
	struct packet_memory *memory;
	struct engine *engine;
	int fds[2]; // the kernel's maps: hash, array
};

struct outcome {
	uint32_t result, size;
	uint8_t packet[2048];
	uint8_t values[2][2 * ENTRIES][17]; // with a flag for being there
};

// Loads the program with the kernel's maps; -1 where the verifier refuses.
static int kernel_load(const struct sides *sides, const struct random_program *program)
{
	struct bpf_insn insns[RANDOM_INSNS_MAX];
	memcpy(insns, program->insns, sizeof(insns));
	for (uint32_t i = 0; i < program->count; i++) {
		if (insns[i].code == (BPF_LD | BPF_DW | BPF_IMM)) {
			if (insns[i].src_reg == BPF_PSEUDO_MAP_FD)
				insns[i].imm = sides->fds[insns[i].imm];
			i++;
		}
	}
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "diff", "GPL", insns, program->count, NULL);
}

static void kernel_run(
        const struct sides *sides, int fd, const uint8_t *packet, struct outcome *outcome)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = PACKET_SIZE,
	        .data_out = outcome->packet, .data_size_out = sizeof(outcome->packet), .repeat = 1);
	for (uint32_t key = 0; key < 2 * ENTRIES; key++) {
		const uint8_t zeros[16] = {0};
		bpf_map_delete_elem(sides->fds[0], &key);
		bpf_map_update_elem(sides->fds[1], &key, zeros, BPF_ANY);
	}
	if (bpf_prog_test_run_opts(fd, &options)) {
		perror("BPF_PROG_TEST_RUN");
		exit(1);
	}
	outcome->result = options.retval;
	outcome->size = options.data_size_out;
	for (uint32_t m = 0; m < 2; m++) {
		for (uint32_t key = 0; key < 2 * ENTRIES; key++)
			outcome->values[m][key][16] = bpf_map_lookup_elem(sides->fds[m], &key,
			                                      outcome->values[m][key]) == 0;
	}
}

// Returns the fault, if any, that the program met.
static enum fault our_run(struct sides *sides, struct generation *generation, const uint8_t *data,
        struct outcome *outcome)
{
	struct packet packet;
	struct verdict verdict;
	frames_take(sides->memory, &packet, 1);
	packet.end = (uint16_t)(packet.data + PACKET_SIZE);
	memcpy(packet_data(space_base(sides->space), &packet), data, PACKET_SIZE);
	engine_run(sides->engine, generation, &packet, &verdict, 1);
	outcome->result = verdict.result;
	outcome->size = packet_size(&packet);
	memcpy(outcome->packet, packet_data(space_base(sides->space), &packet), outcome->size);
	frames_give(sides->memory, &packet, 1);
	for (uint32_t m = 0; m < 2; m++) {
		for (uint32_t key = 0; key < 2 * ENTRIES; key++)
			outcome->values[m][key][16] = map_read(generation_map(generation, m), &key,
			                                      outcome->values[m][key], 0) == 0;
	}
	// R0 may be any number here: verdicts are not the point.
	bool is_result = verdict.fault == FAULT_VERDICT || verdict.fault == FAULT_EXPLICIT ||
	                 verdict.fault == FAULT_REDIRECT;
	return is_result ? FAULT_NONE : verdict.fault;
}

// Our image of a program; NULL where it makes none.
static struct image *our_image(const struct random_program *program, struct error *err)
{
	static const struct image_map maps[2] = {
	        {.name = "hash",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 16,
	                .max_entries = ENTRIES,
	                .inner = IMAGE_NONE},
	        {.name = "array",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 16,
	                .max_entries = ENTRIES,
	                .inner = IMAGE_NONE},
	};
	struct image *image;
	return bare_image(program->insns, program->count, maps, 2, &image, err) ? NULL : image;
}

static struct generation *our_load(
        struct sides *sides, const struct random_program *program, struct error *err)
{
	const struct generation_options options = {.id = 1, .engine_count = 1, .ports = 1};
	struct image *image = our_image(program, err);
	struct generation *generation;
	if (!image || generation_new(sides->space, image, &options, &generation, err))
		return NULL;
	return generation;
}

static bool same(const struct outcome *kernel, const struct outcome *ours)
{
	return kernel->result == ours->result && kernel->size == ours->size &&
	       memcmp(kernel->packet, ours->packet, kernel->size) == 0 &&
	       memcmp(kernel->values, ours->values, sizeof(kernel->values)) == 0;
}

static void print_difference(const struct outcome *kernel, const struct outcome *ours)
{
	fprintf(stderr, "r0: kernel %#x, ours %#x; size: kernel %u, ours %u\n", kernel->result,
	        ours->result, kernel->size, ours->size);
	for (uint32_t i = 0; i < kernel->size && i < ours->size; i++) {
		if (kernel->packet[i] != ours->packet[i])
			fprintf(stderr, "packet byte %u: kernel %02x, ours %02x\n", i,
			        kernel->packet[i], ours->packet[i]);
	}
	for (uint32_t m = 0; m < 2; m++) {
		for (uint32_t key = 0; key < 2 * ENTRIES; key++) {
			for (uint32_t i = 0; i < 17; i++) {
				uint8_t a = kernel->values[m][key][i], b = ours->values[m][key][i];
				if (a != b)
					fprintf(stderr,
					        "map %u key %u byte %u: kernel %02x, ours %02x\n",
					        m, key, i, a, b);
			}
		}
	}
}

enum comparison { REFUSED_BY_KERNEL, AGREED, REFUSED_BY_US, FAULTED, DIFFERED };

struct trial {
	struct sides *sides;
	const uint8_t *packet;
	enum comparison comparison; // that a smaller program must show too
	struct outcome kernel, ours;
	enum fault fault;
	struct error refusal;
};

static enum comparison compare(struct trial *trial, const struct random_program *program)
{
	memset(&trial->kernel, 0, sizeof(trial->kernel));
	memset(&trial->ours, 0, sizeof(trial->ours));
	int fd = kernel_load(trial->sides, program);
	if (fd < 0)
		return REFUSED_BY_KERNEL;
	kernel_run(trial->sides, fd, trial->packet, &trial->kernel);
	close(fd);
	struct generation *generation = our_load(trial->sides, program, &trial->refusal);
	if (!generation)
		return REFUSED_BY_US;
	trial->fault = our_run(trial->sides, generation, trial->packet, &trial->ours);
	generation_free(&generation);
	if (trial->fault)
		return FAULTED;
	return same(&trial->kernel, &trial->ours) ? AGREED : DIFFERED;
}

static bool compares_alike(void *context, const struct random_program *program)
{
	struct trial *trial = context;
	return compare(trial, program) == trial->comparison;
}

static void print_program(const struct random_program *program)
{
	struct error err;
	struct buffer text = {0};
	struct image *image = our_image(program, &err);
	if (!image)
		return;
	disasm_program(image, &image->programs[0], &text);
	fprintf(stderr, "%.*s", (int)text.size, (const char *)text.data);
	buffer_free(&text);
	image_free(&image);
}

// Makes the program as small as it gets, and says how the two differ on it.
static void report(struct trial *trial, struct random_program *program)
{
	random_program_reduce(program, compares_alike, trial);
	compare(trial, program);
	switch (trial->comparison) {
	case REFUSED_BY_US:
		fprintf(stderr, "the kernel accepts what we refuse: %s\n", trial->refusal.text);
		break;
	case FAULTED:
		fprintf(stderr, "the kernel runs what faults here: %s\n", fault_name(trial->fault));
		break;
	default:
		print_difference(&trial->kernel, &trial->ours);
		break;
	}
	fprintf(stderr, "packet:");
	for (uint32_t i = 0; i < PACKET_SIZE; i++)
		fprintf(stderr, " %02x", trial->packet[i]);
	fprintf(stderr, "\n");
	print_program(program);
}

static bool open_sides(struct sides *sides)
{
	const struct engine_options options = {.number = 0};
	sides->fds[0] = bpf_map_create(BPF_MAP_TYPE_HASH, "hash", 4, 16, ENTRIES, NULL);
	sides->fds[1] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, 16, ENTRIES, NULL);
	if (sides->fds[0] < 0 || sides->fds[1] < 0)
		return false;
	if (space_new(&sides->space, NULL) ||
	        packet_memory_new(sides->space, 16, &sides->memory, NULL) ||
	        engine_new(sides->space, &options, &sides->engine, NULL))
		exit(1);
	return true;
}

static void close_sides(struct sides *sides)
{
	engine_free(&sides->engine);
	packet_memory_free(&sides->memory);
	space_free(&sides->space);
	close(sides->fds[0]);
	close(sides->fds[1]);
}

// False: the two differ.
static bool compare_until(struct sides *sides, struct random *random, uint64_t end)
{
	static struct random_program program;
	static struct trial trial;
	uint8_t packet[PACKET_SIZE];
	uint32_t agreed = 0, refused = 0;
	trial.sides = sides;
	trial.packet = packet;
	while (clock_ns() < end) {
		random_program_write(&program, random);
		for (uint32_t i = 0; i < PACKET_SIZE; i++)
			packet[i] = (uint8_t)random_pick(random, 256);
		trial.comparison = compare(&trial, &program);
		if (trial.comparison == AGREED) {
			agreed++;
		} else if (trial.comparison == REFUSED_BY_KERNEL) {
			refused++;
		} else {
			report(&trial, &program);
			return false;
		}
	}
	printf("%u programs agree, %u refused by the verifier\n", agreed, refused);
	return agreed > refused;
}

int main(int argc, char **argv)
{
	struct sides sides = {0};
	double seconds = argc > 1 ? atof(argv[1]) : 8;
	struct random random = {argc > 2 ? strtoull(argv[2], NULL, 0) : clock_wall_ns() | 1};
	if (!open_sides(&sides)) {
		printf("bpf(2) is not allowed here: not compared with the kernel\n");
		return SKIP;
	}
	printf("seed %llu\n", (unsigned long long)random.state);
	fflush(stdout);
	bool agree = compare_until(&sides, &random, clock_ns() + (uint64_t)(seconds * 1e9));
	close_sides(&sides);
	return agree ? 0 : 1;
}
