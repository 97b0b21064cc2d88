// SPDX-License-Identifier: Apache-2.0
// One function, one case an opcode, each operation written once for its forms (RFC 9669 sections 4
// and 5).
//
// What the RFC leaves to the platform, and every engine must do alike (docs/internals.md):
//   - a call of a helper clears r1 to r5; so does the return from a function of the program;
//   - such a function begins with r1 to r5 as they were, r10, and zeros in the others;
//   - a new stack frame, of a call or of a tail call, reads as zeros;
//   - an atomic operation on an address that is not a multiple of its size faults;
//   - the budget is charged at back edges (the distance jumped), calls, tail calls and helpers.
#include "engine/interpreter.h"

#include <endian.h>
#include <string.h>

#include "ebpf/opcode.h"
#include "engine/access.h"
#include "engine/helpers.h"

// Engines and the control side touch map values at the same time, and what they then see is the
// program's affair; loads and stores of the host are as indivisible as the program's would be.
#define RACY __attribute__((no_sanitize("thread")))

// A value of a packet or map at any alignment.
#define UNALIGNED(type) (*(struct { type v; } __attribute__((packed, may_alias)) *)host)

// One operation in its four forms: d and s are destination and operand in the operation's width.
#define ALU(op, expression)                                                                        \
	case BPF_ALU64 | BPF_X | (op): {                                                           \
		uint64_t d = r[insn->dst_reg], s = r[insn->src_reg];                               \
		r[insn->dst_reg] = (expression);                                                   \
		break;                                                                             \
	}                                                                                          \
	case BPF_ALU64 | BPF_K | (op): {                                                           \
		uint64_t d = r[insn->dst_reg], s = (uint64_t)(int64_t)insn->imm;                   \
		r[insn->dst_reg] = (expression);                                                   \
		break;                                                                             \
	}                                                                                          \
	case BPF_ALU | BPF_X | (op): {                                                             \
		uint32_t d = (uint32_t)r[insn->dst_reg], s = (uint32_t)r[insn->src_reg];           \
		r[insn->dst_reg] = (uint32_t)(expression);                                         \
		break;                                                                             \
	}                                                                                          \
	case BPF_ALU | BPF_K | (op): {                                                             \
		uint32_t d = (uint32_t)r[insn->dst_reg], s = (uint32_t)insn->imm;                  \
		r[insn->dst_reg] = (uint32_t)(expression);                                         \
		break;                                                                             \
	}
#define SHIFT_MASK (sizeof(d) * 8 - 1)

// Distances count from the next instruction. A jump back is charged what lies between.
#define JUMP_BY(distance)                                                                          \
	do {                                                                                       \
		int64_t by_ = (distance);                                                          \
		pc += by_;                                                                         \
		if (by_ < 0 && (engine->budget += by_) < 0)                                        \
			goto out_of_budget;                                                        \
	} while (0)

// One comparison in its four forms. U and S are the unsigned and signed type of its width.
#define JUMP_FORM(code, U, S, operand, condition)                                                  \
	case (code): {                                                                             \
		typedef U u __attribute__((unused));                                               \
		typedef S i __attribute__((unused));                                               \
		u d = (u)r[insn->dst_reg], s = (u)(operand);                                       \
		if (condition)                                                                     \
			JUMP_BY(insn->off);                                                        \
		break;                                                                             \
	}
#define JUMP(op, condition)                                                                        \
	JUMP_FORM(BPF_JMP | BPF_X | (op), uint64_t, int64_t, r[insn->src_reg], condition)          \
	JUMP_FORM(BPF_JMP | BPF_K | (op), uint64_t, int64_t, (int64_t)insn->imm, condition)        \
	JUMP_FORM(BPF_JMP32 | BPF_X | (op), uint32_t, int32_t, r[insn->src_reg], condition)        \
	JUMP_FORM(BPF_JMP32 | BPF_K | (op), uint32_t, int32_t, insn->imm, condition)

