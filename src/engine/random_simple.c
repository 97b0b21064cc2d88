// SPDX-License-Identifier: Apache-2.0
// Arithmetic, the stack's numbers, branches over a few instructions, loops that end.
#include "ebpf/opcode.h"
#include "engine/random_writer.h"

static void put_alu(struct writer *w)
{
	static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_LSH,
	        BPF_RSH, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH};
	static const int extends[] = {0, 8, 16, 32};
	uint8_t op = ops[pick(w, sizeof(ops))];
	int class = pick(w, 2) ? BPF_ALU64 : BPF_ALU, off = 0;
	int32_t imm = any_number(w);
	if (op == BPF_DIV || op == BPF_MOD)
		off = (int)pick(w, 2);
	if (pick(w, 2)) {
		if (op == BPF_MOV)
			off = extends[pick(w, class == BPF_ALU64 ? 4 : 3)];
		put(w, class | op | BPF_X, any_register(w), any_register(w), off, 0);
		return;
	}
	if (!w->is_free || pick(w, 4)) { // the verifier refuses more
		if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
			imm &= class == BPF_ALU64 ? 63 : 31;
		if ((op == BPF_DIV || op == BPF_MOD) && !imm)
			imm = 3;
	}
	put(w, class | op | BPF_K, any_register(w), 0, off, imm);
}

static void put_unary(struct writer *w)
{
	static const int widths[] = {16, 32, 64};
	int32_t width = widths[pick(w, 3)];
	switch (pick(w, 5)) {
	case 0:
		put(w, BPF_ALU64 | BPF_NEG, any_register(w), 0, 0, 0);
		break;
	case 1:
		put(w, BPF_ALU | BPF_NEG, any_register(w), 0, 0, 0);
		break;
	case 2:
		put(w, BPF_ALU | BPF_END | BPF_TO_BE, any_register(w), 0, 0, width);
		break;
	case 3:
		put(w, BPF_ALU | BPF_END | BPF_TO_LE, any_register(w), 0, 0, width);
		break;
	default:
		put(w, BPF_ALU64 | BPF_END, any_register(w), 0, 0, width);
		break;
	}
}

void put_access(struct writer *w, unsigned base, int at, int room, bool aligned)
{
	int bytes, size = any_size(w, &bytes);
	while (bytes > room)
		size = any_size(w, &bytes);
	int off = (int)pick(w, (uint32_t)(room - bytes + 1));
	if (aligned)
		off -= off % bytes;
	off += at;
	switch (pick(w, 4)) {
	case 0:
		put_store(w, size, base, off, any_register(w));
		break;
	case 1:
		put(w, BPF_ST | BPF_MEM | size, base, 0, off, any_number(w));
		break;
	case 2:
		if (bytes < 8) {
			put(w, BPF_LDX | BPF_MEMSX | size, any_register(w), base, off, 0);
			break;
		}
		// fall through
	default:
		put_load(w, size, any_register(w), base, off);
		break;
	}
}

void put_atomic(struct writer *w, unsigned base, int at, int room)
{
	static const int32_t ops[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
	        BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG,
	        BPF_CMPXCHG};
	int size = pick(w, 2) ? BPF_DW : BPF_W;
	int off = at + 8 * (int)pick(w, (uint32_t)room / 8);
	int32_t op = ops[pick(w, 10)];
	if (w->is_free && size == BPF_W && pick(w, 2))
		off += 4;
	// Two faults of Linux 6.18's verifier stand between us and what RFC 9669 says in section
	// 5.3. x86-64's cmpxchg leaves r0's upper half as it is where it finds what it compares
	// with; the verifier adds the zero extension, but not where it stops at a state that it
	// knows before all of r0 is read. So that half is cleared before.
	if (!w->is_free && op == BPF_CMPXCHG && size == BPF_W)
		put_kept(w, BPF_ALU | BPF_MOV | BPF_X, 0, 0, 0, 0);
	// And where a branch hangs on a number that an atomic operation fetched from the stack, it
	// forgets that the number stored there matters, takes another path for the same, and leaves
	// out code that would run. So it must not know the number: a byte of it is written alone.
	if (!w->is_free && op & BPF_FETCH)
		put_kept(w, BPF_ST | BPF_MEM | BPF_B, base, 0, off, 1 + (int32_t)pick(w, 255));
	put(w, BPF_STX | BPF_ATOMIC | size, base, any_register(w), off, op);
}

static void put_stack(struct writer *w)
{
	if (w->is_free && one_in(w, 4)) // not aligned; other places; what was never written
		put_access(w, BPF_REG_10, one_in(w, 2) ? -64 : STACK_LOW, 64, false);
	else if (pick(w, 2))
		put_access(w, BPF_REG_10, -64, 64, true);
	else
		put_atomic(w, BPF_REG_10, -64, 64);
}

void put_simple(struct writer *w)
{
	switch (pick(w, 8)) {
	case 0:
		put_unary(w);
		break;
	case 1:
		put_wide(w, any_register(w), 0, any_number(w), any_number(w));
		break;
	case 2:
	case 3:
		put_stack(w);
		break;
	default:
		put_alu(w);
		break;
	}
}

static uint8_t any_condition(struct writer *w)
{
	static const uint8_t ops[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE, BPF_JSGT,
	        BPF_JSGE, BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE};
	return ops[pick(w, sizeof(ops))];
}

void put_branch(struct writer *w)
{
	int class = pick(w, 2) ? BPF_JMP : BPF_JMP32;
	uint8_t op = any_condition(w);
	uint32_t at = w->program->count;
	if (pick(w, 2))
		put(w, class | op | BPF_X, any_register(w), any_register(w), 0, 0);
	else
		put(w, class | op | BPF_K, any_register(w), 0, 0, any_number(w));
	for (uint32_t n = 1 + pick(w, 4); n; n--)
		put_simple(w);
	patch_jump(w, at);
}

void put_loop(struct writer *w)
{
	unsigned counter = take_register(w);
	if (!counter)
		return;
	int32_t rounds = 1 + (int32_t)pick(w, w->is_free && one_in(w, 8) ? 2000 : 5);
	put_number(w, counter, rounds);
	hold(w, counter, HELD_COUNTER, 0);
	uint32_t head = w->program->count;
	for (uint32_t n = 1 + pick(w, 4); n; n--) {
		if (one_in(w, 5))
			put_branch(w);
		else
			put_simple(w);
	}
	put_add(w, counter, -1);
	hold(w, counter, HELD_NUMBER, 0);
	bool endless = w->is_free && one_in(w, 40);
	uint8_t op = endless ? any_condition(w) : BPF_JNE;
	put(w, BPF_JMP | op | BPF_K, endless ? any_register(w) : counter, 0,
	        (int)head - (int)w->program->count - 1, 0);
}
