// SPDX-License-Identifier: Apache-2.0
// x86-64: calls, functions, atomics, slots and what vectors are good for.
//
// The machine frame of a function, from SP upwards: the scratch, ENGINE (r9 is one of C's
// arguments, so that it is read again after each call of C), what keeps C's calls at multiples of
// 16, the saved registers, the return address.
#include <linux/bpf.h>

#include "ebpf/opcode.h"
#include "engine/native/x86_64.h"

#define FRAME_ENGINE ASM_SCRATCH
#define CALL_ROOM    13u // mov r11, imm64; call r11

static const uint8_t saved_registers[] = {RBX, R13, R14, R15}; // R6 to R9

// What the frame holds below the saved registers.
static uint32_t frame_size(uint32_t saved)
{
	uint32_t pushes = (uint32_t)__builtin_popcount(saved >> 6 & 15);
	return FRAME_ENGINE + 8 + (pushes & 1) * 8;
}

void asm_function_begin(struct code *code, uint32_t saved)
{
	for (unsigned i = 0; i < 4; i++)
		if (saved >> (6 + i) & 1)
			emit_push(code, saved_registers[i]);
	uint8_t *p = code_room(code);
	uint8_t *end = write_i32(write_rr(p, WIDE, 0x81, 5, RSP), (int32_t)frame_size(saved));
	code_wrote(code, (uint32_t)(end - p));
	emit_rm(code, WIDE, 0x89, R9, mem_at(REG_SP, FRAME_ENGINE));
}

void asm_function_leave(struct code *code, uint32_t saved)
{
	uint8_t *p = code_room(code);
	uint8_t *end = write_i32(write_rr(p, WIDE, 0x81, 0, RSP), (int32_t)frame_size(saved));
	code_wrote(code, (uint32_t)(end - p));
	for (unsigned i = 4; i-- > 0;)
		if (saved >> (6 + i) & 1)
			emit_pop(code, saved_registers[i]);
}

void asm_function_end(struct code *code, uint32_t saved)
{
	asm_function_leave(code, saved);
	emit_bytes(code, "\xc3", 1);
}

void asm_call(struct code *code, uint32_t label)
{
	emit_bytes(code, "\xe8\0\0\0\0", 5);
	code_fix(code, code->size - 4, label, 0);
}

void asm_call_register(struct code *code, enum reg target)
{
	emit_rr(code, 0, 0xff, 2, number_of[target]);
}

void asm_call_host(struct code *code, const void *function)
{
	static const uint8_t room[CALL_ROOM];
	code_host_call(code, code->size, function);
	emit_bytes(code, room, sizeof(room));
	emit_rm(code, WIDE, 0x8b, R9, mem_at(REG_SP, FRAME_ENGINE));
}

// call rel32 and a long nop, or through T1 where the function is out of reach.
void asm_fix_host_call(uint8_t *place, uintptr_t address, const void *function)
{
	uint64_t target = (uintptr_t)function;
	int64_t distance = (int64_t)(target - address - 5);
	if (distance == (int32_t)distance) {
		*place = 0xe8;
		memcpy(write_i32(place + 1, (int32_t)distance), "\x0f\x1f\x84\0\0\0\0", 8);
	} else {
		memcpy(place, "\x49\xbb", 2);
		memcpy(place + 2, &target, sizeof(target));
		memcpy(place + 10, "\x41\xff\xd3", 3);
	}
}

// Back to C, from a stack as asm_entry() has left it; r9 is ENGINE.
static void leave_entry(struct code *code, uint32_t sp_offset)
{
	emit_rm(code, 0, 0x8f, 0, mem_at(REG_ENGINE, (int32_t)sp_offset)); // pop
	static const uint8_t kept[] = {R15, R14, R13, R12, RBX, RBP};
	for (unsigned i = 0; i < sizeof(kept); i++)
		emit_pop(code, kept[i]);
	emit_bytes(code, "\xc3", 1);
}