#define LOAD(code, type)                                                                           \
	case (code): {                                                                             \
		address = r[insn->src_reg] + (uint64_t)(int64_t)insn->off;                         \
		const uint8_t *host = access_read(engine, address, sizeof(type));                  \
		if (!host)                                                                         \
			goto bad_read;                                                             \
		r[insn->dst_reg] = (uint64_t)(int64_t)UNALIGNED(const type).v;                     \
		break;                                                                             \
	}
#define STORE_FORM(code, type, value)                                                              \
	case (code): {                                                                             \
		address = r[insn->dst_reg] + (uint64_t)(int64_t)insn->off;                         \
		uint8_t *host = access_write(engine, address, sizeof(type));                       \
		if (!host)                                                                         \
			goto bad_write;                                                            \
		UNALIGNED(type).v = (type)(value);                                                 \
		break;                                                                             \
	}
#define STORE(size, type)                                                                          \
	STORE_FORM(BPF_STX | BPF_MEM | (size), type, r[insn->src_reg])                             \
	STORE_FORM(BPF_ST | BPF_MEM | (size), type, (int64_t)insn->imm)

// DIV and MOD, section 4.1: by zero gives 0 and the dividend; the one overflow wraps.
#define DIVISION(bits)                                                                             \
	static uint##bits##_t divide##bits(uint##bits##_t d, uint##bits##_t s, bool is_signed)     \
	{                                                                                          \
		if (s == 0)                                                                        \
			return 0;                                                                  \
		if (!is_signed)                                                                    \
			return d / s;                                                              \
		if (s == (uint##bits##_t) - 1)                                                     \
			return -d;                                                                 \
		return (uint##bits##_t)((int##bits##_t)d / (int##bits##_t)s);                      \
	}                                                                                          \
	static uint##bits##_t modulo##bits(uint##bits##_t d, uint##bits##_t s, bool is_signed)     \
	{                                                                                          \
		if (s == 0)                                                                        \
			return d;                                                                  \
		if (!is_signed)                                                                    \
			return d % s;                                                              \
		if (s == (uint##bits##_t) - 1)                                                     \
			return 0;                                                                  \
		return (uint##bits##_t)((int##bits##_t)d % (int##bits##_t)s);                      \
	}
DIVISION(32)
DIVISION(64)

static uint64_t sign_extend(uint64_t value, int bits)
{
	switch (bits) {
	case 8:
		return (uint64_t)(int64_t)(int8_t)value;
	case 16:
		return (uint64_t)(int64_t)(int16_t)value;
	case 32:
		return (uint64_t)(int64_t)(int32_t)value;
	default:
		return value;
	}
}

// Section 4.2. `code` chooses: to little endian, to big endian, or swap whatever the host is.
static uint64_t swap_bytes(uint64_t value, uint8_t code, int32_t bits)
{
	bool big_host = htobe16(1) == 1;
	bool swap = code == (BPF_ALU | BPF_END | BPF_TO_BE)   ? !big_host
	            : code == (BPF_ALU | BPF_END | BPF_TO_LE) ? big_host
	                                                      : true;
	switch (bits) {
	case 16:
		return swap ? __builtin_bswap16((uint16_t)value) : (uint16_t)value;
	case 32:
		return swap ? __builtin_bswap32((uint32_t)value) : (uint32_t)value;
	default:
		return swap ? __builtin_bswap64(value) : value;
	}
}

#define ATOMIC_OPERATIONS(bits)                                                                    \
	static bool atomic##bits(uint##bits##_t *host, int32_t op, uint64_t *src, uint64_t *r0)    \
	{                                                                                          \
		uint##bits##_t value = (uint##bits##_t) * src, old = (uint##bits##_t) * r0;        \
		switch (op) {                                                                      \
		case BPF_ADD:                                                                      \
			__atomic_fetch_add(host, value, __ATOMIC_RELAXED);                         \
			break;                                                                     \
		case BPF_OR:                                                                       \
			__atomic_fetch_or(host, value, __ATOMIC_RELAXED);                          \
			break;                                                                     \
		case BPF_AND:                                                                      \
			__atomic_fetch_and(host, value, __ATOMIC_RELAXED);                         \
			break;                                                                     \
		case BPF_XOR:                                                                      \
			__atomic_fetch_xor(host, value, __ATOMIC_RELAXED);                         \
			break;                                                                     \
		case BPF_ADD | BPF_FETCH:                                                          \
			*src = __atomic_fetch_add(host, value, __ATOMIC_SEQ_CST);                  \
			break;                                                                     \
		case BPF_OR | BPF_FETCH:                                                           \
			*src = __atomic_fetch_or(host, value, __ATOMIC_SEQ_CST);                   \
			break;                                                                     \
		case BPF_AND | BPF_FETCH:                                                          \
			*src = __atomic_fetch_and(host, value, __ATOMIC_SEQ_CST);                  \
			break;                                                                     \
		case BPF_XOR | BPF_FETCH:                                                          \
			*src = __atomic_fetch_xor(host, value, __ATOMIC_SEQ_CST);                  \
			break;                                                                     \
		case BPF_XCHG:                                                                     \
			*src = __atomic_exchange_n(host, value, __ATOMIC_SEQ_CST);                 \
			break;                                                                     \
		case BPF_CMPXCHG:                                                                  \
			__atomic_compare_exchange_n(                                               \
			        host, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);     \
			*r0 = old;                                                                 \
			break;                                                                     \
		default:                                                                           \
			return false;                                                              \
		}                                                                                  \
		return true;                                                                       \
	}
ATOMIC_OPERATIONS(32)
ATOMIC_OPERATIONS(64)

static uint64_t load_acquire(const uint8_t *host, uint32_t size)
{
	switch (size) {
	case 1:
		return __atomic_load_n(host, __ATOMIC_ACQUIRE);
	case 2:
		return __atomic_load_n((const uint16_t *)host, __ATOMIC_ACQUIRE);
	case 4:
		return __atomic_load_n((const uint32_t *)host, __ATOMIC_ACQUIRE);
	default:
		return __atomic_load_n((const uint64_t *)host, __ATOMIC_ACQUIRE);
	}
}

static void store_release(uint8_t *host, uint32_t size, uint64_t value)
{
	switch (size) {
	case 1:
		__atomic_store_n(host, (uint8_t)value, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)host, (uint16_t)value, __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)host, (uint32_t)value, __ATOMIC_RELEASE);
		break;
	default:
		__atomic_store_n((uint64_t *)host, value, __ATOMIC_RELEASE);
		break;
	}
}

// Section 5.3, and the two that came after the RFC.
static enum fault run_atomic(struct engine *engine, const struct bpf_insn *insn,
        uint64_t r[REGISTERS], uint64_t *address)
{
	uint32_t size = opcode_of(insn)->size;
	bool load = insn->imm == BPF_LOAD_ACQ;
	*address = r[load ? insn->src_reg : insn->dst_reg] + (uint64_t)(int64_t)insn->off;
	if (*address & (size - 1))
		return load ? FAULT_READ : FAULT_WRITE;
	uint8_t *host =
	        load ? access_read(engine, *address, size) : access_write(engine, *address, size);
	if (!host)
		return load ? FAULT_READ : FAULT_WRITE;
	if (load) {
		r[insn->dst_reg] = load_acquire(host, size);
		return FAULT_NONE;
	}
	if (insn->imm == BPF_STORE_REL) {
		store_release(host, size, r[insn->src_reg]);
		return FAULT_NONE;
	}
	bool known = size == 8 ? atomic64((uint64_t *)host, insn->imm, &r[insn->src_reg], &r[0])
	                       : atomic32((uint32_t *)host, insn->imm, &r[insn->src_reg], &r[0]);
	return known ? FAULT_NONE : FAULT_INSTRUCTION;
}

// A helper or kfunc. False: fault.
static bool run_helper(struct engine *engine, const struct helper_code *code, uint64_t r[REGISTERS])
{
	engine->stats.helper_calls++;
	if (!helper_charge(engine, code->cost))
		return false;
	r[0] = code->run(engine, &r[1]);
	memset(&r[1], 0, 5 * sizeof(r[0]));
	return engine->fault == FAULT_NONE;
}

// A call of a function of the program: r1 to r5 go along, r6 to r9 come back as they were, r0 is
// the result.
static bool enter_function(
        struct engine *engine, const struct bpf_insn *back, uint32_t cost, uint64_t r[REGISTERS])
{
	if (engine->depth + 1 >= FRAMES_MAX) {
		engine->fault = FAULT_CALL_DEPTH;
		return false;
	}
	if (!helper_charge(engine, cost))
		return false;
	access_enter_frame(engine, engine->depth + 1);
	struct frame *frame = &engine->frames[engine->depth];
	frame->program = engine->program;
	frame->back = back;
	memcpy(frame->saved, &r[6], sizeof(frame->saved));
	memset(&r[6], 0, sizeof(frame->saved));
	r[0] = 0;
	r[10] -= STACK_FRAME;
	return true;
}

static const struct bpf_insn *leave_function(struct engine *engine, uint64_t r[REGISTERS])
{
	const struct frame *frame = &engine->frames[engine->depth];
	engine->program = frame->program;
	memset(&r[1], 0, 5 * sizeof(r[0]));
	memcpy(&r[6], frame->saved, sizeof(frame->saved));
	r[10] += STACK_FRAME;
	access_leave_frame(engine, engine->depth - 1);
	return frame->back;
}

// The tail-called program takes this frame, with only the context in its registers.
static const struct bpf_insn *enter_tail(struct engine *engine, uint64_t r[REGISTERS])
{
	engine->program = engine->tail_target;
	engine->tail_target = NULL;
	access_enter_frame(engine, engine->depth);
	memset(r, 0, 10 * sizeof(r[0]));
	r[1] = engine->context;
	return engine->program->insns;
}

RACY bool interpret(struct engine *engine, const struct bpf_insn *pc, uint64_t r[REGISTERS])
{
	const uint32_t outermost = engine->depth;
	const struct bpf_insn *insn;
	uint64_t address = 0, steps = 0;
	enum fault fault;

	for (;;) {
		insn = pc++;
		steps++;
#ifdef INTERPRETER_STEP // for analysis_sound_test.c
		INTERPRETER_STEP(engine, insn, r);
#endif
		switch (insn->code) {
			ALU(BPF_ADD, d + s)
			ALU(BPF_SUB, d - s)
			ALU(BPF_MUL, d * s)
			ALU(BPF_OR, d | s)
			ALU(BPF_AND, d & s)
			ALU(BPF_XOR, d ^ s)
			ALU(BPF_LSH, d << (s & SHIFT_MASK))
			ALU(BPF_RSH, d >> (s & SHIFT_MASK))
			ALU(BPF_ARSH, sizeof(d) == 8 ? (uint64_t)((int64_t)d >> (s & 63))
			                             : (uint32_t)((int32_t)d >> (s & 31)))
			ALU(BPF_DIV, sizeof(d) == 8 ? divide64(d, s, insn->off)
			                            : divide32((uint32_t)d, (uint32_t)s, insn->off))
			ALU(BPF_MOD, sizeof(d) == 8 ? modulo64(d, s, insn->off)
			                            : modulo32((uint32_t)d, (uint32_t)s, insn->off))
			ALU(BPF_MOV, ((void)d, sign_extend(s, insn->off)))
		case BPF_ALU64 | BPF_NEG:
			r[insn->dst_reg] = -r[insn->dst_reg];
			break;
		case BPF_ALU | BPF_NEG:
			r[insn->dst_reg] = -(uint32_t)r[insn->dst_reg];
			break;
		case BPF_ALU | BPF_END | BPF_TO_LE:
		case BPF_ALU | BPF_END | BPF_TO_BE:
		case BPF_ALU64 | BPF_END:
			r[insn->dst_reg] = swap_bytes(r[insn->dst_reg], insn->code, insn->imm);
			break;
		case BPF_LD | BPF_IMM | BPF_DW:
			r[insn->dst_reg] = (uint32_t)insn->imm | (uint64_t)(uint32_t)pc->imm << 32;
			pc++;
			break;

			LOAD(BPF_LDX | BPF_MEM | BPF_B, uint8_t)
			LOAD(BPF_LDX | BPF_MEM | BPF_H, uint16_t)
			LOAD(BPF_LDX | BPF_MEM | BPF_W, uint32_t)
			LOAD(BPF_LDX | BPF_MEM | BPF_DW, uint64_t)
			LOAD(BPF_LDX | BPF_MEMSX | BPF_B, int8_t)
			LOAD(BPF_LDX | BPF_MEMSX | BPF_H, int16_t)
			LOAD(BPF_LDX | BPF_MEMSX | BPF_W, int32_t)
			STORE(BPF_B, uint8_t)
			STORE(BPF_H, uint16_t)
			STORE(BPF_W, uint32_t)
			STORE(BPF_DW, uint64_t)
		case BPF_STX | BPF_ATOMIC | BPF_B:
		case BPF_STX | BPF_ATOMIC | BPF_H:
		case BPF_STX | BPF_ATOMIC | BPF_W:
		case BPF_STX | BPF_ATOMIC | BPF_DW:
			fault = run_atomic(engine, insn, r, &address);
			if (fault)
				goto fault_at_address;
			break;

			JUMP(BPF_JEQ, d == s)
			JUMP(BPF_JNE, d != s)
			JUMP(BPF_JGT, d > s)
			JUMP(BPF_JGE, d >= s)
			JUMP(BPF_JLT, d < s)
			JUMP(BPF_JLE, d <= s)
			JUMP(BPF_JSET, d & s)
			JUMP(BPF_JSGT, (i)d > (i)s)
			JUMP(BPF_JSGE, (i)d >= (i)s)
			JUMP(BPF_JSLT, (i)d < (i)s)
			JUMP(BPF_JSLE, (i)d <= (i)s)
		case BPF_JMP | BPF_JA:
			JUMP_BY(insn->off);
			break;
		case BPF_JMP32 | BPF_JA:
			JUMP_BY(insn->imm);
			break;
		case BPF_JMP | BPF_CALL:
			if (insn->src_reg == BPF_PSEUDO_CALL) {
				if (!enter_function(engine, pc, (uint16_t)insn->off, r))
					goto faulted;
				pc += insn->imm;
				break;
			}
			if (!run_helper(engine,
			            insn->src_reg == BPF_PSEUDO_KFUNC_CALL
			                    ? &kfunc_codes[insn->imm]
			                    : &helper_codes[insn->imm],
			            r))
				goto faulted;
			if (engine->tail_target)
				pc = enter_tail(engine, r);
			break;
		case BPF_JMP | BPF_EXIT:
			if (engine->depth == outermost) {
				engine->stats.instructions += steps;
				return true;
			}
			pc = leave_function(engine, r);
			break;
		default:
			fault = FAULT_INSTRUCTION;
			goto fault_at_address;
		}
	}

out_of_budget:
	fault = FAULT_BUDGET;
	goto fault_at_address;
bad_read:
	fault = FAULT_READ;
	goto fault_at_address;
bad_write:
	fault = FAULT_WRITE;
fault_at_address:
	engine->fault = fault;
	engine->fault_address = address;
faulted:
	if (!engine->fault_insn) {
		engine->fault_insn = insn;
		engine->fault_program = engine->program;
	}
	engine->stats.instructions += steps;
	return false;
}
