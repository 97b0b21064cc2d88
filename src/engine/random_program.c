// SPDX-License-Identifier: Apache-2.0
// The generator keeps to what the verifier understands (it knows which registers hold numbers, and
// writes packet accesses behind their bounds test), so that most programs are accepted; and to what
// the kernel defines: all of the stack that programs read is written first.
#include "engine/random_program.h"

#include "ebpf/opcode.h"

// Numbers live in r0 and r6 to r9; r1 to r5 serve for addresses and arguments. On the stack:
// numbers at -64 to -1, context at -72, key at -80, value at -96 to -81.
enum { CONTEXT_AT = -72, KEY_AT = -80, VALUE_AT = -96 };

struct writer {
	struct random_program *program;
	struct random *random;
	uint32_t function; // where the subprogram's call is to be patched, 0 = none
};

uint32_t random_pick(struct random *random, uint32_t below)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t)((random->state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static void put(struct writer *w, int code, unsigned dst, unsigned src, int off, int32_t imm)
{
	w->program->insns[w->program->count++] = (struct bpf_insn){.code = (uint8_t)code,
	        .dst_reg = dst & 15,
	        .src_reg = src & 15,
	        .off = (int16_t)off,
	        .imm = imm};
}

static void put_kept(struct writer *w, int code, unsigned dst, unsigned src, int off, int32_t imm)
{
	w->program->kept[w->program->count] = true;
	put(w, code, dst, src, off, imm);
}

static unsigned any_register(struct writer *w)
{
	static const unsigned numbers[] = {0, 6, 7, 8, 9};
	return numbers[random_pick(w->random, 5)];
}

static int32_t any_number(struct writer *w)
{
	static const int32_t edges[] = {0, 1, -1, 2, 7, 31, 32, 63, 127, 128, 255, 256, 32767,
	        65535, INT32_MAX, INT32_MIN, -128, -32768};
	if (random_pick(w->random, 2))
		return edges[random_pick(w->random, sizeof(edges) / sizeof(edges[0]))];
	return (int32_t)(random_pick(w->random, 1u << 16) << 16 | random_pick(w->random, 1u << 16));
}

static void put_alu(struct writer *w)
{
	static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_LSH,
	        BPF_RSH, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH};
	static const int extends[] = {0, 8, 16, 32};
	uint8_t op = ops[random_pick(w->random, sizeof(ops))];
	int class = random_pick(w->random, 2) ? BPF_ALU64 : BPF_ALU, off = 0;
	int32_t imm = any_number(w);
	if (op == BPF_DIV || op == BPF_MOD)
		off = (int)random_pick(w->random, 2);
	if (random_pick(w->random, 2)) {
		if (op == BPF_MOV)
			off = extends[random_pick(w->random, class == BPF_ALU64 ? 4 : 3)];
		put(w, class | op | BPF_X, any_register(w), any_register(w), off, 0);
		return;
	}
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		imm &= class == BPF_ALU64 ? 63 : 31; // the verifier refuses more
	if ((op == BPF_DIV || op == BPF_MOD) && !imm)
		imm = 3;
	put(w, class | op | BPF_K, any_register(w), 0, off, imm);
}

static void put_unary(struct writer *w)
{
	static const int widths[] = {16, 32, 64};
	int32_t width = widths[random_pick(w->random, 3)];
	switch (random_pick(w->random, 5)) {
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

static void put_lddw(struct writer *w)
{
	put(w, BPF_LD | BPF_DW | BPF_IMM, any_register(w), 0, 0, any_number(w));
	put(w, 0, 0, 0, 0, any_number(w));
}

static int any_size(struct writer *w, int *bytes)
{
	static const int sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	uint32_t i = random_pick(w->random, 4);
	*bytes = 1 << i;
	return sizes[i];
}

// A load or store at base + `at`, `room` bytes long.
static void put_access(struct writer *w, unsigned base, int at, int room, bool aligned)
{
	int bytes, size = any_size(w, &bytes);
	int off = (int)random_pick(w->random, (uint32_t)(room - bytes + 1));
	if (aligned)
		off -= off % bytes;
	off += at;
	switch (random_pick(w->random, 4)) {
	case 0:
		put(w, BPF_STX | BPF_MEM | size, base, any_register(w), off, 0);
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
		put(w, BPF_LDX | BPF_MEM | size, any_register(w), base, off, 0);
		break;
	}
}

static void put_stack(struct writer *w)
{
	static const int32_t ops[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
	        BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG,
	        BPF_CMPXCHG};
	if (random_pick(w->random, 2)) {
		put_access(w, BPF_REG_10, -64, 64, true);
		return;
	}
	int size = random_pick(w->random, 2) ? BPF_DW : BPF_W;
	int off = -64 + 8 * (int)random_pick(w->random, 8);
	int32_t op = ops[random_pick(w->random, 10)];
	// Two faults of Linux 6.18's verifier stand between us and what RFC 9669 says in section
	// 5.3. x86-64's cmpxchg leaves r0's upper half as it is where it finds what it compares
	// with; the verifier adds the zero extension, but not where it stops at a state that it
	// knows before all of r0 is read. So that half is cleared before.
	if (op == BPF_CMPXCHG && size == BPF_W)
		put_kept(w, BPF_ALU | BPF_MOV | BPF_X, 0, 0, 0, 0);
	// And where a branch hangs on a number that an atomic operation fetched from the stack, it
	// forgets that the number stored there matters, takes another path for the same, and leaves
	// out code that would run. So it must not know the number: a byte of it is written alone.
	if (op & BPF_FETCH)
		put_kept(w, BPF_ST | BPF_MEM | BPF_B, BPF_REG_10, 0, off,
		        1 + (int32_t)random_pick(w->random, 255));
	put(w, BPF_STX | BPF_ATOMIC | size, BPF_REG_10, any_register(w), off, op);
}

// r2 = data, r3 = data_end; accesses behind the test that `need` bytes are there.
static void put_packet(struct writer *w)
{
	int need = 8 + (int)random_pick(w->random, RANDOM_PACKET_SIZE),
	    accesses = 1 + (int)random_pick(w->random, 4);
	put(w, BPF_LDX | BPF_MEM | BPF_DW, 1, BPF_REG_10, CONTEXT_AT, 0);
	put(w, BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
	put(w, BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0);
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0);
	put(w, BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, need);
	put(w, BPF_JMP | BPF_JGT | BPF_X, 4, 3, accesses, 0);
	for (int i = 0; i < accesses; i++)
		put_access(w, 2, 0, need, false);
}

static void put_map_argument(struct writer *w, int map)
{
	put(w, BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map);
	put(w, 0, 0, 0, 0, 0);
	// Key: a number below twice the capacity, so that both hits and misses happen.
	unsigned number = any_register(w);
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, 2, number, 0, 0);
	put(w, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 2 * RANDOM_ENTRIES - 1);
	put(w, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, 2, KEY_AT, 0);
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, 2, BPF_REG_10, 0, 0);
	put(w, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, KEY_AT);
}

static void put_map(struct writer *w)
{
	int map = (int)random_pick(w->random, 2), accesses = 1 + (int)random_pick(w->random, 3);
	uint32_t what = random_pick(w->random, 4);
	if (what == 0) {
		put(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, any_register(w), VALUE_AT, 0);
		put(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, any_register(w), VALUE_AT + 8, 0);
	}
	put_map_argument(w, map);
	switch (what) {
	case 0:
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 3, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, VALUE_AT);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, (int32_t)random_pick(w->random, 4));
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_update_elem);
		break;
	case 1:
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_delete_elem);
		break;
	default:
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 5, 0, 0, 0);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, any_number(w));
		put(w, BPF_JMP | BPF_JEQ | BPF_K, 5, 0, accesses, 0);
		for (int i = 0; i < accesses; i++)
			put_access(w, 5, 0, 16, true);
		break;
	}
}

