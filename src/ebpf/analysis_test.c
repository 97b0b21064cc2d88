// SPDX-License-Identifier: Apache-2.0
// What the forward pass proves, and what it must not: a row a program, with what it has to say of
// some of its accesses. analysis_sound_test.c of the engine holds the whole against runs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/analysis_parts.h"
#include "ebpf/check.h"
#include "ebpf/opcode.h"

#define INSNS_ROW  40
#define CLAIMS_ROW 6

enum { HASH, ARRAY, GLOBAL, READ_ONLY, WRITE_ONLY, PERCPU, DEVMAP, JUMPS, INNER, HASH_B, RING };

#define ROW_OP(code, dst, src, off, imm)                                                           \
	{                                                                                          \
		code, dst, src, off, imm                                                           \
	}
#define MOV(d, s)                 ROW_OP(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV32(d, s)               ROW_OP(BPF_ALU | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i)                ROW_OP(BPF_ALU64 | BPF_MOV, d, 0, 0, i)
#define OP(op, d, s)              ROW_OP(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define OPI(op, d, i)             ROW_OP(BPF_ALU64 | (op), d, 0, 0, i)
#define OP32(op, d, s)            ROW_OP(BPF_ALU | (op) | BPF_X, d, s, 0, 0)
#define OP32I(op, d, i)           ROW_OP(BPF_ALU | (op), d, 0, 0, i)
#define ADD(d, i)                 OPI(BPF_ADD, d, i)
#define LD(size, d, s, off)       ROW_OP(BPF_LDX | BPF_MEM | (size), d, s, off, 0)
#define LDS(size, d, s, off)      ROW_OP(BPF_LDX | BPF_MEMSX | (size), d, s, off, 0)
#define ST(size, d, off, s)       ROW_OP(BPF_STX | BPF_MEM | (size), d, s, off, 0)
#define STI(size, d, off, i)      ROW_OP(BPF_ST | BPF_MEM | (size), d, 0, off, i)
#define ATOM(size, d, off, s, op) ROW_OP(BPF_STX | BPF_ATOMIC | (size), d, s, off, op)
#define JR(op, d, s, off)         ROW_OP(BPF_JMP | (op) | BPF_X, d, s, off, 0)
#define JI(op, d, i, off)         ROW_OP(BPF_JMP | (op), d, 0, off, i)
#define J32(op, d, i, off)        ROW_OP(BPF_JMP32 | (op), d, 0, off, i)
#define JA(off)                   ROW_OP(BPF_JMP | BPF_JA, 0, 0, off, 0)
#define CALL(helper)              ROW_OP(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##helper)
#define CALLF(to)                 ROW_OP(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, to)
#define EXIT                      ROW_OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define WIDE(d, kind, a, b)       ROW_OP(BPF_LD | BPF_DW | BPF_IMM, d, kind, 0, a), ROW_OP(0, 0, 0, 0, b)
#define MAPFD(d, map)             WIDE(d, BPF_PSEUDO_MAP_FD, map, 0)
#define MAPV(d, map, off)         WIDE(d, BPF_PSEUDO_MAP_VALUE, map, off)
#define FUNC(d, to)               WIDE(d, BPF_PSEUDO_FUNC, to, 0)

// r6 = context, r2 = data, r3 = data_end: instructions 0 to 2.
#define PACKET_ENDS MOV(6, 1), LD(BPF_W, 2, 6, 0), LD(BPF_W, 3, 6, 4)
// A look-up with key 0 at r10-4: instructions 0 to 5, then r0.
#define LOOK_UP(map)                                                                               \
	STI(BPF_W, 10, -4, 0), MOV(2, 10), ADD(2, -4), MAPFD(1, map), CALL(map_lookup_elem)

struct claim {
	uint32_t insn;
	enum access_reason reason;
};

struct row {
	const char *name;
	struct bpf_insn insns[INSNS_ROW];
	struct claim claims[CLAIMS_ROW]; // to the first with insn 0, but for the first one
};

