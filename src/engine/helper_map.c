// SPDX-License-Identifier: Apache-2.0
// Maps from a program's side. Which operation a type takes is what the kernel's verifier lets XDP
// programs do; anything else, and a write into what programs may only read, faults.
#include <errno.h>
#include <string.h>

#include "ebpf/maptype.h"
#include "engine/helpers.h"
#include "map/map.h"

// The map of `handle` if it takes `operation` from a program, else NULL with the fault set.
static struct linked_map *map_for(struct engine *engine, uint64_t handle, unsigned operation)
{
	struct linked_map *map = helper_map(engine, handle);
	if (!map)
		return NULL;
	bool allowed = map_type_find(map->type)->operations & operation;
	if (operation & (MAP_UPDATE | MAP_DELETE))
		allowed = allowed && map->may_write;
	else if (operation & MAP_WALK)
		allowed = allowed && map->may_read;
	if (!allowed) {
		helper_fault(engine, handle);
		return NULL;
	}
	return map;
}

// A value's card address, or for a map in a map its handle; 0 for none.
static uint64_t value_address(struct engine *engine, const void *value)
{
	return value ? (uint64_t)((const uint8_t *)value - engine->base) : 0;
}

bool helper_follow(struct engine *engine, struct linked_map *map, const void *key, void *next)
{
	uint64_t all = ((uint64_t)engine->budget + 1) * STEPS_COST, left = all;
	int r = map_follow(map->map, key, next, &left);
	return helper_charge(engine, (all - left + STEPS_COST - 1) / STEPS_COST) && !r;
}

// Charges what an operation on this key may take beyond the helper's own cost.
static bool charge_effort(
        struct engine *engine, struct linked_map *map, const void *key, bool changes)
{
	if (map->type != BPF_MAP_TYPE_LPM_TRIE)
		return true;
	uint64_t limit = (uint64_t)engine->budget + 1;
	return helper_charge(engine, map_effort(map->map, key, changes, limit));
}

uint64_t helper_map_lookup(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = map_for(engine, args[0], MAP_LOOKUP);
	const void *key = map ? helper_in(engine, args[1], map->key_size) : NULL;
	if (!key || !charge_effort(engine, map, key, false))
		return 0;
	if (map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map->type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		uint32_t inner = map_slot(map->map, key);
		return inner < engine->generation->map_count && engine->generation->maps[inner]
		               ? handle_of_map(inner)
		               : 0;
	}
	return value_address(engine, map_lookup(map->map, key, engine->options.number));
}

uint64_t helper_map_lookup_percpu(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = map_for(engine, args[0], MAP_LOOKUP);
	const void *key = map ? helper_in(engine, args[1], map->key_size) : NULL;
	if (!key)
		return 0;
	switch (map->type) {
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		break;
	default:
		return helper_fault(engine, args[0]);
	}
	uint32_t cpu = (uint32_t)args[2];
	if (cpu >= map_def(map->map)->cpu_count)
		return 0;
	return value_address(engine, map_lookup(map->map, key, cpu));
}

uint64_t helper_map_update(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = map_for(engine, args[0], MAP_UPDATE);
	const void *key = map ? helper_in(engine, args[1], map->key_size) : NULL;
	const void *value = key ? helper_in(engine, args[2], map->value_size) : NULL;
	if (!value || !helper_charge(engine, map->value_size / 32) ||
	        !charge_effort(engine, map, key, true))
		return 0;
	// Who holds a lock would wait for itself.
	if ((args[3] & BPF_F_LOCK) && engine->lock)
		return helper_fault(engine, engine->lock);
	int rc = map_update(map->map, key, value, args[3], engine->options.number);
	if (rc == -EBUSY) // as bpf_spin_lock(): the program has written over the lock
		engine->fault = FAULT_BUDGET;
	return (uint64_t)(int64_t)rc;
}

uint64_t helper_map_delete(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = map_for(engine, args[0], MAP_DELETE);
	const void *key = map ? helper_in(engine, args[1], map->key_size) : NULL;
	if (!key || !charge_effort(engine, map, key, true))
		return 0;
	return (uint64_t)(int64_t)map_delete(map->map, key);
}

static bool visit(struct engine *engine, const uint64_t args[5], struct linked_map *map,
        const void *key, uint64_t key_address, uint64_t *stop)
{
	const void *value = map_lookup(map->map, key, engine->options.number);
	*stop = 0;
	if (!value) // deleted since the walk met it
		return true;
	const uint64_t call[5] = {args[0], key_address, value_address(engine, value), args[2], 0};
	return helper_call(engine, args[1], call, stop);
}

// R1 map, R2 function (map, key, value, R3), R4 flags. The function sees a copy of the key, read
// only.
uint64_t helper_for_each(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = map_for(engine, args[0], MAP_WALK);
	if (!map)
		return 0;
	if (args[3])
		return (uint64_t)-EINVAL;
	if (engine->keys_used >= FRAMES_MAX) {
		engine->fault = FAULT_CALL_DEPTH;
		return 0;
	}
	uint64_t address = engine->keys + engine->keys_used * KEY_SLOT;
	uint8_t *key = engine->base + address, next[KEY_SLOT];
	engine->keys_used++;
	memset(key, 0, KEY_SLOT); // keys of other maps, and of other owners', stood there
	uint64_t visited = 0, limit = map_def(map->map)->max_entries;
	bool more = helper_follow(engine, map, NULL, key);
	while (more && visited < limit) {
		uint64_t stop = 0;
		// The key that follows is found first: the function may delete this one.
		more = helper_follow(engine, map, key, next);
		visited++;
		if (!helper_charge(engine, 8) || !visit(engine, args, map, key, address, &stop))
			return 0;
		if (stop)
			break;
		if (more)
			memcpy(key, next, map->key_size);
	}
	engine->keys_used--;
	return visited;
}
