// SPDX-License-Identifier: Apache-2.0
// Maps: keys put together on the stack piece by piece, look-ups, values that are held over other
// pieces, globals, pointers spilled to the stack.
#include "ebpf/opcode.h"
#include "engine/random_writer.h"

#define ROW(type_, key_, value_, entries_, flags_)                                                 \
	{                                                                                          \
		.name = #type_, .type = BPF_MAP_TYPE_##type_, .key_size = (key_),                  \
		.value_size = (value_), .max_entries = (entries_), .flags = (flags_),              \
		.inner = IMAGE_NONE                                                                \
	}

const struct image_map random_maps[RANDOM_MAPS] = {
        [RANDOM_HASH] = ROW(HASH, 4, 16, RANDOM_ENTRIES, 0),
        [RANDOM_ARRAY] = ROW(ARRAY, 4, 16, RANDOM_ENTRIES, 0),
        [RANDOM_GLOBAL] = ROW(ARRAY, 4, 64, 1, 0),
        [RANDOM_HASH_WIDE] = ROW(HASH, 8, 8, 2 * RANDOM_ENTRIES, 0),
        [RANDOM_HASH_FLOW] = ROW(HASH, 20, 40, RANDOM_ENTRIES, 0),
        [RANDOM_TRIE] = ROW(LPM_TRIE, 8, 8, 2 * RANDOM_ENTRIES, BPF_F_NO_PREALLOC),
        [RANDOM_LRU] = ROW(LRU_HASH, 4, 24, RANDOM_ENTRIES, 0),
        [RANDOM_PERCPU_ARRAY] = ROW(PERCPU_ARRAY, 4, 16, RANDOM_ENTRIES, 0),
        [RANDOM_PERCPU_HASH] = ROW(PERCPU_HASH, 12, 8, RANDOM_ENTRIES, 0),
        [RANDOM_PROGRAMS] = ROW(PROG_ARRAY, 4, 4, 4, 0),
        [RANDOM_DEVMAP] = {.name = "raio_ports", // a generation fills it with its own
                .type = BPF_MAP_TYPE_DEVMAP,
                .key_size = 4,
                .value_size = 4,
                .max_entries = RANDOM_ENTRIES,
                .inner = IMAGE_NONE},
        [RANDOM_RING] = ROW(RINGBUF, 0, 0, 4096, 0),
        [RANDOM_OUTER] = ROW(ARRAY_OF_MAPS, 4, 4, 4, 0),
        [RANDOM_CONSTANTS] = ROW(ARRAY, 4, 64, 1, BPF_F_RDONLY_PROG),
};

static unsigned any_map(struct writer *w)
{
	static const unsigned with_values[] = {RANDOM_HASH, RANDOM_ARRAY, RANDOM_HASH_WIDE,
	        RANDOM_HASH_FLOW, RANDOM_TRIE, RANDOM_LRU, RANDOM_PERCPU_ARRAY, RANDOM_PERCPU_HASH};
	return with_values[pick(w, w->is_free ? 8 : 5)];
}

static void put_part(struct writer *w, int at, int left, int *size)
{
	static const int sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	int i = (int)pick(w, 4);
	while (1 << i > left || (-at) % (1 << i))
		i--;
	*size = 1 << i;
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, 2, any_register(w), 0, 0);
	put(w, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 1);
	put_store(w, sizes[i], BPF_REG_10, at, 2);
}

