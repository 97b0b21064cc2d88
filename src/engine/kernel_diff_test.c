// SPDX-License-Identifier: Apache-2.0
// Random programs, in the interpreter and in the kernel (BPF_PROG_TEST_RUN): the same return value,
// packet and contents of maps. The generator keeps to what the verifier understands (it knows which
// registers hold numbers, and writes packet accesses behind their bounds test), so that most
// programs are accepted.
//
//	kernel_diff_test [SECONDS [SEED]]
//
// Exits 77 where bpf(2) is not allowed. Prints its seed, and a program on which the two differ.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/error.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"
#include "engine/bare.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/space.h"
#include "map/map.h"

#define INSNS_MAX   400
#define PACKET_SIZE 64u
#define ENTRIES     8u
#define SKIP        77

// Numbers live in r0 and r6 to r9; r1 to r5 serve for addresses and arguments. On the stack:
// numbers at -64 to -1, context at -72, key at -80, value at -96 to -81.
enum { CONTEXT_AT = -72, KEY_AT = -80, VALUE_AT = -96 };

struct random {
	uint64_t state;
};

struct writer {
	struct bpf_insn insns[INSNS_MAX];
	uint32_t count;
	struct random *random;
	uint32_t function; // where the subprogram's call is to be patched, 0 = none
};

struct sides {
	struct space *space;
	struct packet_memory *memory;
	struct engine *engine;
	int fds[2]; // the kernel's maps: hash, array
};

