// SPDX-License-Identifier: Apache-2.0
// Where two paths meet, what holds on both remains. At a block that a path leads back to, a bound
// that still grows after a few visits jumps to the next number that the program compares something
// with, so that a loop is left after a few visits however long it runs.
//
// Ids name what is not known of a value: within one state, equal ids mean equal parts. Two places
// share an id after the join only if they did on both paths, at the same distance: such places are
// a group here. A group keeps the id that it had, unless another group has taken it.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/analysis_parts.h"

#define VISITS_EXACT 4  // bounds join exactly so often,
#define VISITS_WIDEN 24 // widen so often, and are given up then
#define GROUPS       16
#define CHUNK        (16u << 10)
#define MEMORY_MAX   (8u << 20) // of states that know their slots

struct chunk {
	struct chunk *next;
	size_t used;
	_Alignas(8) uint8_t bytes[CHUNK];
};

struct group {
	uint8_t kind_a, kind_b;
	uint32_t a, b, id;
	int64_t shift;      // a's known part less b's
	int64_t up_a, up_b; // how far each one's known part lies above the joined one's
};

struct join {
	struct pass *pass;
	const struct block *block;
	uint32_t group_count;
	bool changed;
	struct group groups[GROUPS]; // group_count of them
};

static void *take_memory(struct pass *pass, size_t size)
{
	struct chunk *chunk = pass->chunks;
	if (!chunk || chunk->used + size > CHUNK) {
		chunk = malloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = pass->chunks;
		chunk->used = 0;
		pass->chunks = chunk;
	}
	void *memory = chunk->bytes + chunk->used;
	chunk->used += (size + 7) & ~(size_t)7;
	pass->memory += size;
	return memory;
}

void join_free(struct pass *pass)
{
	while (pass->chunks) {
		struct chunk *next = pass->chunks->next;
		free(pass->chunks);
		pass->chunks = next;
	}
}

void state_load(struct state *state, const struct saved *saved)
{
	const struct value *value = saved->values + SAVED;
	memcpy(state->regs, saved->values, SAVED * sizeof(saved->values[0]));
	state->regs[BPF_REG_10] = (struct value){.kind = VALUE_STACK};
	state->known = saved->known;
	for (uint64_t left = saved->known; left; left &= left - 1)
		state->slots[__builtin_ctzll(left)] = *value++;
	memcpy(state->written, saved->written, sizeof(state->written));
	state->extent_count = saved->extent_count;
	memcpy(state->extents, saved->extents, saved->extent_count * sizeof(saved->extents[0]));
}

void state_copy(struct state *to, const struct state *from)
{
	memcpy(to->regs, from->regs, sizeof(to->regs));
	to->known = from->known;
	for (uint64_t left = from->known; left; left &= left - 1) {
		int slot = __builtin_ctzll(left);
		to->slots[slot] = from->slots[slot];
	}
	memcpy(to->written, from->written, sizeof(to->written));
	to->extent_count = from->extent_count;
	memcpy(to->extents, from->extents, from->extent_count * sizeof(from->extents[0]));
}

static struct saved *save(struct pass *pass, const struct state *state)
{
	uint64_t known = pass->memory < MEMORY_MAX ? state->known : 0;
	size_t count = SAVED + (size_t)__builtin_popcountll(known);
	struct saved *saved = take_memory(pass, sizeof(*saved) + count * sizeof(saved->values[0]));
	if (!saved) {
		pass->out_of_memory = true;
		return NULL;
	}
	struct value *value = saved->values + SAVED;
	memcpy(saved->values, state->regs, SAVED * sizeof(saved->values[0]));
	saved->known = known;
	for (uint64_t left = known; left; left &= left - 1)
		*value++ = state->slots[__builtin_ctzll(left)];
	memcpy(saved->written, state->written, sizeof(saved->written));
	saved->extent_count = state->extent_count;
	memcpy(saved->extents, state->extents, state->extent_count * sizeof(state->extents[0]));
	return saved;
}

