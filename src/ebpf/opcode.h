// SPDX-License-Identifier: Apache-2.0
// The instruction table: one row for each opcode of RFC 9669, with all that checker, interpreter,
// disassembler, compiler and hardware need to know of it. An opcode that has no row is invalid.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

// In RFC 9669 and newer than Debian 12's <linux/bpf.h>.
#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80
#endif
#ifndef BPF_PSEUDO_KFUNC_CALL
#define BPF_PSEUDO_KFUNC_CALL 2
#endif
#ifndef BPF_LOAD_ACQ
#define BPF_LOAD_ACQ 0x100
#endif
#ifndef BPF_STORE_REL
#define BPF_STORE_REL 0x110
#endif

// RFC 9669 section 2.4.
enum opcode_group {
	GROUP_BASE32,
	GROUP_BASE64,
	GROUP_DIVMUL32,
	GROUP_DIVMUL64,
	GROUP_ATOMIC32,
	GROUP_ATOMIC64,
	GROUP_PACKET, // legacy LD_ABS and LD_IND: no card offers them, the check names them
};

enum opcode_kind {
	KIND_INVALID,
	KIND_ALU, // dst = dst OP operand (MOV: dst = operand)
	KIND_NEG,
	KIND_SWAP,        // byte swaps, width in imm
	KIND_LDDW,        // two slots
	KIND_LOAD,        // dst = *(size *)(src + off)
	KIND_LOAD_SX,     // sign-extending
	KIND_STORE,       // *(size *)(dst + off) = operand
	KIND_ATOMIC,      // operation in imm
	KIND_JUMP,        // conditional
	KIND_JUMP_ALWAYS, // JA by off; JMP32 JA by imm
	KIND_CALL,
	KIND_EXIT,
	KIND_PACKET,
};

struct opcode {
	const char *name; // as the disassembler prints the operation: "+=", "==", "exit", …
	enum opcode_kind kind;
	enum opcode_group group; // SDIV, SMOD, MOVSX share their opcode's row: opcode_check()
	bool is_64;              // operates on 64 bits
	bool has_src;            // the operand is register src; otherwise imm
	uint8_t size;            // bytes accessed, for loads, stores and atomics
	uint8_t operands;        // READS_DST and so on; calls use others as well, atomics by imm
};
#define READS_DST  1u
#define READS_SRC  2u
#define WRITES_DST 4u

extern const struct opcode opcode_table[256];

static inline const struct opcode *opcode_of(const struct bpf_insn *insn)
{
	return &opcode_table[insn->code];
}

// The registers, as a mask, that are used before it, where those in `live` are used behind it. Not
// for calls and atomics. No branches: what comes next in a program cannot be foreseen.
static inline uint16_t opcode_live(
        const struct opcode *opcode, const struct bpf_insn *insn, uint16_t live)
{
	uint32_t operands = opcode->operands;
	live &= (uint16_t) ~((operands >> 2) << insn->dst_reg);
	return (uint16_t)(live | (operands & READS_DST) << insn->dst_reg |
	                  (operands >> 1 & 1) << insn->src_reg);
}

static inline bool insn_is_lddw(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_DW | BPF_IMM);
}

// How far a jump (KIND_JUMP, KIND_JUMP_ALWAYS) leads, counted from the next instruction; where one
// at `at` leads, which before the check may be anywhere.
static inline int32_t insn_jump_by(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP32 | BPF_JA) ? insn->imm : insn->off;
}
static inline int64_t insn_jump_to(const struct bpf_insn *insn, uint32_t at)
{
	return (int64_t)at + 1 + insn_jump_by(insn);
}

// What is wrong with one instruction's fields by themselves (unknown opcode, register over r10,
// write to r10, reserved field not zero, unknown atomic operation, …), or NULL. For LDDW, insn[1]
// is read if `left` (instructions from this one to the end) is over one.
const char *opcode_check(const struct bpf_insn *insn, uint32_t left);