static const struct row rows[] = {
        {"context is read, not written, and has 32 bytes",
                {LD(BPF_W, 2, 1, 12), LD(BPF_DW, 2, 1, 24), LD(BPF_DW, 2, 1, 25),
                        ST(BPF_W, 1, 0, 2), LD(BPF_W, 2, 1, 32), EXIT},
                {{0, REASON_PROVEN}, {1, REASON_PROVEN}, {2, REASON_BEYOND}, {3, REASON_READ_ONLY},
                        {4, REASON_BEYOND}}},
        {"packet bytes below the tested end",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 3), LD(BPF_B, 5, 2, 13),
                        LD(BPF_B, 5, 2, 14), LD(BPF_H, 5, 2, 13), EXIT},
                {{6, REASON_PROVEN}, {7, REASON_NOT_TESTED}, {8, REASON_NOT_TESTED}}},
        {"packet bytes on the other branch of the test",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 1), EXIT,
                        LD(BPF_B, 5, 2, 13), EXIT},
                {{7, REASON_NOT_TESTED}}},
        {"packet test with >=, which proves one byte more",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 13), JR(BPF_JGE, 4, 3, 2), LD(BPF_B, 5, 2, 13),
                        LD(BPF_B, 5, 2, 14), EXIT},
                {{6, REASON_PROVEN}, {7, REASON_NOT_TESTED}}},
        {"packet test with <=, taken",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14), JR(BPF_JLE, 4, 3, 1), EXIT,
                        LD(BPF_B, 5, 2, 13), LD(BPF_B, 5, 2, 14), EXIT},
                {{7, REASON_PROVEN}, {8, REASON_NOT_TESTED}}},
        {"packet test the other way round",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14), JR(BPF_JLT, 3, 4, 1), LD(BPF_B, 5, 2, 13),
                        JR(BPF_JGE, 3, 4, 1), EXIT, LD(BPF_B, 5, 2, 13), LD(BPF_B, 5, 2, 14), EXIT},
                {{6, REASON_PROVEN}, {9, REASON_PROVEN}, {10, REASON_NOT_TESTED}}},
        {"packet test in 32 bits proves nothing",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14),
                        ROW_OP(BPF_JMP32 | BPF_JGT | BPF_X, 4, 3, 1, 0), LD(BPF_B, 5, 2, 13), EXIT},
                {{6, REASON_NOT_TESTED}}},
        {"packet test against the end less something proves nothing",
                {PACKET_ENDS, ADD(3, -14), JR(BPF_JGT, 2, 3, 1), LD(BPF_B, 5, 2, 13), EXIT},
                {{5, REASON_NOT_TESTED}}},
        {"before the packet's first byte",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 1), LD(BPF_B, 5, 2, -1),
                        EXIT},
                {{6, REASON_NOT_TESTED}}},
        {"variable offset with a test of its own",
                {PACKET_ENDS, LD(BPF_W, 5, 6, 12), OPI(BPF_AND, 5, 60), OP(BPF_ADD, 2, 5),
                        MOV(4, 2), ADD(4, 8), JR(BPF_JGT, 4, 3, 3), LD(BPF_DW, 5, 2, 0),
                        LD(BPF_B, 5, 2, 8), LD(BPF_B, 5, 2, -1), EXIT},
                {{9, REASON_PROVEN}, {10, REASON_NOT_TESTED}, {11, REASON_UNBOUNDED}}},
        {"variable offset below what a constant test proved",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 64), JR(BPF_JGT, 4, 3, 5), LD(BPF_W, 5, 6, 12),
                        OPI(BPF_AND, 5, 63), OP(BPF_ADD, 2, 5), LD(BPF_B, 5, 2, 0),
                        LD(BPF_B, 5, 2, 1), EXIT},
                {{9, REASON_PROVEN}, {10, REASON_NOT_TESTED}}},
        {"two additions of one number are two unknowns",
                {PACKET_ENDS, LD(BPF_W, 5, 6, 12), OPI(BPF_AND, 5, 60), MOV(7, 2),
                        OP(BPF_ADD, 7, 5), OP(BPF_ADD, 2, 5), MOV(4, 2), ADD(4, 8),
                        JR(BPF_JGT, 4, 3, 1), LD(BPF_B, 5, 7, 0), EXIT},
                {{11, REASON_NOT_TESTED}}},
        {"offset from 64 bits of nothing known",
                {PACKET_ENDS, LD(BPF_DW, 5, 6, 24), OP(BPF_ADD, 2, 5), MOV(4, 2), ADD(4, 8),
                        JR(BPF_JGT, 4, 3, 1), LD(BPF_B, 5, 2, 0), EXIT},
                {{8, REASON_UNBOUNDED}}},
        {"packet pointer kept over adjust_head",
                {PACKET_ENDS, MOV(7, 2), MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 9),
                        ST(BPF_DW, 10, -8, 7), MOV(1, 6), MOVI(2, 0), CALL(xdp_adjust_head),
                        LD(BPF_B, 5, 7, 0), LD(BPF_DW, 8, 10, -8), LD(BPF_B, 5, 8, 0),
                        LD(BPF_W, 2, 6, 0), LD(BPF_B, 5, 2, 0), EXIT},
                {{11, REASON_MOVED}, {12, REASON_PROVEN}, {13, REASON_MOVED},
                        {15, REASON_NOT_TESTED}}},
        {"packet pointer kept over a function that may move the packet",
                {PACKET_ENDS, MOV(7, 2), MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 3), MOV(1, 6),
                        CALLF(2), LD(BPF_B, 5, 7, 0), EXIT, MOVI(2, 4), CALL(xdp_adjust_tail),
                        EXIT},
                {{9, REASON_MOVED}}},
        {"packet pointer kept over a function that does not",
                {PACKET_ENDS, MOV(7, 2), MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 3), MOV(1, 6),
                        CALLF(2), LD(BPF_B, 5, 7, 0), EXIT, MOVI(0, 0), EXIT},
                {{9, REASON_PROVEN}}},
        {"packet pointer kept over a function that tail-calls",
                {PACKET_ENDS, MOV(7, 2), MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 3), MOV(1, 6),
                        CALLF(2), LD(BPF_B, 5, 7, 0), EXIT, MAPFD(2, JUMPS), MOVI(3, 0),
                        CALL(tail_call), EXIT},
                {{9, REASON_MOVED}}},
        {"packet pointer stored in a map",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14), JR(BPF_JGT, 4, 3, 5), MAPV(7, GLOBAL, 0),
                        ST(BPF_DW, 7, 0, 2), LD(BPF_DW, 8, 7, 0), LD(BPF_B, 5, 8, 0), EXIT},
                {{8, REASON_PROVEN}, {9, REASON_PROVEN}, {10, REASON_UNTYPED}}},
        {"metadata tested against data",
                {PACKET_ENDS, LD(BPF_W, 4, 6, 8), MOV(5, 4), ADD(5, 4), JR(BPF_JGT, 5, 2, 2),
                        LD(BPF_W, 5, 4, 0), LD(BPF_W, 5, 4, 1), EXIT},
                {{7, REASON_PROVEN}, {8, REASON_NOT_TESTED}}},
        {"metadata tested against data_end",
                {PACKET_ENDS, LD(BPF_W, 4, 6, 8), MOV(5, 4), ADD(5, 4), JR(BPF_JGT, 5, 3, 1),
                        LD(BPF_W, 5, 4, 0), EXIT},
                {{7, REASON_NOT_TESTED}}},
        {"a pointer or zero, as a parsing function gives it",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 14), MOVI(7, 0), JR(BPF_JGT, 4, 3, 1), MOV(7, 2),
                        LD(BPF_B, 5, 7, 0), JI(BPF_JEQ, 7, 0, 2), LD(BPF_B, 5, 7, 13),
                        LD(BPF_B, 5, 7, 14), EXIT},
                {{8, REASON_NULL}, {10, REASON_PROVEN}, {11, REASON_NOT_TESTED}}},
        {"a test of a pointer that was another on one path",
                {PACKET_ENDS, LD(BPF_W, 5, 6, 12), OPI(BPF_AND, 5, 60), MOV(7, 2),
                        OP(BPF_ADD, 7, 5), MOV(8, 7), LD(BPF_W, 5, 6, 16), JI(BPF_JEQ, 5, 3, 1),
                        MOV(8, 2), MOV(4, 8), ADD(4, 8), JR(BPF_JGT, 4, 3, 2), LD(BPF_B, 5, 7, 0),
                        LD(BPF_B, 5, 8, 0), EXIT},
                {{14, REASON_NOT_TESTED}, {15, REASON_PROVEN}}},
        {"a test of what both paths moved alike",
                {PACKET_ENDS, LD(BPF_W, 5, 6, 12), MOV(7, 2), ADD(7, 14), MOV(8, 7),
                        JI(BPF_JEQ, 5, 3, 2), ADD(7, 4), ADD(8, 4), MOV(4, 8), ADD(4, 20),
                        JR(BPF_JGT, 4, 3, 2), LD(BPF_W, 5, 7, 16), LD(BPF_W, 5, 7, 17), EXIT},
                {{13, REASON_PROVEN}, {14, REASON_NOT_TESTED}}},
        {"tested, then moved on one path",
                {PACKET_ENDS, LD(BPF_W, 5, 6, 12), MOV(4, 2), ADD(4, 20), JR(BPF_JGT, 4, 3, 4),
                        JI(BPF_JEQ, 5, 3, 1), ADD(2, 14), LD(BPF_B, 5, 2, 5), LD(BPF_B, 5, 2, 6),
                        EXIT},
                {{9, REASON_PROVEN}, {10, REASON_NOT_TESTED}}},
        {"tested, then moved on the other path",
                {PACKET_ENDS, LD(BPF_W, 5, 6, 12), MOV(4, 2), ADD(4, 20), JR(BPF_JGT, 4, 3, 6),
                        JI(BPF_JEQ, 5, 3, 2), MOVI(8, 0), JA(1), ADD(2, 14), LD(BPF_B, 5, 2, 5),
                        LD(BPF_B, 5, 2, 6), EXIT},
                {{11, REASON_PROVEN}, {12, REASON_NOT_TESTED}}},
        {"the frame has 512 bytes",
                {ST(BPF_DW, 10, -512, 1), ST(BPF_DW, 10, -8, 1), ST(BPF_DW, 10, -513, 1),
                        ST(BPF_DW, 10, -4, 1), ST(BPF_B, 10, 0, 1), LD(BPF_DW, 2, 10, -520), EXIT},
                {{0, REASON_PROVEN}, {1, REASON_PROVEN}, {2, REASON_BEYOND}, {3, REASON_BEYOND},
                        {4, REASON_BEYOND}, {5, REASON_BEYOND}}},
        {"a bounded number as an offset in the frame",
                {LD(BPF_W, 2, 1, 12), OPI(BPF_AND, 2, 7), MOV(3, 10), OP(BPF_ADD, 3, 2),
                        LD(BPF_B, 4, 3, -8), LD(BPF_H, 4, 3, -8), EXIT},
                {{4, REASON_PROVEN}, {5, REASON_UNBOUNDED}}},
        {"look-up not tested", {LOOK_UP(HASH), LD(BPF_DW, 1, 0, 0), EXIT}, {{6, REASON_NULL}}},
        {"look-up tested, all copies with it",
                {LOOK_UP(HASH), MOV(6, 0), ST(BPF_DW, 10, -16, 0), MOV(7, 0), ADD(7, 8),
                        JI(BPF_JEQ, 0, 0, 5), LD(BPF_DW, 1, 0, 8), LD(BPF_DW, 1, 6, 8),
                        LD(BPF_DW, 8, 10, -16), LD(BPF_DW, 1, 8, 8), LD(BPF_DW, 1, 7, 0), EXIT},
                {{11, REASON_PROVEN}, {12, REASON_PROVEN}, {14, REASON_PROVEN},
                        {15, REASON_PROVEN}}},
        {"look-up tested, another's result not",
                {LOOK_UP(HASH), MOV(6, 0), MOV(2, 10), ADD(2, -4), MAPFD(1, HASH),
                        CALL(map_lookup_elem), JI(BPF_JEQ, 0, 0, 1), LD(BPF_DW, 1, 6, 0), EXIT},
                {{13, REASON_NULL}}},
        {"null test in 32 bits", {LOOK_UP(HASH), J32(BPF_JEQ, 0, 0, 1), LD(BPF_DW, 1, 0, 0), EXIT},
                {{7, REASON_NULL}}},
        {"null test by bits",
                {LOOK_UP(HASH), JI(BPF_JSET, 0, -1, 1), EXIT, LD(BPF_DW, 1, 0, 0), EXIT},
                {{8, REASON_NULL}}},
        {"null test against a register",
                {LOOK_UP(HASH), MOVI(2, 0), JR(BPF_JEQ, 0, 2, 1), LD(BPF_DW, 1, 0, 0), EXIT},
                {{8, REASON_PROVEN}}},
        {"null test of what was added to",
                {LOOK_UP(HASH), ADD(0, 8), JI(BPF_JEQ, 0, 0, 1), LD(BPF_DW, 1, 0, 0), EXIT},
                {{8, REASON_NULL}}},
        {"value's size",
                {LOOK_UP(HASH), JI(BPF_JEQ, 0, 0, 4), LD(BPF_DW, 1, 0, 8), LD(BPF_DW, 1, 0, 9),
                        LD(BPF_B, 1, 0, 16), LD(BPF_B, 1, 0, -1), EXIT},
                {{7, REASON_PROVEN}, {8, REASON_BEYOND}, {9, REASON_BEYOND}, {10, REASON_BEYOND}}},
        {"value or zero where paths meet",
                {LD(BPF_W, 7, 1, 12), LOOK_UP(HASH), JI(BPF_JEQ, 0, 0, 3), JI(BPF_JEQ, 7, 3, 1),
                        MOVI(0, 0), LD(BPF_DW, 1, 0, 0), EXIT},
                {{10, REASON_NULL}}},
        {"values of two maps where paths meet: the smaller's size",
                {LD(BPF_W, 7, 1, 12), LOOK_UP(HASH), JI(BPF_JEQ, 0, 0, 11), MOV(6, 0),
                        JI(BPF_JEQ, 7, 3, 7), MOV(2, 10), ADD(2, -4), MAPFD(1, HASH_B),
                        CALL(map_lookup_elem), JI(BPF_JEQ, 0, 0, 3), MOV(6, 0), LD(BPF_DW, 1, 6, 0),
                        LD(BPF_DW, 1, 6, 8), EXIT},
                {{17, REASON_PROVEN}, {18, REASON_BEYOND}}},
        {"array with a key that is known and in range", {LOOK_UP(ARRAY), LD(BPF_DW, 1, 0, 0), EXIT},
                {{6, REASON_PROVEN}}},
        {"array with a key that is out of range",
                {STI(BPF_W, 10, -4, 4), MOV(2, 10), ADD(2, -4), MAPFD(1, ARRAY),
                        CALL(map_lookup_elem), LD(BPF_DW, 1, 0, 0), EXIT},
                {{6, REASON_NULL}}},
        {"array with a key in a register-sized slot's lower half",
                {STI(BPF_W, 10, -8, 1), LD(BPF_W, 3, 1, 12), ST(BPF_W, 10, -4, 3), MOV(2, 10),
                        ADD(2, -8), MAPFD(1, ARRAY), CALL(map_lookup_elem), LD(BPF_DW, 1, 0, 0),
                        EXIT},
                {{8, REASON_PROVEN}}},
        {"array whose key is written over",
                {STI(BPF_W, 10, -4, 0), LD(BPF_W, 3, 1, 12), ST(BPF_H, 10, -4, 3), MOV(2, 10),
                        ADD(2, -4), MAPFD(1, ARRAY), CALL(map_lookup_elem), LD(BPF_DW, 1, 0, 0),
                        EXIT},
                {{8, REASON_NULL}}},
        {"array with a key pointer that is computed at run time",
                {STI(BPF_DW, 10, -8, 0), LD(BPF_W, 3, 1, 12), OPI(BPF_AND, 3, 4), MOV(2, 10),
                        ADD(2, -8), OP(BPF_ADD, 2, 3), MAPFD(1, ARRAY), CALL(map_lookup_elem),
                        LD(BPF_DW, 1, 0, 0), EXIT},
                {{9, REASON_NULL}}},
        {"map in a map", {LOOK_UP(INNER), JI(BPF_JEQ, 0, 0, 1), LD(BPF_W, 1, 0, 0), EXIT},
                {{7, REASON_UNTYPED}}},
        {"a map's handle is no pointer", {MAPFD(1, HASH), LD(BPF_W, 2, 1, 0), EXIT},
                {{2, REASON_UNTYPED}}},
        {"a handle made of a number finds nothing typed",
                {STI(BPF_W, 10, -4, 0), MOV(2, 10), ADD(2, -4), WIDE(1, 0, 1, 1 << 16),
                        CALL(map_lookup_elem), JI(BPF_JEQ, 0, 0, 1), LD(BPF_W, 1, 0, 0), EXIT},
                {{7, REASON_UNTYPED}}},
        {"global data",
                {MAPV(1, GLOBAL, 24), LD(BPF_DW, 2, 1, 0), LD(BPF_DW, 2, 1, 8),
                        ST(BPF_DW, 1, -24, 2), EXIT},
                {{2, REASON_PROVEN}, {3, REASON_BEYOND}, {4, REASON_PROVEN}}},
        {"read-only and write-only data",
                {MAPV(1, READ_ONLY, 0), LD(BPF_DW, 2, 1, 0), ST(BPF_DW, 1, 0, 2),
                        MAPV(1, WRITE_ONLY, 0), LD(BPF_DW, 2, 1, 0), ST(BPF_DW, 1, 0, 2), EXIT},
                {{2, REASON_PROVEN}, {3, REASON_READ_ONLY}, {6, REASON_READ_ONLY},
                        {7, REASON_PROVEN}}},
        {"device map",
                {LOOK_UP(DEVMAP), JI(BPF_JEQ, 0, 0, 2), LD(BPF_W, 1, 0, 0), ST(BPF_W, 0, 0, 1),
                        EXIT},
                {{7, REASON_PROVEN}, {8, REASON_READ_ONLY}}},
        {"index by mask",
                {MAPV(1, GLOBAL, 0), LD(BPF_B, 2, 1, 0), OPI(BPF_AND, 2, 24), OP(BPF_ADD, 1, 2),
                        LD(BPF_DW, 3, 1, 0), LD(BPF_DW, 3, 1, 1), EXIT},
                {{5, REASON_PROVEN}, {6, REASON_UNBOUNDED}}},
        {"index by test, times its size",
                {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0), JI(BPF_JGT, 2, 3, 4), OPI(BPF_LSH, 2, 3),
                        OP(BPF_ADD, 1, 2), LD(BPF_DW, 3, 1, 0), LD(BPF_DW, 3, 1, 8), EXIT},
                {{6, REASON_PROVEN}, {7, REASON_UNBOUNDED}}},
        {"index by a signed test alone",
                {MAPV(1, GLOBAL, 0), LD(BPF_DW, 2, 1, 0), JI(BPF_JSGT, 2, 3, 2), OP(BPF_ADD, 1, 2),
                        LD(BPF_B, 3, 1, 0), EXIT},
                {{5, REASON_UNBOUNDED}}},
        {"index by signed tests of both ends",
                {MAPV(1, GLOBAL, 0), LD(BPF_DW, 2, 1, 0), JI(BPF_JSLT, 2, 0, 3),
                        JI(BPF_JSGT, 2, 3, 2), OP(BPF_ADD, 1, 2), LD(BPF_B, 3, 1, 0), EXIT},
                {{6, REASON_PROVEN}}},
        {"range that overflows 32 bits",
                {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0), JI(BPF_JGT, 2, 3, 4), OP32I(BPF_SUB, 2, 1),
                        OP(BPF_ADD, 1, 2), LD(BPF_B, 3, 1, 0), EXIT, EXIT},
                {{6, REASON_UNBOUNDED}}},
        {"range that wraps in 32 bits on both ends",
                {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0), JI(BPF_JGT, 2, 3, 5), OP32I(BPF_SUB, 2, 4),
                        OP32I(BPF_ADD, 2, 4), OP(BPF_ADD, 1, 2), LD(BPF_B, 3, 1, 0), EXIT, EXIT},
                {{7, REASON_PROVEN}}},
        {"test in 32 bits of a number of 64",
                {MAPV(1, GLOBAL, 0), LD(BPF_DW, 2, 1, 0), J32(BPF_JGT, 2, 3, 2), OP(BPF_ADD, 1, 2),
                        LD(BPF_B, 3, 1, 0), EXIT},
                {{5, REASON_UNBOUNDED}}},
        {"test in 32 bits of a number of 32",
                {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0), J32(BPF_JGT, 2, 3, 2), OP(BPF_ADD, 1, 2),
                        LD(BPF_B, 3, 1, 0), EXIT},
                {{5, REASON_PROVEN}}},
        {"test of a copy",
                {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0), MOV(4, 2), JI(BPF_JGT, 4, 3, 2),
                        OP(BPF_ADD, 1, 2), LD(BPF_B, 3, 1, 0), EXIT},
                {{6, REASON_PROVEN}}},
        {"test of what was a copy",
                {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0), MOV(4, 2), OPI(BPF_RSH, 4, 1),
                        JI(BPF_JGT, 4, 3, 2), OP(BPF_ADD, 1, 2), LD(BPF_B, 3, 1, 31), EXIT},
                {{7, REASON_UNBOUNDED}}},
        {"a pointer's low half is a number", {MOV32(2, 10), LD(BPF_B, 3, 2, -1), EXIT},
                {{1, REASON_UNTYPED}}},
        {"pointer and number change places",
                {MAPV(1, GLOBAL, 0), LD(BPF_B, 2, 1, 0), OPI(BPF_AND, 2, 7), OP(BPF_ADD, 2, 1),
                        LD(BPF_B, 3, 2, 24), LD(BPF_B, 3, 2, 25), EXIT},
                {{5, REASON_PROVEN}, {6, REASON_UNBOUNDED}}},
        {"spilled and filled",
                {ST(BPF_DW, 10, -8, 1), LD(BPF_DW, 6, 10, -8), LD(BPF_W, 2, 6, 0), EXIT},
                {{2, REASON_PROVEN}}},
        {"spilled, a byte of it written over",
                {ST(BPF_DW, 10, -8, 1), STI(BPF_B, 10, -3, 0), LD(BPF_DW, 6, 10, -8),
                        LD(BPF_W, 2, 6, 0), EXIT},
                {{3, REASON_UNTYPED}}},
        {"spilled, written over across two slots",
                {ST(BPF_DW, 10, -8, 1), ST(BPF_DW, 10, -16, 1), STI(BPF_DW, 10, -12, 0),
                        LD(BPF_DW, 6, 10, -8), LD(BPF_W, 2, 6, 0), LD(BPF_DW, 6, 10, -16),
                        LD(BPF_W, 2, 6, 0), EXIT},
                {{4, REASON_UNTYPED}, {6, REASON_UNTYPED}}},
        {"spilled, then a store that may hit it",
                {ST(BPF_DW, 10, -8, 1), LD(BPF_DW, 2, 1, 24), STI(BPF_B, 2, 0, 0),
                        LD(BPF_DW, 6, 10, -8), LD(BPF_W, 2, 6, 0), EXIT},
                {{2, REASON_UNTYPED}, {4, REASON_UNTYPED}}},
        {"spilled, then a store at an offset that is computed",
                {ST(BPF_DW, 10, -16, 1), ST(BPF_DW, 10, -40, 1), LD(BPF_W, 2, 1, 12),
                        OPI(BPF_AND, 2, 15), MOV(3, 10), OP(BPF_ADD, 3, 2), STI(BPF_B, 3, -24, 0),
                        LD(BPF_DW, 6, 10, -16), LD(BPF_W, 2, 6, 0), LD(BPF_DW, 6, 10, -40),
                        LD(BPF_W, 2, 6, 0), EXIT},
                {{6, REASON_PROVEN}, {8, REASON_UNTYPED}, {10, REASON_PROVEN}}},
        {"spilled, then a helper that writes there",
                {ST(BPF_DW, 10, -8, 1), ST(BPF_DW, 10, -32, 1), MOVI(2, 0), MOV(3, 10), ADD(3, -16),
                        MOVI(4, 16), CALL(xdp_load_bytes), LD(BPF_DW, 6, 10, -8),
                        LD(BPF_W, 2, 6, 0), LD(BPF_DW, 6, 10, -32), LD(BPF_W, 2, 6, 0), EXIT},
                {{8, REASON_UNTYPED}, {10, REASON_PROVEN}}},
        {"spilled, then a helper that may write anywhere",
                {ST(BPF_DW, 10, -8, 1), LD(BPF_DW, 3, 1, 24), MOVI(2, 0), MOVI(4, 1),
                        CALL(xdp_load_bytes), LD(BPF_DW, 6, 10, -8), LD(BPF_W, 2, 6, 0), EXIT},
                {{6, REASON_UNTYPED}}},
        {"spilled, then a function that stores through its argument",
                {ST(BPF_DW, 10, -8, 1), MOV(1, 10), CALLF(3), LD(BPF_DW, 6, 10, -8),
                        LD(BPF_W, 2, 6, 0), EXIT, STI(BPF_DW, 1, -8, 0), EXIT},
                {{4, REASON_UNTYPED}, {6, REASON_UNTYPED}}},
        {"spilled, then a function that calls one that does",
                {ST(BPF_DW, 10, -8, 1), MOV(1, 10), CALLF(3), LD(BPF_DW, 6, 10, -8),
                        LD(BPF_W, 2, 6, 0), EXIT, CALLF(1), EXIT, STI(BPF_DW, 1, -8, 0), EXIT},
                {{4, REASON_UNTYPED}}},
        {"spilled, then a callback that stores anywhere",
                {ST(BPF_DW, 10, -8, 1), MOVI(1, 3), FUNC(2, 7), MOV(3, 10), MOVI(4, 0), CALL(loop),
                        LD(BPF_DW, 6, 10, -8), LD(BPF_W, 2, 6, 0), EXIT, STI(BPF_DW, 2, -8, 0),
                        EXIT},
                {{8, REASON_UNTYPED}}},
        {"spilled, then a function that stores into its own frame",
                {ST(BPF_DW, 10, -8, 1), CALLF(3), LD(BPF_DW, 6, 10, -8), LD(BPF_W, 2, 6, 0), EXIT,
                        STI(BPF_DW, 10, -8, 0), EXIT},
                {{3, REASON_PROVEN}, {5, REASON_PROVEN}}},
        {"a callee's store above its frame hits its caller's",
                {ST(BPF_DW, 10, -512, 1), CALLF(3), LD(BPF_DW, 6, 10, -512), LD(BPF_W, 2, 6, 0),
                        EXIT, STI(BPF_DW, 10, 0, 0), EXIT},
                {{3, REASON_UNTYPED}, {5, REASON_BEYOND}}},
        {"a function's argument from two calls",
                {MOV(6, 1), CALLF(3), MOVI(1, 0), CALLF(1), EXIT, LD(BPF_W, 2, 1, 0), EXIT},
                {{5, REASON_UNTYPED}}},
        {"a function's argument from calls that agree",
                {MOV(6, 1), CALLF(3), MOV(1, 6), CALLF(1), EXIT, LD(BPF_W, 2, 1, 0), EXIT},
                {{5, REASON_PROVEN}}},
        {"recursion", {CALLF(1), EXIT, LD(BPF_W, 2, 1, 0), ADD(1, 4), CALLF(-3), EXIT},
                {{2, REASON_UNBOUNDED}}},
        {"a callback's arguments are anything",
                {MOV(6, 1), MOVI(1, 3), FUNC(2, 7), MOV(3, 6), MOVI(4, 0), CALL(loop),
                        LD(BPF_W, 7, 6, 0), EXIT, EXIT, LD(BPF_W, 3, 2, 0), EXIT},
                {{7, REASON_PROVEN}, {10, REASON_UNTYPED}}},
        {"a callback that is a number may be any function",
                {MOV(6, 1), MOVI(1, 3), WIDE(2, 0, 12, 1 << 17), MOVI(3, 0), MOVI(4, 0), CALL(loop),
                        MOV(1, 6), CALLF(1), EXIT, LD(BPF_W, 3, 1, 0), EXIT},
                {{10, REASON_UNTYPED}}},
        {"a loop to a constant, tested first",
                {MAPV(1, GLOBAL, 0), MOVI(2, 0), JI(BPF_JGT, 2, 31, 5), MOV(3, 1),
                        OP(BPF_ADD, 3, 2), LD(BPF_B, 4, 3, 0), ADD(2, 1), JA(-6), EXIT},
                {{6, REASON_PROVEN}}},
        {"a loop to a constant, tested last for equality",
                {MAPV(1, GLOBAL, 0), MOVI(2, 0), MOV(3, 1), OP(BPF_ADD, 3, 2), LD(BPF_B, 4, 3, 0),
                        ADD(2, 1), JI(BPF_JNE, 2, 32, -5), EXIT},
                {{5, REASON_PROVEN}}},
        {"a loop that goes one too far",
                {MAPV(1, GLOBAL, 0), MOVI(2, 0), MOV(3, 1), OP(BPF_ADD, 3, 2), LD(BPF_B, 4, 3, 0),
                        ADD(2, 1), JI(BPF_JNE, 2, 33, -5), EXIT},
                {{5, REASON_UNBOUNDED}}},
        {"a loop that moves a packet pointer, tested each time",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 4), JR(BPF_JGT, 4, 3, 3), LD(BPF_W, 5, 2, 0),
                        MOV(2, 4), JA(-6), EXIT},
                {{6, REASON_PROVEN}}},
        {"a loop that moves a packet pointer after the test",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 4), JR(BPF_JGT, 4, 3, 4), LD(BPF_W, 5, 2, 0),
                        LD(BPF_W, 5, 4, 0), MOV(2, 4), JA(-7), EXIT},
                {{6, REASON_PROVEN}, {7, REASON_NOT_TESTED}}},
        {"a jump into a loop, past its test",
                {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0), JI(BPF_JEQ, 2, 77, 1),
                        JI(BPF_JGT, 2, 31, 5), MOV(3, 1), OP(BPF_ADD, 3, 2), LD(BPF_B, 4, 3, 0),
                        ADD(2, 1), JA(-6), EXIT},
                {{7, REASON_UNBOUNDED}}},
        {"atomics are aligned where that is known",
                {MAPV(1, GLOBAL, 4), MOVI(2, 1), ATOM(BPF_W, 1, 0, 2, BPF_ADD),
                        ATOM(BPF_DW, 1, 0, 2, BPF_ADD), STI(BPF_DW, 10, -8, 0),
                        ATOM(BPF_DW, 10, -8, 2, BPF_ADD), ATOM(BPF_W, 10, -6, 2, BPF_ADD), EXIT},
                {{3, REASON_PROVEN}, {4, REASON_ATOMIC}, {6, REASON_PROVEN}, {7, REASON_ATOMIC}}},
        {"atomics on the packet are not known to be aligned",
                {PACKET_ENDS, MOV(4, 2), ADD(4, 8), JR(BPF_JGT, 4, 3, 1),
                        ATOM(BPF_W, 2, 0, 6, BPF_ADD), EXIT},
                {{6, REASON_ATOMIC}}},
        {"an atomic's result is a number",
                {ST(BPF_DW, 10, -8, 1), MOVI(2, 0), ATOM(BPF_DW, 10, -8, 2, BPF_XCHG),
                        LD(BPF_W, 3, 2, 0), LD(BPF_DW, 2, 10, -8), LD(BPF_W, 3, 2, 0), EXIT},
                {{3, REASON_UNTYPED}, {5, REASON_UNTYPED}}},
        {"numbers that helpers leave",
                {MOV(6, 1), CALL(ktime_get_ns), LD(BPF_B, 2, 1, 0), LD(BPF_B, 2, 0, 0), EXIT},
                {{2, REASON_UNTYPED}, {3, REASON_UNTYPED}}},
};