static uint32_t pick(struct random *random, uint32_t below)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t)((random->state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static void put(struct writer *w, int code, unsigned dst, unsigned src, int off, int32_t imm)
{
	w->insns[w->count++] = (struct bpf_insn){.code = (uint8_t)code,
	        .dst_reg = dst & 15,
	        .src_reg = src & 15,
	        .off = (int16_t)off,
	        .imm = imm};
}

static unsigned any_register(struct writer *w)
{
	static const unsigned numbers[] = {0, 6, 7, 8, 9};
	return numbers[pick(w->random, 5)];
}

static int32_t any_number(struct writer *w)
{
	static const int32_t edges[] = {0, 1, -1, 2, 7, 31, 32, 63, 127, 128, 255, 256, 32767,
	        65535, INT32_MAX, INT32_MIN, -128, -32768};
	if (pick(w->random, 2))
		return edges[pick(w->random, sizeof(edges) / sizeof(edges[0]))];
	return (int32_t)(pick(w->random, 1u << 16) << 16 | pick(w->random, 1u << 16));
}

static void put_alu(struct writer *w)
{
	static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_LSH,
	        BPF_RSH, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH};
	static const int extends[] = {0, 8, 16, 32};
	uint8_t op = ops[pick(w->random, sizeof(ops))];
	int class = pick(w->random, 2) ? BPF_ALU64 : BPF_ALU, off = 0;
	int32_t imm = any_number(w);
	if (op == BPF_DIV || op == BPF_MOD)
		off = (int)pick(w->random, 2);
	if (pick(w->random, 2)) {
		if (op == BPF_MOV)
			off = extends[pick(w->random, class == BPF_ALU64 ? 4 : 3)];
		put(w, class | op | BPF_X, any_register(w), any_register(w), off, 0);
		return;
	}
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		imm &= class == BPF_ALU64 ? 63 : 31; // the verifier refuses more
	if ((op == BPF_DIV || op == BPF_MOD) && !imm)
		imm = 3;
	put(w, class | op | BPF_K, any_register(w), 0, off, imm);
}

static void put_unary(struct writer *w)
{
	static const int widths[] = {16, 32, 64};
	int32_t width = widths[pick(w->random, 3)];
	switch (pick(w->random, 5)) {
	case 0:
		put(w, BPF_ALU64 | BPF_NEG, any_register(w), 0, 0, 0);
		break;
	case 1:
		put(w, BPF_ALU | BPF_NEG, any_register(w), 0, 0, 0);
		break;
	case 2:
		put(w, BPF_ALU | BPF_END | BPF_TO_BE, any_register(w), 0, 0, width);
		break;
	case 3:
		put(w, BPF_ALU | BPF_END | BPF_TO_LE, any_register(w), 0, 0, width);
		break;
	default:
		put(w, BPF_ALU64 | BPF_END, any_register(w), 0, 0, width);
		break;
	}
}

static void put_lddw(struct writer *w)
{
	put(w, BPF_LD | BPF_DW | BPF_IMM, any_register(w), 0, 0, any_number(w));
	put(w, 0, 0, 0, 0, any_number(w));
}

static int any_size(struct writer *w, int *bytes)
{
	static const int sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	uint32_t i = pick(w->random, 4);
	*bytes = 1 << i;
	return sizes[i];
}

// A load or store at base + `at`, `room` bytes long.
static void put_access(struct writer *w, unsigned base, int at, int room, bool aligned)
{
	int bytes, size = any_size(w, &bytes);
	int off = (int)pick(w->random, (uint32_t)(room - bytes + 1));
	if (aligned)
		off -= off % bytes;
	off += at;
	switch (pick(w->random, 4)) {
	case 0:
		put(w, BPF_STX | BPF_MEM | size, base, any_register(w), off, 0);
		break;
	case 1:
		put(w, BPF_ST | BPF_MEM | size, base, 0, off, any_number(w));
		break;
	case 2:
		if (bytes < 8) {
			put(w, BPF_LDX | BPF_MEMSX | size, any_register(w), base, off, 0);
			break;
		}
		// fall through
	default:
		put(w, BPF_LDX | BPF_MEM | size, any_register(w), base, off, 0);
		break;
	}
}

static void put_stack(struct writer *w)
{
	static const int32_t ops[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
	        BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG,
	        BPF_CMPXCHG};
	if (pick(w->random, 2)) {
		put_access(w, BPF_REG_10, -64, 64, true);
		return;
	}
	int size = pick(w->random, 2) ? BPF_DW : BPF_W;
	int off = -64 + 8 * (int)pick(w->random, 8);
	put(w, BPF_STX | BPF_ATOMIC | size, BPF_REG_10, any_register(w), off,
	        ops[pick(w->random, 10)]);
}

// r2 = data, r3 = data_end; accesses behind the test that `need` bytes are there.
static void put_packet(struct writer *w)
{
	int need = 8 + (int)pick(w->random, PACKET_SIZE), accesses = 1 + (int)pick(w->random, 4);
	put(w, BPF_LDX | BPF_MEM | BPF_DW, 1, BPF_REG_10, CONTEXT_AT, 0);
	put(w, BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
	put(w, BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0);
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0);
	put(w, BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, need);
	put(w, BPF_JMP | BPF_JGT | BPF_X, 4, 3, accesses, 0);
	for (int i = 0; i < accesses; i++)
		put_access(w, 2, 0, need, false);
}

static void put_map_argument(struct writer *w, int map)
{
	put(w, BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map);
	put(w, 0, 0, 0, 0, 0);
	// Key: a number below twice the capacity, so that both hits and misses happen.
	unsigned number = any_register(w);
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, 2, number, 0, 0);
	put(w, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 2 * ENTRIES - 1);
	put(w, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, 2, KEY_AT, 0);
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, 2, BPF_REG_10, 0, 0);
	put(w, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, KEY_AT);
}

static void put_map(struct writer *w)
{
	int map = (int)pick(w->random, 2), accesses = 1 + (int)pick(w->random, 3);
	uint32_t what = pick(w->random, 4);
	if (what == 0) {
		put(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, any_register(w), VALUE_AT, 0);
		put(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, any_register(w), VALUE_AT + 8, 0);
	}
	put_map_argument(w, map);
	switch (what) {
	case 0:
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 3, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, VALUE_AT);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, (int32_t)pick(w->random, 4));
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_update_elem);
		break;
	case 1:
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_delete_elem);
		break;
	default:
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 5, 0, 0, 0);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, any_number(w));
		put(w, BPF_JMP | BPF_JEQ | BPF_K, 5, 0, accesses, 0);
		for (int i = 0; i < accesses; i++)
			put_access(w, 5, 0, 16, true);
		break;
	}
}

