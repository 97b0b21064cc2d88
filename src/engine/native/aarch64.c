// SPDX-License-Identifier: Apache-2.0
// Every instruction is 4 bytes, and a conditional branch reaches 1 MiB. So after each 512 KiB of
// code stands an island (a jump over it in front): an unconditional jump, which reaches 128 MiB,
// for each branch whose label is not bound by then. Islands may stand between any two instructions
// that a64_begin() is called for, since a jump changes no flag and no register.
//
// Two things are done better than asked, where no label lies between: the sum of base and index
// stays in the address register for the next access, and a copy of a register that the next
// instruction overwrites is not made, because instructions here may read another register than they
// write.
#include "engine/native/aarch64.h"

#include <sys/auxv.h>

#include "engine/native/code.h"

enum fix_kind { FIX_JUMP, FIX_BRANCH };
#define ISLAND_EVERY (512u << 10)

uint32_t asm_features(void)
{
	return (uint32_t)getauxval(AT_HWCAP);
}

bool asm_fix_reaches(uint32_t kind, int64_t distance)
{
	int64_t reach = kind == FIX_JUMP ? 128 << 20 : 1 << 20;
	return -reach <= distance && distance < reach;
}

static void place_u32(uint8_t *place, uint32_t insn)
{
	memcpy(place, &insn, sizeof(insn));
}

void asm_fix(uint8_t *place, uint32_t kind, int64_t distance)
{
	uint32_t insn;
	memcpy(&insn, place, sizeof(insn));
	uint32_t by = (uint32_t)(distance / 4);
	place_u32(place, insn | (kind == FIX_JUMP ? by & 0x3ffffff : (by & 0x7ffff) << 5));
}

// The code stands near the text where it can. Else an address of 48 bits, as all of a process that
// does not ask for more.
void asm_fix_host_call(uint8_t *place, uintptr_t address, const void *function)
{
	uint64_t target = (uintptr_t)function;
	uint32_t at = 4 * (HOST_CALL_INSNS - 1);
	int64_t distance = (int64_t)(target - (address + at));
	if (asm_fix_reaches(FIX_JUMP, distance)) {
		for (uint32_t i = 0; i < at; i += 4)
			place_u32(place + i, INSN_NOP);
		place_u32(place + at, INSN_BL);
		asm_fix(place + at, FIX_JUMP, distance);
		return;
	}
	for (uint32_t i = 0; i + 1 < HOST_CALL_INSNS; i++)
		place_u32(place + 4 * i, (i ? INSN_MOVK : INSN_MOVZ) | WIDE | i << 21 |
		                                 (uint32_t)(target >> 16 * i & 0xffff) << 5 |
		                                 ADDRESS);
	place_u32(place + at, INSN_BLR | ADDRESS << 5);
}

static void make_island(struct code *code)
{
	uint32_t count = code->fix_count, over = asm_label(code);
	code_fix(code, code->size, over, FIX_JUMP);
	code_u32(code, INSN_B);
	for (uint32_t i = code->fixes_near; i < count; i++) {
		uint32_t target = code->fixes[i].label;
		if (code->fixes[i].kind != FIX_BRANCH || code_label(code, target) != CODE_UNBOUND)
			continue;
		code->fixes[i].label = asm_label(code);
		asm_bind(code, code->fixes[i].label);
		code_fix(code, code->size, target, FIX_JUMP);
		code_u32(code, INSN_B);
	}
	asm_bind(code, over);
	code->fixes_near = code->fix_count;
	code->island_end = code->size;
}

void a64_begin(struct code *code)
{
	if (code->size - code->island_end >= ISLAND_EVERY)
		make_island(code);
}

void a64_forget(struct code *code)
{
	code->sum_end = 0;
}

// What an instruction writes stands in its bits 0 to 4; a store only seems to write.
void a64_put(struct code *code, uint32_t insn)
{
	uint32_t d = insn & 31;
	a64_begin(code);
	code_u32(code, insn);
	if (d == ADDRESS || d == code->sum_base || d == code->sum_index)
		a64_forget(code);
}

uint32_t a64_source(struct code *code, uint32_t d, bool wide)
{
	uint32_t last;
	if (code->size < sizeof(last) || code->bound == code->size)
		return d;
	memcpy(&last, code->bytes + code->size - sizeof(last), sizeof(last));
	if ((last & 0x7fe0ffff) != (INSN_ORR | ZERO << 5 | d) || (wide && !(last & WIDE)))
		return d;
	code->size -= sizeof(last);
	return last >> 16 & 31;
}

void a64_put_3(struct code *code, uint32_t insn, uint32_t d, uint32_t n, uint32_t m)
{
	a64_put(code, insn | m << 16 | n << 5 | d);
}

void a64_put_move(struct code *code, uint32_t d, uint32_t n, bool wide)
{
	a64_put_3(code, INSN_ORR | a64_width(wide), d, ZERO, n);
}

// Section C4.1.92, N:immr:imms: a run of ones, rotated, repeated every 2, 4, ... 64 bits.
bool a64_logical_immediate(uint64_t value, bool wide, uint32_t *bits)
{
	if (!wide)
		value = (uint32_t)value | value << 32;
	if (!value || !~value)
		return false;
	uint32_t size = 64;
	while (size > 2) {
		uint64_t half = (1ull << size / 2) - 1;
		if ((value & half) != (value >> size / 2 & half))
			break;
		size /= 2;
	}
	uint64_t mask = ~0ull >> (64 - size), element = value & mask;
	uint32_t ones = (uint32_t)__builtin_popcountll(element);
	uint64_t run = (1ull << ones) - 1;
	uint32_t right = element & 1 ? ones - (uint32_t)__builtin_ctzll(~element)
	                             : size - (uint32_t)__builtin_ctzll(element);
	uint64_t rotated = right ? (run >> right | run << (size - right)) & mask : run;
	if (rotated != element)
		return false;
	*bits = (uint32_t)(size == 64) << 22 | right << 16 |
	        ((-(size << 1) | (ones - 1)) & 63) << 10;
	return true;
}

