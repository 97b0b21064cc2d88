// SPDX-License-Identifier: Apache-2.0
// The look-ups that inline.h describes, in C: what a compiler of programs emits, for tests that
// hold it against the functions and for benchmarks. Each says whether it knows; if not, the
// function has to be called.
#pragma once

#include "map/hash_key.h"
#include "map/inline.h"
#include "map/mem.h"

#define IN_PLACE static inline __attribute__((always_inline))

IN_PLACE void *in_place_value(const struct map_inline *map, uint64_t index, uint32_t cpu)
{
	return map->values + index * map->stride + (cpu ? cpu * map->copy_size : 0);
}

// A key of a hash: `words` is the map's, and better a constant.
IN_PLACE uint8_t *in_place_bucket(const struct map_inline *map, const uint64_t *key, uint32_t words)
{
	uint64_t hash = hash_fold(key[0] ^ map->seed[0], (words > 1 ? key[1] : 0) ^ map->seed[1]);
	if (words > 2)
		hash = hash_fold(key[2] ^ hash, map->seed[1]);
	return map->buckets + (hash_fold(hash ^ map->seed[0], map->seed[1]) & map->mask);
}

IN_PLACE bool in_place_hash(const struct map_inline *map, uint8_t *bucket, const uint64_t *key,
        uint32_t words, bool marks, uint32_t cpu, void **value)
{
	const uint32_t *numbers = (const uint32_t *)(bucket + MAP_BUCKET_NUMBERS);
	const uint64_t *keys = (const uint64_t *)(bucket + MAP_BUCKET_WORDS);
	const uint32_t *version = (const uint32_t *)(bucket + MAP_BUCKET_VERSION);
	uint32_t before = load_acquire(version), number = 0, place = 0;
#pragma GCC unroll 4
	for (uint32_t slot = MAP_BUCKET_SLOTS; slot-- > 0;) {
		uint64_t wrong = 0;
		for (uint32_t i = 0; i < words; i++)
			wrong |= load_relaxed(&keys[i * MAP_BUCKET_SLOTS + slot]) ^ key[i];
		uint32_t here = load_relaxed(&numbers[slot]);
		number = SELECT(!wrong, here, number);
		place = SELECT(!wrong, slot, place);
	}
	bool ends = number || !load_relaxed((const uint32_t *)(bucket + MAP_BUCKET_NEXT));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (load_relaxed(version) != before || !ends)
		return false;
	*value = number ? in_place_value(map, number - 1, cpu) : NULL;
	if (marks && number && load_relaxed(&bucket[MAP_BUCKET_USED + place]) != MAP_BUCKET_MARK)
		store_relaxed(&bucket[MAP_BUCKET_USED + place], MAP_BUCKET_MARK);
	return true;
}

// Most entries are rules: one comparison tells.
IN_PLACE bool in_place_lpm(const struct map_inline *map, uint32_t address, void **value)
{
	uint32_t entry = load_acquire(&map->root[address >> 8]);
	if (entry - 1 < MAP_LPM_NODE - 1) {
		*value = in_place_value(map, entry - 1, 0);
		return true;
	}
	if ((entry & MAP_LPM_KIND) == MAP_LPM_NODE)
		entry = load_acquire(
		        &map->nodes[(size_t)(entry & ~MAP_LPM_KIND) * 256 + (address & 255)]);
	if (!entry)
		entry = load_acquire(&map->shorts[address >> 24]);
	if (entry & MAP_LPM_KIND)
		return false;
	*value = entry ? in_place_value(map, entry - 1, 0) : NULL;
	return true;
}
