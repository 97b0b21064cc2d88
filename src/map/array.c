// SPDX-License-Identifier: Apache-2.0
// Array and per-CPU array: every index below max_entries always has a value (Documentation/bpf/
// map_array.rst). The copies of one CPU stand together, so that engines share no cache line.
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "map/map_ops.h"
#include "map/mem.h"

static size_t copy_size(const struct map_def *def)
{
	return round_up(round_up(def->value_size, 8) * def->max_entries, 64);
}

static bool is_per_cpu(const struct map_def *def)
{
	return def->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static size_t array_area_size(const struct map_def *def)
{
	return copy_size(def) * (is_per_cpu(def) ? def->cpu_count : 1);
}

static int array_make(const struct map_def *def, struct map **map)
{
	struct map *array = calloc(1, sizeof(*array));
	if (!array)
		return -ENOMEM;
	array->is_per_cpu = is_per_cpu(def);
	*map = array;
	return 0;
}

static uint64_t *value_at(const struct map *map, uint32_t index, uint32_t cpu)
{
	size_t at =
	        (size_t)index * map->stride + (map->is_per_cpu ? cpu : 0) * copy_size(&map->def);
	return (uint64_t *)(map->area + at);
}

static uint32_t index_of(const void *key)
{
	return (uint32_t)word_of(key, sizeof(uint32_t));
}

static void *array_lookup(struct map *map, const void *key, uint32_t cpu)
{
	uint32_t index = index_of(key);
	return index < map->def.max_entries ? value_at(map, index, cpu) : NULL;
}

static int array_update(
        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	uint32_t index = index_of(key);
	if ((flags & ~(uint64_t)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	if (index >= map->def.max_entries)
		return -E2BIG;
	if (flags & BPF_NOEXIST)
		return -EEXIST;
	if (!map->is_per_cpu)
		return map_value_change(map, value_at(map, index, 0), value, flags);
	if (cpu != CPU_ALL) {
		words_store(value_at(map, index, cpu), value, map->def.value_size);
		return 0;
	}
	for (uint32_t i = 0; i < map->def.cpu_count; i++)
		words_store(value_at(map, index, i),
		        (const uint8_t *)value + (size_t)i * map->stride, map->def.value_size);
	return 0;
}

static int array_remove(struct map *map, const void *key)
{
	(void)map, (void)key;
	return -EINVAL;
}

static int array_read(struct map *map, const void *key, void *value)
{
	uint32_t index = index_of(key);
	if (index >= map->def.max_entries)
		return -ENOENT;
	if (!map->is_per_cpu) {
		words_load(value, value_at(map, index, 0), map->def.value_size);
		return 0;
	}
	for (uint32_t i = 0; i < map->def.cpu_count; i++)
		words_load((uint8_t *)value + (size_t)i * map->stride, value_at(map, index, i),
		        map->stride);
	return 0;
}

static int array_next(struct map *map, const void *key, void *next)
{
	uint32_t index = key ? index_of(key) : UINT32_MAX;
	if (index == map->def.max_entries - 1)
		return -ENOENT;
	index = index < map->def.max_entries ? index + 1 : 0;
	memcpy(next, &index, sizeof(index));
	return 0;
}

static uint32_t array_count(const struct map *map)
{
	return map->def.max_entries;
}

static void array_describe(const struct map *map, struct map_inline *description)
{
	description->path = MAP_PATH_ARRAY;
	description->copy_size = map->is_per_cpu ? copy_size(&map->def) : 0;
}

const struct map_ops array_ops = {
        .area_size = array_area_size,
        .make = array_make,
        .lookup = array_lookup,
        .update = array_update,
        .remove = array_remove,
        .read = array_read,
        .next = array_next,
        .count = array_count,
        .describe = array_describe,
};