void a64_put_constant(struct code *code, uint32_t d, uint64_t value)
{
	bool wide = value >> 32;
	uint32_t halves = wide ? 4 : 2, zeros = 0, ones = 0, bits;
	for (uint32_t i = 0; i < halves; i++) {
		zeros += (value >> 16 * i & 0xffff) == 0;
		ones += (value >> 16 * i & 0xffff) == 0xffff;
	}
	bool inverted = ones > zeros;
	if ((inverted ? ones : zeros) + 1 < halves && a64_logical_immediate(value, wide, &bits)) {
		a64_put(code, INSN_ORR_I | a64_width(wide) | bits | ZERO << 5 | d);
		return;
	}
	uint32_t insn = inverted ? INSN_MOVN : INSN_MOVZ, filler = inverted ? 0xffff : 0;
	uint32_t left = halves - (inverted ? ones : zeros);
	for (uint32_t i = 0; i < halves; i++) {
		uint32_t half = value >> 16 * i & 0xffff;
		// One at least is written.
		if (half == filler && left)
			continue;
		a64_put(code, insn | a64_width(wide) | i << 21 |
		                      (insn == INSN_MOVN ? ~half & 0xffff : half) << 5 | d);
		if (left <= 1)
			return;
		left--;
		insn = INSN_MOVK;
	}
}

void a64_put_add(struct code *code, uint32_t d, uint32_t n, int64_t value, bool wide)
{
	uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;
	uint32_t insn = (value < 0 ? INSN_SUB_I : INSN_ADD_I) | a64_width(wide) | d;
	uint32_t low = size & 0xfff, high = (uint32_t)(size >> 12);
	if (size < 1 << 24) {
		if (high)
			a64_put(code, insn | 1 << 22 | high << 10 | n << 5);
		if (low || !high)
			a64_put(code, insn | low << 10 | (high ? d : n) << 5);
		return;
	}
	a64_put_constant(code, LARGE, wide ? (uint64_t)value : (uint32_t)value);
	a64_put_3(code, wide ? INSN_ADD_EXTENDED | WIDE : INSN_ADD, d, n, LARGE);
}

// d = base + index
static void put_sum(struct code *code, uint32_t d, struct mem mem)
{
	uint32_t base = a64_register(mem.base), index = a64_register(mem.index);
	if (d == ADDRESS && code->sum_end > code->bound && code->sum_base == base &&
	        code->sum_index == index)
		return;
	a64_put_3(code, (mem.base == REG_SP ? INSN_ADD_EXTENDED : INSN_ADD) | WIDE, d, base, index);
	if (d != ADDRESS)
		return;
	code->sum_base = base;
	code->sum_index = index;
	code->sum_end = code->size;
}

void a64_put_address(struct code *code, uint32_t d, struct mem mem)
{
	uint32_t base = a64_register(mem.base);
	if (mem.index != REG_NONE) {
		put_sum(code, d, mem);
		base = d;
	}
	if (mem.disp || base != d)
		a64_put_add(code, d, base, mem.disp, true);
}

void a64_put_transfer(struct code *code, uint32_t insn, unsigned size, uint32_t t, struct mem mem)
{
	insn |= SIZE(size);
	uint32_t base = a64_register(mem.base), disp = (uint32_t)mem.disp;
	if (mem.index != REG_NONE) {
		if (!mem.disp) {
			a64_put_3(code, insn | MEM_REGISTER, t, base, a64_register(mem.index));
			return;
		}
		put_sum(code, ADDRESS, mem);
		base = ADDRESS;
	}
	if (mem.disp >= 0 && disp % size == 0 && disp / size < 1 << 12) {
		a64_put(code, insn | MEM_SCALED | disp / size << 10 | base << 5 | t);
	} else if (mem.disp >= -256 && mem.disp < 256) {
		a64_put(code, insn | MEM_NEAR | (disp & 0x1ff) << 12 | base << 5 | t);
	} else {
		a64_put_constant(code, LARGE, (uint64_t)(int64_t)mem.disp);
		a64_put_3(code, insn | MEM_REGISTER, t, base, LARGE);
	}
}

void a64_put_field(struct code *code, uint32_t insn, uint32_t d, uint32_t n, uint32_t low,
        uint32_t high, bool wide)
{
	a64_put_3(code, insn | a64_width(wide) | (wide ? 1u << 22 : 0) | high << 10, d, n, low);
}

void a64_put_jump(struct code *code, uint32_t insn, uint32_t label)
{
	a64_begin(code);
	code_fix(code, code->size, label, FIX_JUMP);
	code_u32(code, insn);
}

// A label that is not bound yet will be near, or an island will be.
void a64_put_branch(struct code *code, uint32_t insn, uint32_t label)
{
	uint32_t position = code_label(code, label);
	a64_begin(code);
	if (position != CODE_UNBOUND &&
	        !asm_fix_reaches(FIX_BRANCH, (int64_t)position - code->size)) {
		// The opposite, over a jump.
		uint32_t opposite = (insn & 0xff000000) == INSN_B_IF ? 1 : INSN_CBZ ^ INSN_CBNZ;
		code_u32(code, (insn ^ opposite) | 2 << 5);
		code_fix(code, code->size, label, FIX_JUMP);
		code_u32(code, INSN_B);
		return;
	}
	code_fix(code, code->size, label, FIX_BRANCH);
	code_u32(code, insn);
}
