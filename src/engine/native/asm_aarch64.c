// SPDX-License-Identifier: Apache-2.0
// The assembler for aarch64.
//
// Registers: R1 to R5 are x0 to x4, where C passes arguments; R0 is x7, because a result in x0
// would cost R1; R6 to R9, FRAME, BASE and ENGINE are x19 to x22 and x25 to x27, which C keeps; T0
// and T1 are x9 and x10; slots are v16 and up, of which C keeps nothing. x11 to x13, x16 and x17
// are this file's own: x16 holds addresses, x17 values, x11 what does not fit as an immediate. Code
// emitted here never changes T1, also where asm.h would let it.
#include "engine/native/asm.h"

#include <linux/bpf.h>
#include <sys/auxv.h>

#include "ebpf/opcode.h"
#include "engine/native/aarch64.h"
#include "engine/native/code.h"

static const uint8_t machine[] = {
        [REG_R0] = 7,
        [REG_R1] = 0,
        [REG_R2] = 1,
        [REG_R3] = 2,
        [REG_R4] = 3,
        [REG_R5] = 4,
        [REG_R6] = 19,
        [REG_R7] = 20,
        [REG_R8] = 21,
        [REG_R9] = 22,
        [REG_FRAME] = 25,
        [REG_BASE] = 26,
        [REG_ENGINE] = 27,
        [REG_T0] = 9,
        [REG_T1] = 10,
        [REG_SP] = 31,
};

uint32_t a64_register(enum reg reg)
{
	return machine[reg];
}

bool asm_offered(void)
{
	return true;
}

// The register that holds the address: the base, or ADDRESS.
static uint32_t address(struct code *code, struct mem mem)
{
	if (mem.index == REG_NONE && !mem.disp)
		return machine[mem.base];
	a64_put_address(code, ADDRESS, mem);
	return ADDRESS;
}

void asm_move(struct code *code, enum reg dst, enum reg src, bool wide)
{
	if (dst != src || !wide)
		a64_put_move(code, machine[dst], machine[src], wide);
}

void asm_sign_extend(struct code *code, enum reg dst, enum reg src, unsigned bits, bool wide)
{
	a64_put_field(code, INSN_SBFM, machine[dst], machine[src], 0, bits - 1, wide);
}

void asm_constant(struct code *code, enum reg dst, uint64_t value)
{
	a64_put_constant(code, machine[dst], value);
}

void asm_lea(struct code *code, enum reg dst, struct mem mem)
{
	// base + index first, so that dst may be either.
	a64_put_address(code, machine[dst], mem);
}

// By op >> 4; 0 for what is none.
static const uint32_t alu_insns[] = {
        [BPF_ADD >> 4] = INSN_ADD,
        [BPF_SUB >> 4] = INSN_SUB,
        [BPF_MUL >> 4] = INSN_MADD | ZERO << 10,
        [BPF_OR >> 4] = INSN_ORR,
        [BPF_AND >> 4] = INSN_AND,
        [BPF_XOR >> 4] = INSN_EOR,
        [BPF_LSH >> 4] = INSN_LSLV,
        [BPF_RSH >> 4] = INSN_LSRV,
        [BPF_ARSH >> 4] = INSN_ASRV,
};

void asm_alu(struct code *code, uint8_t op, enum reg dst, enum reg src, bool wide)
{
	uint32_t d = machine[dst], n = a64_source(code, d, wide), m = dst == src ? n : machine[src];
	a64_put_3(code, alu_insns[op >> 4] | a64_width(wide), d, n, m);
}

static void put_shift(
        struct code *code, uint8_t op, uint32_t d, uint32_t n, uint32_t count, bool wide)
{
	uint32_t top = wide ? 63 : 31;
	count &= top;
	if (op == BPF_LSH)
		a64_put_field(code, INSN_UBFM, d, n, (0 - count) & top, top - count, wide);
	else
		a64_put_field(code, op == BPF_RSH ? INSN_UBFM : INSN_SBFM, d, n, count, top, wide);
}

