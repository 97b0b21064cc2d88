// SPDX-License-Identifier: Apache-2.0
// x86-64: values, memory and jumps. Calls, functions, atomics and slots are in frame_x86_64.c.
//
// The shortest form is taken where it costs nothing: 32-bit operations for what is zero-extended
// anyway, one byte for constants and displacements, short jumps back. Machine flags are the
// assembler's own: no operation leaves any for another.
#include <linux/bpf.h>

#include "ebpf/opcode.h"
#include "engine/native/x86_64.h"

bool asm_offered(void)
{
	return __builtin_cpu_supports("sse4.1");
}

uint32_t asm_features(void)
{
	return __builtin_cpu_supports("bmi2") ? FEATURE_BMI2 : 0;
}

// The only kind of place: 32 bits, counted from behind them.
bool asm_fix_reaches(uint32_t kind, int64_t distance)
{
	return kind == 0 && distance - 4 == (int32_t)(distance - 4);
}

void asm_fix(uint8_t *place, uint32_t kind, int64_t distance)
{
	(void)kind;
	write_i32(place, (int32_t)(distance - 4));
}

void asm_move(struct code *code, enum reg dst, enum reg src, bool wide)
{
	if (!wide || dst != src)
		emit_move(code, wide, number_of[dst], number_of[src]);
}

void asm_sign_extend(struct code *code, enum reg dst, enum reg src, unsigned bits, bool wide)
{
	unsigned to = number_of[dst], from = number_of[src];
	if (bits == 8)
		emit_rr(code, (wide ? WIDE : 0) | BYTE_RM, 0x0fbe, to, from);
	else if (bits == 16)
		emit_rr(code, wide ? WIDE : 0, 0x0fbf, to, from);
	else if (bits == 32 && wide)
		emit_rr(code, WIDE, 0x63, to, from);
	else
		asm_move(code, dst, src, wide);
}

void asm_constant(struct code *code, enum reg dst, uint64_t value)
{
	unsigned to = number_of[dst];
	uint8_t *p = code_room(code), *end;
	if (!value) {
		end = write_rr(p, 0, 0x31, to, to);
	} else if (value <= UINT32_MAX) {
		end = write_i32(
		        write_head(p, 0, 0xb8 | (to & 7), to >> 3), (int32_t)(uint32_t)value);
	} else if (value == (uint64_t)(int32_t)value) {
		end = write_i32(write_rr(p, WIDE, 0xc7, 0, to), (int32_t)value);
	} else {
		end = write_head(p, WIDE, 0xb8 | (to & 7), to >> 3);
		memcpy(end, &value, sizeof(value));
		end += sizeof(value);
	}
	code_wrote(code, (uint32_t)(end - p));
}

void asm_lea(struct code *code, enum reg dst, struct mem mem)
{
	if (mem.index == REG_NONE && !mem.disp)
		asm_move(code, dst, mem.base, true);
	else
		emit_rm(code, WIDE, 0x8d, number_of[dst], mem);
}

// Opcodes of `op r/m, r`; with a constant they are the opcode's middle bits (81 /n).
static uint8_t arithmetic_opcode(uint8_t op)
{
	switch (op) {
	case BPF_ADD:
		return 0x01;
	case BPF_OR:
		return 0x09;
	case BPF_AND:
		return 0x21;
	case BPF_SUB:
		return 0x29;
	default: // BPF_XOR
		return 0x31;
	}
}

// The middle bits of shifts (d3 /n), and their form with any register for the count (BMI2).
struct shift {
	uint8_t middle, vex_prefix;
};
static struct shift shift_of(uint8_t op)
{
	switch (op) {
	case BPF_LSH:
		return (struct shift){4, 1};
	case BPF_RSH:
		return (struct shift){5, 3};
	default: // BPF_ARSH
		return (struct shift){7, 2};
	}
}

// Without BMI2 the count stands in cl: rcx waits in T1, or is what is shifted.
static void shift_by_cl(
        struct code *code, uint8_t middle, unsigned dst, unsigned src, uint32_t flags)
{
	if (src == RCX) {
		emit_rr(code, flags, 0xd3, middle, dst);
		return;
	}
	emit_move(code, true, T1, RCX);
	emit_move(code, false, RCX, src);
	emit_rr(code, flags, 0xd3, middle, dst == RCX ? T1 : dst);
	emit_move(code, true, RCX, T1);
}