// Helpers whose answer depends on their arguments only.
static void put_helper(struct writer *w)
{
	switch (random_pick(w->random, 3)) {
	case 0: // checksum over the numbers on the stack; sizes are multiples of 4
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 1, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -64);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0,
		        4 * (int32_t)random_pick(w->random, 8));
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 3, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -32);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0,
		        4 * (int32_t)random_pick(w->random, 8));
		put(w, BPF_ALU | BPF_MOV | BPF_X, 5, any_register(w), 0, 0);
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_csum_diff);
		break;
	case 1:
		put(w, BPF_LDX | BPF_MEM | BPF_DW, 1, BPF_REG_10, CONTEXT_AT, 0);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, (int32_t)random_pick(w->random, 80));
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, 3, BPF_REG_10, 0, 0);
		put(w, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -64);
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0,
		        1 + (int32_t)random_pick(w->random, 64));
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0,
		        random_pick(w->random, 2) ? BPF_FUNC_xdp_load_bytes
		                                  : BPF_FUNC_xdp_store_bytes);
		break;
	default: {
		static const int32_t moves[] = {BPF_FUNC_xdp_adjust_head, BPF_FUNC_xdp_adjust_tail};
		put(w, BPF_LDX | BPF_MEM | BPF_DW, 1, BPF_REG_10, CONTEXT_AT, 0);
		uint32_t move = random_pick(w->random, 2);
		// The head only inwards: what then is in front of it the kernel leaves undefined.
		put(w, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0,
		        (int32_t)random_pick(w->random, 64) - (move ? 32 : 0));
		put(w, BPF_JMP | BPF_CALL, 0, 0, 0, moves[move]);
		break;
	}
	}
}