#define MAP(kind, key, value, entries, bits)                                                       \
	{                                                                                          \
		.name = #kind, .type = BPF_MAP_TYPE_##kind, .key_size = (key),                     \
		.value_size = (value), .max_entries = (entries), .flags = (bits),                  \
		.inner = IMAGE_NONE                                                                \
	}
static struct image_map maps[] = {
        [HASH] = MAP(HASH, 4, 16, 8, 0),
        [ARRAY] = MAP(ARRAY, 4, 8, 4, 0),
        [GLOBAL] = MAP(ARRAY, 4, 32, 1, 0),
        [READ_ONLY] = MAP(ARRAY, 4, 8, 1, BPF_F_RDONLY_PROG),
        [WRITE_ONLY] = MAP(ARRAY, 4, 8, 1, BPF_F_WRONLY_PROG),
        [PERCPU] = MAP(PERCPU_ARRAY, 4, 8, 4, 0),
        [DEVMAP] = MAP(DEVMAP, 4, 4, 4, 0),
        [JUMPS] = MAP(PROG_ARRAY, 4, 4, 4, 0),
        [INNER] = MAP(ARRAY_OF_MAPS, 4, 4, 4, 0),
        [HASH_B] = MAP(HASH, 4, 8, 8, 0),
        [RING] = MAP(RINGBUF, 0, 0, 4096, 0),
};

