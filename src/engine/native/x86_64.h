// SPDX-License-Identifier: Apache-2.0
// How instructions of x86-64 are written (Intel SDM, volume 2, chapter 2): prefixes, REX, opcode,
// ModRM and SIB, displacement. Private to the assembler of that machine.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/native/code.h"

// Numbers of machine registers; those of C's arguments are where C wants them.
enum {
	RAX = 0,
	RCX = 1,
	RDX = 2,
	RBX = 3,
	RSP = 4,
	RBP = 5,
	RSI = 6,
	RDI = 7,
	R8 = 8,
	R9 = 9,
	R10 = 10,
	R11 = 11,
	R12 = 12,
	R13 = 13,
	R14 = 14,
	R15 = 15,
};
static const uint8_t number_of[] = {
        [REG_R0] = RAX,
        [REG_R1] = RDI,
        [REG_R2] = RSI,
        [REG_R3] = RDX,
        [REG_R4] = RCX,
        [REG_R5] = R8,
        [REG_R6] = RBX,
        [REG_R7] = R13,
        [REG_R8] = R14,
        [REG_R9] = R15,
        [REG_FRAME] = RBP,
        [REG_BASE] = R12,
        [REG_ENGINE] = R9,
        [REG_T0] = R10,
        [REG_T1] = R11,
        [REG_SP] = RSP,
};
#define T1 R11 // the one that operations may change

#define FEATURE_BMI2 1u // shifts by any register, mulx

// Flags of an instruction.
#define WIDE      1u // REX.W
#define PREFIX_66 2u
#define PREFIX_F3 4u
#define PREFIX_F0 8u  // lock
#define BYTE_REG  16u // the reg field names a byte register: 4 to 7 need REX then
#define BYTE_RM   32u

// Opcodes of the 0F and 0F 3A maps are written with those bytes in front.
static inline uint8_t *write_head(uint8_t *p, uint32_t flags, uint32_t opcode, unsigned rex)
{
	if (flags & PREFIX_F0)
		*p++ = 0xf0;
	if (flags & PREFIX_66)
		*p++ = 0x66;
	if (flags & PREFIX_F3)
		*p++ = 0xf3;
	if (flags & WIDE)
		rex |= 0x48;
	if (rex)
		*p++ = (uint8_t)(0x40 | rex);
	if (opcode > 0xffff)
		*p++ = (uint8_t)(opcode >> 16);
	if (opcode > 0xff)
		*p++ = (uint8_t)(opcode >> 8);
	*p++ = (uint8_t)opcode;
	return p;
}