// The id of the group of two values, or NULL where there is no room for another.
static const struct group *group_of(
        struct join *join, const struct value *a, const struct value *b, int64_t least)
{
	int64_t shift = a->kind == VALUE_SCALAR ? 0 : a->min - b->min;
	bool taken = false;
	for (uint32_t i = 0; i < join->group_count; i++) {
		const struct group *it = &join->groups[i];
		if (it->a == a->id && it->b == b->id && it->shift == shift &&
		        it->kind_a == a->kind && it->kind_b == b->kind)
			return it;
		taken |= a->id && it->id == a->id;
	}
	if (join->group_count == GROUPS)
		return NULL;
	struct group *group = &join->groups[join->group_count++];
	*group = (struct group){.kind_a = a->kind,
	        .kind_b = b->kind,
	        .a = a->id,
	        .b = b->id,
	        .shift = shift,
	        .up_a = a->min - least,
	        .up_b = b->min - least};
	if (a->id && !taken)
		group->id = a->id;
	else if (a->id || b->id || shift || a->kind != b->kind)
		group->id = join->pass->next_id++;
	return group;
}

static uint64_t threshold_above(const struct pass *pass, uint64_t number)
{
	for (uint32_t i = 0; i < pass->threshold_count; i++) {
		if (pass->thresholds[i] >= number)
			return pass->thresholds[i];
	}
	return UINT64_MAX;
}

static struct value join_numbers(
        const struct join *join, const struct value *a, const struct value *b)
{
	uint64_t a_min = value_min(a), a_max = value_max(a);
	uint64_t min = value_min(b) < a_min ? value_min(b) : a_min;
	uint64_t max = value_max(b) > a_max ? value_max(b) : a_max;
	if (join->block->visits >= VISITS_WIDEN && (min != a_min || max != a_max))
		return value_any(MARK_NONE);
	if (join->block->is_header && join->block->visits >= VISITS_EXACT) {
		min = min == a_min ? min : 0;
		max = max == a_max ? max : threshold_above(join->pass, max);
	}
	return value_scalar(min, max, a->by_branch || b->by_branch);
}

// Two pointers with one base.
static struct value join_offsets(
        const struct join *join, const struct value *a, const struct value *b)
{
	struct value result = *a;
	result.by_branch = a->by_branch || b->by_branch;
	result.min = a->min < b->min ? a->min : b->min;
	result.max = a->max > b->max ? a->max : b->max;
	bool lower = result.min != a->min, higher = result.max != a->max;
	if (join->block->visits >= VISITS_WIDEN && (lower || higher))
		return value_any(MARK_UNBOUNDED);
	if (!join->block->is_header || join->block->visits < VISITS_EXACT)
		return result;
	// A packet pointer's lower bound is what its unknown part counts from.
	if (lower && !value_is(a, KINDS_PACKET))
		result.min = result.min >= 0 ? 0 : -POINTER_MAX;
	if (higher) {
		uint64_t max =
		        result.max < 0 ? 0 : threshold_above(join->pass, (uint64_t)result.max);
		if (max >= POINTER_MAX)
			return value_any(MARK_UNBOUNDED);
		result.max = (int64_t)max;
	}
	return result;
}

// Values of two maps: accesses are then judged by the smaller.
static bool join_maps(
        const struct join *join, const struct value *a, const struct value *b, uint16_t *map)
{
	const struct image_map *of_a = map_of(join->pass, a), *of_b = map_of(join->pass, b);
	if (a->map == b->map) {
		*map = a->map;
		return true;
	}
	if (map_allows(of_a, false) != map_allows(of_b, false) ||
	        map_allows(of_a, true) != map_allows(of_b, true))
		return false;
	*map = (of_b->value_size < of_a->value_size ? b->map : a->map) | MAP_MIXED;
	return true;
}

static bool may_be_null(const struct value *value)
{
	return value->kind == VALUE_MAP_VALUE_NULL || value_is_exactly(value, 0);
}

// A look-up's result on one path at least, that or zero on the other.
static bool join_nullable(
        struct join *join, const struct value *a, const struct value *b, struct value *result)
{
	bool is_value_a = value_is(a, KINDS_OF_MAP), is_value_b = value_is(b, KINDS_OF_MAP);
	if ((!is_value_a && !is_value_b) || (!is_value_a && !may_be_null(a)) ||
	        (!is_value_b && !may_be_null(b)))
		return false;
	uint16_t map = is_value_a ? a->map : b->map;
	if (is_value_a && is_value_b && !join_maps(join, a, b, &map))
		return false;
	// Zero, with nothing added, is what the look-up gave.
	const struct value *value = is_value_a ? a : b;
	if (is_value_a != is_value_b && (value->min || value->max))
		return false;
	struct value both = is_value_a && is_value_b ? join_offsets(join, a, b) : *value;
	if (both.kind == VALUE_ANY) {
		*result = both;
		return true;
	}
	const struct group *group = group_of(join, a, b, 0);
	if (!group)
		return false;
	both.kind = VALUE_MAP_VALUE_NULL;
	both.map = map;
	both.by_branch = a->by_branch || b->by_branch;
	both.id = group->id;
	*result = both;
	return true;
}