struct rig {
	struct image_function functions[INSNS_ROW];
	struct image_program program;
	struct image image;
	struct analysis *analysis;
};

static void rig_analyse(struct rig *rig, const struct bpf_insn *insns, uint32_t count, bool is_bare)
{
	bool starts[INSNS_ROW] = {true};
	uint32_t functions = 0;
	for (uint32_t i = 0; i < count && count <= INSNS_ROW; i++) {
		bool calls = (insns[i].code == (BPF_JMP | BPF_CALL) &&
		                     insns[i].src_reg == BPF_PSEUDO_CALL) ||
		             (insn_is_lddw(&insns[i]) && insns[i].src_reg == BPF_PSEUDO_FUNC);
		if (calls)
			starts[image_callee(&insns[i], i)] = true;
	}
	for (uint32_t i = 0; i < (count <= INSNS_ROW ? count : 1); i++) {
		if (starts[i])
			rig->functions[functions++] = (struct image_function){.insn = i};
	}
	rig->program = (struct image_program){.name = "row",
	        .insns = (struct bpf_insn *)insns,
	        .insn_count = count,
	        .functions = rig->functions,
	        .function_count = functions};
	rig->image = (struct image){.programs = &rig->program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = ARRAY_SIZE(maps)};
	struct error err = {0};
	if (check_image(&rig->image, &err) ||
	        analysis_new(&rig->image, 0, is_bare, &rig->analysis, &err))
		fail_msg("%s", err.text);
}