void asm_alu(struct code *code, uint8_t op, enum reg dst, enum reg src, bool wide)
{
	unsigned to = number_of[dst], from = number_of[src];
	uint32_t flags = wide ? WIDE : 0;
	struct shift shift;
	switch (op) {
	case BPF_MUL:
		emit_rr(code, flags, 0x0faf, to, from);
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		shift = shift_of(op);
		if (code->features & FEATURE_BMI2)
			emit_vex(code, wide, shift.vex_prefix, 0xf7, to, from, to);
		else
			shift_by_cl(code, shift.middle, to, from, flags);
		break;
	default:
		emit_rr(code, flags, arithmetic_opcode(op), from, to);
	}
}

// op 81 /n or 83 /n.
static void group_constant(
        struct code *code, uint32_t flags, unsigned middle, unsigned rm, int32_t value)
{
	uint8_t *p = code_room(code), *end;
	if (value == (int8_t)value) {
		end = write_rr(p, flags, 0x83, middle, rm);
		*end++ = (uint8_t)value;
	} else if (rm == RAX) {
		end = write_i32(write_head(p, flags, middle << 3 | 5, 0), value);
	} else {
		end = write_i32(write_rr(p, flags, 0x81, middle, rm), value);
	}
	code_wrote(code, (uint32_t)(end - p));
}

static void and_constant(struct code *code, unsigned to, int32_t value, bool wide)
{
	if (value == 0)
		emit_zero(code, to);
	else if (value == -1 && !wide)
		emit_move(code, false, to, to);
	else if (value == -1)
		return;
	else if (value == 0xff)
		emit_rr(code, BYTE_RM, 0x0fb6, to, to);
	else if (value == 0xffff)
		emit_rr(code, 0, 0x0fb7, to, to);
	else // what a positive mask leaves is below 32 bits
		group_constant(code, wide && value < 0 ? WIDE : 0, 4, to, value);
}

static void multiply_constant(struct code *code, unsigned to, int32_t value, uint32_t flags)
{
	uint8_t *p = code_room(code), *end;
	if (!value) {
		end = write_rr(p, 0, 0x31, to, to);
	} else if (value == (int8_t)value) {
		end = write_rr(p, flags, 0x6b, to, to);
		*end++ = (uint8_t)value;
	} else {
		end = write_i32(write_rr(p, flags, 0x69, to, to), value);
	}
	code_wrote(code, (uint32_t)(end - p));
}

static void shift_constant(struct code *code, uint8_t op, unsigned to, int32_t value, bool wide)
{
	unsigned middle = shift_of(op).middle, count = (unsigned)value & (wide ? 63 : 31);
	if (count == 1)
		emit_rr(code, wide ? WIDE : 0, 0xd1, middle, to);
	else if (count)
		emit_rr_i8(code, wide ? WIDE : 0, 0xc1, middle, to, count);
	else if (!wide)
		emit_move(code, false, to, to);
}

void asm_alu_constant(struct code *code, uint8_t op, enum reg dst, int32_t value, bool wide)
{
	unsigned to = number_of[dst];
	uint32_t flags = wide ? WIDE : 0;
	switch (op) {
	case BPF_AND:
		and_constant(code, to, value, wide);
		break;
	case BPF_MUL:
		multiply_constant(code, to, value, flags);
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		shift_constant(code, op, to, value, wide);
		break;
	default:
		if (!value && wide)
			break;
		if (value == -1 && op == BPF_XOR)
			emit_rr(code, flags, 0xf7, 2, to); // not
		else if (value == 128 && (op == BPF_ADD || op == BPF_SUB))
			group_constant(code, flags, op == BPF_ADD ? 5 : 0, to, -128);
		else
			group_constant(code, flags, arithmetic_opcode(op) >> 3, to, value);
	}
}

void asm_negate(struct code *code, enum reg dst, bool wide)
{
	emit_rr(code, wide ? WIDE : 0, 0xf7, 3, number_of[dst]);
}

void asm_swap(struct code *code, enum reg dst, unsigned bits, bool swap)
{
	unsigned to = number_of[dst];
	if (swap) {
		uint8_t *p = code_room(code);
		uint32_t flags = bits == 64 ? WIDE : 0;
		code_wrote(code, (uint32_t)(write_head(p, flags, 0x0fc8 | (to & 7), to >> 3) - p));
		if (bits == 16)
			emit_rr_i8(code, 0, 0xc1, 5, to, 16);
	} else if (bits == 16) {
		emit_rr(code, 0, 0x0fb7, to, to);
	} else if (bits == 32) {
		emit_move(code, false, to, to);
	}
}