// Pointers into the packet, of which one may be 0, as functions that parse return them.
static bool join_packets(
        struct join *join, const struct value *a, const struct value *b, struct value *result)
{
	bool is_packet_a = value_is(a, KINDS_PACKET), is_packet_b = value_is(b, KINDS_PACKET);
	if ((!is_packet_a && !is_packet_b) || (!is_packet_a && !value_is_exactly(a, 0)) ||
	        (!is_packet_b && !value_is_exactly(b, 0)))
		return false;
	*result = !is_packet_a ? *b : !is_packet_b ? *a : join_offsets(join, a, b);
	if (result->kind == VALUE_ANY)
		return true;
	const struct group *group = group_of(join, a, b, result->min);
	if (!group) {
		*result = value_any(MARK_UNBOUNDED);
		return true;
	}
	bool is_sure = a->kind == VALUE_PACKET && b->kind == VALUE_PACKET;
	result->kind = is_sure ? VALUE_PACKET : VALUE_PACKET_NULL;
	result->id = group->id;
	return true;
}

static struct value join_values(struct join *join, const struct value *a, const struct value *b)
{
	struct value result;
	if (value_is_number(a) && value_is_number(b)) {
		if (a->kind == VALUE_ANY && b->kind == VALUE_ANY)
			return a->map ? *a : *b;
		result = join_numbers(join, a, b);
		if (result.kind == VALUE_SCALAR && a->id && b->id) {
			const struct group *group = group_of(join, a, b, 0);
			result.id = group ? group->id : 0;
		}
		return result;
	}
	if (a->kind == VALUE_MAP_VALUE && b->kind == VALUE_MAP_VALUE) {
		uint16_t map;
		if (!join_maps(join, a, b, &map))
			return value_any(MARK_NONE);
		result = join_offsets(join, a, b);
		if (result.kind != VALUE_ANY)
			result.map = map;
		return result;
	}
	if (a->kind == b->kind && a->map == b->map) {
		switch (a->kind) {
		case VALUE_CONTEXT:
		case VALUE_PACKET_END:
		case VALUE_PACKET_META:
		case VALUE_STACK:
			return join_offsets(join, a, b);
		case VALUE_PACKET:
		case VALUE_PACKET_NULL:
		case VALUE_MAP_VALUE_NULL:
			break;
		default:
			if (a->min == b->min && a->max == b->max)
				return *a;
		}
	}
	if (join_packets(join, a, b, &result) || join_nullable(join, a, b, &result))
		return result;
	return value_any(a->kind == VALUE_ANY   ? (enum mark)a->map
	                 : b->kind == VALUE_ANY ? (enum mark)b->map
	                                        : MARK_NONE);
}

static bool same(const struct value *a, const struct value *b)
{
	if (a->kind == VALUE_ANY && b->kind == VALUE_ANY)
		return true;
	return a->kind == b->kind && a->by_branch == b->by_branch && a->map == b->map &&
	       a->id == b->id && a->min == b->min && a->max == b->max;
}

static void join_place(struct join *join, struct value *a, const struct value *b)
{
	// Alike on both paths; with an id it still has to find its group.
	if (!a->id && memcmp(a, b, sizeof(*a)) == 0)
		return;
	if (a->kind == VALUE_ANY) {
		if (b->kind == VALUE_ANY && !a->map)
			a->map = b->map;
		return;
	}
	struct value result = join_values(join, a, b);
	join->changed |= !same(a, &result);
	*a = result;
}
_Static_assert(sizeof(struct value) == 24, "no padding to compare");