// In: rdi engine, rsi base, rdx frame, rcx function, r8 arguments. Seven words and the return
// address keep the stack at a multiple of 16.
void asm_entry(struct code *code, uint32_t sp_offset)
{
	static const uint8_t kept[] = {RBP, RBX, R12, R13, R14, R15};
	static const enum reg args[] = {REG_R1, REG_R2, REG_R3, REG_R4, REG_R5};
	for (unsigned i = 0; i < sizeof(kept); i++)
		emit_push(code, kept[i]);
	emit_move(code, true, R9, RDI);
	emit_move(code, true, R12, RSI);
	emit_move(code, true, RBP, RDX);
	emit_move(code, true, R10, RCX);
	emit_move(code, true, R11, R8);
	struct mem sp = mem_at(REG_ENGINE, (int32_t)sp_offset);
	emit_rm(code, 0, 0xff, 6, sp); // push
	emit_rm(code, WIDE, 0x89, RSP, sp);
	for (unsigned i = 0; i < 5; i++)
		asm_load(code, args[i], mem_at(REG_T1, (int32_t)(8 * i)), 8, false);
	asm_call_register(code, REG_T0);
	leave_entry(code, sp_offset);
}

void asm_unwind(struct code *code, uint32_t sp_offset)
{
	emit_rm(code, WIDE, 0x8b, RSP, mem_at(REG_ENGINE, (int32_t)sp_offset));
	emit_zero(code, RAX);
	leave_entry(code, sp_offset);
}

// Fetching or, and, xor: a loop around cmpxchg, whose old value stands in rax. The address is in
// T1, the new value in a register of which the stack keeps the old.
static void fetch_loop(
        struct code *code, uint8_t opcode, uint32_t flags, struct mem mem, unsigned src)
{
	unsigned new = src == RDX ? RSI : RDX, value = src == RAX ? RDI : src;
	unsigned kept = src == RAX ? RDI : RAX;
	struct mem at = mem_at(REG_T1, 0);
	asm_lea(code, REG_T1, mem);
	emit_push(code, new);
	emit_push(code, kept);
	if (src == RAX)
		emit_move(code, true, value, RAX);
	emit_rm(code, flags, 0x8b, RAX, at);
	uint32_t again = code->size;
	emit_move(code, flags & WIDE, new, RAX);
	emit_rr(code, flags, opcode, value, new);
	emit_rm(code, flags | PREFIX_F0, 0x0fb1, new, at);
	uint8_t back[2] = {0x75, (uint8_t)(again - code->size - 2)};
	emit_bytes(code, back, 2);
	if (src != RAX)
		emit_move(code, flags & WIDE, src, RAX);
	emit_pop(code, kept);
	emit_pop(code, new);
}

void asm_atomic(struct code *code, int32_t op, unsigned size, struct mem mem, enum reg src)
{
	uint32_t flags = size == 8 ? WIDE : 0;
	unsigned from = number_of[src];
	switch (op) {
	case BPF_LOAD_ACQ: // what the machine's loads and stores are anyway
		asm_load(code, src, mem, size, false);
		break;
	case BPF_STORE_REL:
		asm_store(code, mem, src, size);
		break;
	case BPF_ADD:
		emit_rm(code, flags | PREFIX_F0, 0x01, from, mem);
		break;
	case BPF_OR:
		emit_rm(code, flags | PREFIX_F0, 0x09, from, mem);
		break;
	case BPF_AND:
		emit_rm(code, flags | PREFIX_F0, 0x21, from, mem);
		break;
	case BPF_XOR:
		emit_rm(code, flags | PREFIX_F0, 0x31, from, mem);
		break;
	case BPF_ADD | BPF_FETCH:
		emit_rm(code, flags | PREFIX_F0, 0x0fc1, from, mem);
		break;
	case BPF_OR | BPF_FETCH:
		fetch_loop(code, 0x09, flags, mem, from);
		break;
	case BPF_AND | BPF_FETCH:
		fetch_loop(code, 0x21, flags, mem, from);
		break;
	case BPF_XOR | BPF_FETCH:
		fetch_loop(code, 0x31, flags, mem, from);
		break;
	case BPF_XCHG:
		emit_rm(code, flags, 0x87, from, mem); // locked by itself
		break;
	default: // BPF_CMPXCHG; rax keeps its upper half where the values were equal
		emit_rm(code, flags | PREFIX_F0, 0x0fb1, from, mem);
		if (size == 4)
			emit_move(code, false, RAX, RAX);
	}
}

// Slots are xmm4 and up; the others are nobody's.
static unsigned vector_of(unsigned slot)
{
	return 4 + slot;
}