// The machine divides rdx:rax, and traps where RFC 9669 has a result.
void asm_divide(
        struct code *code, uint8_t op, bool is_signed, enum reg dst, enum reg src, bool wide)
{
	unsigned to = number_of[dst], result = op == BPF_DIV ? RAX : RDX;
	uint32_t flags = wide ? WIDE : 0, minus_one = 0;
	emit_move(code, wide, T1, number_of[src]);
	emit_rr(code, flags, 0x85, T1, T1);
	uint32_t zero = emit_skip(code, 0x74);
	if (is_signed) {
		emit_rr_i8(code, flags, 0x83, 7, T1, 0xff);
		minus_one = emit_skip(code, 0x74);
	}
	if (to != RAX)
		emit_push(code, RAX);
	if (to != RDX)
		emit_push(code, RDX);
	if (to != RAX)
		emit_move(code, wide, RAX, to);
	if (!is_signed)
		emit_zero(code, RDX);
	else
		emit_bytes(code, wide ? "\x48\x99" : "\x99", wide ? 2 : 1); // cqo, cdq
	emit_rr(code, flags, 0xf7, is_signed ? 7 : 6, T1);
	if (to != result)
		emit_move(code, wide, T1, result);
	if (to != RDX)
		emit_pop(code, RDX);
	if (to != RAX)
		emit_pop(code, RAX);
	if (to != result)
		emit_move(code, wide, to, T1);
	uint32_t done = emit_skip(code, 0xeb), done_too = 0;
	if (is_signed) {
		land(code, minus_one);
		if (op == BPF_DIV)
			emit_rr(code, flags, 0xf7, 3, to); // neg
		else
			emit_zero(code, to);
		done_too = emit_skip(code, 0xeb);
	}
	land(code, zero);
	if (op == BPF_DIV)
		emit_zero(code, to);
	else if (!wide)
		emit_move(code, false, to, to);
	land(code, done);
	if (is_signed)
		land(code, done_too);
}

void asm_multiply_fold(struct code *code, enum reg dst, enum reg a, enum reg b)
{
	unsigned to = number_of[dst], first = number_of[a], second = number_of[b];
	bool mulx = code->features & FEATURE_BMI2;
	unsigned factor = mulx ? RDX : RAX; // the one that is not named
	if (second == factor) {
		second = first;
		first = factor;
	}
	if (first != factor)
		emit_move(code, true, factor, first);
	if (!mulx) {
		emit_rr(code, WIDE, 0xf7, 4, second);
		emit_rr(code, WIDE, 0x31, RDX, RAX);
		if (to != RAX)
			emit_move(code, true, to, RAX);
		return;
	}
	unsigned high = to == RDX ? T1 : to;
	emit_vex(code, true, 3, 0xf6, high, RDX, second);
	emit_rr(code, WIDE, 0x31, to == RDX ? high : RDX, to);
}

void asm_load(struct code *code, enum reg dst, struct mem mem, unsigned size, bool is_signed)
{
	static const struct {
		uint32_t opcode, flags;
	} forms[2][9] = {
	        {[1] = {0x0fb6, 0}, [2] = {0x0fb7, 0}, [4] = {0x8b, 0}, [8] = {0x8b, WIDE}},
	        {[1] = {0x0fbe, WIDE},
	                [2] = {0x0fbf, WIDE},
	                [4] = {0x63, WIDE},
	                [8] = {0x8b, WIDE}},
	};
	emit_rm(code, forms[is_signed][size].flags, forms[is_signed][size].opcode, number_of[dst],
	        mem);
}

// Flags of a store of `size` bytes; that of one has an opcode less by one.
static uint32_t store_flags(unsigned size)
{
	return size == 8 ? WIDE : size == 2 ? PREFIX_66 : size == 1 ? BYTE_REG : 0;
}

void asm_store(struct code *code, struct mem mem, enum reg src, unsigned size)
{
	emit_rm(code, store_flags(size), size == 1 ? 0x88 : 0x89, number_of[src], mem);
}

void asm_store_constant(struct code *code, struct mem mem, int32_t value, unsigned size)
{
	uint8_t *p = code_room(code), *end;
	unsigned bytes = size < 4 ? size : 4;
	end = write_rm(p, store_flags(size), size == 1 ? 0xc6 : 0xc7, 0, mem);
	write_i32(end, value); // the low bytes count
	code_wrote(code, (uint32_t)(end + bytes - p));
}

// op 81 /n or 83 /n on memory.
static void group_memory(
        struct code *code, uint32_t flags, unsigned middle, struct mem mem, int32_t value)
{
	uint8_t *p = code_room(code), *end;
	if (value == (int8_t)value) {
		end = write_rm(p, flags, 0x83, middle, mem);
		*end++ = (uint8_t)value;
	} else {
		end = write_i32(write_rm(p, flags, 0x81, middle, mem), value);
	}
	code_wrote(code, (uint32_t)(end - p));
}

