// SPDX-License-Identifier: Apache-2.0
// Helpers, functions of the program, callbacks, tail calls, redirects.
#include "engine/random_writer.h"

// Helpers whose answer depends on their arguments only.
void put_helper(struct writer *w)
{
	switch (pick(w, 3)) {
	case 0: // checksum over the numbers on the stack; sizes are multiples of 4
		put_move(w, 1, BPF_REG_10);
		put_add(w, 1, -64);
		put_number(w, 2, 4 * (int32_t)pick(w, 8));
		put_move(w, 3, BPF_REG_10);
		put_add(w, 3, -32);
		put_number(w, 4, 4 * (int32_t)pick(w, 8));
		put(w, BPF_ALU | BPF_MOV | BPF_X, 5, any_register(w), 0, 0);
		put_helper_call(w, BPF_FUNC_csum_diff);
		break;
	case 1: {
		bool store = pick(w, 2);
		put_load(w, BPF_DW, 1, BPF_REG_10, CONTEXT_AT);
		put_number(w, 2, (int32_t)pick(w, 80));
		put_move(w, 3, BPF_REG_10);
		put_add(w, 3, -64);
		put_number(w, 4, 1 + (int32_t)pick(w, 64));
		put_helper_call(w, store ? BPF_FUNC_xdp_store_bytes : BPF_FUNC_xdp_load_bytes);
		if (store) // for the verifier, as if it had moved
			forget_packet(w);
		break;
	}
	default:
		put_move_packet(w);
		break;
	}
}

// Where a function is, is known at the end: a chain through imm, from the last call to the first.
static void put_callee(struct writer *w, enum callee callee)
{
	uint32_t at = w->program->count;
	if (callee == CALLEE_NUMBERS || callee == CALLEE_POINTER)
		put(w, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, (int32_t)w->callees[callee]);
	else
		put_wide(w, 2, BPF_PSEUDO_FUNC, (int32_t)w->callees[callee], 0);
	w->callees[callee] = at;
}

void put_call(struct writer *w)
{
	for (unsigned r = 1; r <= 5; r++)
		put_move(w, r, any_register(w));
	if (pick(w, 2)) {
		put_callee(w, CALLEE_NUMBERS);
		return;
	}
	put_move(w, 1, BPF_REG_10);
	put_add(w, 1, -64);
	put_callee(w, CALLEE_POINTER);
}

void put_callback(struct writer *w)
{
	bool loop = pick(w, 2);
	if (loop)
		put_number(w, 1, (int32_t)pick(w, w->is_free && one_in(w, 6) ? 500 : 5));
	else
		put_wide(w, 1, BPF_PSEUDO_MAP_FD, pick(w, 2) ? RANDOM_HASH : RANDOM_ARRAY, 0);
	put_callee(w, loop ? CALLEE_LOOP : CALLEE_EACH);
	put_move(w, 3, BPF_REG_10);
	put_add(w, 3, -64);
	put_number(w, 4, 0);
	put_helper_call(w, loop ? BPF_FUNC_loop : BPF_FUNC_for_each_map_elem);
}

void put_tail_call(struct writer *w)
{
	put_load(w, BPF_DW, 1, BPF_REG_10, CONTEXT_AT);
	put_wide(w, 2, BPF_PSEUDO_MAP_FD, RANDOM_PROGRAMS, 0);
	if (pick(w, 2))
		put_number(w, 3, (int32_t)pick(w, 5));
	else
		put_move(w, 3, any_register(w));
	put_helper_call(w, BPF_FUNC_tail_call);
}

void put_redirect(struct writer *w)
{
	if (pick(w, 2)) {
		put_number(w, 1, (int32_t)pick(w, 6));
		put_number(w, 2, 0);
		put_helper_call(w, BPF_FUNC_redirect);
	} else {
		put_wide(w, 1, BPF_PSEUDO_MAP_FD, RANDOM_DEVMAP, 0);
		put_move(w, 2, any_register(w));
		put(w, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 15);
		if (one_in(w, 6))
			put_move(w, 3, any_register(w));
		else
			put_number(w, 3, (int32_t)(one_in(w, 4) ? 8 * pick(w, 4) : pick(w, 5)));
		put_helper_call(w, BPF_FUNC_redirect_map);
	}
	put_jump_out(w, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, XDP_REDIRECT);
}

void put_prologue(struct writer *w, unsigned from)
{
	for (unsigned r = 6; r <= 9; r++) {
		if (from)
			put_move(w, r, from + r - 6);
		else
			put_number(w, r, any_number(w));
		hold(w, r, HELD_NUMBER, 0);
	}
	for (int at = -64; at < 0; at += 8)
		put_kept(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, 6 + (unsigned)(-at / 8) % 4, at,
		        0);
	put_number(w, 0, any_number(w));
}

// What needs no context.
static void put_free_piece(struct writer *w)
{
	switch (pick(w, 4)) {
	case 0:
		put_map(w);
		break;
	case 1:
		put_global(w);
		break;
	case 2:
		put_loop(w);
		break;
	default:
		put_stack_alias(w);
		break;
	}
}

static void put_body(struct writer *w)
{
	for (uint32_t n = 1 + pick(w, 8); n; n--) {
		if (w->is_free && one_in(w, 4))
			put_free_piece(w);
		else if (pick(w, 4))
			put_simple(w);
		else
			put_branch(w);
	}
}

// Begins the function, if it is called at all.
static bool begin_callee(struct writer *w, enum callee callee)
{
	uint32_t start = w->program->count;
	if (!w->callees[callee])
		return false;
	for (uint32_t at = w->callees[callee]; at;) {
		uint32_t before = (uint32_t)w->program->insns[at].imm;
		w->program->insns[at].imm = (int32_t)(start - at - 1);
		at = before;
	}
	w->callees[callee] = 0;
	return true;
}

static void end_callee(struct writer *w)
{
	put_outs(w);
	put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

void put_callees(struct writer *w)
{
	uint32_t start = w->program->count;
	if (begin_callee(w, CALLEE_NUMBERS)) {
		put_prologue(w, 1);
		put_body(w);
		if (w->is_free && one_in(w, 10)) { // once more, or for ever
			put_jump_out(w, BPF_JMP | BPF_JSET | BPF_K, any_register(w), 0, 7);
			put_move(w, 1, any_register(w));
			put(w, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0,
			        (int32_t)start - (int32_t)w->program->count - 1);
		}
		end_callee(w);
	}
	if (begin_callee(w, CALLEE_POINTER)) {
		put_prologue(w, 2);
		put_access(w, 1, 0, 64, true);
		put_access(w, 1, 0, 64, true);
		put_body(w);
		end_callee(w);
	}
	for (enum callee callee = CALLEE_LOOP; callee <= CALLEE_EACH; callee++) {
		if (!begin_callee(w, callee))
			continue;
		unsigned context = callee == CALLEE_LOOP ? 2 : 4;
		put_prologue(w, 0);
		put_access(w, context, 0, 64, true);
		if (callee == CALLEE_EACH)
			put_access(w, 3, 0, 16, true);
		put_body(w);
		put(w, BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, w->is_free && one_in(w, 8) ? 15 : 1);
		if (!w->is_free || pick(w, 2)) // mostly it goes on
			put(w, BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, (int32_t)pick(w, 2));
		end_callee(w);
	}
}