void asm_alu_constant(struct code *code, uint8_t op, enum reg dst, int32_t value, bool wide)
{
	uint32_t d = machine[dst], n = a64_source(code, d, wide), bits;
	switch (op) {
	case BPF_ADD:
		a64_put_add(code, d, n, value, wide);
		return;
	case BPF_SUB:
		a64_put_add(code, d, n, -(int64_t)value, wide);
		return;
	case BPF_MUL:
		if (value > 0 && !(value & (value - 1))) {
			put_shift(code, BPF_LSH, d, n, (uint32_t)__builtin_ctz((uint32_t)value),
			        wide);
			return;
		}
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		put_shift(code, op, d, n, (uint32_t)value, wide);
		return;
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
		if (a64_logical_immediate((uint64_t)(int64_t)value, wide, &bits)) {
			uint32_t insn = op == BPF_OR    ? INSN_ORR_I
			                : op == BPF_AND ? INSN_AND_I
			                                : INSN_EOR_I;
			a64_put(code, insn | a64_width(wide) | bits | n << 5 | d);
			return;
		}
		break;
	}
	a64_put_constant(code, VALUE, wide ? (uint64_t)(int64_t)value : (uint32_t)value);
	a64_put_3(code, alu_insns[op >> 4] | a64_width(wide), d, n, VALUE);
}

void asm_negate(struct code *code, enum reg dst, bool wide)
{
	uint32_t d = machine[dst];
	a64_put_3(code, INSN_SUB | a64_width(wide), d, ZERO, a64_source(code, d, wide));
}

void asm_swap(struct code *code, enum reg dst, unsigned bits, bool swap)
{
	uint32_t d = machine[dst];
	if (swap && bits == 64)
		a64_put_3(code, INSN_REV64 | WIDE, d, a64_source(code, d, true), 0);
	else if (swap)
		a64_put_3(code, bits == 32 ? INSN_REV32 : INSN_REV16, d, a64_source(code, d, false),
		        0);
	if (bits == 16)
		a64_put_field(code, INSN_UBFM, d, d, 0, 15, false);
	else if (bits == 32 && !swap)
		a64_put_move(code, d, a64_source(code, d, false), false);
}

// The machine's own division gives 0 by zero, and wraps.
void asm_divide(
        struct code *code, uint8_t op, bool is_signed, enum reg dst, enum reg src, bool wide)
{
	uint32_t d = machine[dst], s = machine[src];
	uint32_t insn = (is_signed ? INSN_SDIV : INSN_UDIV) | a64_width(wide);
	if (op == BPF_DIV) {
		a64_put_3(code, insn, d, d, s);
		return;
	}
	a64_put_3(code, insn, VALUE, d, s);
	a64_put_3(code, INSN_MSUB | a64_width(wide) | d << 10, d, VALUE, s);
}

void asm_multiply_fold(struct code *code, enum reg dst, enum reg a, enum reg b)
{
	a64_put_3(code, INSN_MADD | WIDE | ZERO << 10, VALUE, machine[a], machine[b]);
	a64_put_3(code, INSN_UMULH | WIDE, LARGE, machine[a], machine[b]);
	a64_put_3(code, INSN_EOR | WIDE, machine[dst], VALUE, LARGE);
}

void asm_match(struct code *code, enum reg dst, enum reg key, struct mem mem)
{
	static const uint8_t words[] = {LARGE, OLD, NEW, VALUE};
	uint32_t at = address(code, mem);
	a64_put_3(code, INSN_LDP | OLD << 10, LARGE, at, 0);
	a64_put_3(code, INSN_LDP | VALUE << 10 | 2 << 15, NEW, at, 0);
	for (uint32_t i = 0; i < 4; i++) {
		a64_put_3(code, INSN_SUBS | WIDE, ZERO, words[i], machine[key]);
		// 1 where the opposite is not so.
		a64_put_3(code, INSN_CSINC | NE << 12, words[i], ZERO, ZERO);
	}
	a64_put_3(code, INSN_ORR | 1 << 10, LARGE, LARGE, OLD);
	a64_put_3(code, INSN_ORR | 1 << 10, NEW, NEW, VALUE);
	a64_put_3(code, INSN_ORR | 2 << 10, machine[dst], LARGE, NEW);
}