// The key at KEY_AT: its first word a number below twice the capacity, so that both hits and misses
// happen; the rest zero, or a few bits. As clang does, zeros first, then parts over them.
static void put_key(struct writer *w, uint32_t key_size)
{
	for (uint32_t at = 0; at < key_size && key_size > 4; at += 4) {
		if (at % 8 == 0 && at + 8 <= 24)
			put_kept(w, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, KEY_AT + (int)at, 0);
	}
	put_move(w, 2, any_register(w));
	put(w, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 2 * RANDOM_ENTRIES - 1);
	if (one_in(w, 4)) {
		put(w, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, KEY_AT, 0);
		put_store(w, BPF_B, BPF_REG_10, KEY_AT, 2);
	} else {
		put_store(w, BPF_W, BPF_REG_10, KEY_AT, 2);
	}
	for (uint32_t at = 4; at < key_size && pick(w, 3); at += 4) {
		int size;
		put_part(w, KEY_AT + (int)at, 4, &size);
	}
	if (w->is_free && one_in(w, 12)) // the rest of the program's numbers are a key, too
		put_access(w, BPF_REG_10, KEY_AT, 24, false);
}

static void put_map_arguments(struct writer *w, unsigned map)
{
	put_key(w, random_maps[map].key_size);
	put_wide(w, 1, BPF_PSEUDO_MAP_FD, (int32_t)map, 0);
	put_move(w, 2, BPF_REG_10);
	put_add(w, 2, w->is_free && one_in(w, 40) ? any_number(w) : KEY_AT);
}

static void put_value(struct writer *w, uint32_t size)
{
	for (uint32_t at = 0; at < size; at += 8)
		put_store(w, BPF_DW, BPF_REG_10, VALUE_AT + (int)at, any_register(w));
}

static void put_change(struct writer *w, unsigned map, bool update)
{
	if (update)
		put_value(w, random_maps[map].value_size);
	put_map_arguments(w, map);
	if (update) {
		put_move(w, 3, BPF_REG_10);
		put_add(w, 3, VALUE_AT);
		put_number(w, 4, (int32_t)pick(w, 4));
	}
	put_helper_call(w, update ? BPF_FUNC_map_update_elem : BPF_FUNC_map_delete_elem);
}

// A look-up into r5, or into a register that keeps it; the value is touched behind the null test.
static void put_lookup(struct writer *w, unsigned map)
{
	unsigned reg = one_in(w, 2) && w->out_count < OUTS_MAX ? take_register(w) : 0;
	uint32_t size = random_maps[map].value_size, at = 0;
	put_map_arguments(w, map);
	put_helper_call(w, BPF_FUNC_map_lookup_elem);
	put_move(w, reg ? reg : 5, 0);
	put_number(w, 0, any_number(w));
	if (w->is_free && one_in(w, 25)) { // no test, or one of half of it
		if (pick(w, 2))
			put_jump_out(w, BPF_JMP32 | BPF_JEQ | BPF_K, reg ? reg : 5, 0, 0);
	} else if (reg) {
		put_jump_out(w, BPF_JMP | BPF_JEQ | BPF_K, reg, 0, 0);
	} else {
		at = w->program->count;
		put(w, BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 0, 0);
	}
	if (reg)
		hold(w, reg, HELD_VALUE, size);
	for (uint32_t n = 1 + pick(w, 3); n; n--) {
		if (one_in(w, 4))
			put_atomic(w, reg ? reg : 5, 0, (int)size);
		else
			put_access(w, reg ? reg : 5, 0, (int)size, true);
	}
	if (at)
		patch_jump(w, at);
}

void put_map(struct writer *w)
{
	unsigned map = any_map(w);
	uint32_t what = pick(w, 4);
	if (what < 2)
		put_change(w, map, what == 0);
	else
		put_lookup(w, map);
}

void put_held_value(struct writer *w)
{
	unsigned reg = held_register(w, HELD_VALUE);
	if (!reg)
		return;
	for (uint32_t n = 1 + pick(w, 3); n; n--) {
		if (one_in(w, 4))
			put_atomic(w, reg, 0, w->extent[reg]);
		else
			put_access(w, reg, 0, w->extent[reg], true);
	}
}

