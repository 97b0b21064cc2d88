// SPDX-License-Identifier: Apache-2.0
// A small assembler with one meaning on every machine: what the compiler says, asm_x86_64.c and
// asm_aarch64.c write as machine code. One of them is built.
//
// Registers. R0 to R9 are the program's. FRAME is the host address of r10 (BASE + r10), BASE the
// host address of card address 0, ENGINE the struct engine; T0 and T1 are for the compiler, SP the
// machine's stack, whose lowest ASM_SCRATCH bytes belong to the function that runs. R6 to R9,
// FRAME, BASE and SP survive every call; ENGINE is valid everywhere. R1 to R5 are the first five
// argument registers of the C calling convention, as R1 to R5 are a helper's in eBPF.
//
// Slots are machine registers of their own (vector registers) for 8 bytes of the program's stack
// each; no call of C keeps them.
//
// Calls cannot fail: a buffer that finds no memory, or a label that is too far, is told by
// code_error() in the end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reg {
	REG_R0,
	REG_R1,
	REG_R2,
	REG_R3,
	REG_R4,
	REG_R5,
	REG_R6,
	REG_R7,
	REG_R8,
	REG_R9,
	REG_FRAME,
	REG_BASE,
	REG_ENGINE,
	REG_T0,
	REG_T1,
	REG_SP, // as the base of an address only
	REG_NONE,
};

// base + index + disp, all of 64 bits.
struct mem {
	enum reg base, index; // index: REG_NONE for none; never SP
	int32_t disp;
};
static inline struct mem mem_at(enum reg base, int32_t disp)
{
	return (struct mem){base, REG_NONE, disp};
}
static inline struct mem mem_card(enum reg index, int32_t disp)
{
	return (struct mem){REG_BASE, index, disp};
}

#define ASM_SLOTS   10u
#define ASM_SCRATCH 192u // at SP + 0

// Whether the machine that runs has the instructions that are emitted.
bool asm_offered(void);

// The code that is made. Positions are bytes from its start.
struct code;
int code_new(struct code **code); // -ENOMEM
void code_free(struct code **code);
int code_error(const struct code *code); // 0, -ENOMEM, or -ERANGE: a label too far, or not bound
uint32_t code_size(const struct code *code);
// Copies it to `to`, to be run at `address`: jumps and calls of C are resolved for there.
void code_place(const struct code *code, uint8_t *to, uintptr_t address);

uint32_t asm_label(struct code *code);                          // a new one
void asm_bind(struct code *code, uint32_t label);               // it stands here
uint32_t asm_position(const struct code *code, uint32_t label); // of a bound one

// Values. `wide`: 64 bits, else 32, and the upper half of dst becomes zero. dst may be any operand.
// Any register but SP and NONE; none of these changes another register but T1 where it is said.
void asm_move(struct code *code, enum reg dst, enum reg src, bool wide);
void asm_sign_extend(struct code *code, enum reg dst, enum reg src, unsigned bits, bool wide);
void asm_constant(struct code *code, enum reg dst, uint64_t value);
void asm_lea(struct code *code, enum reg dst, struct mem mem); // base may be SP
// op: BPF_ADD SUB MUL OR AND XOR LSH RSH ARSH. Shift counts are masked. Shifts by a register may
// change T1; neither dst nor src is T1 then.
void asm_alu(struct code *code, uint8_t op, enum reg dst, enum reg src, bool wide);
void asm_alu_constant(struct code *code, uint8_t op, enum reg dst, int32_t value, bool wide);
void asm_negate(struct code *code, enum reg dst, bool wide);
// The low `bits` (16, 32, 64), bytes in the other order where `swap`, zero-extended.
void asm_swap(struct code *code, enum reg dst, unsigned bits, bool swap);
// op: BPF_DIV or BPF_MOD as RFC 9669, section 4.1 (by zero; the one overflow). Changes T1; dst and
// src are not T1.
void asm_divide(
        struct code *code, uint8_t op, bool is_signed, enum reg dst, enum reg src, bool wide);
// dst = low ^ high half of the 128-bit product a * b. May change R0, R3 and T1.
void asm_multiply_fold(struct code *code, enum reg dst, enum reg a, enum reg b);
// Four bits: which of the four words of 8 bytes at `mem` are `key`. May change T1; `dst` is neither
// `key` nor in `mem`.
void asm_match(struct code *code, enum reg dst, enum reg key, struct mem mem);
// The number of the lowest bit of src that is 1; there is one.
void asm_lowest_bit(struct code *code, enum reg dst, enum reg src);

