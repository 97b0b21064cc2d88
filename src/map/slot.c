// SPDX-License-Identifier: Apache-2.0
// Prog array, array of maps, hash of maps: keys that lead to a u32, the number of a program or a
// map among the caller's. No program sees these values, so the map keeps them itself.
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "map/hash.h"
#include "map/mem.h"

struct slots {
	struct map map;
	uint32_t *slots; // the index plus 1; 0 = empty
	uint32_t count;
};

static int slot_make(const struct map_def *def, struct map **map)
{
	(void)def;
	struct slots *slots = calloc(1, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	*map = &slots->map;
	return 0;
}

static int slot_start(struct map *map)
{
	struct slots *slots = (struct slots *)map;
	slots->slots = mem_new(map->def.max_entries, sizeof(*slots->slots));
	map->memory = map->def.max_entries * sizeof(*slots->slots);
	return slots->slots ? 0 : -ENOMEM;
}

static void slot_stop(struct map *map)
{
	mem_free(((struct slots *)map)->slots);
}

static uint32_t u32_of(const void *bytes)
{
	return (uint32_t)word_of(bytes, sizeof(uint32_t));
}

static uint32_t slot_get(struct map *map, const void *key)
{
	uint32_t index = u32_of(key);
	if (index >= map->def.max_entries)
		return UINT32_MAX;
	return load_acquire(&((struct slots *)map)->slots[index]) - 1;
}

static void slot_set(struct slots *slots, uint32_t index, uint32_t slot, uint32_t *before)
{
	*before = __atomic_exchange_n(&slots->slots[index], slot, __ATOMIC_ACQ_REL);
	if (!*before != !slot)
		__atomic_fetch_add(&slots->count, slot ? 1 : -1, __ATOMIC_RELAXED);
}

static int slot_update(
        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	(void)cpu;
	uint32_t index = u32_of(key), slot = u32_of(value), before;
	if (flags != BPF_ANY)
		return -EINVAL;
	if (index >= map->def.max_entries)
		return -E2BIG;
	if (slot == UINT32_MAX)
		return -EBADF;
	slot_set((struct slots *)map, index, slot + 1, &before);
	return 0;
}

static int slot_remove(struct map *map, const void *key)
{
	uint32_t index = u32_of(key), before;
	if (index >= map->def.max_entries)
		return -E2BIG;
	slot_set((struct slots *)map, index, 0, &before);
	return before ? 0 : -ENOENT;
}

static int slot_read(struct map *map, const void *key, void *value)
{
	uint32_t slot = slot_get(map, key);
	if (slot == UINT32_MAX)
		return -ENOENT;
	memcpy(value, &slot, sizeof(slot));
	return 0;
}

static int slot_next(struct map *map, const void *key, void *next)
{
	return array_ops.next(map, key, next);
}

static uint32_t slot_count(const struct map *map)
{
	return load_relaxed(&((const struct slots *)map)->count);
}

const struct map_ops slot_ops = {
        .make = slot_make,
        .start = slot_start,
        .stop = slot_stop,
        .update = slot_update,
        .remove = slot_remove,
        .read = slot_read,
        .next = slot_next,
        .slot = slot_get,
        .count = slot_count,
};

static int slot_hash_start(struct map *map)
{
	size_t size = hash_area_size(&map->def);
	map->area = mem_new(1, size);
	map->owns_area = true;
	int rc = map->area ? hash_start(map) : -ENOMEM;
	map->memory += size;
	return rc;
}

static uint32_t slot_hash_get(struct map *map, const void *key)
{
	const uint64_t *value = hash_lookup(map, key, 0);
	return value ? (uint32_t)load_relaxed(value) : UINT32_MAX;
}

static int slot_hash_update(
        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	if (flags > BPF_EXIST)
		return -EINVAL;
	if (u32_of(value) == UINT32_MAX)
		return -EBADF;
	return hash_update(map, key, value, flags, cpu);
}

const struct map_ops slot_hash_ops = {
        .make = hash_make,
        .start = slot_hash_start,
        .stop = hash_stop,
        .update = slot_hash_update,
        .remove = hash_remove,
        .read = hash_read,
        .next = hash_next,
        .follow = hash_follow,
        .slot = slot_hash_get,
        .count = hash_count,
};