static void put_simple(struct writer *w)
{
	switch (random_pick(w->random, 8)) {
	case 0:
		put_unary(w);
		break;
	case 1:
		put_lddw(w);
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

// A jump forward over a few instructions that leave no register undefined.
static void put_branch(struct writer *w)
{
	static const uint8_t ops[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE, BPF_JSGT,
	        BPF_JSGE, BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE};
	int class = random_pick(w->random, 2) ? BPF_JMP : BPF_JMP32;
	uint8_t op = ops[random_pick(w->random, sizeof(ops))];
	uint32_t at = w->program->count;
	if (random_pick(w->random, 2))
		put(w, class | op | BPF_X, any_register(w), any_register(w), 0, 0);
	else
		put(w, class | op | BPF_K, any_register(w), 0, 0, any_number(w));
	for (uint32_t n = 1 + random_pick(w->random, 4); n; n--)
		put_simple(w);
	w->program->insns[at].off = (int16_t)(w->program->count - at - 1);
}

static void put_call(struct writer *w)
{
	for (unsigned r = 1; r <= 5; r++)
		put(w, BPF_ALU64 | BPF_MOV | BPF_X, r, any_register(w), 0, 0);
	// Where the function is, is known at the end: a chain through imm, from the last call to
	// the first.
	put(w, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, (int32_t)w->function);
	w->function = w->program->count - 1;
}

static void put_prologue(struct writer *w, unsigned from)
{
	for (unsigned r = 6; r <= 9; r++) {
		if (from)
			put(w, BPF_ALU64 | BPF_MOV | BPF_X, r, from + r - 6, 0, 0);
		else
			put(w, BPF_ALU64 | BPF_MOV | BPF_K, r, 0, 0, any_number(w));
	}
	for (int at = -64; at < 0; at += 8)
		put_kept(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, 6 + (unsigned)(-at / 8) % 4, at,
		        0);
	put(w, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, any_number(w));
}

static void put_subprogram(struct writer *w)
{
	uint32_t callee = w->program->count;
	for (uint32_t at = w->function; at;) {
		uint32_t before = (uint32_t)w->program->insns[at].imm;
		w->program->insns[at].imm = (int32_t)(callee - at - 1);
		at = before;
	}
	put_prologue(w, 1);
	for (uint32_t n = 1 + random_pick(w->random, 10); n; n--) {
		if (random_pick(w->random, 4))
			put_simple(w);
		else
			put_branch(w);
	}
	put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

void random_program_write(struct random_program *program, struct random *random)
{
	struct writer writer = {.program = program, .random = random}, *w = &writer;
	*program = (struct random_program){0};
	put_kept(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, 1, CONTEXT_AT, 0);
	for (int at = VALUE_AT; at <= KEY_AT; at += 8)
		put_kept(w, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, at, 0);
	put_prologue(w, 0);
	for (uint32_t n = 5 + random_pick(random, 20); n; n--) {
		switch (random_pick(random, 12)) {
		case 0:
			put_branch(w);
			break;
		case 1:
		case 2:
			put_packet(w);
			break;
		case 3:
		case 4:
			put_map(w);
			break;
		case 5:
			put_helper(w);
			break;
		case 6:
			put_call(w);
			break;
		default:
			put_simple(w);
			break;
		}
	}
	put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	if (w->function)
		put_subprogram(w);
}