void asm_lowest_bit(struct code *code, enum reg dst, enum reg src)
{
	a64_put_3(code, INSN_RBIT | WIDE, machine[dst], machine[src], 0);
	a64_put_3(code, INSN_CLZ | WIDE, machine[dst], machine[dst], 0);
}

void asm_load(struct code *code, enum reg dst, struct mem mem, unsigned size, bool is_signed)
{
	uint32_t insn = is_signed && size < 8 ? MEM_LOAD_SIGNED : MEM_LOAD;
	a64_put_transfer(code, insn, size, machine[dst], mem);
}

void asm_load_acquire(struct code *code, enum reg dst, struct mem mem)
{
	a64_put_3(code, INSN_LDAR | SIZE(4), machine[dst], address(code, mem), 0);
}

void asm_load_fence(struct code *code)
{
	a64_put(code, INSN_DMB_LD);
}

void asm_store(struct code *code, struct mem mem, enum reg src, unsigned size)
{
	a64_put_transfer(code, MEM_STORE, size, machine[src], mem);
}

// The register that holds the low `size` bytes of a constant: VALUE, or zero's own.
static uint32_t constant(struct code *code, int64_t value, unsigned size)
{
	uint64_t bits = (uint64_t)value & ~0ull >> (64 - 8 * size);
	if (!bits)
		return ZERO;
	a64_put_constant(code, VALUE, bits);
	return VALUE;
}

void asm_store_constant(struct code *code, struct mem mem, int32_t value, unsigned size)
{
	a64_put_transfer(code, MEM_STORE, size, constant(code, value, size), mem);
}

void asm_memory_add(struct code *code, struct mem mem, int64_t value)
{
	a64_put_transfer(code, MEM_LOAD, 8, VALUE, mem);
	a64_put_add(code, VALUE, VALUE, value, true);
	a64_put_transfer(code, MEM_STORE, 8, VALUE, mem);
}

void asm_memory_add_register(struct code *code, struct mem mem, enum reg src)
{
	a64_put_transfer(code, MEM_LOAD, 8, VALUE, mem);
	a64_put_3(code, INSN_ADD | WIDE, VALUE, VALUE, machine[src]);
	a64_put_transfer(code, MEM_STORE, 8, VALUE, mem);
}

void asm_prefetch(struct code *code, struct mem mem)
{
	a64_put_transfer(code, MEM_LOAD_SIGNED, 8, 0, mem);
}

// An operation by its atomic instruction, or by what a loop does between load and store.
struct atomic_insns {
	uint32_t at_once, between;
};

static struct atomic_insns atomic_insns(int32_t op)
{
	switch (op & ~BPF_FETCH) {
	case BPF_ADD:
		return (struct atomic_insns){INSN_LDADD, INSN_ADD};
	case BPF_OR:
		return (struct atomic_insns){INSN_LDSET, INSN_ORR};
	case BPF_AND:
		return (struct atomic_insns){INSN_LDCLR, INSN_AND};
	case BPF_XOR:
		return (struct atomic_insns){INSN_LDEOR, INSN_EOR};
	default: // BPF_XCHG
		return (struct atomic_insns){INSN_SWP, 0};
	}
}

static void put_at_once(struct code *code, struct atomic_insns insns, unsigned size, uint32_t at,
        uint32_t s, bool fetch)
{
	uint32_t operand = s;
	if (insns.at_once == INSN_LDCLR) {
		a64_put_3(code, INSN_ORN | WIDE, VALUE, ZERO, s);
		operand = VALUE;
	}
	a64_put_3(code, insns.at_once | SIZE(size) | (fetch ? LSE_ORDERED : 0), fetch ? s : ZERO,
	        at, operand);
}

static void put_loop(struct code *code, struct atomic_insns insns, unsigned size, uint32_t at,
        uint32_t s, bool fetch)
{
	uint32_t again = asm_label(code), order = SIZE(size) | (fetch ? PAIR_ORDERED : 0);
	asm_bind(code, again);
	a64_put_3(code, INSN_LDXR | order, OLD, at, 0);
	if (insns.between)
		a64_put_3(code, insns.between | WIDE, NEW, OLD, s);
	a64_put_3(code, INSN_STXR | order, insns.between ? NEW : s, at, VALUE);
	a64_put_branch(code, INSN_CBNZ | VALUE, again);
	if (fetch)
		a64_put_move(code, s, OLD, true);
}

