// SPDX-License-Identifier: Apache-2.0
// What all map types have in common: the choice of the type's ops, the rules of definitions, the
// flags of the control side, freezing. The types differ in their files; see map_ops.h.
#include "map/map.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/maptype.h"
#include "map/map_ops.h"
#include "map/mem.h"

#define AREA_MAX ((size_t)4 << 30) // a card address has 32 bits

static const struct {
	uint32_t type;
	const struct map_ops *ops;
} families[] = {
        {BPF_MAP_TYPE_ARRAY, &array_ops},
        {BPF_MAP_TYPE_PERCPU_ARRAY, &array_ops},
        {BPF_MAP_TYPE_HASH, &hash_ops},
        {BPF_MAP_TYPE_PERCPU_HASH, &hash_ops},
        {BPF_MAP_TYPE_LRU_HASH, &hash_ops},
        {BPF_MAP_TYPE_LRU_PERCPU_HASH, &hash_ops},
        {BPF_MAP_TYPE_LPM_TRIE, &lpm_ops},
        {BPF_MAP_TYPE_DEVMAP, &devmap_ops},
        {BPF_MAP_TYPE_DEVMAP_HASH, &devmap_hash_ops},
        {BPF_MAP_TYPE_CPUMAP, &devmap_ops},
        {BPF_MAP_TYPE_XSKMAP, &devmap_ops},
        {BPF_MAP_TYPE_PROG_ARRAY, &slot_ops},
        {BPF_MAP_TYPE_ARRAY_OF_MAPS, &slot_ops},
        {BPF_MAP_TYPE_HASH_OF_MAPS, &slot_hash_ops},
        {BPF_MAP_TYPE_RINGBUF, &ringbuf_ops},
        {BPF_MAP_TYPE_PERF_EVENT_ARRAY, &perf_ops},
};

static const struct map_ops *ops_of(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i].type == type)
			return families[i].ops;
	return NULL;
}

static int check_sizes(const struct map_def *def, const struct map_type *type, struct error *err)
{
	bool is_ring = def->type == BPF_MAP_TYPE_RINGBUF;
	if (is_ring && (def->key_size || def->value_size))
		return error_set(err, EINVAL,
		        "a ringbuf has no keys and values, but key_size is %u and value_size %u: "
		        "leave both out",
		        def->key_size, def->value_size);
	if (!is_ring && (!def->key_size || !def->value_size))
		return error_set(err, EINVAL, "a %s needs a key and a value of at least one byte",
		        type->name);
	if (type->key_size && def->key_size != type->key_size)
		return error_set(err, EINVAL, "key_size of a %s is %u, not %u", type->name,
		        type->key_size, def->key_size);
	if (type->value_size && def->value_size != type->value_size)
		return error_set(err, EINVAL, "value_size of a %s is %u, not %u", type->name,
		        type->value_size, def->value_size);
	if (def->key_size > MAP_KEY_MAX)
		return error_set(err, E2BIG, "key_size %u is over %u", def->key_size, MAP_KEY_MAX);
	if (def->value_size > MAP_VALUE_MAX)
		return error_set(err, E2BIG,
		        "value_size %u is over %u: split the value, or use more entries",
		        def->value_size, MAP_VALUE_MAX);
	return 0;
}

