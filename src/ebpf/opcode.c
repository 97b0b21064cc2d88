// SPDX-License-Identifier: Apache-2.0
// One row an opcode, made by one macro a family, since within a family opcodes differ only in the
// bits that RFC 9669 section 4 gives them: class, operation or size and mode, and source.
//
// Rows that several instructions share (RFC 9669 section 4.1): DIV and MOD are signed with off = 1,
// MOV sign-extends with off = 8, 16 or 32.
#include "ebpf/opcode.h"

#include <stddef.h>

// dst = dst OP imm, dst = dst OP src, in 32 and in 64 bits; `reads`: READS_DST, or 0 of a move.
#define ALU(op, text, group, reads)                                                                \
	[BPF_ALU | BPF_K | (op)] = {text, KIND_ALU, group##32, false, false, 0,                    \
	        (reads) | WRITES_DST},                                                             \
	                   [BPF_ALU | BPF_X | (op)] = {text, KIND_ALU, group##32, false, true, 0,  \
	                           (reads) | READS_SRC | WRITES_DST},                              \
	                   [BPF_ALU64 | BPF_K | (op)] = {text, KIND_ALU, group##64, true, false,   \
	                           0, (reads) | WRITES_DST},                                       \
	                   [BPF_ALU64 | BPF_X | (op)] = {text, KIND_ALU, group##64, true, true, 0, \
	                           (reads) | READS_SRC | WRITES_DST}

#define UNARY(code, text, kind, group, wide)                                                       \
	[code] = {text, kind, group, wide, false, 0, READS_DST | WRITES_DST}

#define JUMP(op, text)                                                                             \
	[BPF_JMP | BPF_K | (op)] = {text, KIND_JUMP, GROUP_BASE64, true, false, 0, READS_DST},     \
	                   [BPF_JMP | BPF_X | (op)] = {text, KIND_JUMP, GROUP_BASE64, true, true,  \
	                           0, READS_DST | READS_SRC},                                      \
	                   [BPF_JMP32 | BPF_K | (op)] = {text, KIND_JUMP, GROUP_BASE32, false,     \
	                           false, 0, READS_DST},                                           \
	                   [BPF_JMP32 | BPF_X | (op)] = {text, KIND_JUMP, GROUP_BASE32, false,     \
	                           true, 0, READS_DST | READS_SRC}

// dst = *(type *)(src + off), *(type *)(dst + off) = src, *(type *)(dst + off) = imm.
#define MEMORY(width, type, bytes, group, wide)                                                    \
	[BPF_LDX | BPF_MEM | (width)] = {type, KIND_LOAD, group, wide, true, bytes,                \
	        READS_SRC | WRITES_DST},                                                           \
	                     [BPF_STX | BPF_MEM | (width)] = {type, KIND_STORE, group, wide, true, \
	                             bytes, READS_DST | READS_SRC},                                \
	                     [BPF_ST | BPF_MEM | (width)] = {                                      \
	                             type, KIND_STORE, group, wide, false, bytes, READS_DST}

#define LOAD_SX(width, type, bytes)                                                                \
	[BPF_LDX | BPF_MEMSX | (width)] = {                                                        \
	        type, KIND_LOAD_SX, GROUP_BASE64, true, true, bytes, READS_SRC | WRITES_DST}

#define ATOMIC(width, type, bytes, group, wide)                                                    \
	[BPF_STX | BPF_ATOMIC | (width)] = {                                                       \
	        type, KIND_ATOMIC, group, wide, true, bytes, READS_DST | READS_SRC}

#define PACKET(width, type, bytes)                                                                 \
	[BPF_LD | BPF_ABS | (width)] = {type, KIND_PACKET, GROUP_PACKET, false, false, bytes, 0},  \
	                    [BPF_LD | BPF_IND | (width)] = {                                       \
	                            type, KIND_PACKET, GROUP_PACKET, false, true, bytes, 0}

