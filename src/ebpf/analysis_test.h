// SPDX-License-Identifier: Apache-2.0
// What the tests of the forward pass share: instructions by short names, some maps, and the pass
// over a program that is written so.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/analysis.h"
#include "ebpf/check.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"

#define INSNS_ROW 40
enum { HASH, ARRAY, GLOBAL, READ_ONLY, WRITE_ONLY, PERCPU, DEVMAP, JUMPS, INNER, HASH_B, RING };

#define ROW_OP(code, dst, src, off, imm)                                                           \
	{                                                                                          \
		code, dst, src, off, imm                                                           \
	}
#define MOV(d, s)                 ROW_OP(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV32(d, s)               ROW_OP(BPF_ALU | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i)                ROW_OP(BPF_ALU64 | BPF_MOV, d, 0, 0, i)
#define OP(op, d, s)              ROW_OP(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define OPI(op, d, i)             ROW_OP(BPF_ALU64 | (op), d, 0, 0, i)
#define OP32(op, d, s)            ROW_OP(BPF_ALU | (op) | BPF_X, d, s, 0, 0)
#define OP32I(op, d, i)           ROW_OP(BPF_ALU | (op), d, 0, 0, i)
#define ADD(d, i)                 OPI(BPF_ADD, d, i)
#define LD(size, d, s, off)       ROW_OP(BPF_LDX | BPF_MEM | (size), d, s, off, 0)
#define LDS(size, d, s, off)      ROW_OP(BPF_LDX | BPF_MEMSX | (size), d, s, off, 0)
#define ST(size, d, off, s)       ROW_OP(BPF_STX | BPF_MEM | (size), d, s, off, 0)
#define STI(size, d, off, i)      ROW_OP(BPF_ST | BPF_MEM | (size), d, 0, off, i)
#define ATOM(size, d, off, s, op) ROW_OP(BPF_STX | BPF_ATOMIC | (size), d, s, off, op)
#define JR(op, d, s, off)         ROW_OP(BPF_JMP | (op) | BPF_X, d, s, off, 0)
#define JI(op, d, i, off)         ROW_OP(BPF_JMP | (op), d, 0, off, i)
#define J32(op, d, i, off)        ROW_OP(BPF_JMP32 | (op), d, 0, off, i)
#define JA(off)                   ROW_OP(BPF_JMP | BPF_JA, 0, 0, off, 0)
#define CALL(helper)              ROW_OP(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##helper)
#define CALLF(to)                 ROW_OP(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, to)
#define EXIT                      ROW_OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define WIDE(d, kind, a, b)       ROW_OP(BPF_LD | BPF_DW | BPF_IMM, d, kind, 0, a), ROW_OP(0, 0, 0, 0, b)
#define MAPFD(d, map)             WIDE(d, BPF_PSEUDO_MAP_FD, map, 0)
#define MAPV(d, map, off)         WIDE(d, BPF_PSEUDO_MAP_VALUE, map, off)
#define FUNC(d, to)               WIDE(d, BPF_PSEUDO_FUNC, to, 0)

// r6 = context, r2 = data, r3 = data_end: instructions 0 to 2.
#define PACKET_ENDS MOV(6, 1), LD(BPF_W, 2, 6, 0), LD(BPF_W, 3, 6, 4)
// A look-up with key 0 at r10-4: instructions 0 to 5, then r0.
#define LOOK_UP(map)                                                                               \
	STI(BPF_W, 10, -4, 0), MOV(2, 10), ADD(2, -4), MAPFD(1, map), CALL(map_lookup_elem)

#define MAP(kind, key, value, entries, bits)                                                       \
	{                                                                                          \
		.name = #kind, .type = BPF_MAP_TYPE_##kind, .key_size = (key),                     \
		.value_size = (value), .max_entries = (entries), .flags = (bits),                  \
		.inner = IMAGE_NONE                                                                \
	}
static struct image_map maps[] = {
        [HASH] = MAP(HASH, 4, 16, 8, 0),
        [ARRAY] = MAP(ARRAY, 4, 8, 4, 0),
        [GLOBAL] = MAP(ARRAY, 4, 32, 1, 0),
        [READ_ONLY] = MAP(ARRAY, 4, 8, 1, BPF_F_RDONLY_PROG),
        [WRITE_ONLY] = MAP(ARRAY, 4, 8, 1, BPF_F_WRONLY_PROG),
        [PERCPU] = MAP(PERCPU_ARRAY, 4, 8, 4, 0),
        [DEVMAP] = MAP(DEVMAP, 4, 4, 4, 0),
        [JUMPS] = MAP(PROG_ARRAY, 4, 4, 4, 0),
        [INNER] = MAP(ARRAY_OF_MAPS, 4, 4, 4, 0),
        [HASH_B] = MAP(HASH, 4, 8, 8, 0),
        [RING] = MAP(RINGBUF, 0, 0, 4096, 0),
};

struct rig {
	struct image_function functions[INSNS_ROW];
	struct image_program program;
	struct image image;
	struct analysis *analysis;
};

static void rig_analyse(struct rig *rig, const struct bpf_insn *insns, uint32_t count, bool is_bare)
{
	bool starts[INSNS_ROW] = {true};
	uint32_t functions = 0;
	for (uint32_t i = 0; i < count && count <= INSNS_ROW; i++) {
		bool calls = (insns[i].code == (BPF_JMP | BPF_CALL) &&
		                     insns[i].src_reg == BPF_PSEUDO_CALL) ||
		             (insn_is_lddw(&insns[i]) && insns[i].src_reg == BPF_PSEUDO_FUNC);
		if (calls)
			starts[image_callee(&insns[i], i)] = true;
	}
	for (uint32_t i = 0; i < (count <= INSNS_ROW ? count : 1); i++) {
		if (starts[i])
			rig->functions[functions++] = (struct image_function){.insn = i};
	}
	rig->program = (struct image_program){.name = "row",
	        .insns = (struct bpf_insn *)insns,
	        .insn_count = count,
	        .functions = rig->functions,
	        .function_count = functions};
	rig->image = (struct image){.programs = &rig->program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = ARRAY_SIZE(maps)};
	struct error err = {0};
	if (check_image(&rig->image, &err) ||
	        analysis_new(&rig->image, 0, is_bare, &rig->analysis, &err))
		fail_msg("%s", err.text);
}

static uint32_t row_length(const struct bpf_insn insns[INSNS_ROW])
{
	uint32_t count = INSNS_ROW;
	while (count && !insns[count - 1].code && !insns[count - 1].imm)
		count--;
	return count;
}
