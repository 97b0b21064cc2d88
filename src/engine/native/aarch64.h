// SPDX-License-Identifier: Apache-2.0
// Private to the assembler for aarch64: its instructions one by one, on the machine's registers
// (Arm ARM, DDI 0487: sections C6 and C7 for the encodings).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/native/asm.h"

struct code;

enum {
	LARGE = 11, // an operand that is no immediate
	OLD = 12,   // atomics: what was there,
	NEW = 13,   // what is to be there
	ADDRESS = 16,
	VALUE = 17,
	LINK = 30,
	ZERO = 31, // where it is not SP
	SP = 31,
	SLOT_0 = 16, // vector registers
};

// Instructions of 32 bits; WIDE makes them those of 64.
#define WIDE 0x80000000u
enum {
	INSN_ADD = 0x0b000000,
	INSN_ADD_EXTENDED = 0x0b206000, // of 64 bits; takes SP
	INSN_SUB = 0x4b000000,
	INSN_SUBS = 0x6b000000,
	INSN_AND = 0x0a000000,
	INSN_ANDS = 0x6a000000,
	INSN_ORR = 0x2a000000,
	INSN_ORN = 0x2a200000,
	INSN_EOR = 0x4a000000,
	INSN_MADD = 0x1b000000,
	INSN_MSUB = 0x1b008000,
	INSN_UMULH = 0x1bc07c00,
	INSN_UDIV = 0x1ac00800,
	INSN_SDIV = 0x1ac00c00,
	INSN_LSLV = 0x1ac02000,
	INSN_LSRV = 0x1ac02400,
	INSN_ASRV = 0x1ac02800,
	INSN_REV16 = 0x5ac00400,
	INSN_REV32 = 0x5ac00800,
	INSN_REV64 = 0x5ac00c00, // WIDE only
	INSN_RBIT = 0x5ac00000,
	INSN_CLZ = 0x5ac01000,
	INSN_CSINC = 0x1a800400, // the condition stands in bits 12 to 15
	// with an immediate
	INSN_ADD_I = 0x11000000,
	INSN_SUB_I = 0x51000000,
	INSN_ADDS_I = 0x31000000,
	INSN_SUBS_I = 0x71000000,
	INSN_AND_I = 0x12000000,
	INSN_ORR_I = 0x32000000,
	INSN_EOR_I = 0x52000000,
	INSN_ANDS_I = 0x72000000,
	INSN_MOVN = 0x12800000,
	INSN_MOVZ = 0x52800000,
	INSN_MOVK = 0x72800000,
	INSN_SBFM = 0x13000000,
	INSN_UBFM = 0x53000000,
	// jumps
	INSN_B = 0x14000000,
	INSN_B_IF = 0x54000000,
	INSN_CBZ = 0x34000000,
	INSN_CBNZ = 0x35000000,
};
#define INSN_BL         0x94000000u
#define INSN_BR         0xd61f0000u
#define INSN_BLR        0xd63f0000u
#define INSN_RET        0xd65f03c0u
#define INSN_NOP        0xd503201fu
#define HOST_CALL_INSNS 4u // of a call of C: its address, and BLR

// Loads and stores: the size's logarithm << 30, one of the first four, one of the last three.
#define SIZE(size) ((uint32_t)__builtin_ctz(size) << 30)
enum {
	MEM_STORE = 0,
	MEM_LOAD = 1 << 22,
	MEM_LOAD_SIGNED = 2 << 22, // to 64 bits; of size 8: a prefetch
	MEM_VECTOR = 1 << 26,
	MEM_NEAR = 0x38000000,     // -256 to 255
	MEM_SCALED = 0x39000000,   // 0 to 4095 times the size
	MEM_REGISTER = 0x38206800, // base and index
};
#define INSN_STP 0xa9000000u
#define INSN_LDP 0xa9400000u

// Vector registers. The element stands in bits 16 to 20.
#define INSN_INS    0x4e001c00u
#define INSN_UMOV   0x0e003c00u // | 1 << 30 for 8 bytes
#define INSN_SMOV   0x4e002c00u
#define INSN_FMOV_D 0x9e670000u // from a general register; the other 8 bytes become zero
#define INSN_MOVI_0 0x2f00e400u

// Atomics; the size as of loads and stores.
#define INSN_LDADD   0x38200000u
#define INSN_LDCLR   0x38201000u
#define INSN_LDEOR   0x38202000u
#define INSN_LDSET   0x38203000u
#define INSN_SWP     0x38208000u
#define LSE_ORDERED  0x00c00000u // acquire and release
#define INSN_CASAL   0x08e0fc00u
#define INSN_LDXR    0x085f7c00u
#define INSN_STXR    0x08007c00u
#define PAIR_ORDERED 0x00008000u
#define INSN_LDAR    0x08dffc00u
#define INSN_STLR    0x089ffc00u
#define INSN_DMB_LD  0xd50339bfu // DMB ISHLD: loads before it, and all behind it

enum condition { EQ, NE, HS, LO, HI = 8, LS, GE, LT, GT, LE };

uint32_t a64_register(enum reg reg);
static inline uint32_t a64_width(bool wide)
{
	return wide ? WIDE : 0;
}
// Whether it is one of those that AND, ORR and EOR take, and its place in the instruction.
bool a64_logical_immediate(uint64_t value, bool wide, uint32_t *bits);

// What code_u32() writes after this, up to the next call, stands together.
void a64_begin(struct code *code);
void a64_put(struct code *code, uint32_t insn);
// Registers have changed in a way that a64_put() does not see.
void a64_forget(struct code *code);
// The register to read in d's place: what d was made a copy of just now, which then is not done.
// The next instruction must write d.
uint32_t a64_source(struct code *code, uint32_t d, bool wide);
void a64_put_3(struct code *code, uint32_t insn, uint32_t d, uint32_t n, uint32_t m);
void a64_put_move(struct code *code, uint32_t d, uint32_t n, bool wide);
// INSN_SBFM or INSN_UBFM: bits [low, high] of n, down to bit 0.
void a64_put_field(struct code *code, uint32_t insn, uint32_t d, uint32_t n, uint32_t low,
        uint32_t high, bool wide);
void a64_put_constant(struct code *code, uint32_t d, uint64_t value);
// d = n + value. d and n may be SP where the value is an immediate. Changes LARGE.
void a64_put_add(struct code *code, uint32_t d, uint32_t n, int64_t value, bool wide);
void a64_put_address(struct code *code, uint32_t d, struct mem mem);
// A load or store of register t. `insn` is of the first four MEM_…. Changes ADDRESS and LARGE.
void a64_put_transfer(struct code *code, uint32_t insn, unsigned size, uint32_t t, struct mem mem);
void a64_put_jump(struct code *code, uint32_t insn, uint32_t label);   // INSN_B, INSN_BL
void a64_put_branch(struct code *code, uint32_t insn, uint32_t label); // INSN_B_IF, CBZ, CBNZ
