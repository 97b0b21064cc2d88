// SPDX-License-Identifier: Apache-2.0
// What compilers make of bytes that are not aligned: copies, numbers put together and taken apart,
// comparisons byte by byte. Packet, stack and values in any combination, near each other and over
// each other; a jump may lead into the middle.
#include "engine/random_writer.h"

// r2 = data, and room for this is tested.
#define ROOM 32

struct place {
	unsigned reg;
	int at;
};

// The packet (r2), the stack or a value that is held: `size` bytes of one of them.
static struct place any_place(struct writer *w, int size)
{
	unsigned value = held_register(w, HELD_VALUE);
	switch (pick(w, 4)) {
	case 0:
		return (struct place){BPF_REG_10, -64 + (int)pick(w, (uint32_t)(65 - size))};
	case 1:
		if (value && w->extent[value] >= size) {
			uint32_t room = (uint32_t)(w->extent[value] - size + 1);
			return (struct place){value, (int)pick(w, room)};
		}
		// fall through
	default:
		return (struct place){2, (int)pick(w, (uint32_t)(ROOM + 1 - size))};
	}
}

// Pairs of load and store, or all loads first, as far as registers go; a jump may lead into the
// middle.
static void put_pairs(struct writer *w, struct place from, struct place to, int size, int unit)
{
	static const int sizes[] = {[1] = BPF_B, [2] = BPF_H, [4] = BPF_W};
	uint32_t into = 0;
	int order = (int)pick(w, 3), held = 0;
	if (one_in(w, 5)) {
		into = w->program->count;
		put(w, BPF_JMP | BPF_JSET | BPF_K, any_register(w), 0, 0, 1);
	}
	for (int i = 0; i < size; i += unit) {
		int at = order == 2 ? size - unit - i : i; // downwards
		unsigned reg = 4 + (unsigned)(order == 1 && (i / unit) % 2);
		put_load(w, sizes[unit], reg, from.reg, from.at + at);
		if (order == 1 && (i / unit) % 2 == 0 && i + unit < size) {
			held = at; // the other of the two is loaded first
			continue;
		}
		put_store(w, sizes[unit], to.reg, to.at + at, reg);
		if (order == 1 && (i / unit) % 2)
			put_store(w, sizes[unit], to.reg, to.at + held, 4);
		if (into && i >= size / 2) {
			patch_jump(w, into);
			into = 0;
		}
	}
	if (into)
		patch_jump(w, into);
}

// A copy in small units, as compilers make of headers that are not aligned. Source and destination
// may overlap.
void put_copy(struct writer *w)
{
	static const int units[] = {1, 1, 1, 2, 4};
	int unit = units[pick(w, 5)], size = unit * (2 + (int)pick(w, 7));
	size = size > 24 ? 24 : size;
	size -= size % unit;
	put_ends(w);
	put_move(w, 4, 2);
	put_add(w, 4, ROOM);
	uint32_t at = put_test(w);
	struct place from = any_place(w, size), to = any_place(w, size);
	if (from.reg == to.reg && pick(w, 2)) { // neighbours
		int limit = from.reg == 2 ? ROOM - size : from.reg == BPF_REG_10 ? -size : 0;
		int by = (int)pick(w, 2 * (uint32_t)unit + 1) - unit;
		if (limit && from.at + by <= limit && from.at + by >= (limit < 0 ? -64 : 0))
			to.at = from.at + by;
	}
	put_pairs(w, from, to, size, unit);
	patch_jump(w, at);
}

static int any_bytes(struct writer *w)
{
	static const int sizes[] = {2, 4, 4, 8, 3, 5, 6, 7};
	return sizes[pick(w, 8)];
}

// The byte that a compiler would take here; now and then its neighbour.
static int slip(struct writer *w, int at)
{
	return at && one_in(w, 40) ? at - 1 : at;
}