void asm_memory_add(struct code *code, struct mem mem, int64_t value)
{
	if (value == 128) {
		group_memory(code, WIDE, 5, mem, -128);
	} else if (value == (int32_t)value) {
		group_memory(code, WIDE, 0, mem, (int32_t)value);
	} else {
		asm_constant(code, REG_T1, (uint64_t)value);
		emit_rm(code, WIDE, 0x01, T1, mem);
	}
}

void asm_memory_add_register(struct code *code, struct mem mem, enum reg src)
{
	emit_rm(code, WIDE, 0x01, number_of[src], mem);
}

void asm_prefetch(struct code *code, struct mem mem)
{
	emit_rm(code, 0, 0x0f18, 1, mem); // prefetcht0
}

// Jumps: short ones only backwards, where the distance is known.
static void jump_to(struct code *code, uint8_t near, uint8_t condition, uint32_t label)
{
	uint8_t *p = code_room(code), *end = p;
	uint32_t target = code_label(code, label);
	int64_t back = (int64_t)target - code->size - 2;
	if (target != CODE_UNBOUND && back >= INT8_MIN) {
		*end++ = near ? 0xeb : 0x70 | condition;
		*end++ = (uint8_t)back;
		code_wrote(code, 2);
		return;
	}
	if (!near)
		*end++ = 0x0f;
	*end++ = near ? near : 0x80 | condition;
	end = write_i32(end, 0);
	code_wrote(code, (uint32_t)(end - p));
	code_fix(code, code->size - 4, label, 0);
}

void asm_jump(struct code *code, uint32_t label)
{
	jump_to(code, 0xe9, 0, label);
}

static uint8_t condition_of(uint8_t op)
{
	switch (op) {
	case BPF_JEQ:
		return 0x4;
	case BPF_JGT:
		return 0x7;
	case BPF_JGE:
		return 0x3;
	case BPF_JLT:
		return 0x2;
	case BPF_JLE:
		return 0x6;
	case BPF_JSGT:
		return 0xf;
	case BPF_JSGE:
		return 0xd;
	case BPF_JSLT:
		return 0xc;
	case BPF_JSLE:
		return 0xe;
	default: // BPF_JNE; BPF_JSET behind a test
		return 0x5;
	}
}

void asm_branch(struct code *code, uint8_t op, enum reg a, enum reg b, bool wide, uint32_t label)
{
	uint32_t opcode = op == BPF_JSET ? 0x85 : 0x39;
	emit_rr(code, wide ? WIDE : 0, opcode, number_of[b], number_of[a]);
	jump_to(code, 0, condition_of(op), label);
}

// test r/m, imm: in one byte, or 32 bits, where the rest is masked off.
static void test_constant(struct code *code, unsigned rm, int32_t value, bool wide)
{
	uint8_t *p = code_room(code), *end;
	if (value >= 0 && value <= 0xff) {
		end = rm == RAX ? write_head(p, 0, 0xa8, 0) : write_rr(p, BYTE_RM, 0xf6, 0, rm);
		*end++ = (uint8_t)value;
	} else {
		uint32_t flags = wide && value < 0 ? WIDE : 0;
		end = rm == RAX ? write_head(p, flags, 0xa9, 0) : write_rr(p, flags, 0xf7, 0, rm);
		end = write_i32(end, value);
	}
	code_wrote(code, (uint32_t)(end - p));
}

void asm_branch_constant(
        struct code *code, uint8_t op, enum reg a, int32_t b, bool wide, uint32_t label)
{
	unsigned rm = number_of[a];
	if (op == BPF_JSET)
		test_constant(code, rm, b, wide);
	else if (!b) // test leaves the flags that cmp with 0 does
		emit_rr(code, wide ? WIDE : 0, 0x85, rm, rm);
	else
		group_constant(code, wide ? WIDE : 0, 7, rm, b);
	jump_to(code, 0, condition_of(op), label);
}

void asm_branch_memory(
        struct code *code, uint8_t op, enum reg a, struct mem b, unsigned size, uint32_t label)
{
	emit_rm(code, size == 8 ? WIDE : 0, op == BPF_JSET ? 0x85 : 0x3b, number_of[a], b);
	jump_to(code, 0, condition_of(op), label);
}

void asm_branch_memory_constant(
        struct code *code, uint8_t op, struct mem a, int32_t b, unsigned size, uint32_t label)
{
	uint32_t flags = size == 8 ? WIDE : 0;
	if (op == BPF_JSET) {
		uint8_t *p = code_room(code);
		uint8_t *end = write_i32(write_rm(p, flags, 0xf7, 0, a), b);
		code_wrote(code, (uint32_t)(end - p));
	} else {
		group_memory(code, flags, 7, a, b);
	}
	jump_to(code, 0, condition_of(op), label);
}

void asm_jump_register(struct code *code, enum reg target)
{
	emit_rr(code, 0, 0xff, 4, number_of[target]);
}
