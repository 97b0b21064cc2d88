// SPDX-License-Identifier: Apache-2.0
// The packet: tests of its end in all the shapes that compilers give them, accesses behind them,
// helpers that move it. Free programs now and then get the test wrong.
#include "engine/random_writer.h"

void put_ends(struct writer *w)
{
	put_load(w, BPF_DW, 1, BPF_REG_10, CONTEXT_AT);
	put_load(w, BPF_W, 2, 1, 0);
	put_load(w, BPF_W, 3, 1, 4);
}

// Jumps where r4 > r3 (or r4 >= r3), by one of the ways to say so; free programs may say something
// else. Returns where the jump stands.
uint32_t put_test(struct writer *w)
{
	uint32_t at = w->program->count;
	if (w->is_free && one_in(w, 25)) {
		static const int wrong[] = {BPF_JMP | BPF_JSGT | BPF_X, BPF_JMP32 | BPF_JGT | BPF_X,
		        BPF_JMP | BPF_JLT | BPF_X, BPF_JMP | BPF_JEQ | BPF_X,
		        BPF_JMP32 | BPF_JSGT | BPF_X};
		put(w, wrong[pick(w, 5)], 4, one_in(w, 4) ? 2 : 3, 0, 0);
		return at;
	}
	switch (pick(w, 4)) {
	case 0:
		put(w, BPF_JMP | BPF_JLT | BPF_X, 3, 4, 0, 0);
		return at;
	case 1:
		put(w, BPF_JMP | BPF_JGE | BPF_X, 4, 3, 0, 0);
		return at;
	case 2: // the test says when all is well, and the jump behind it leaves
		put(w, BPF_JMP | BPF_JLE | BPF_X, 4, 3, 1, 0);
		put(w, BPF_JMP | BPF_JA, 0, 0, 0, 0);
		return at + 1;
	default:
		put(w, BPF_JMP | BPF_JGT | BPF_X, 4, 3, 0, 0);
		return at;
	}
}

// r2 = data, r3 = data_end; accesses behind the test that `need` bytes are there.
void put_packet(struct writer *w)
{
	int need = 8 + (int)pick(w, RANDOM_PACKET_SIZE), accesses = 1 + (int)pick(w, 4);
	put_ends(w);
	put_move(w, 4, 2);
	put_add(w, 4, need);
	uint32_t at = put_test(w);
	int room = w->is_free && one_in(w, 25) ? need + 8 : need;
	for (int i = 0; i < accesses; i++)
		put_access(w, 2, 0, room, false);
	patch_jump(w, at);
}

// A pointer with proven room goes into a register and is used later; or one that is there is used.
void put_held_packet(struct writer *w)
{
	unsigned reg = held_register(w, HELD_PACKET);
	if (reg && pick(w, 3)) {
		for (uint32_t n = 1 + pick(w, 3); n; n--)
			put_access(w, reg, 0, w->extent[reg], false);
		return;
	}
	reg = take_register(w);
	if (!reg || w->out_count == OUTS_MAX)
		return;
	uint32_t need = 8 + pick(w, 40), skip = one_in(w, 3) ? 14 : 0;
	put_ends(w);
	put_move(w, reg, 2);
	put_add(w, reg, (int32_t)skip);
	put_move(w, 4, reg);
	put_add(w, 4, (int32_t)need);
	w->outs[w->out_count++] = put_test(w);
	hold(w, reg, HELD_PACKET, need);
}

// data + (number & mask), as of a header whose length the packet says.
void put_variable_offset(struct writer *w)
{
	static const int32_t masks[] = {15, 60, 31, 63, 1, 255};
	int need = 1 + (int)pick(w, 24);
	unsigned number = any_register(w);
	put_ends(w);
	put_move(w, 5, number);
	int class = w->is_free && one_in(w, 4) ? BPF_ALU : BPF_ALU64;
	if (!w->is_free || pick(w, 30))
		put(w, class | BPF_AND | BPF_K, 5, 0, 0, masks[pick(w, 6)]);
	if (w->is_free && one_in(w, 4))
		put(w, BPF_ALU | (pick(w, 2) ? BPF_ADD : BPF_SUB) | BPF_K, 5, 0, 0, any_number(w));
	if (one_in(w, 4))
		put(w, BPF_ALU64 | BPF_LSH | BPF_K, 5, 0, 0, (int32_t)pick(w, 3));
	put(w, BPF_ALU64 | BPF_ADD | BPF_X, 2, 5, 0, 0);
	put_move(w, 4, 2);
	put_add(w, 4, need);
	uint32_t at = put_test(w);
	for (uint32_t n = 1 + pick(w, 2); n; n--)
		put_access(w, 2, 0, need, false);
	patch_jump(w, at);
}

void forget_packet(struct writer *w)
{
	for (unsigned r = 6; r <= 9; r++) {
		if (w->held[r] != HELD_PACKET || (w->is_free && one_in(w, 3)))
			continue;
		put_number(w, r, any_number(w));
		hold(w, r, HELD_NUMBER, 0);
	}
	for (int i = 0; i < 4; i++) {
		if (w->spilled[i] != HELD_PACKET || (w->is_free && one_in(w, 3)))
			continue;
		put(w, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, SPILL_AT + 8 * i, any_number(w));
		w->spilled[i] = HELD_NUMBER;
	}
}

void put_move_packet(struct writer *w)
{
	static const int32_t moves[] = {
	        BPF_FUNC_xdp_adjust_head, BPF_FUNC_xdp_adjust_tail, BPF_FUNC_xdp_adjust_meta};
	uint32_t move = pick(w, w->is_free ? 3 : 2);
	int32_t by = (int32_t)pick(w, 64) - (move ? 32 : 0);
	// The head only inwards: what then is in front of it the kernel leaves undefined.
	if (w->is_free && !move && pick(w, 2))
		by = -(int32_t)pick(w, 64);
	if (move == 2)
		by = -4 * (int32_t)pick(w, 8);
	put_load(w, BPF_DW, 1, BPF_REG_10, CONTEXT_AT);
	if (w->is_free && one_in(w, 4))
		put_move(w, 2, any_register(w));
	else
		put_number(w, 2, by);
	put_helper_call(w, moves[move]);
	forget_packet(w);
	if (move != 2 || pick(w, 2))
		return;
	// The metadata, behind its own test.
	put_load(w, BPF_DW, 1, BPF_REG_10, CONTEXT_AT);
	put_load(w, BPF_W, 2, 1, 8);
	put_load(w, BPF_W, 3, 1, 0);
	put_move(w, 4, 2);
	put_add(w, 4, 4);
	uint32_t at = put_test(w);
	put_access(w, 2, 0, 4, false);
	patch_jump(w, at);
}