// Slots that are known on both paths, in place: what is dropped leaves no hole.
static void join_slots(struct join *join, struct saved *a, const struct state *b)
{
	struct value *from = a->values + SAVED, *to = from;
	uint64_t known = 0;
	for (uint64_t left = a->known; left; left &= left - 1, from++) {
		int slot = __builtin_ctzll(left);
		struct value value = *from;
		if (!(b->known >> slot & 1)) {
			join->changed = true;
			continue;
		}
		join_place(join, &value, &b->slots[slot]);
		if (value.kind == VALUE_ANY)
			continue;
		known |= UINT64_C(1) << slot;
		*to++ = value;
	}
	a->known = known;
}

static int32_t saved_extent(const struct saved *saved, uint32_t id)
{
	for (uint32_t i = 0; i < saved->extent_count; i++) {
		if (saved->extents[i].id == id)
			return saved->extents[i].bytes;
	}
	return INT32_MIN;
}

static void keep_extent(struct saved *a, uint32_t id, int64_t of_a, int64_t of_b)
{
	if (of_a == INT32_MIN || of_b == INT32_MIN || a->extent_count == EXTENTS)
		return;
	int64_t bytes = of_a < of_b ? of_a : of_b;
	if (bytes < -PACKET_BYTES)
		return;
	a->extents[a->extent_count++] = (struct extent){id, (int32_t)bytes};
}

static void join_extents(struct join *join, struct saved *a, const struct state *b)
{
	struct saved *old = &(struct saved){.extent_count = a->extent_count};
	memcpy(old->extents, a->extents, a->extent_count * sizeof(a->extents[0]));
	a->extent_count = 0;
	keep_extent(a, 0, saved_extent(old, 0), extent_of(b, 0));
	keep_extent(a, ID_META, saved_extent(old, ID_META), extent_of(b, ID_META));
	for (uint32_t i = 0; i < join->group_count; i++) {
		const struct group *it = &join->groups[i];
		bool is_packet_a = KINDS_PACKET >> it->kind_a & 1;
		bool is_packet_b = KINDS_PACKET >> it->kind_b & 1;
		if ((!is_packet_a && !is_packet_b) || !it->id)
			continue;
		int64_t of_a = saved_extent(old, it->a), of_b = extent_of(b, it->b);
		of_a = of_a == INT32_MIN ? of_a : of_a - it->up_a;
		of_b = of_b == INT32_MIN ? of_b : of_b - it->up_b;
		// Where one path has 0, only the other's counts.
		keep_extent(a, it->id, is_packet_a ? of_a : of_b, is_packet_b ? of_b : of_a);
	}
	// In any order; given up, like bounds, where they keep falling.
	bool fell = a->extent_count != old->extent_count;
	for (uint32_t i = 0; i < a->extent_count; i++)
		fell |= saved_extent(old, a->extents[i].id) != a->extents[i].bytes;
	if (fell && join->block->visits >= VISITS_WIDEN)
		a->extent_count = 0;
	join->changed |= fell;
}

// Nothing is known any more, so that nothing can change.
static bool give_up(struct saved *saved)
{
	bool changed = saved->known || saved->extent_count;
	for (uint32_t i = 0; i < SAVED; i++) {
		changed |= saved->values[i].kind != VALUE_ANY;
		saved->values[i] = value_any(MARK_NONE);
	}
	for (uint32_t i = 0; i < STACK_BYTES / 64; i++) {
		changed |= saved->written[i] != 0;
		saved->written[i] = 0;
	}
	saved->known = 0;
	saved->extent_count = 0;
	return changed;
}

void join_into(struct pass *pass, uint32_t index, const struct state *state)
{
	struct block *block = &pass->blocks[index];
	struct join join __attribute__((uninitialized)); // it is large, and groups are counted
	join.pass = pass;
	join.block = block;
	join.group_count = 0;
	join.changed = false;
	struct saved *saved = block->saved;
	if (!saved) {
		block->saved = save(pass, state);
		join.changed = true;
	} else if (block->visits >= VISITS_MAX) {
		join.changed = give_up(saved);
	} else {
		for (uint32_t i = 0; i < SAVED; i++)
			join_place(&join, &saved->values[i], &state->regs[i]);
		join_slots(&join, saved, state);
		join_extents(&join, saved, state);
		for (uint32_t i = 0; i < STACK_BYTES / 64; i++) {
			join.changed |= (saved->written[i] & ~state->written[i]) != 0;
			saved->written[i] &= state->written[i];
		}
	}
	if (join.changed)
		pass->pending[block->order / 64] |= UINT64_C(1) << block->order % 64;
}