const struct opcode opcode_table[256] = {
        ALU(BPF_ADD, "+=", GROUP_BASE, READS_DST),
        ALU(BPF_SUB, "-=", GROUP_BASE, READS_DST),
        ALU(BPF_MUL, "*=", GROUP_DIVMUL, READS_DST),
        ALU(BPF_DIV, "/=", GROUP_DIVMUL, READS_DST),
        ALU(BPF_OR, "|=", GROUP_BASE, READS_DST),
        ALU(BPF_AND, "&=", GROUP_BASE, READS_DST),
        ALU(BPF_LSH, "<<=", GROUP_BASE, READS_DST),
        ALU(BPF_RSH, ">>=", GROUP_BASE, READS_DST),
        ALU(BPF_MOD, "%=", GROUP_DIVMUL, READS_DST),
        ALU(BPF_XOR, "^=", GROUP_BASE, READS_DST),
        ALU(BPF_MOV, "=", GROUP_BASE, 0),
        ALU(BPF_ARSH, "s>>=", GROUP_BASE, READS_DST),
        UNARY(BPF_ALU | BPF_NEG, "-", KIND_NEG, GROUP_BASE32, false),
        UNARY(BPF_ALU64 | BPF_NEG, "-", KIND_NEG, GROUP_BASE64, true),
        UNARY(BPF_ALU | BPF_END | BPF_TO_LE, "le", KIND_SWAP, GROUP_BASE32, false),
        UNARY(BPF_ALU | BPF_END | BPF_TO_BE, "be", KIND_SWAP, GROUP_BASE32, false),
        UNARY(BPF_ALU64 | BPF_END, "bswap", KIND_SWAP, GROUP_BASE64, true),

        [BPF_LD | BPF_IMM | BPF_DW] = {"=", KIND_LDDW, GROUP_BASE64, true, false, 0, WRITES_DST},
        MEMORY(BPF_B, "u8", 1, GROUP_BASE32, false),
        MEMORY(BPF_H, "u16", 2, GROUP_BASE32, false),
        MEMORY(BPF_W, "u32", 4, GROUP_BASE32, false),
        MEMORY(BPF_DW, "u64", 8, GROUP_BASE64, true),
        LOAD_SX(BPF_B, "s8", 1),
        LOAD_SX(BPF_H, "s16", 2),
        LOAD_SX(BPF_W, "s32", 4),
        // One and two bytes only as load-acquire and store-release.
        ATOMIC(BPF_B, "u8", 1, GROUP_ATOMIC32, false),
        ATOMIC(BPF_H, "u16", 2, GROUP_ATOMIC32, false),
        ATOMIC(BPF_W, "u32", 4, GROUP_ATOMIC32, false),
        ATOMIC(BPF_DW, "u64", 8, GROUP_ATOMIC64, true),

        JUMP(BPF_JEQ, "=="),
        JUMP(BPF_JGT, ">"),
        JUMP(BPF_JGE, ">="),
        JUMP(BPF_JSET, "&"),
        JUMP(BPF_JNE, "!="),
        JUMP(BPF_JSGT, "s>"),
        JUMP(BPF_JSGE, "s>="),
        JUMP(BPF_JLT, "<"),
        JUMP(BPF_JLE, "<="),
        JUMP(BPF_JSLT, "s<"),
        JUMP(BPF_JSLE, "s<="),
        [BPF_JMP | BPF_JA] = {"goto", KIND_JUMP_ALWAYS, GROUP_BASE32, true, false, 0, 0},
        [BPF_JMP32 | BPF_JA] = {"gotol", KIND_JUMP_ALWAYS, GROUP_BASE32, false, false, 0, 0},
        [BPF_JMP | BPF_CALL] = {"call", KIND_CALL, GROUP_BASE32, true, false, 0, 0},
        [BPF_JMP | BPF_EXIT] = {"exit", KIND_EXIT, GROUP_BASE32, true, false, 0, 0},

        PACKET(BPF_B, "u8", 1),
        PACKET(BPF_H, "u16", 2),
        PACKET(BPF_W, "u32", 4),
};

static const char *const write_to_r10 =
        "writes r10, the frame pointer, which is read only: use another register";
static const char *const reserved_src = "source register field must be 0 here";
static const char *const reserved_off = "offset field must be 0 here";
static const char *const reserved_imm = "immediate field must be 0 here";

static const char *check_alu(const struct bpf_insn *insn, const struct opcode *op)
{
	if (insn->dst_reg == BPF_REG_10)
		return write_to_r10;
	if (op->has_src && insn->imm)
		return reserved_imm;
	if (!op->has_src && insn->src_reg)
		return reserved_src;
	if (!insn->off)
		return NULL;
	switch (BPF_OP(insn->code)) {
	case BPF_DIV:
	case BPF_MOD:
		return insn->off == 1
		               ? NULL
		               : "offset field of a division must be 0 (unsigned) or 1 (signed)";
	case BPF_MOV:
		if (!op->has_src)
			return reserved_off;
		if (insn->off == 8 || insn->off == 16 || (insn->off == 32 && op->is_64))
			return NULL;
		return op->is_64 ? "offset field of a 64-bit move must be 0, 8, 16 or 32"
		                 : "offset field of a 32-bit move must be 0, 8 or 16";
	default:
		return reserved_off;
	}
}

static const char *check_unary(const struct bpf_insn *insn, const struct opcode *op)
{
	if (insn->dst_reg == BPF_REG_10)
		return write_to_r10;
	if (insn->src_reg)
		return reserved_src;
	if (insn->off)
		return reserved_off;
	if (op->kind == KIND_NEG)
		return insn->imm ? reserved_imm : NULL;
	if (insn->imm != 16 && insn->imm != 32 && insn->imm != 64)
		return "byte swap of a width other than 16, 32 or 64 bits";
	return NULL;
}

static const char *check_lddw(const struct bpf_insn *insn, uint32_t left)
{
	if (insn->dst_reg == BPF_REG_10)
		return write_to_r10;
	if (insn->off)
		return reserved_off;
	if (insn->src_reg > BPF_PSEUDO_MAP_IDX_VALUE)
		return "unknown kind of 64-bit immediate in the source register field";
	if (left < 2)
		return "the second half of a 64-bit immediate load is missing";
	if (insn[1].code || insn[1].dst_reg || insn[1].src_reg || insn[1].off)
		return "the second half of a 64-bit immediate load must be zero but for its "
		       "immediate";
	if ((insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_FUNC) && insn[1].imm)
		return "the second half of a map or function reference must be zero";
	return NULL;
}

