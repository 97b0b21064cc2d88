// SPDX-License-Identifier: Apache-2.0
// What a generation takes beyond its maps: from the encoded image, as a card receives it, to code
// that can run, that is reading, check, pass and compilation. The maps are carried from a
// generation before; raio_ports and constants, which cannot be, are made again within the time.
#include "compile.h"

#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "bench.h"
#include "ebpf/image.h"
#include "engine/generation.h"
#include "engine/space.h"
#include "load.h"

#define MIXED_INSNS 4096u
#define TIMES       9 // a round

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "engine_bench: %s: %s\n", what, err->text);
	exit(1);
}

#define INSN(op, d, s, o, i)                                                                       \
	((struct bpf_insn){.code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

// r6 context, r7 packet (64 bytes proven), r8 a map's value or 0, r9 a sum.
static uint32_t put_block(struct bpf_insn *at, int32_t number)
{
	const struct bpf_insn block[] = {
	        INSN(BPF_LDX | BPF_MEM | BPF_W, 1, 7, (int16_t)(number % 60), 0),
	        INSN(BPF_LDX | BPF_MEM | BPF_B, 2, 7, (int16_t)(number % 64), 0),
	        INSN(BPF_ALU64 | BPF_LSH | BPF_K, 2, 0, 0, number % 40),
	        INSN(BPF_ALU64 | BPF_XOR | BPF_X, 9, 2, 0, 0),
	        INSN(BPF_ALU | BPF_MUL | BPF_K, 1, 0, 0, 2 * number + 1),
	        INSN(BPF_ALU64 | BPF_ADD | BPF_X, 9, 1, 0, 0),
	        INSN(BPF_JMP | BPF_JSGT | BPF_K, 9, 0, 3, number),
	        INSN(BPF_ALU | BPF_END | BPF_TO_BE, 1, 0, 0, 32),
	        INSN(BPF_ALU64 | BPF_SUB | BPF_X, 9, 1, 0, 0),
	        INSN(BPF_STX | BPF_MEM | BPF_H, 7, 9, (int16_t)(2 * (number % 31)), 0),
	        INSN(BPF_JMP | BPF_JEQ | BPF_K, 8, 0, 2, 0),
	        INSN(BPF_LDX | BPF_MEM | BPF_DW, 3, 8, 0, 0),
	        INSN(BPF_STX | BPF_MEM | BPF_DW, 8, 9, 8, 0),
	        INSN(BPF_ALU64 | BPF_AND | BPF_K, 9, 0, 0, 0xff),
	        INSN(BPF_STX | BPF_MEM | BPF_W, 10, 9, -4, 0),
	        INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
	        INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
	        INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, 0),
	        INSN(0, 0, 0, 0, 0),
	        INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
	        INSN(BPF_ALU64 | BPF_MOV | BPF_X, 8, 0, 0, 0),
	        INSN(BPF_ALU64 | BPF_DIV | BPF_K, 9, 0, 0, 3),
	};
	memcpy(at, block, sizeof(block));
	return ARRAY_SIZE(block);
}

static uint32_t put_mixed(struct bpf_insn insns[MIXED_INSNS])
{
	const struct bpf_insn head[] = {
	        INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
	        INSN(BPF_LDX | BPF_MEM | BPF_W, 7, 6, 0, 0),
	        INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 6, 4, 0),
	        INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP),
	        INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 7, 0, 0),
	        INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 64),
	        INSN(BPF_JMP | BPF_JLE | BPF_X, 4, 3, 1, 0),
	        INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	        INSN(BPF_ALU64 | BPF_MOV | BPF_K, 8, 0, 0, 0),
	        INSN(BPF_ALU64 | BPF_MOV | BPF_K, 9, 0, 0, 0),
	};
	uint32_t at = ARRAY_SIZE(head), block;
	memcpy(insns, head, sizeof(head));
	struct bpf_insn scratch[32];
	for (int32_t i = 0; (block = put_block(scratch, i)) + 2 <= MIXED_INSNS - at; i++) {
		memcpy(insns + at, scratch, block * sizeof(insns[0]));
		at += block;
	}
	while (at < MIXED_INSNS - 2)
		insns[at++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, 1);
	insns[at++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS);
	insns[at++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return at;
}

// A program of MIXED_INSNS instructions of all kinds, with a look-up each 22.
static struct image *mixed_image(void)
{
	struct image *image = calloc(1, sizeof(*image));
	struct image_program *program = calloc(1, sizeof(*program));
	struct image_map *map = calloc(1, sizeof(*map));
	if (!image || !program || !map ||
	        !(program->functions = calloc(1, sizeof(*program->functions))) ||
	        !(program->insns = calloc(MIXED_INSNS, sizeof(*program->insns))))
		abort();
	strcpy(program->name, "mixed");
	strcpy(program->section, "xdp");
	strcpy(program->functions[0].name, "mixed");
	program->function_count = 1;
	program->insn_count = put_mixed(program->insns);
	strcpy(map->name, "table");
	map->type = BPF_MAP_TYPE_HASH;
	map->key_size = 4;
	map->value_size = 16;
	map->max_entries = 1024;
	map->inner = IMAGE_NONE;
	image->programs = program;
	image->program_count = 1;
	image->maps = map;
	image->map_count = 1;
	strcpy(image->license, "Apache-2.0");
	return image;
}

static double compile_once(
        struct space *space, const struct buffer *encoded, struct generation *old)
{
	const struct generation_options options = {
	        .id = 2, .engine_count = 1, .ports = LOAD_PORTS, .old = old, .carry_all = true};
	struct error err;
	struct image *image;
	struct generation *generation;
	uint64_t begin_ns = clock_ns();
	if (image_decode(encoded->data, encoded->size, &image, &err) ||
	        generation_new(space, image, &options, &generation, &err))
		die("compile", &err);
	uint64_t spent_ns = clock_ns() - begin_ns;
	generation_free(&generation);
	return (double)spent_ns / 1e3;
}

static void run_case(struct bench *bench, const char *name, struct image *image, int rounds)
{
	const struct generation_options options = {.id = 1, .engine_count = 1, .ports = LOAD_PORTS};
	struct buffer encoded = {0};
	struct space *space = NULL;
	struct generation *old = NULL;
	struct error err;
	image_encode(image, &encoded);
	if (space_new(&space, &err) || generation_new(space, image, &options, &old, &err))
		die(name, &err);
	for (int i = 0; i < rounds * TIMES; i++)
		bench_sample(bench, name, "native", "us", compile_once(space, &encoded, old));
	generation_free(&old);
	space_free(&space);
	buffer_free(&encoded);
}

void compile_bench(struct bench *bench, int rounds, const char *only)
{
	char name[64];
	struct error err;
	if (!engine_kind_offered(ENGINE_NATIVE)) {
		fprintf(stderr, "compile: there is no native engine for this machine\n");
		return;
	}
	for (int kind = LOAD_WIRE; kind <= LOAD_DDOS + 1; kind++) {
		bool is_mixed = kind > LOAD_DDOS;
		struct image *image = NULL;
		snprintf(name, sizeof(name), "compile, %s",
		        is_mixed ? "4096 instructions" : load_names[kind]);
		if (only && strncmp(name, only, strlen(only)) != 0)
			continue;
		if (is_mixed)
			image = mixed_image();
		else if (load_image((enum load_kind)kind, &image, &err))
			die(name, &err);
		run_case(bench, name, image, rounds);
	}
}