// Memory, at any alignment. size: 1, 2, 4 or 8. Loads zero-extend, or sign-extend to 64 bits.
void asm_load(struct code *code, enum reg dst, struct mem mem, unsigned size, bool is_signed);
// 4 bytes at an aligned address, before every later load; and what keeps loads behind it in order.
void asm_load_acquire(struct code *code, enum reg dst, struct mem mem);
void asm_load_fence(struct code *code);
void asm_store(struct code *code, struct mem mem, enum reg src, unsigned size);
void asm_store_constant(
        struct code *code, struct mem mem, int32_t value, unsigned size); // may change T1
void asm_memory_add(struct code *code, struct mem mem, int64_t value);    // 8 bytes; may change T1
void asm_memory_add_register(struct code *code, struct mem mem, enum reg src); // 8 bytes
void asm_prefetch(struct code *code, struct mem mem);
// An atomic of the program (imm of BPF_ATOMIC, with BPF_LOAD_ACQ and BPF_STORE_REL) on `size` bytes
// (4, 8; loads and stores also 1, 2) at an aligned address: `src` (R0 to R9) is insn->src_reg,
// which fetching operations change as the interpreter does, except for BPF_LOAD_ACQ, where it is
// dst_reg, the result. Changes T1; mem uses neither T1 nor, for BPF_CMPXCHG, R0.
void asm_atomic(struct code *code, int32_t op, unsigned size, struct mem mem, enum reg src);

// Jumps. op: BPF_JEQ … BPF_JSLE, BPF_JSET, as in the program. Constants are sign-extended.
void asm_jump(struct code *code, uint32_t label);
void asm_branch(struct code *code, uint8_t op, enum reg a, enum reg b, bool wide, uint32_t label);
void asm_branch_constant(
        struct code *code, uint8_t op, enum reg a, int32_t b, bool wide, uint32_t label);
// Compares with `size` (4 or 8) bytes of memory. Changes no register.
void asm_branch_memory(
        struct code *code, uint8_t op, enum reg a, struct mem b, unsigned size, uint32_t label);
void asm_branch_memory_constant(
        struct code *code, uint8_t op, struct mem a, int32_t b, unsigned size, uint32_t label);
void asm_jump_register(struct code *code, enum reg target);

// Calls. asm_call() calls other emitted code; asm_call_host() a C function whose arguments stand in
// R1 to R5 and whose result (64 bits) comes in R0; R1 to R5, T0, T1 and slots are gone afterwards.
void asm_call(struct code *code, uint32_t label);
void asm_call_register(struct code *code, enum reg target);
void asm_call_host(struct code *code, const void *function);

// Slots: bytes [at, at + size) of slot's 8, little end first as they would stand in memory; `at` is
// a multiple of `size`. Insertion leaves the other bytes alone. May change T1.
void asm_slot_zero(struct code *code, unsigned slot);
void asm_slot_insert(struct code *code, unsigned slot, unsigned at, unsigned size, enum reg src);
void asm_slot_insert_constant(
        struct code *code, unsigned slot, unsigned at, unsigned size, int32_t value);
void asm_slot_insert_memory(
        struct code *code, unsigned slot, unsigned at, unsigned size, struct mem mem);
void asm_slot_extract(
        struct code *code, enum reg dst, unsigned slot, unsigned at, unsigned size, bool is_signed);
void asm_slot_load(struct code *code, unsigned slot, struct mem mem);  // all 8 bytes
void asm_slot_store(struct code *code, struct mem mem, unsigned slot); // all 8 bytes

// Functions. A function begins with asm_function_begin(), which makes its scratch and saves those
// of R6 to R9 that are in `saved` (bits 6 to 9); asm_function_end() undoes it and returns;
// asm_function_leave() only undoes it, for a jump to another function in its place.
void asm_function_begin(struct code *code, uint32_t saved);
void asm_function_end(struct code *code, uint32_t saved);
void asm_function_leave(struct code *code, uint32_t saved);
// The way in from C, as
//   uint64_t enter(struct engine *engine, uint8_t *base, uint8_t *frame, const void *function,
//           const uint64_t args[5]);
// Saves what C wants kept, sets ENGINE, BASE, FRAME and R1 to R5, keeps SP in the engine at
// `sp_offset`, calls `function` (its address) and gives R0 back. One such code serves all.
void asm_entry(struct code *code, uint32_t sp_offset);
// Leaves all functions at once, back to C from the innermost asm_entry(); its result is then 0.
void asm_unwind(struct code *code, uint32_t sp_offset);