static uint32_t row_length(const struct bpf_insn insns[INSNS_ROW])
{
	uint32_t count = INSNS_ROW;
	while (count && !insns[count - 1].code && !insns[count - 1].imm)
		count--;
	return count;
}

static bool claim_holds(
        const struct row *row, const struct claim *claim, const struct analysis *analysis)
{
	const struct fact *fact = &analysis->facts[claim->insn];
	bool holds = fact->reached && fact->reason == claim->reason &&
	             fact->proven == (claim->reason == REASON_PROVEN);
	if (!holds)
		print_error("%s: instruction %u: %s\n", row->name, claim->insn,
		        fact->reached ? access_reason_text(fact->reason) : "not reached");
	return holds;
}

static void each_row_says_what_is_proven(void **state)
{
	bool all = true;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct rig rig = {0};
		rig_analyse(&rig, row->insns, row_length(row->insns), false);
		for (size_t c = 0; c < CLAIMS_ROW && (!c || row->claims[c].insn); c++)
			all &= claim_holds(row, &row->claims[c], rig.analysis);
		analysis_free(&rig.analysis);
	}
	assert_true(all);
}

static void a_bare_program_begins_with_numbers(void **state)
{
	static const struct bpf_insn insns[] = {LD(BPF_W, 3, 1, 0), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), true);
	assert_int_equal(rig.analysis->facts[0].reason, REASON_UNTYPED);
	analysis_free(&rig.analysis);
}