// Helpers whose answer depends on their arguments only.
static void put_helper(struct writer *w)
{
	switch (pick(w->random, 3)) {
	case 0: // checksum over the numbers on the stack; sizes are multiples of 4
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 1, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -64);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 4 * (int32_t)pick(w->random, 8));
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 3, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -32);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 4 * (int32_t)pick(w->random, 8));
		put(w, BPF_ALU | BPF_MOV | BPF_X, 5, any_register(w), 0, 0);
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_csum_diff);
		break;
	case 1:
		put(w, BPF_LDX | BPF_MEM | BPF_DW, 1, BPF_REG_10, CONTEXT_AT, 0);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, (int32_t)pick(w->random, 80));
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 3, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -64);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 1 + (int32_t)pick(w->random, 64));
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0,
		        pick(w->random, 2) ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_xdp_store_bytes);
		break;
	default: {
		static const int32_t moves[] = {BPF_FUNC_xdp_adjust_head, BPF_FUNC_xdp_adjust_tail};
		put(w, BPF_LDX | BPF_MEM | BPF_DW, 1, BPF_REG_10, CONTEXT_AT, 0);
		uint32_t move = pick(w->random, 2);
		// The head only inwards: what then is in front of it the kernel leaves undefined.
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0,
		        (int32_t)pick(w->random, 64) - (move ? 32 : 0));
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, moves[move]);
		break;
	}
	}
}

static void put_simple(struct writer *w)
{
	switch (pick(w->random, 8)) {
	case 0:
		put_unary(w);
		break;
	case 1:
		put_lddw(w);
		break;
	case 2:
	case 3:
		put_stack(w);
		break;
	default:
		put_alu(w);
		break;
	}
}

// A jump forward over a few instructions that leave no register undefined.
static void put_branch(struct writer *w)
{
	static const uint8_t ops[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE, BPF_JSGT,
	        BPF_JSGE, BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE};
	int class = pick(w->random, 2) ? BPF_JMP : BPF_JMP32;
	uint8_t op = ops[pick(w->random, sizeof(ops))];
	uint32_t at = w->count;
	if (pick(w->random, 2))
		put(w, class | op | BPF_X, any_register(w), any_register(w), 0, 0);
	else
		put(w, class | op | BPF_K, any_register(w), 0, 0, any_number(w));
	for (uint32_t n = 1 + pick(w->random, 4); n; n--)
		put_simple(w);
	w->insns[at].off = (int16_t)(w->count - at - 1);
}

static void put_call(struct writer *w)
{
	for (unsigned r = 1; r <= 5; r++)
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, r, any_register(w), 0, 0);
	// Where the function is, is known at the end: a chain through imm, from the last call to
	// the first.
	put(w, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, (int32_t)w->function);
	w->function = w->count - 1;
}

static void put_prologue(struct writer *w, unsigned from)
{
	for (unsigned r = 6; r <= 9; r++) {
		if (from)
			put(w, BPF_ALU64 | BPF_MOV | BPF_X, r, from + r - 6, 0, 0);
		else
			put(w, BPF_ALU64 | BPF_MOV | BPF_K, r, 0, 0, any_number(w));
	}
	for (int at = -64; at < 0; at += 8)
		put(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, 6 + (unsigned)(-at / 8) % 4, at, 0);
	put(w, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, any_number(w));
}