// r5 = the bytes of a place as one number, in either order, made upwards or downwards.
void put_gather(struct writer *w)
{
	put_ends(w);
	put_move(w, 4, 2);
	put_add(w, 4, ROOM);
	uint32_t at = put_test(w);
	int size = any_bytes(w), class = pick(w, 2) ? BPF_ALU64 : BPF_ALU;
	struct place from = any_place(w, size);
	bool shifts_sum = pick(w, 2), big = pick(w, 2);
	for (int i = 0; i < size; i++) {
		int byte = slip(w, big ? i : size - 1 - i);
		unsigned reg = i ? 4 : 5;
		put_load(w, BPF_B, reg, from.reg, from.at + byte);
		if (shifts_sum && i)
			put(w, class | BPF_LSH | BPF_K, 5, 0, 0, 8);
		else if (!shifts_sum && i)
			put(w, class | BPF_LSH | BPF_K, 4, 0, 0,
			        (8 * i) & (class == BPF_ALU ? 31 : 63));
		if (i)
			put(w, class | (one_in(w, 8) ? BPF_ADD : BPF_OR) | BPF_X, 5, 4, 0, 0);
		if (i && one_in(w, 30)) // somebody wants what is there so far
			put_move(w, any_register(w), 5);
		if (i && one_in(w, 30)) // or writes what is read
			put_store(w, BPF_B, from.reg, from.at, 5);
	}
	put_move(w, any_register(w), 5);
	patch_jump(w, at);
}

// A number byte by byte to a place.
void put_scatter(struct writer *w)
{
	put_ends(w);
	put_move(w, 4, 2);
	put_add(w, 4, ROOM);
	uint32_t at = put_test(w);
	int size = any_bytes(w);
	struct place to = any_place(w, size);
	bool big = pick(w, 2), constants = one_in(w, 3);
	put_move(w, 5, any_register(w));
	for (int i = 0; i < size; i++) {
		int byte = slip(w, big ? size - 1 - i : i);
		if (constants)
			put(w, BPF_ST | BPF_MEM | BPF_B, to.reg, 0, to.at + byte, any_number(w));
		else
			put_store(w, BPF_B, to.reg, to.at + byte, 5);
		if (one_in(w, 30))
			put_load(w, BPF_B, any_register(w), to.reg, to.at);
		put(w, (pick(w, 2) ? BPF_ALU64 : BPF_ALU) | BPF_RSH | BPF_K, 5, 0, 0, 8);
	}
	patch_jump(w, at);
}

// Two places compared byte by byte, as memcmp(); or the bytes of one ored, to see whether all are
// 0.
void put_compare(struct writer *w)
{
	uint32_t outs[9], count = 0;
	put_ends(w);
	put_move(w, 4, 2);
	put_add(w, 4, ROOM);
	outs[count++] = put_test(w);
	int size = any_bytes(w);
	struct place a = any_place(w, size), b = any_place(w, size);
	bool ored = one_in(w, 3);
	for (int i = 0; i < size; i++) {
		put_load(w, BPF_B, ored && !i ? 5 : 4, a.reg, a.at + slip(w, i));
		if (ored && i) {
			put(w, BPF_ALU | BPF_OR | BPF_X, 5, 4, 0, 0);
		} else if (!ored) {
			put_load(w, BPF_B, 5, b.reg, b.at + i);
			outs[count++] = w->program->count;
			put(w, (pick(w, 2) ? BPF_JMP : BPF_JMP32) | BPF_JNE | BPF_X, 4, 5, 0, 0);
		}
	}
	if (ored) {
		put(w, BPF_ALU | BPF_AND | BPF_K, 5, 0, 0, 255);
		outs[count++] = w->program->count;
		put(w, BPF_JMP | (pick(w, 2) ? BPF_JEQ : BPF_JNE) | BPF_K, 5, 0, 0, 0);
	}
	put_simple(w);
	while (count)
		patch_jump(w, outs[--count]);
}