static void code_that_no_path_leads_to_is_not_reached(void **state)
{
	static const struct bpf_insn insns[] = {
	        MOVI(0, 1), JI(BPF_JEQ, 0, 1, 1), MOVI(0, 2), EXIT, MOVI(0, 3), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	static const bool reached[] = {true, true, false, true, false, false};
	for (uint32_t i = 0; i < ARRAY_SIZE(insns); i++)
		assert_int_equal(rig.analysis->facts[i].reached, reached[i]);
	static const bool leaders[] = {true, false, true, true, true, false};
	for (uint32_t i = 0; i < ARRAY_SIZE(insns); i++)
		assert_int_equal(rig.analysis->facts[i].leader, leaders[i]);
	analysis_free(&rig.analysis);
}

static void live_registers_are_those_still_used(void **state)
{
	static const struct bpf_insn insns[] = {
	        MOV(6, 1),            // 0: then r6
	        MOVI(1, 5),           // r1, r6
	        CALLF(3),             // r0, r6
	        OP(BPF_ADD, 0, 6),    // r0
	        LD(BPF_W, 7, 10, -4), // r0: r7 is not used
	        EXIT,                 // r0
	        MOV(0, 1),            // r0
	        EXIT,                 // r0
	};
	static const uint16_t live[] = {1 << 6, 1 << 1 | 1 << 6, 1 | 1 << 6, 1, 1, 1, 1, 1};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	for (uint32_t i = 0; i < ARRAY_SIZE(insns); i++)
		assert_int_equal(rig.analysis->facts[i].live, live[i]);
	assert_int_equal(rig.analysis->functions[0].entry_live, 1 << 1);
	assert_int_equal(rig.analysis->functions[1].entry_live, 1 << 1);
	analysis_free(&rig.analysis);
}

static void helpers_use_what_their_row_names(void **state)
{
	static const struct bpf_insn insns[] = {MOVI(5, 9), MOVI(4, 9), MOVI(3, 9), MOV(2, 1),
	        MAPFD(1, HASH), CALL(map_lookup_elem), MOVI(0, 0), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	assert_int_equal(rig.analysis->facts[4].live, 1 << 1 | 1 << 2);
	assert_int_equal(rig.analysis->facts[6].live, 0); // its result is not used
	analysis_free(&rig.analysis);
}

static void calls_have_their_arguments(void **state)
{
	static const struct bpf_insn insns[] = {STI(BPF_W, 10, -8, 3), MOV(2, 10), ADD(2, -8),
	        MAPFD(1, HASH), MOV(3, 6), CALL(map_lookup_elem), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	const struct call_fact *call = analysis_call(rig.analysis, 6);
	assert_non_null(call);
	assert_int_equal(call->args[0].kind, VALUE_MAP);
	assert_int_equal(call->args[0].map, HASH);
	assert_int_equal(call->args[1].kind, VALUE_STACK);
	assert_int_equal(call->args[1].min, -8);
	assert_int_equal(call->args[1].max, -8);
	assert_int_equal(call->args[2].kind, VALUE_SCALAR);
	assert_null(analysis_call(rig.analysis, 5));
	analysis_free(&rig.analysis);
}

static void offsets_are_exact_where_they_are_constant(void **state)
{
	static const struct bpf_insn insns[] = {PACKET_ENDS, MOV(4, 2), ADD(4, 14),
	        JR(BPF_JGT, 4, 3, 6), LD(BPF_B, 5, 4, -2), OPI(BPF_AND, 5, 3), OP(BPF_ADD, 2, 5),
	        LD(BPF_B, 5, 2, 1), EXIT, EXIT, EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	const struct fact *fact = &rig.analysis->facts[6];
	assert_true(fact->proven && fact->exact && !fact->by_branch);
	assert_int_equal(fact->region, VALUE_PACKET);
	assert_int_equal(fact->offset, 12);
	fact = &rig.analysis->facts[9];
	assert_true(fact->proven && !fact->exact && fact->by_branch);
	analysis_free(&rig.analysis);
}

// A mask holds whatever a CPU thinks of the branches before.
static void bounds_say_whether_a_branch_made_them(void **state)
{
	static const struct bpf_insn insns[] = {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0),
	        JI(BPF_JGT, 2, 7, 6), MOV(3, 1), OP(BPF_ADD, 3, 2), LD(BPF_B, 4, 3, 0),
	        OPI(BPF_AND, 2, 7), OP(BPF_ADD, 1, 2), LD(BPF_B, 4, 1, 0), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	assert_true(rig.analysis->facts[6].proven && rig.analysis->facts[6].by_branch);
	assert_true(rig.analysis->facts[9].proven && !rig.analysis->facts[9].by_branch);
	analysis_free(&rig.analysis);
}

struct frame_row {
	const char *name;
	struct bpf_insn insns[INSNS_ROW];
	uint32_t low;
	bool unwritten, untyped_stores, moves, has_loop, calls;
};

static const struct frame_row frame_rows[] = {
        {"reads what it wrote", {STI(BPF_DW, 10, -16, 0), LD(BPF_W, 0, 10, -12), EXIT}, .low = 16},
        {"reads a byte more", {STI(BPF_DW, 10, -16, 0), LD(BPF_DW, 0, 10, -15), EXIT}, .low = 16,
                .unwritten = true},
        {"writes on one path only",
                {LD(BPF_W, 2, 1, 12), JI(BPF_JEQ, 2, 1, 1), STI(BPF_DW, 10, -8, 0),
                        LD(BPF_DW, 0, 10, -8), EXIT},
                .low = 8, .unwritten = true},
        {"writes on both paths",
                {LD(BPF_W, 2, 1, 12), JI(BPF_JEQ, 2, 1, 2), STI(BPF_DW, 10, -8, 0), JA(1),
                        STI(BPF_DW, 10, -8, 1), LD(BPF_DW, 0, 10, -8), EXIT},
                .low = 8},
        {"gives a helper a key of which a part is not written",
                {STI(BPF_H, 10, -4, 0), MOV(2, 10), ADD(2, -4), MAPFD(1, HASH),
                        CALL(map_lookup_elem), EXIT},
                .low = 4, .unwritten = true},
        {"gives a helper a key", {LOOK_UP(HASH), EXIT}, .low = 4},
        {"reads through a number", {LD(BPF_DW, 2, 1, 24), LD(BPF_B, 0, 2, 0), EXIT},
                .unwritten = true},
        {"calls one that reads through its argument",
                {STI(BPF_DW, 10, -8, 0), MOV(1, 10), CALLF(1), EXIT, LD(BPF_B, 0, 1, -8), EXIT},
                .low = 8, .unwritten = true, .calls = true},
        {"stores through a number", {LD(BPF_DW, 2, 1, 24), STI(BPF_B, 2, 0, 0), EXIT},
                .untyped_stores = true},
        {"calls one that moves the packet",
                {CALLF(1), EXIT, MOVI(2, 0), CALL(xdp_adjust_meta), EXIT}, .moves = true,
                .calls = true},
        {"tail-calls, and is not called",
                {STI(BPF_B, 10, -1, 0), MAPFD(2, JUMPS), MOVI(3, 0), CALL(tail_call), EXIT},
                .low = 1},
        {"loops", {MOVI(2, 9), ADD(2, -1), JI(BPF_JNE, 2, 0, -2), EXIT}, .has_loop = true},
};

static void functions_say_what_they_may_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(frame_rows); i++) {
		const struct frame_row *row = &frame_rows[i];
		struct rig rig = {0};
		rig_analyse(&rig, row->insns, row_length(row->insns), false);
		const struct function_fact *function = &rig.analysis->functions[0];
		if (function->stack_low != row->low ||
		        function->reads_unwritten != row->unwritten ||
		        function->untyped_stores != row->untyped_stores ||
		        function->moves_packet != row->moves ||
		        function->has_loop != row->has_loop || function->calls != row->calls)
			fail_msg("%s: low %u, reads unwritten %d, untyped stores %d, moves %d, "
			         "loop %d, calls %d",
			        row->name, function->stack_low, function->reads_unwritten,
			        function->untyped_stores, function->moves_packet,
			        function->has_loop, function->calls);
		analysis_free(&rig.analysis);
	}
}

// The most instructions, each a jump both forward and back, all loops entangled; and states that
// differ on each path.
static void hostile_jumps_take_bounded_work(void **state)
{
	(void)state;
	struct bpf_insn *insns = calloc(IMAGE_INSNS_MAX, sizeof(insns[0]));
	assert_non_null(insns);
	uint32_t count = IMAGE_INSNS_MAX, seed = 1;
	for (uint32_t i = 0; i < count; i++) {
		seed = seed * 1664525 + 1013904223;
		int64_t by = (int64_t)(seed >> 16) - 32768, to = (int64_t)i + 1 + by;
		if (to < 0 || to >= count)
			by = 0;
		if (i % 3 == 0)
			insns[i] = (struct bpf_insn)JI(BPF_JGT, seed >> 8 & 7, 0, 0);
		else if (i % 3 == 1)
			insns[i] = (struct bpf_insn)ST(BPF_DW, 10, -8 * (1 + (seed >> 5 & 63)), 3);
		else
			insns[i] = (struct bpf_insn)OPI(BPF_ADD, seed >> 8 & 7, 3);
		insns[i].off = i % 3 ? insns[i].off : (int16_t)by;
		insns[i].src_reg = i % 3 == 1 ? seed >> 11 & 7 : 0;
	}
	insns[count - 1] = (struct bpf_insn)EXIT;
	struct rig rig = {0};
	rig_analyse(&rig, insns, count, false);
	uint32_t blocks = 0;
	for (uint32_t i = 0; i < count; i++)
		blocks += rig.analysis->facts[i].leader;
	assert_true(blocks > count / 3);
	assert_true(rig.analysis->steps <= 80ull * count);
	analysis_free(&rig.analysis);
	free(insns);
}

// A chain of functions, each called from the one before and after it.
static void hostile_calls_take_bounded_work(void **state)
{
	(void)state;
	const uint32_t functions = 16000, count = functions * 4;
	struct bpf_insn *insns = calloc(count, sizeof(insns[0]));
	struct image_function *starts = calloc(functions, sizeof(starts[0]));
	assert_true(insns && starts);
	for (uint32_t i = 0; i < functions; i++) {
		int32_t next = i + 1 < functions ? 2 : -1, back = i ? -7 : -3;
		insns[4 * i] = (struct bpf_insn)ADD(1, 1);
		insns[4 * i + 1] = (struct bpf_insn)CALLF(next);
		insns[4 * i + 2] = (struct bpf_insn)CALLF(back);
		insns[4 * i + 3] = (struct bpf_insn)EXIT;
		starts[i].insn = 4 * i;
	}
	insns[4 * (functions - 1)] = (struct bpf_insn)STI(BPF_B, 1, 0, 0);
	insns[4 * (functions - 1) + 1] = (struct bpf_insn)MOVI(0, 0);
	struct image_program program = {.name = "chain",
	        .insns = insns,
	        .insn_count = count,
	        .functions = starts,
	        .function_count = functions};
	struct image image = {.programs = &program, .program_count = 1};
	struct analysis *analysis = NULL;
	struct error err = {0};
	if (check_image(&image, &err) || analysis_new(&image, 0, false, &analysis, &err))
		fail_msg("%s", err.text);
	assert_true(analysis->steps <= 80ull * count);
	assert_true(analysis->functions[0].untyped_stores);
	analysis_free(&analysis);
	free(insns);
	free(starts);
}

// One block that calls many functions, each of which stores through what it is given: a pointer
// that is known for as long as nobody knows that the function before stores anywhere.
static void hostile_discoveries_take_bounded_work(void **state)
{
	(void)state;
	const uint32_t functions = 5000, main_length = 6 * functions + 2,
	               count = main_length + 2 * functions;
	struct bpf_insn *insns = calloc(count, sizeof(insns[0]));
	struct image_function *starts = calloc(functions + 1, sizeof(starts[0]));
	assert_true(insns && starts);
	for (uint32_t i = 0; i < functions; i++) {
		struct bpf_insn *at = &insns[6 * i];
		int32_t to = (int32_t)(main_length + 2 * i);
		at[0] = (struct bpf_insn)LD(BPF_DW, 1, 10, -8);
		at[1] = (struct bpf_insn)MOV(2, 10);
		at[2] = (struct bpf_insn){.code = BPF_LD | BPF_DW | BPF_IMM,
		        .dst_reg = 3,
		        .src_reg = BPF_PSEUDO_MAP_VALUE,
		        .imm = GLOBAL};
		at[4] = (struct bpf_insn)ST(BPF_DW, 10, -8, 3);
		at[5] = (struct bpf_insn)CALLF(to - (int32_t)(6 * i + 6));
		starts[i + 1].insn = (uint32_t)to;
		insns[to] = (struct bpf_insn)STI(BPF_DW, 1, 0, 0);
		insns[to + 1] = (struct bpf_insn)EXIT;
	}
	insns[main_length - 2] = (struct bpf_insn)MOVI(0, 0);
	insns[main_length - 1] = (struct bpf_insn)EXIT;
	struct image_program program = {.name = "chain",
	        .insns = insns,
	        .insn_count = count,
	        .functions = starts,
	        .function_count = functions + 1};
	struct image image = {.programs = &program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = ARRAY_SIZE(maps)};
	struct analysis *analysis = NULL;
	struct error err = {0};
	if (check_image(&image, &err) || analysis_new(&image, 0, false, &analysis, &err))
		fail_msg("%s", err.text);
	assert_true(analysis->steps <= 80ull * count);
	assert_true(analysis->functions[functions].untyped_stores);
	analysis_free(&analysis);
	free(insns);
	free(starts);
}

static void every_reason_has_a_text(void **state)
{
	(void)state;
	for (int i = 0; i < REASON_COUNT; i++)
		assert_string_not_equal(access_reason_text(i), "unknown");
	assert_string_equal(access_reason_text(REASON_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_row_says_what_is_proven),
	        cmocka_unit_test(a_bare_program_begins_with_numbers),
	        cmocka_unit_test(code_that_no_path_leads_to_is_not_reached),
	        cmocka_unit_test(live_registers_are_those_still_used),
	        cmocka_unit_test(helpers_use_what_their_row_names),
	        cmocka_unit_test(calls_have_their_arguments),
	        cmocka_unit_test(offsets_are_exact_where_they_are_constant),
	        cmocka_unit_test(bounds_say_whether_a_branch_made_them),
	        cmocka_unit_test(functions_say_what_they_may_do),
	        cmocka_unit_test(hostile_jumps_take_bounded_work),
	        cmocka_unit_test(hostile_calls_take_bounded_work),
	        cmocka_unit_test(hostile_discoveries_take_bounded_work),
	        cmocka_unit_test(every_reason_has_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