static void put_compare_exchange(struct code *code, unsigned size, uint32_t at, uint32_t s)
{
	uint32_t r0 = machine[REG_R0];
	bool wide = size == 8;
	if (code->features & HWCAP_ATOMICS) {
		a64_put_move(code, OLD, r0, wide);
		a64_put_3(code, INSN_CASAL | SIZE(size), s, at, OLD);
	} else {
		uint32_t again = asm_label(code), unequal = asm_label(code);
		asm_bind(code, again);
		a64_put_3(code, INSN_LDXR | SIZE(size) | PAIR_ORDERED, OLD, at, 0);
		a64_put_3(code, INSN_SUBS | a64_width(wide), ZERO, OLD, r0);
		a64_put_branch(code, INSN_B_IF | NE, unequal);
		a64_put_3(code, INSN_STXR | SIZE(size) | PAIR_ORDERED, s, at, VALUE);
		a64_put_branch(code, INSN_CBNZ | VALUE, again);
		asm_bind(code, unequal);
	}
	a64_put_move(code, r0, OLD, wide);
}

void asm_atomic(struct code *code, int32_t op, unsigned size, struct mem mem, enum reg src)
{
	uint32_t at = address(code, mem), s = machine[src];
	bool fetch = op & BPF_FETCH;
	if (op == BPF_LOAD_ACQ)
		a64_put_3(code, INSN_LDAR | SIZE(size), s, at, 0);
	else if (op == BPF_STORE_REL)
		a64_put_3(code, INSN_STLR | SIZE(size), s, at, 0);
	else if (op == BPF_CMPXCHG)
		put_compare_exchange(code, size, at, s);
	else if (code->features & HWCAP_ATOMICS)
		put_at_once(code, atomic_insns(op), size, at, s, fetch);
	else
		put_loop(code, atomic_insns(op), size, at, s, fetch);
}

void asm_jump(struct code *code, uint32_t label)
{
	a64_put_jump(code, INSN_B, label);
}

static const uint8_t conditions[] = {
        [BPF_JEQ >> 4] = EQ,
        [BPF_JGT >> 4] = HI,
        [BPF_JGE >> 4] = HS,
        [BPF_JSET >> 4] = NE,
        [BPF_JNE >> 4] = NE,
        [BPF_JSGT >> 4] = GT,
        [BPF_JSGE >> 4] = GE,
        [BPF_JLT >> 4] = LO,
        [BPF_JLE >> 4] = LS,
        [BPF_JSLT >> 4] = LT,
        [BPF_JSLE >> 4] = LE,
};

static void branch(struct code *code, uint8_t op, uint32_t n, uint32_t m, bool wide, uint32_t label)
{
	a64_put_3(code, (op == BPF_JSET ? INSN_ANDS : INSN_SUBS) | a64_width(wide), ZERO, n, m);
	a64_put_branch(code, INSN_B_IF | conditions[op >> 4], label);
}

static void branch_constant(
        struct code *code, uint8_t op, uint32_t n, int32_t value, bool wide, uint32_t label)
{
	uint32_t size = value < 0 ? -(uint32_t)value : (uint32_t)value, bits;
	if (!value && (op == BPF_JEQ || op == BPF_JNE)) {
		a64_put_branch(
		        code, (op == BPF_JEQ ? INSN_CBZ : INSN_CBNZ) | a64_width(wide) | n, label);
		return;
	}
	if (op == BPF_JSET && a64_logical_immediate((uint64_t)(int64_t)value, wide, &bits)) {
		a64_put(code, INSN_ANDS_I | a64_width(wide) | bits | n << 5 | ZERO);
	} else if (op != BPF_JSET && size < 1 << 12) {
		a64_put(code, (value < 0 ? INSN_ADDS_I : INSN_SUBS_I) | a64_width(wide) |
		                      size << 10 | n << 5 | ZERO);
	} else {
		a64_put_constant(code, LARGE, wide ? (uint64_t)(int64_t)value : (uint32_t)value);
		branch(code, op, n, LARGE, wide, label);
		return;
	}
	a64_put_branch(code, INSN_B_IF | conditions[op >> 4], label);
}