void asm_slot_zero(struct code *code, unsigned slot)
{
	emit_rr(code, 0, 0x0f57, vector_of(slot), vector_of(slot)); // xorps
}

// pinsr and pextr of a size. That of 2 bytes inserts by an older opcode.
static const struct {
	uint32_t insert, extract, flags;
} parts[] = {
        [1] = {0x0f3a20, 0x0f3a14, PREFIX_66},
        [2] = {0x0fc4, 0x0f3a15, PREFIX_66},
        [4] = {0x0f3a22, 0x0f3a16, PREFIX_66},
        [8] = {0x0f6e, 0x0f7e, PREFIX_66 | WIDE}, // movq
};

void asm_slot_insert(struct code *code, unsigned slot, unsigned at, unsigned size, enum reg src)
{
	unsigned to = vector_of(slot), from = number_of[src];
	if (size == 8)
		emit_rr(code, parts[8].flags, parts[8].insert, to, from);
	else
		emit_rr_i8(code, parts[size].flags, parts[size].insert, to, from, at / size);
}

void asm_slot_insert_constant(
        struct code *code, unsigned slot, unsigned at, unsigned size, int32_t value)
{
	if (size == 8 && !value) {
		asm_slot_zero(code, slot);
		return;
	}
	asm_constant(code, REG_T1, size == 8 ? (uint64_t)(int64_t)value : (uint32_t)value);
	asm_slot_insert(code, slot, at, size, REG_T1);
}

void asm_slot_insert_memory(
        struct code *code, unsigned slot, unsigned at, unsigned size, struct mem mem)
{
	if (size == 8)
		asm_slot_load(code, slot, mem);
	else
		emit_rm_i8(code, parts[size].flags, parts[size].insert, vector_of(slot), mem,
		        at / size);
}

void asm_slot_extract(
        struct code *code, enum reg dst, unsigned slot, unsigned at, unsigned size, bool is_signed)
{
	unsigned from = vector_of(slot), to = number_of[dst];
	if (size == 8 || (size == 4 && !at))
		emit_rr(code, PREFIX_66 | (size == 8 ? WIDE : 0), 0x0f7e, from, to);
	else
		emit_rr_i8(code, parts[size].flags, parts[size].extract, from, to, at / size);
	if (is_signed)
		asm_sign_extend(code, dst, dst, 8 * size, true);
}

void asm_slot_load(struct code *code, unsigned slot, struct mem mem)
{
	emit_rm(code, PREFIX_F3, 0x0f7e, vector_of(slot), mem); // movq
}

void asm_slot_store(struct code *code, struct mem mem, unsigned slot)
{
	emit_rm(code, PREFIX_66, 0x0fd6, vector_of(slot), mem); // movq
}

// The key twice, against two words at a time; then a sign a word.
void asm_match(struct code *code, enum reg dst, enum reg key, struct mem mem)
{
	enum { XMM0, XMM1, XMM2 };
	struct mem behind = {mem.base, mem.index, mem.disp + 16};
	emit_rr(code, PREFIX_66 | WIDE, 0x0f6e, XMM0, number_of[key]); // movq
	emit_rr(code, PREFIX_66, 0x0f6c, XMM0, XMM0);                  // punpcklqdq
	emit_rm(code, PREFIX_F3, 0x0f6f, XMM1, mem);                   // movdqu
	emit_rm(code, PREFIX_F3, 0x0f6f, XMM2, behind);
	emit_rr(code, PREFIX_66, 0x0f3829, XMM1, XMM0); // pcmpeqq
	emit_rr(code, PREFIX_66, 0x0f3829, XMM2, XMM0);
	emit_rr(code, PREFIX_66, 0x0f6b, XMM1, XMM2);   // packssdw
	emit_rr(code, 0, 0x0f50, number_of[dst], XMM1); // movmskps
}

void asm_lowest_bit(struct code *code, enum reg dst, enum reg src)
{
	emit_rr(code, PREFIX_F3 | WIDE, 0x0fbc, number_of[dst], number_of[src]); // tzcnt, or bsf
}

// The machine keeps loads in order.
void asm_load_acquire(struct code *code, enum reg dst, struct mem mem)
{
	asm_load(code, dst, mem, 4, false);
}

void asm_load_fence(struct code *code)
{
	(void)code;
}