static const char *check_memory(const struct bpf_insn *insn, const struct opcode *op)
{
	if (op->kind != KIND_STORE && insn->dst_reg == BPF_REG_10)
		return write_to_r10;
	if (!op->has_src)
		return insn->src_reg ? reserved_src : NULL;
	return insn->imm ? reserved_imm : NULL;
}

static const char *check_atomic(const struct bpf_insn *insn, const struct opcode *op)
{
	if (insn->imm == BPF_LOAD_ACQ)
		return insn->dst_reg == BPF_REG_10 ? write_to_r10 : NULL;
	if (insn->imm == BPF_STORE_REL)
		return NULL;
	if (op->size < 4)
		return "atomic operation on less than 4 bytes: only load-acquire and store-release "
		       "can";
	switch (insn->imm) {
	case BPF_ADD:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
	case BPF_CMPXCHG: // writes r0
		return NULL;
	case BPF_ADD | BPF_FETCH:
	case BPF_OR | BPF_FETCH:
	case BPF_AND | BPF_FETCH:
	case BPF_XOR | BPF_FETCH:
	case BPF_XCHG:
		return insn->src_reg == BPF_REG_10 ? write_to_r10 : NULL;
	default:
		return "unknown atomic operation in the immediate field";
	}
}

static const char *check_jump(const struct bpf_insn *insn, const struct opcode *op)
{
	if (op->kind == KIND_JUMP) {
		if (op->has_src)
			return insn->imm ? reserved_imm : NULL;
		return insn->src_reg ? reserved_src : NULL;
	}
	if (insn->dst_reg)
		return "destination register field must be 0 here";
	if (insn->src_reg)
		return reserved_src;
	if (op->is_64) // JA by offset; the long JA goes by its immediate
		return insn->imm ? reserved_imm : NULL;
	return insn->off ? reserved_off : NULL;
}

static const char *check_call_or_exit(const struct bpf_insn *insn, const struct opcode *op)
{
	if (insn->dst_reg)
		return "destination register field must be 0 here";
	if (insn->off)
		return reserved_off;
	if (op->kind == KIND_CALL) {
		return insn->src_reg <= BPF_PSEUDO_KFUNC_CALL
		               ? NULL
		               : "unknown kind of call in the source register field";
	}
	if (insn->src_reg)
		return reserved_src;
	return insn->imm ? reserved_imm : NULL;
}

static const char *check_unknown(const struct bpf_insn *insn)
{
	if (insn->code == (BPF_JMP | BPF_CALL | BPF_X))
		return "call through a register, which eBPF does not have: call functions by name";
	if (insn->code == (BPF_JMP | BPF_X | 0xe0) || insn->code == (BPF_JMP | 0xe0))
		return "may_goto, which no card offers: bound the loop";
	return "unknown opcode";
}

// Whether it is one of the common kinds and sets no field that it does not use, as nearly all do:
// told without branches, since what comes next in a program cannot be foreseen.
static bool is_plain(const struct bpf_insn *insn, const struct opcode *op)
{
	const uint32_t common = 1u << KIND_ALU | 1u << KIND_LOAD | 1u << KIND_LOAD_SX |
	                        1u << KIND_STORE | 1u << KIND_JUMP;
	uint32_t last = BPF_REG_10 - (op->operands & WRITES_DST ? 1 : 0);
	int32_t unused =
	        (op->has_src ? insn->imm : insn->src_reg) | (op->kind == KIND_ALU ? insn->off : 0);
	return (common >> op->kind & 1) & (insn->dst_reg <= last) & (insn->src_reg <= BPF_REG_10) &
	       !unused;
}

const char *opcode_check(const struct bpf_insn *insn, uint32_t left)
{
	const struct opcode *op = opcode_of(insn);
	if (is_plain(insn, op))
		return NULL;
	if (op->kind == KIND_INVALID)
		return check_unknown(insn);
	if (insn->dst_reg > BPF_REG_10 || insn->src_reg > BPF_REG_10)
		return "there is no register above r10";
	switch (op->kind) {
	case KIND_ALU:
		return check_alu(insn, op);
	case KIND_NEG:
	case KIND_SWAP:
		return check_unary(insn, op);
	case KIND_LDDW:
		return check_lddw(insn, left);
	case KIND_LOAD:
	case KIND_LOAD_SX:
	case KIND_STORE:
		return check_memory(insn, op);
	case KIND_ATOMIC:
		return check_atomic(insn, op);
	case KIND_JUMP:
	case KIND_JUMP_ALWAYS:
		return check_jump(insn, op);
	case KIND_CALL:
	case KIND_EXIT:
		return check_call_or_exit(insn, op);
	default:
		return "legacy packet access (LD_ABS, LD_IND), which XDP programs may not use: "
		       "read through ctx->data";
	}
}