void asm_branch(struct code *code, uint8_t op, enum reg a, enum reg b, bool wide, uint32_t label)
{
	branch(code, op, machine[a], machine[b], wide, label);
}

void asm_branch_constant(
        struct code *code, uint8_t op, enum reg a, int32_t b, bool wide, uint32_t label)
{
	branch_constant(code, op, machine[a], b, wide, label);
}

void asm_branch_memory(
        struct code *code, uint8_t op, enum reg a, struct mem b, unsigned size, uint32_t label)
{
	a64_put_transfer(code, MEM_LOAD, size, VALUE, b);
	branch(code, op, machine[a], VALUE, size == 8, label);
}

void asm_branch_memory_constant(
        struct code *code, uint8_t op, struct mem a, int32_t b, unsigned size, uint32_t label)
{
	a64_put_transfer(code, MEM_LOAD, size, VALUE, a);
	branch_constant(code, op, VALUE, b, size == 8, label);
}

void asm_jump_register(struct code *code, enum reg target)
{
	a64_put(code, INSN_BR | (uint32_t)machine[target] << 5);
}

void asm_call(struct code *code, uint32_t label)
{
	a64_forget(code);
	a64_put_jump(code, INSN_BL, label);
}

void asm_call_register(struct code *code, enum reg target)
{
	a64_forget(code);
	a64_put(code, INSN_BLR | (uint32_t)machine[target] << 5);
}

void asm_call_host(struct code *code, const void *function)
{
	a64_forget(code);
	a64_begin(code);
	code_host_call(code, code->size, function);
	for (uint32_t i = 0; i < HOST_CALL_INSNS; i++)
		code_u32(code, 0);
	a64_put_move(code, machine[REG_R0], 0, true);
}

static void put_insert(struct code *code, unsigned slot, unsigned at, unsigned size, uint32_t n)
{
	uint32_t v = SLOT_0 + slot;
	if (size == 8)
		a64_put_3(code, n == ZERO ? INSN_MOVI_0 : INSN_FMOV_D, v, n == ZERO ? 0 : n, 0);
	else
		a64_put_3(code, INSN_INS, v, n, 2 * at + size);
}

void asm_slot_zero(struct code *code, unsigned slot)
{
	put_insert(code, slot, 0, 8, ZERO);
}

void asm_slot_insert(struct code *code, unsigned slot, unsigned at, unsigned size, enum reg src)
{
	put_insert(code, slot, at, size, machine[src]);
}

void asm_slot_insert_constant(
        struct code *code, unsigned slot, unsigned at, unsigned size, int32_t value)
{
	put_insert(code, slot, at, size, constant(code, value, size));
}

void asm_slot_insert_memory(
        struct code *code, unsigned slot, unsigned at, unsigned size, struct mem mem)
{
	if (size == 8) {
		asm_slot_load(code, slot, mem);
		return;
	}
	a64_put_transfer(code, MEM_LOAD, size, VALUE, mem);
	put_insert(code, slot, at, size, VALUE);
}

void asm_slot_extract(
        struct code *code, enum reg dst, unsigned slot, unsigned at, unsigned size, bool is_signed)
{
	uint32_t insn = size == 8 ? INSN_UMOV | 1u << 30 : is_signed ? INSN_SMOV : INSN_UMOV;
	a64_put_3(code, insn, machine[dst], SLOT_0 + slot, 2 * at + size);
}

void asm_slot_load(struct code *code, unsigned slot, struct mem mem)
{
	a64_put_transfer(code, MEM_VECTOR | MEM_LOAD, 8, SLOT_0 + slot, mem);
}

void asm_slot_store(struct code *code, struct mem mem, unsigned slot)
{
	a64_put_transfer(code, MEM_VECTOR | MEM_STORE, 8, SLOT_0 + slot, mem);
}

// A frame: registers from SP + `at` on, in pairs.
struct frame_shape {
	uint32_t at, count, size;
	uint8_t registers[9];
};

