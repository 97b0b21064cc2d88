// SPDX-License-Identifier: Apache-2.0
// Random programs that are all joins: few registers and slots, in which pointers into the packet,
// look-ups' results, addresses of values and numbers are copied, moved, spilled, narrowed and
// tested, with a jump every third instruction, now and then back. What a pass over them claims is
// hard to claim rightly.
#include <stddef.h>

#include "engine/random_program.h"

#define STARTS 160u

struct dense {
	struct random_program *program;
	struct random *random;
	uint32_t starts[STARTS]; // of instructions, for jumps to lead to
	uint32_t start_count;
};

static uint32_t pick(struct dense *dense, uint32_t below)
{
	return random_pick(dense->random, below);
}

static void put(struct dense *dense, int code, unsigned dst, unsigned src, int off, int32_t imm)
{
	dense->starts[dense->start_count++] = dense->program->count;
	dense->program->insns[dense->program->count++] = (struct bpf_insn){.code = (uint8_t)code,
	        .dst_reg = dst & 15,
	        .src_reg = src & 15,
	        .off = (int16_t)off,
	        .imm = imm};
}

static void put_wide(struct dense *dense, unsigned dst, unsigned kind, int32_t low, int32_t high)
{
	put(dense, BPF_LD | BPF_DW | BPF_IMM, dst, kind, 0, low);
	dense->program->insns[dense->program->count++] = (struct bpf_insn){.imm = high};
}

static int32_t small_number(struct dense *dense)
{
	static const int32_t numbers[] = {
	        0, 0, 1, 2, 3, 4, 7, 8, 14, 15, 16, 31, 48, 63, 64, 255, -1, -4, -8, -14, 65535};
	return numbers[pick(dense, sizeof(numbers) / sizeof(numbers[0]))];
}

static void put_arithmetic(struct dense *dense)
{
	static const uint8_t operations[] = {BPF_ADD, BPF_ADD, BPF_ADD, BPF_SUB, BPF_SUB, BPF_AND,
	        BPF_AND, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_MUL, BPF_DIV,
	        BPF_MOD};
	uint8_t operation = operations[pick(dense, sizeof(operations))];
	int class = pick(dense, 4) ? BPF_ALU64 : BPF_ALU;
	if (pick(dense, 2))
		put(dense, class | operation | BPF_X, pick(dense, 10), pick(dense, 10), 0, 0);
	else
		put(dense, class | operation, pick(dense, 10), 0, 0, small_number(dense));
}

// Where they lead is chosen once all stands.
static void put_jump(struct dense *dense)
{
	static const uint8_t operations[] = {BPF_JEQ, BPF_JEQ, BPF_JNE, BPF_JNE, BPF_JGT, BPF_JGT,
	        BPF_JGE, BPF_JLT, BPF_JLE, BPF_JSET, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};
	uint8_t operation = operations[pick(dense, sizeof(operations))];
	int class = pick(dense, 5) ? BPF_JMP : BPF_JMP32;
	if (pick(dense, 2))
		put(dense, class | operation | BPF_X, pick(dense, 10), pick(dense, 10), 0, 0);
	else
		put(dense, class | operation, pick(dense, 10), 0, 0, small_number(dense));
}

// A pointer from the context, which r10-8 holds.
static void put_fresh(struct dense *dense)
{
	static const uint8_t fields[] = {0, 0, 0, 4, 4, 8, 12, 16};
	unsigned to = pick(dense, 10);
	put(dense, BPF_LDX | BPF_MEM | BPF_DW, to, BPF_REG_10, -8, 0);
	put(dense, BPF_LDX | BPF_MEM | BPF_W, to, to, fields[pick(dense, sizeof(fields))], 0);
}