void put_global(struct writer *w)
{
	unsigned reg = one_in(w, 3) ? take_register(w) : 0;
	int32_t at = 8 * (int32_t)pick(w, 8);
	put_wide(w, reg ? reg : 1, BPF_PSEUDO_MAP_VALUE, RANDOM_GLOBAL, at);
	if (reg)
		hold(w, reg, HELD_VALUE, (uint32_t)(64 - at));
	for (uint32_t n = 1 + pick(w, 3); n; n--) {
		if (one_in(w, 4))
			put_atomic(w, reg ? reg : 1, 0, 64 - at);
		else
			put_access(w, reg ? reg : 1, 0, 64 - at, true);
	}
}

// A pointer goes to the stack and its register serves for something else; or one comes back.
void put_spill(struct writer *w)
{
	int slot = (int)pick(w, 4), at = SPILL_AT + 8 * slot;
	unsigned reg = held_register(w, pick(w, 2) ? HELD_PACKET : HELD_VALUE);
	if (w->spilled[slot] != HELD_NUMBER && pick(w, 2)) {
		reg = take_register(w);
		if (!reg)
			return;
		if (w->is_free && one_in(w, 20)) // not whole any more
			put_access(w, BPF_REG_10, at, 8, false);
		if (w->is_free && one_in(w, 20))
			put_atomic(w, BPF_REG_10, at, 8);
		put_load(w, BPF_DW, reg, BPF_REG_10, at);
		hold(w, reg, w->spilled[slot], w->spilled_extent[slot]);
	} else if (reg) {
		put_store(w, BPF_DW, BPF_REG_10, at, reg);
		w->spilled[slot] = w->held[reg];
		w->spilled_extent[slot] = w->extent[reg];
		if (pick(w, 2)) {
			put_number(w, reg, any_number(w));
			hold(w, reg, HELD_NUMBER, 0);
		}
	}
}

// What a compiler may take for known; now and then somebody writes to it.
void put_constants(struct writer *w)
{
	unsigned reg = any_register(w);
	int bytes, size = any_size(w, &bytes), at = (int)pick(w, 65 - (uint32_t)bytes);
	put_wide(w, 5, BPF_PSEUDO_MAP_VALUE, RANDOM_CONSTANTS, one_in(w, 4) ? 8 : 0);
	if (one_in(w, 4)) {
		put_move(w, 4, any_register(w));
		put(w, BPF_ALU64 | BPF_AND | BPF_K, 4, 0, 0, 7);
		put(w, BPF_ALU64 | BPF_ADD | BPF_X, 5, 4, 0, 0);
	}
	if (one_in(w, 20)) {
		put_access(w, 5, 0, 64, false);
		return;
	}
	put(w, BPF_LDX | (bytes < 8 && pick(w, 2) ? BPF_MEMSX : BPF_MEM) | size, reg, 5, at, 0);
	if (pick(w, 2))
		put_branch(w);
}

// A map out of a map, then one of its values. What the outer map gives is no address.
void put_inner(struct writer *w)
{
	put_move(w, 2, any_register(w));
	put(w, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, one_in(w, 8) ? 7 : 3);
	put_store(w, BPF_W, BPF_REG_10, KEY_AT, 2);
	put_wide(w, 1, BPF_PSEUDO_MAP_FD, RANDOM_OUTER, 0);
	put_move(w, 2, BPF_REG_10);
	put_add(w, 2, KEY_AT);
	put_helper_call(w, BPF_FUNC_map_lookup_elem);
	if (one_in(w, 20)) {
		put_access(w, 0, 0, 8, false);
		return;
	}
	uint32_t at = w->program->count;
	put(w, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0, 0);
	put_move(w, 1, 0);
	put_move(w, 2, BPF_REG_10);
	put_add(w, 2, KEY_AT);
	if (one_in(w, 3)) {
		put_move(w, 3, BPF_REG_10);
		put_add(w, 3, VALUE_AT);
		put_number(w, 4, 0);
		put_helper_call(w, BPF_FUNC_map_update_elem);
	} else {
		put_helper_call(w, BPF_FUNC_map_lookup_elem);
		put(w, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0);
		put_access(w, 0, 0, 16, false);
	}
	patch_jump(w, at);
	put_number(w, 0, any_number(w));
}