static int check(const struct map_def *def, struct error *err)
{
	const struct map_type *type = map_type_find(def->type);
	const struct map_ops *ops = ops_of(def->type);
	if (!type)
		return error_set(err, EINVAL, "map type %u does not exist", def->type);
	if (!ops)
		return error_set(err, ENOTSUP, "no card offers maps of type %s", type->name);
	if (!def->cpu_count)
		return error_set(err, EINVAL, "a map needs at least one engine");
	// libbpf reads no entries as one for each CPU.
	if (!def->max_entries && def->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return error_set(err, EINVAL, "max_entries of a %s is 0: say how many", type->name);
	int rc = check_sizes(def, type, err);
	if (rc)
		return rc;
	if (def->flags & ~type->flags)
		return error_set(err, EINVAL, "a %s cannot have map_flags 0x%x", type->name,
		        def->flags & ~type->flags);
	if ((def->flags & BPF_F_RDONLY_PROG) && (def->flags & BPF_F_WRONLY_PROG))
		return error_set(
		        err, EINVAL, "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other");
	if ((rc = ops->check ? ops->check(def, err) : 0))
		return rc;
	// Numbers of entries count from 1, and some types hold a few more than max_entries.
	double bytes = (double)round_up(def->value_size, 8) * def->max_entries * def->cpu_count;
	if (def->max_entries > INT32_MAX || bytes > (double)AREA_MAX ||
	        (ops->area_size && ops->area_size(def) > AREA_MAX))
		return error_set(err, E2BIG,
		        "%u entries of %u bytes for %u engines do not fit a card's 4 GiB of "
		        "addresses: "
		        "lower max_entries",
		        def->max_entries, def->value_size, def->cpu_count);
	return 0;
}

size_t map_area_size(const struct map_def *def)
{
	if (check(def, NULL))
		return 0;
	const struct map_ops *ops = ops_of(def->type);
	return ops->area_size ? ops->area_size(def) : 0;
}

int map_new(const struct map_def *def, void *area, struct map **map, struct error *err)
{
	int rc = check(def, err);
	if (rc)
		return rc;
	const struct map_ops *ops = ops_of(def->type);
	cleanup(map_free) struct map *made = NULL;
	if (!ops->make(def, &made)) {
		made->ops = ops;
		made->def = *def;
		made->area = area;
		made->area_size = ops->area_size ? ops->area_size(def) : 0;
		made->stride = (uint32_t)round_up(def->value_size, 8);
		rc = ops->start ? ops->start(made) : 0;
		made->lookup = ops->in_section ? ops->lookup : map_lookup_function(made);
	} else {
		rc = -ENOMEM;
	}
	if (rc)
		return error_set(err, -rc, "no memory for a %s of %u entries: lower max_entries",
		        map_type_find(def->type)->name, def->max_entries);
	*map = TAKE_PTR(made);
	return 0;
}

void map_free(struct map **map)
{
	if (!*map)
		return;
	if ((*map)->ops->stop)
		(*map)->ops->stop(*map);
	if ((*map)->owns_area)
		mem_free((*map)->area);
	free(*map);
	*map = NULL;
}

const struct map_def *map_def(const struct map *map)
{
	return &map->def;
}

size_t map_memory(const struct map *map)
{
	return map->memory + map->area_size;
}

uint32_t map_count(const struct map *map)
{
	return map->ops->count ? map->ops->count(map) : 0;
}

void *map_lookup(struct map *map, const void *key, uint32_t cpu)
{
	return map->lookup(map, key, cpu);
}

// A holder runs at most its budget between lock and unlock; after so many tries the word is not one
// that anybody will free.
#define LOCK_TRIES (1u << 16)

static int value_lock(uint32_t *word)
{
	for (uint32_t i = 0; i < LOCK_TRIES; i++) {
		uint32_t free = 0, spins = i;
		if (__atomic_compare_exchange_n(
		            word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return 0;
		spin_pause(&spins);
	}
	return -EBUSY;
}

static uint32_t *lock_of(const struct map *map, uint64_t *place)
{
	return (uint32_t *)((uint8_t *)place + map->lock - 1);
}

void map_value_store(const struct map *map, uint64_t *place, const void *value, bool is_new)
{
	uint32_t size = map->def.value_size;
	if (!map->lock) {
		words_store(place, value, size);
		return;
	}
	// The word of eight bytes that the lock stands in has another half, which is stored alone.
	const uint8_t *from = value;
	uint32_t word = (map->lock - 1) / 8, other = word * 8 + ((map->lock - 1) % 8 ? 0 : 4);
	words_store(place, from, word * 8);
	if (other < size)
		store_relaxed((uint32_t *)place + other / 4,
		        (uint32_t)word_of(from + other, size - other < 4 ? size - other : 4));
	if (word * 8 + 8 < size)
		words_store(place + word + 1, from + word * 8 + 8, size - word * 8 - 8);
	if (is_new)
		store_relaxed(lock_of(map, place), 0);
}

int map_value_change(const struct map *map, uint64_t *place, const void *value, uint64_t flags)
{
	bool locks = flags & BPF_F_LOCK;
	int rc = locks ? value_lock(lock_of(map, place)) : 0;
	if (rc)
		return rc;
	map_value_store(map, place, value, false);
	if (locks)
		store_release(lock_of(map, place), 0);
	return 0;
}

int map_set_lock(struct map *map, uint32_t offset)
{
	uint32_t type = map->def.type;
	if ((type != BPF_MAP_TYPE_ARRAY && type != BPF_MAP_TYPE_HASH &&
	            type != BPF_MAP_TYPE_LRU_HASH) ||
	        offset % 4 || map->def.value_size < 4 || offset > map->def.value_size - 4)
		return -EINVAL;
	map->lock = offset + 1;
	return 0;
}

// What map_read() gives of a value that it reads under its lock.
static int read_locked(struct map *map, const void *key, void *value)
{
	uint64_t *place = map->lookup(map, key, 0);
	int rc = place ? value_lock(lock_of(map, place)) : -ENOENT;
	if (rc)
		return rc;
	words_load(value, place, map->def.value_size);
	store_release(lock_of(map, place), 0);
	return 0;
}

int map_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	if ((flags & BPF_F_LOCK) && !map->lock)
		return -EINVAL;
	return map->ops->update ? map->ops->update(map, key, value, flags, cpu) : -ENOTSUP;
}

int map_delete(struct map *map, const void *key)
{
	if (load_relaxed(&map->frozen))
		return -EPERM;
	return map->ops->remove ? map->ops->remove(map, key) : -ENOTSUP;
}

size_t map_io_size(const struct map *map)
{
	return map->is_per_cpu ? (size_t)map->stride * map->def.cpu_count : map->def.value_size;
}

int map_read(struct map *map, const void *key, void *value, uint64_t flags)
{
	if (flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	if ((flags & BPF_F_LOCK) && !map->lock)
		return -EINVAL;
	if (!map->ops->read)
		return -ENOTSUP;
	int rc =
	        flags & BPF_F_LOCK ? read_locked(map, key, value) : map->ops->read(map, key, value);
	if (!rc && map->lock)
		memset((uint8_t *)value + map->lock - 1, 0, sizeof(uint32_t));
	return rc;
}

int map_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	if (load_relaxed(&map->frozen))
		return -EPERM;
	return map_update(map, key, value, flags, CPU_ALL);
}

int map_next_key(struct map *map, const void *key, void *next)
{
	return map->ops->next ? map->ops->next(map, key, next) : -ENOTSUP;
}

int map_follow(struct map *map, const void *key, void *next, uint64_t *steps)
{
	if (map->ops->follow)
		return map->ops->follow(map, key, next, steps);
	if (!*steps)
		return -EAGAIN;
	--*steps;
	return map_next_key(map, key, next);
}

uint64_t map_effort(struct map *map, const void *key, bool changes, uint64_t limit)
{
	return map->ops->effort ? map->ops->effort(map, key, changes, limit) : 0;
}

int map_freeze(struct map *map)
{
	bool frozen = false;
	return __atomic_compare_exchange_n(
	               &map->frozen, &frozen, true, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
	               ? 0
	               : -EBUSY;
}

uint32_t map_slot(struct map *map, const void *key)
{
	return map->ops->slot ? map->ops->slot(map, key) : UINT32_MAX;
}

uint32_t map_consume(struct map *map, void *data, uint32_t max)
{
	return map->ops->consume ? map->ops->consume(map, data, max) : 0;
}

uint64_t map_lost(const struct map *map)
{
	return map->ops->lost ? map->ops->lost(map) : 0;
}
