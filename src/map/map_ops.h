// SPDX-License-Identifier: Apache-2.0
// What a map type implements, and what all of them share. Each family has one file with its ops;
// map.c chooses by type and does what is common: definitions, flags of the control side, freezing.
#pragma once

#include "map/inline.h"
#include "map/map.h"

// A program's and the control side's values race by design, as in the kernel; each aligned word of
// eight bytes is copied whole.
struct map {
	const struct map_ops *ops;
	map_lookup_fn lookup; // what map_lookup() calls
	struct map_def def;
	uint8_t *area;
	size_t area_size, memory; // memory: what the type allocated for itself
	uint32_t stride;          // bytes from one value to the next: value_size rounded up to 8
	uint32_t lock;            // where the spin lock of values stands, plus 1; 0 = none
	bool frozen, is_per_cpu;
	bool owns_area; // a type whose values no program sees allocated the area itself
};

// Copies a value to its place, but for its lock. `is_new`: nobody sees it yet, and the lock is
// free.
void map_value_store(const struct map *map, uint64_t *place, const void *value, bool is_new);
// The same in an entry that stands; with BPF_F_LOCK, under its lock. -EBUSY.
int map_value_change(const struct map *map, uint64_t *place, const void *value, uint64_t flags);

#define CPU_ALL UINT32_MAX // for update: every copy, from consecutive strides of `value`

// Members may be called from any thread at any time but make and free. A member that a type lacks
// is NULL; map.c answers -ENOTSUP, NULL or 0 for it.
struct map_ops {
	// What is wrong with a definition beyond what the type table says, or 0.
	int (*check)(const struct map_def *def, struct error *err);
	size_t (*area_size)(const struct map_def *def); // the definition passed check
	// Allocates the type's own struct, whose first member is struct map. Errors: ENOMEM.
	int (*make)(const struct map_def *def, struct map **map);
	int (*start)(struct map *map); // fills what map.c could not know; errors: ENOMEM
	void (*stop)(struct map *map); // frees what start allocated
	void *(*lookup)(struct map *map, const void *key, uint32_t cpu);
	int (*update)(
	        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu);
	int (*remove)(struct map *map, const void *key);
	int (*read)(struct map *map, const void *key, void *value); // map_io_size() bytes
	int (*next)(struct map *map, const void *key, void *next);
	int (*follow)(
	        struct map *map, const void *key, void *next, uint64_t *steps); // NULL: as next
	uint64_t (*effort)(struct map *map, const void *key, bool changes, uint64_t limit);
	uint32_t (*slot)(struct map *map, const void *key);
	uint32_t (*count)(const struct map *map);
	uint32_t (*consume)(struct map *map, void *data, uint32_t max);
	uint64_t (*lost)(const struct map *map);
	// What lookup_for gives needs a read-side section; `lookup` enters one.
	bool in_section;
	// For compilers of programs (inline.h). `describe` finds what all types have filled in.
	void (*describe)(const struct map *map, struct map_inline *description);
	map_lookup_fn (*lookup_for)(const struct map *map); // NULL, or gives NULL: lookup
	map_lookup_word_fn (*lookup_word_for)(const struct map *map);
	map_lookup_pair_fn (*lookup_pair_for)(const struct map *map);
};

extern const struct map_ops array_ops, hash_ops, lpm_ops, devmap_ops, devmap_hash_ops, slot_ops,
        slot_hash_ops, ringbuf_ops, perf_ops;