static void put_look_up(struct dense *dense)
{
	static const uint8_t maps[] = {
	        RANDOM_HASH, RANDOM_ARRAY, RANDOM_PERCPU_ARRAY, RANDOM_HASH_WIDE};
	put(dense, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -56, (int32_t)pick(dense, 12));
	put(dense, BPF_ALU64 | BPF_MOV | BPF_X, 2, BPF_REG_10, 0, 0);
	put(dense, BPF_ALU64 | BPF_ADD, 2, 0, 0, -56);
	put_wide(dense, 1, BPF_PSEUDO_MAP_FD, maps[pick(dense, sizeof(maps))], 0);
	put(dense, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
}

static void put_access(struct dense *dense)
{
	static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	uint8_t size = sizes[pick(dense, 4)];
	if (pick(dense, 3))
		put(dense, BPF_LDX | BPF_MEM | size, pick(dense, 10), pick(dense, 10),
		        small_number(dense) % 32, 0);
	else
		put(dense, BPF_STX | BPF_MEM | size, pick(dense, 10), pick(dense, 10),
		        small_number(dense) % 32, 0);
}

static void put_frame(struct dense *dense)
{
	static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_W};
	int slot = -16 - 8 * (int)pick(dense, 4);
	switch (pick(dense, 5)) {
	case 0:
	case 1:
		put(dense, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, pick(dense, 10), slot, 0);
		break;
	case 2:
	case 3:
		put(dense, BPF_LDX | BPF_MEM | BPF_DW, pick(dense, 10), BPF_REG_10, slot, 0);
		break;
	default:
		put(dense, (pick(dense, 2) ? BPF_LDX : BPF_STX) | BPF_MEM | sizes[pick(dense, 4)],
		        BPF_REG_10, BPF_REG_10, slot + (int)pick(dense, 5), 0);
		struct bpf_insn *insn = &dense->program->insns[dense->program->count - 1];
		if (BPF_CLASS(insn->code) == BPF_LDX)
			insn->dst_reg = pick(dense, 10) & 15;
		else
			insn->src_reg = pick(dense, 10) & 15;
	}
}

static void put_any(struct dense *dense)
{
	switch (pick(dense, 16)) {
	case 0:
	case 1:
	case 2:
		put(dense, (pick(dense, 6) ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X,
		        pick(dense, 10), pick(dense, 11), 0, 0);
		break;
	case 3:
		put(dense, BPF_ALU64 | BPF_MOV, pick(dense, 10), 0, 0, small_number(dense));
		break;
	case 4:
	case 5:
	case 6:
		put_arithmetic(dense);
		break;
	case 7:
		put_fresh(dense);
		break;
	case 8:
		if (pick(dense, 2))
			put_look_up(dense);
		else
			put_wide(dense, pick(dense, 10), BPF_PSEUDO_MAP_VALUE, RANDOM_GLOBAL,
			        (int32_t)pick(dense, 8));
		break;
	case 9:
		if (pick(dense, 3) == 0)
			put_access(dense);
		break;
	case 10:
	case 11:
		put_frame(dense);
		break;
	default:
		put_jump(dense);
	}
}

static void aim_jumps(struct dense *dense, uint32_t first)
{
	for (uint32_t i = first; i < dense->start_count; i++) {
		struct bpf_insn *insn = &dense->program->insns[dense->starts[i]];
		int class = BPF_CLASS(insn->code);
		if ((class != BPF_JMP && class != BPF_JMP32) || BPF_OP(insn->code) == BPF_CALL ||
		        BPF_OP(insn->code) == BPF_EXIT)
			continue;
		uint32_t to = i + 1 + pick(dense, 9);
		if (pick(dense, 7) == 0)
			to = i > first + 12 ? i - pick(dense, 12) : first;
		to = to < dense->start_count ? to : dense->start_count - 1;
		insn->off = (int16_t)(dense->starts[to] - dense->starts[i] - 1);
	}
}

void random_program_write_dense(struct random_program *program, struct random *random)
{
	struct dense it = {.program = program, .random = random}, *dense = &it;
	*program = (struct random_program){0};
	put(dense, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_1, -8, 0);
	put(dense, BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
	put(dense, BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0);
	put(dense, BPF_LDX | BPF_MEM | BPF_W, 7, 1, 12, 0);
	put_wide(dense, 9, BPF_PSEUDO_MAP_VALUE, RANDOM_GLOBAL, 0);
	put(dense, BPF_LDX | BPF_MEM | BPF_B, 5, 9, 0, 0);
	uint32_t first = dense->start_count, length = 20 + pick(dense, 90);
	while (dense->start_count < length)
		put_any(dense);
	put(dense, BPF_ALU64 | BPF_AND, 0, 0, 0, 3);
	put(dense, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	aim_jumps(dense, first);
}