static struct frame_shape function_frame(uint32_t saved)
{
	struct frame_shape frame = {.at = ASM_SCRATCH, .count = 1, .registers = {LINK}};
	for (uint32_t reg = REG_R6; reg <= REG_R9; reg++)
		if (saved >> reg & 1)
			frame.registers[frame.count++] = machine[reg];
	frame.size = ASM_SCRATCH + (frame.count + 1) / 2 * 16;
	return frame;
}

static void put_frame(struct code *code, const struct frame_shape *frame, bool load)
{
	a64_forget(code);
	for (uint32_t i = 0; i < frame->count; i += 2) {
		uint32_t at = (frame->at + 8 * i) / 8, t = frame->registers[i];
		if (i + 1 < frame->count)
			a64_put_3(code,
			        (load ? INSN_LDP : INSN_STP) | at << 15 |
			                (uint32_t)frame->registers[i + 1] << 10,
			        t, SP, 0);
		else
			a64_put(code, (load ? MEM_LOAD : MEM_STORE) | MEM_SCALED | SIZE(8) |
			                      at << 10 | SP << 5 | t);
	}
}

void asm_function_begin(struct code *code, uint32_t saved)
{
	struct frame_shape frame = function_frame(saved);
	a64_put_add(code, SP, SP, -(int64_t)frame.size, true);
	put_frame(code, &frame, false);
}

void asm_function_leave(struct code *code, uint32_t saved)
{
	struct frame_shape frame = function_frame(saved);
	put_frame(code, &frame, true);
	a64_put_add(code, SP, SP, frame.size, true);
}

void asm_function_end(struct code *code, uint32_t saved)
{
	asm_function_leave(code, saved);
	a64_put(code, INSN_RET);
}

// What C wants kept of what is used, and at last the SP that the engine kept before.
static const struct frame_shape entry_frame = {
        .count = 8, .size = 80, .registers = {LINK, 19, 20, 21, 22, 25, 26, 27}};
#define ENTRY_OLD_SP 64

static void put_way_out(struct code *code, uint32_t sp_offset)
{
	a64_put_transfer(code, MEM_LOAD, 8, OLD, mem_at(REG_SP, ENTRY_OLD_SP));
	a64_put_transfer(code, MEM_STORE, 8, OLD, mem_at(REG_ENGINE, (int32_t)sp_offset));
	put_frame(code, &entry_frame, true);
	a64_put_add(code, SP, SP, entry_frame.size, true);
	a64_put(code, INSN_RET);
}

void asm_entry(struct code *code, uint32_t sp_offset)
{
	struct mem kept = mem_at(REG_ENGINE, (int32_t)sp_offset);
	a64_put_add(code, SP, SP, -(int64_t)entry_frame.size, true);
	put_frame(code, &entry_frame, false);
	a64_put_move(code, machine[REG_ENGINE], 0, true);
	a64_put_move(code, machine[REG_BASE], 1, true);
	a64_put_move(code, machine[REG_FRAME], 2, true);
	a64_put_transfer(code, MEM_LOAD, 8, OLD, kept);
	a64_put_transfer(code, MEM_STORE, 8, OLD, mem_at(REG_SP, ENTRY_OLD_SP));
	a64_put_add(code, OLD, SP, 0, true);
	a64_put_transfer(code, MEM_STORE, 8, OLD, kept);
	a64_put_move(code, ADDRESS, 3, true);
	a64_put_move(code, VALUE, 4, true);
	for (uint32_t i = 0; i < 5; i++)
		a64_put(code, MEM_LOAD | MEM_SCALED | SIZE(8) | i << 10 | VALUE << 5 | i);
	a64_put(code, INSN_BLR | ADDRESS << 5);
	a64_put_move(code, 0, machine[REG_R0], true);
	put_way_out(code, sp_offset);
}

void asm_unwind(struct code *code, uint32_t sp_offset)
{
	a64_put_transfer(code, MEM_LOAD, 8, OLD, mem_at(REG_ENGINE, (int32_t)sp_offset));
	a64_put_add(code, SP, OLD, 0, true);
	a64_put_constant(code, 0, 0);
	put_way_out(code, sp_offset);
}