static void write_program(struct writer *w, struct random *random)
{
	*w = (struct writer){.random = random};
	put(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, 1, CONTEXT_AT, 0);
	put_prologue(w, 0);
	for (uint32_t n = 5 + pick(random, 20); n; n--) {
		switch (pick(random, 12)) {
		case 0:
			put_branch(w);
			break;
		case 1:
		case 2:
			put_packet(w);
			break;
		case 3:
		case 4:
			put_map(w);
			break;
		case 5:
			put_helper(w);
			break;
		case 6:
			put_call(w);
			break;
		default:
			put_simple(w);
			break;
		}
	}
	put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	if (!w->function)
		return;
	uint32_t callee = w->count;
	for (uint32_t at = w->function; at;) {
		uint32_t before = (uint32_t)w->insns[at].imm;
		w->insns[at].imm = (int32_t)(callee - at - 1);
		at = before;
	}
	put_prologue(w, 1);
	for (uint32_t n = 1 + pick(random, 10); n; n--) {
		if (pick(random, 4))
			put_simple(w);
		else
			put_branch(w);
	}
	put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

struct outcome {
	uint32_t result, size;
	uint8_t packet[2048];
	uint8_t values[2][2 * ENTRIES][17]; // with a flag for being there
};

// Loads the program with the kernel's maps; -1 where the verifier refuses.
static int kernel_load(const struct sides *sides, const struct writer *w)
{
	struct bpf_insn insns[INSNS_MAX];
	memcpy(insns, w->insns, sizeof(insns));
	for (uint32_t i = 0; i < w->count; i++) {
		if (insns[i].code == (BPF_LD | BPF_DW | BPF_IMM)) {
			if (insns[i].src_reg == BPF_PSEUDO_MAP_FD)
				insns[i].imm = sides->fds[insns[i].imm];
			i++;
		}
	}
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "diff", "GPL", insns, w->count, NULL);
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

static struct generation *our_load(struct sides *sides, const struct writer *w)
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
	const struct generation_options options = {.id = 1, .engine_count = 1, .ports = 1};
	struct image *image;
	struct generation *generation;
	struct error err = {0};
	if (bare_image(w->insns, w->count, maps, 2, &image, &err) ||
	        generation_new(sides->space, image, &options, &generation, &err)) {
		fprintf(stderr, "the kernel accepts what we refuse: %s\n", err.text);
		return NULL;
	}
	return generation;
}

static void print_program(const struct writer *w)
{
	for (uint32_t i = 0; i < w->count; i++) {
		const struct bpf_insn *insn = &w->insns[i];
		fprintf(stderr, "%3u: code %02x dst r%u src r%u off %d imm %d\n", i, insn->code,
		        insn->dst_reg, insn->src_reg, insn->off, insn->imm);
	}
}

static bool same(const struct outcome *kernel, const struct outcome *ours)
{
	return kernel->result == ours->result && kernel->size == ours->size &&
	       memcmp(kernel->packet, ours->packet, kernel->size) == 0 &&
	       memcmp(kernel->values, ours->values, sizeof(kernel->values)) == 0;
}

static void print_difference(const struct outcome *kernel, const struct outcome *ours)
{
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

// 1: ran and agreed, 0: refused by the verifier, -1: differed.
static int compare(struct sides *sides, const struct writer *w, const uint8_t *packet)
{
	static struct outcome kernel, ours;
	memset(&kernel, 0, sizeof(kernel));
	memset(&ours, 0, sizeof(ours));
	int fd = kernel_load(sides, w);
	if (fd < 0)
		return 0;
	kernel_run(sides, fd, packet, &kernel);
	close(fd);
	struct generation *generation = our_load(sides, w);
	if (!generation)
		return -1;
	enum fault fault = our_run(sides, generation, packet, &ours);
	generation_free(&generation);
	if (!fault && same(&kernel, &ours))
		return 1;
	fprintf(stderr, "r0: kernel %#x, ours %#x; size %u, %u; fault: %s\n", kernel.result,
	        ours.result, kernel.size, ours.size, fault_name(fault));
	print_difference(&kernel, &ours);
	return -1;
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
	uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);
	uint32_t agreed = 0, refused = 0;
	static struct writer writer;
	while (clock_ns() < end) {
		uint8_t packet[PACKET_SIZE];
		write_program(&writer, &random);
		for (uint32_t i = 0; i < PACKET_SIZE; i++)
			packet[i] = (uint8_t)pick(&random, 256);
		int r = compare(&sides, &writer, packet);
		if (r < 0) {
			print_program(&writer);
			return 1;
		}
		agreed += r > 0;
		refused += r == 0;
	}
	printf("%u programs agree, %u refused by the verifier\n", agreed, refused);
	engine_free(&sides.engine);
	packet_memory_free(&sides.memory);
	space_free(&sides.space);
	close(sides.fds[0]);
	close(sides.fds[1]);
	return agreed > refused ? 0 : 1;
}
