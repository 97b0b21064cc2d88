// SPDX-License-Identifier: Apache-2.0
// An independent look at machine code that the native engine has made: a decoder of the
// instructions that its assembler writes, and no others, and a pass over them that follows what
// registers may hold. It knows nothing of the compiler but its rules. For tests only.
//
// - Every byte belongs to an instruction that is known; jumps lead to the start of one, in this
//   code; calls, there or to a function of this executable; jumps by a register to an address that
//   the engine gave. Nothing traps, nothing calls the system.
// - Memory is touched at: base of the card space + a number; an address made so, from a number
// below
//   2^32, or by native_access(); the frame, within its 512 bytes; the machine's stack, within the
//   scratch; the engine; tables of maps, which are only read, but for a mark of one byte; packets'
//   descriptors and verdicts in the loop over a burst.
// - No address of the host is stored where a program can read it, or returned to one as r0.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Whether it may be run; else false, with what is wrong and where in `wrong`.
bool scan_code(const uint8_t *code, uint32_t size, char *wrong, size_t room);

// One instruction. Memory: [base + index + disp], 16 for none; scale is 1 always.
enum flow { FLOW_NEXT, FLOW_JUMP, FLOW_BRANCH, FLOW_CALL, FLOW_RETURN, FLOW_JUMP_BY, FLOW_CALL_BY };
struct scanned {
	uint32_t length;
	uint32_t opcode; // with its map: 0x89, 0x0faf, 0x0f3a16; 0xc4f7 and 0xc4f6 for BMI2's
	uint8_t middle;  // the reg field, without REX, where it is part of the opcode
	uint8_t prefix;  // 0, 0x66 or 0xf3
	bool locked, wide;
	uint8_t reg, rm; // rm is 16 where it is memory
	bool is_memory;
	uint8_t base, index;
	int32_t disp;
	uint64_t imm;
	uint8_t flow;   // enum flow
	int64_t target; // distance from the next instruction
};
#define SCAN_NONE 16u
// False: it is none of those that are known.
bool scan_decode(const uint8_t *bytes, uint32_t left, struct scanned *it);
