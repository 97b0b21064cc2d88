// SPDX-License-Identifier: Apache-2.0
// Maps that redirects go through (Documentation/bpf/map_devmap.rst, map_cpumap.rst,
// map_xskmap.rst): devmap, cpumap and xskmap are arrays whose indices may be empty, devmap_hash a
// hash. A value begins with a u32: the port's ifindex, the length of a CPU's queue, or a socket;
// eight bytes carry a program beside it. Whether a port exists is the caller's affair.
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "base/error.h"
#include "map/hash.h"
#include "map/mem.h"

#define CPU_QUEUE_MAX 16384u // the kernel's bound on a CPU's queue

struct devmap {
	struct map map;
	uint8_t *taken; // by index: 1 where there is a value
	uint32_t count;
};

static int devmap_check(const struct map_def *def, struct error *err)
{
	if (def->value_size == 4 || def->value_size == 8)
		return 0;
	return error_set(err, EINVAL,
	        "value_size of a redirect map is 4 (an index) or 8 (with a program), not %u",
	        def->value_size);
}

static size_t devmap_area_size(const struct map_def *def)
{
	return 8 * (size_t)def->max_entries;
}

static int devmap_make(const struct map_def *def, struct map **map)
{
	(void)def;
	struct devmap *devmap = calloc(1, sizeof(*devmap));
	if (!devmap)
		return -ENOMEM;
	*map = &devmap->map;
	return 0;
}

static int devmap_start(struct map *map)
{
	struct devmap *devmap = (struct devmap *)map;
	devmap->taken = mem_new(map->def.max_entries, 1);
	map->memory = map->def.max_entries;
	return devmap->taken ? 0 : -ENOMEM;
}

static void devmap_stop(struct map *map)
{
	mem_free(((struct devmap *)map)->taken);
}

static uint32_t u32_of(const void *bytes)
{
	return (uint32_t)word_of(bytes, sizeof(uint32_t));
}

static void *devmap_lookup(struct map *map, const void *key, uint32_t cpu)
{
	(void)cpu;
	const struct devmap *devmap = (const struct devmap *)map;
	uint32_t index = u32_of(key);
	if (index >= map->def.max_entries || !load_acquire(&devmap->taken[index]))
		return NULL;
	return map->area + (size_t)index * map->stride;
}

// An empty place has the value 0, which compiled look-ups go by (map/inline.h).
static void take(struct devmap *devmap, uint32_t index, uint8_t taken)
{
	if (!taken)
		words_zero((uint64_t *)(devmap->map.area + (size_t)index * devmap->map.stride),
		        devmap->map.def.value_size);
	uint8_t before = __atomic_exchange_n(&devmap->taken[index], taken, __ATOMIC_ACQ_REL);
	if (before != taken)
		__atomic_fetch_add(&devmap->count, taken ? 1 : -1, __ATOMIC_RELAXED);
}

// A devmap's ifindex 0 and a cpumap's queue of no length empty the place.
static int devmap_update(
        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	(void)cpu;
	struct devmap *devmap = (struct devmap *)map;
	uint32_t index = u32_of(key), first = u32_of(value);
	if (flags > BPF_EXIST)
		return -EINVAL;
	if (index >= map->def.max_entries)
		return -E2BIG;
	if (map->def.type == BPF_MAP_TYPE_XSKMAP) {
		bool stands = load_acquire(&devmap->taken[index]);
		if (stands && flags == BPF_NOEXIST)
			return -EEXIST;
		if (!stands && flags == BPF_EXIST)
			return -ENOENT;
	} else {
		if (flags == BPF_NOEXIST)
			return -EEXIST;
		if (map->def.type == BPF_MAP_TYPE_CPUMAP && first > CPU_QUEUE_MAX)
			return -EOVERFLOW;
		if (!first) {
			if (map->def.type == BPF_MAP_TYPE_DEVMAP && map->def.value_size == 8 &&
			        u32_of((const uint8_t *)value + 4))
				return -EINVAL; // a program and no port
			take(devmap, index, 0);
			return 0;
		}
	}
	words_store(
	        (uint64_t *)(map->area + (size_t)index * map->stride), value, map->def.value_size);
	take(devmap, index, 1);
	return 0;
}

static int devmap_remove(struct map *map, const void *key)
{
	uint32_t index = u32_of(key);
	if (index >= map->def.max_entries)
		return -EINVAL;
	take((struct devmap *)map, index, 0);
	return 0;
}

static int devmap_read(struct map *map, const void *key, void *value)
{
	const uint64_t *stored = devmap_lookup(map, key, 0);
	if (!stored)
		return -ENOENT;
	words_load(value, stored, map->def.value_size);
	return 0;
}

// The kernel walks over empty places too.
static int devmap_next(struct map *map, const void *key, void *next)
{
	return array_ops.next(map, key, next);
}

static uint32_t devmap_count(const struct map *map)
{
	return load_relaxed(&((const struct devmap *)map)->count);
}

static void devmap_describe(const struct map *map, struct map_inline *description)
{
	(void)map;
	description->path = MAP_PATH_DEVMAP;
}

const struct map_ops devmap_ops = {
        .check = devmap_check,
        .area_size = devmap_area_size,
        .make = devmap_make,
        .start = devmap_start,
        .stop = devmap_stop,
        .lookup = devmap_lookup,
        .update = devmap_update,
        .remove = devmap_remove,
        .read = devmap_read,
        .next = devmap_next,
        .count = devmap_count,
        .describe = devmap_describe,
};

// Unlike other hashes, a BPF_EXIST for a key that is not there inserts it.
static int devmap_hash_update(
        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	if (flags > BPF_EXIST || !u32_of(value))
		return -EINVAL;
	return hash_update(map, key, value, flags == BPF_NOEXIST ? BPF_NOEXIST : BPF_ANY, cpu);
}

const struct map_ops devmap_hash_ops = {
        .check = devmap_check,
        .area_size = hash_area_size,
        .make = hash_make,
        .start = hash_start,
        .stop = hash_stop,
        .lookup = hash_lookup,
        .update = devmap_hash_update,
        .remove = hash_remove,
        .read = hash_read,
        .next = hash_next,
        .follow = hash_follow,
        .count = hash_count,
        .describe = hash_describe,
        .lookup_for = hash_lookup_for,
        .lookup_word_for = hash_lookup_word_for,
        .lookup_pair_for = hash_lookup_pair_for,
};
