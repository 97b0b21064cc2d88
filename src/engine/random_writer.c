// SPDX-License-Identifier: Apache-2.0
#include "engine/random_writer.h"

#include <assert.h>

uint32_t random_pick(struct random *random, uint32_t below)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t)((random->state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

uint32_t pick(struct writer *w, uint32_t below)
{
	return random_pick(w->random, below);
}

bool one_in(struct writer *w, uint32_t n)
{
	return random_pick(w->random, n) == 0;
}

void put(struct writer *w, int code, unsigned dst, unsigned src, int off, int32_t imm)
{
	assert(w->program->count < RANDOM_INSNS_MAX);
	w->program->insns[w->program->count++] = (struct bpf_insn){.code = (uint8_t)code,
	        .dst_reg = dst & 15,
	        .src_reg = src & 15,
	        .off = (int16_t)off,
	        .imm = imm};
}

void put_kept(struct writer *w, int code, unsigned dst, unsigned src, int off, int32_t imm)
{
	w->program->kept[w->program->count] = true;
	put(w, code, dst, src, off, imm);
}

void put_move(struct writer *w, unsigned dst, unsigned src)
{
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

void put_number(struct writer *w, unsigned dst, int32_t value)
{
	put(w, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

void put_add(struct writer *w, unsigned dst, int32_t value)
{
	put(w, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value);
}

void put_load(struct writer *w, int size, unsigned dst, unsigned base, int off)
{
	put(w, BPF_LDX | BPF_MEM | size, dst, base, off, 0);
}

void put_store(struct writer *w, int size, unsigned base, int off, unsigned src)
{
	put(w, BPF_STX | BPF_MEM | size, base, src, off, 0);
}

void put_helper_call(struct writer *w, int32_t helper)
{
	put(w, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

void put_wide(struct writer *w, unsigned dst, unsigned kind, int32_t low, int32_t high)
{
	put(w, BPF_LD | BPF_DW | BPF_IMM, dst, kind, 0, low);
	put(w, 0, 0, 0, 0, high);
}

void put_jump(struct writer *w, int code, unsigned a, unsigned b, int32_t imm, int slots)
{
	put(w, code, a, b, slots, imm);
}

void put_jump_out(struct writer *w, int code, unsigned a, unsigned b, int32_t imm)
{
	if (w->out_count < OUTS_MAX)
		w->outs[w->out_count++] = w->program->count;
	put(w, code, a, b, 0, imm);
}

void patch_jump(struct writer *w, uint32_t at)
{
	w->program->insns[at].off = (int16_t)(w->program->count - at - 1);
}

void put_outs(struct writer *w)
{
	for (uint32_t i = 0; i < w->out_count; i++)
		patch_jump(w, w->outs[i]);
	w->out_count = 0;
}

unsigned any_register(struct writer *w)
{
	unsigned numbers[5] = {0}, count = 1;
	for (unsigned r = 6; r <= 9; r++) {
		if (w->held[r] == HELD_NUMBER)
			numbers[count++] = r;
	}
	if (w->is_free && one_in(w, 100))
		return pick(w, 10);
	return numbers[pick(w, count)];
}

int32_t any_number(struct writer *w)
{
	static const int32_t edges[] = {0, 1, -1, 2, 7, 31, 32, 63, 127, 128, 255, 256, 32767,
	        65535, INT32_MAX, INT32_MIN, -128, -32768};
	if (pick(w, 2))
		return edges[pick(w, sizeof(edges) / sizeof(edges[0]))];
	return (int32_t)(pick(w, 1u << 16) << 16 | pick(w, 1u << 16));
}

int any_size(struct writer *w, int *bytes)
{
	static const int sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	uint32_t i = pick(w, 4);
	*bytes = 1 << i;
	return sizes[i];
}

unsigned take_register(struct writer *w)
{
	unsigned numbers[4], count = 0;
	for (unsigned r = 6; r <= 9; r++) {
		if (w->held[r] == HELD_NUMBER)
			numbers[count++] = r;
	}
	return count < 2 ? 0 : numbers[pick(w, count)];
}

void hold(struct writer *w, unsigned reg, enum held kind, uint32_t extent)
{
	w->held[reg] = (uint8_t)kind;
	w->extent[reg] = (uint8_t)extent;
}

unsigned held_register(struct writer *w, enum held kind)
{
	unsigned found[4], count = 0;
	for (unsigned r = 6; r <= 9; r++) {
		if (w->held[r] == kind)
			found[count++] = r;
	}
	return count ? found[pick(w, count)] : 0;
}