static inline uint8_t *write_i32(uint8_t *p, int32_t value)
{
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

// reg and rm both registers.
static inline uint8_t *write_rr(
        uint8_t *p, uint32_t flags, uint32_t opcode, unsigned reg, unsigned rm)
{
	unsigned rex = (reg >> 3) << 2 | rm >> 3;
	if (((flags & BYTE_REG) && reg >= 4) || ((flags & BYTE_RM) && rm >= 4))
		rex |= 0x40;
	p = write_head(p, flags, opcode, rex);
	*p++ = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
	return p;
}

// rm in memory. A base whose low bits are 4 needs a SIB byte, one whose low bits are 5 a
// displacement; an index may be any but rsp.
static inline uint8_t *write_rm(
        uint8_t *p, uint32_t flags, uint32_t opcode, unsigned reg, struct mem mem)
{
	unsigned base = number_of[mem.base], index = RSP;
	if (mem.index != REG_NONE) {
		index = number_of[mem.index];
		if (!mem.disp && (base & 7) == 5 && (index & 7) != 5) { // saves the displacement
			unsigned other = base;
			base = index;
			index = other;
		}
	}
	unsigned rex = (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
	if ((flags & BYTE_REG) && reg >= 4)
		rex |= 0x40;
	p = write_head(p, flags, opcode, rex);
	bool sib = index != RSP || (base & 7) == 4;
	bool none = !mem.disp && (base & 7) != 5, small = mem.disp == (int8_t)mem.disp;
	unsigned mode = none ? 0 : small ? 0x40 : 0x80;
	*p++ = (uint8_t)(mode | (reg & 7) << 3 | (sib ? 4 : (base & 7)));
	if (sib)
		*p++ = (uint8_t)((index & 7) << 3 | (base & 7));
	if (none)
		return p;
	if (!small)
		return write_i32(p, mem.disp);
	*p++ = (uint8_t)mem.disp;
	return p;
}

static inline void emit_rr(
        struct code *code, uint32_t flags, uint32_t opcode, unsigned reg, unsigned rm)
{
	uint8_t *p = code_room(code);
	code_wrote(code, (uint32_t)(write_rr(p, flags, opcode, reg, rm) - p));
}

static inline void emit_rm(
        struct code *code, uint32_t flags, uint32_t opcode, unsigned reg, struct mem mem)
{
	uint8_t *p = code_room(code);
	code_wrote(code, (uint32_t)(write_rm(p, flags, opcode, reg, mem) - p));
}

// With a byte behind, for shifts, pinsr and pextr.
static inline void emit_rr_i8(struct code *code, uint32_t flags, uint32_t opcode, unsigned reg,
        unsigned rm, unsigned value)
{
	uint8_t *p = code_room(code), *end = write_rr(p, flags, opcode, reg, rm);
	*end++ = (uint8_t)value;
	code_wrote(code, (uint32_t)(end - p));
}

static inline void emit_rm_i8(struct code *code, uint32_t flags, uint32_t opcode, unsigned reg,
        struct mem mem, unsigned value)
{
	uint8_t *p = code_room(code), *end = write_rm(p, flags, opcode, reg, mem);
	*end++ = (uint8_t)value;
	code_wrote(code, (uint32_t)(end - p));
}

static inline void emit_bytes(struct code *code, const void *bytes, uint32_t size)
{
	memcpy(code_room(code), bytes, size);
	code_wrote(code, size);
}

// VEX with three bytes, map 0F 38; `prefix` is 1 for 66, 2 for F3, 3 for F2.
static inline void emit_vex(struct code *code, bool wide, unsigned prefix, uint8_t opcode,
        unsigned reg, unsigned second, unsigned rm)
{
	uint8_t *p = code_room(code);
	p[0] = 0xc4;
	p[1] = (uint8_t)((reg < 8) << 7 | 1 << 6 | (rm < 8) << 5 | 2);
	p[2] = (uint8_t)(wide << 7 | (~second & 15) << 3 | prefix);
	p[3] = opcode;
	p[4] = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
	code_wrote(code, 5);
}

static inline void emit_push(struct code *code, unsigned reg)
{
	uint8_t *p = code_room(code);
	code_wrote(code, (uint32_t)(write_head(p, 0, 0x50 | (reg & 7), reg >> 3) - p));
}

static inline void emit_pop(struct code *code, unsigned reg)
{
	uint8_t *p = code_room(code);
	code_wrote(code, (uint32_t)(write_head(p, 0, 0x58 | (reg & 7), reg >> 3) - p));
}

// mov; the 32-bit form zero-extends.
static inline void emit_move(struct code *code, bool wide, unsigned dst, unsigned src)
{
	emit_rr(code, wide ? WIDE : 0, 0x89, src, dst);
}

static inline void emit_zero(struct code *code, unsigned dst)
{
	emit_rr(code, 0, 0x31, dst, dst);
}

// A short jump forwards over what comes next; land() says where it ends. `opcode` is 0xeb or 0x70 |
// condition.
static inline uint32_t emit_skip(struct code *code, uint8_t opcode)
{
	uint8_t bytes[2] = {opcode, 0};
	emit_bytes(code, bytes, 2);
	return code->size;
}
static inline void land(struct code *code, uint32_t skip)
{
	if (!code->error)
		code->bytes[skip - 1] = (uint8_t)(code->size - skip);
}
