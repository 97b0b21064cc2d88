// SPDX-License-Identifier: Apache-2.0
// The exact-match table behind hash, LRU hash, their per-CPU kinds, devmap_hash and hash of maps.
#pragma once

#include "map/map_ops.h"

size_t hash_area_size(const struct map_def *def);
int hash_make(const struct map_def *def, struct map **map);
int hash_start(struct map *map);
void hash_stop(struct map *map);
void *hash_lookup(struct map *map, const void *key, uint32_t cpu); // of any key size
int hash_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu);
int hash_remove(struct map *map, const void *key);
int hash_read(struct map *map, const void *key, void *value);
int hash_next(struct map *map, const void *key, void *next);
int hash_follow(struct map *map, const void *key, void *next, uint64_t *steps);
uint32_t hash_count(const struct map *map);
// For compilers of programs (map_ops.h).
void hash_describe(const struct map *map, struct map_inline *description);
map_lookup_fn hash_lookup_for(const struct map *map);
map_lookup_word_fn hash_lookup_word_for(const struct map *map);
map_lookup_pair_fn hash_lookup_pair_for(const struct map *map);
