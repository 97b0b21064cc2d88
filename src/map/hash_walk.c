// SPDX-License-Identifier: Apache-2.0
// Hash maps from the control side: values that are read whole, and walks.
#include <errno.h>

#include "ebpf/maptype.h"
#include "map/hash.h"
#include "map/hash_table.h"

#define READ_TRIES 64

static void value_get(const struct hash *hash, uint32_t number, uint8_t *value)
{
	const struct map *map = &hash->map;
	if (!map->is_per_cpu) {
		words_load(value, hash_value(hash, number, 0), map->def.value_size);
		return;
	}
	for (uint32_t cpu = 0; cpu < map->def.cpu_count; cpu++)
		words_load(value + (size_t)cpu * map->stride, hash_value(hash, number, cpu),
		        map->stride);
}

// What it gives is never half of two values: it reads again if an entry of the chain was replaced
// meanwhile, and takes the lock where that goes on.
int hash_read(struct map *map, const void *key, void *value)
{
	struct hash *hash = (struct hash *)map;
	struct hash_words words = hash_words_of(hash, key, map->def.key_size);
	struct bucket *home = bucket_home(hash, words.code);
	struct hash_place place;
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t version = load_acquire(&home->version);
		bool found = hash_find(hash, &words, hash->words, &place);
		if (found)
			value_get(hash, place.number, value);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!((load_relaxed(&home->version) ^ version) & ~VERSION_LOCKED))
			return found ? 0 : -ENOENT;
	}
	bucket_lock(home);
	bool found = chain_find(hash, home, &words, &place);
	if (found)
		value_get(hash, place.number, value);
	bucket_unlock(home);
	return found ? 0 : -ENOENT;
}

static void key_get(const struct hash *hash, const struct hash_place *place, uint8_t *key)
{
	uint32_t size = hash->map.def.key_size;
	if (hash->keys) {
		words_load(key, key_apart(hash, place->number), size);
		return;
	}
	for (uint32_t at = 0; at < size; at += 8)
		words_load(key + at, &place->bucket->word[at / 8][place->slot],
		        size - at < 8 ? size - at : 8);
}

// The least key of a chain that is over `after` (NULL: the least), by its bytes, into `next`. An
// order that no update changes: whoever stands during a walk is met once.
static bool chain_next(
        const struct hash *hash, struct bucket *home, const uint8_t *after, uint8_t *next)
{
	uint32_t size = hash->map.def.key_size, version;
	uint8_t key[MAP_KEY_MAX], best[MAP_KEY_MAX];
	bool found;
again:
	found = false;
	version = load_acquire(&home->version) & ~VERSION_LOCKED;
	for (struct bucket *bucket = home;;) {
		struct hash_place place = {.bucket = bucket};
		for (; place.slot < SLOTS; place.slot++) {
			place.number = load_relaxed(&bucket->number[place.slot]);
			if (!place.number)
				continue;
			key_get(hash, &place, key);
			if ((after && memcmp(key, after, size) <= 0) ||
			        (found && memcmp(key, best, size) >= 0))
				continue;
			memcpy(best, key, size);
			found = true;
		}
		uint32_t following = load_relaxed(&bucket->next);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if ((load_relaxed(&home->version) & ~VERSION_LOCKED) != version)
			goto again;
		if (!following)
			break;
		bucket = overflow_at(hash, following);
	}
	if (found)
		memcpy(next, best, size);
	return found;
}

// The first key behind `after` (NULL: any) in the bucket at `at`, or else the first of the buckets
// that follow. A bucket that is come to counts as its places; one that the walk stands in, as one.
static int walk(
        const struct hash *hash, uint64_t at, const void *after, void *next, uint64_t *steps)
{
	for (; at <= hash->mask; at += hash->bucket_size, after = NULL) {
		uint64_t places = after ? 1 : SLOTS;
		if (*steps < places) {
			*steps = 0;
			return -EAGAIN;
		}
		*steps -= places;
		if (chain_next(hash, (struct bucket *)(hash->buckets + at), after, next))
			return 0;
	}
	return -ENOENT;
}

int hash_follow(struct map *map, const void *key, void *next, uint64_t *steps)
{
	const struct hash *hash = (const struct hash *)map;
	uint64_t code = key ? hash_key(&hash->seed, key, map->def.key_size) : 0;
	return walk(hash, code & hash->mask, key, next, steps);
}

int hash_next(struct map *map, const void *key, void *next)
{
	const struct hash *hash = (const struct hash *)map;
	uint64_t steps = UINT64_MAX;
	if (key) {
		struct hash_words words = hash_words_of(hash, key, map->def.key_size);
		struct hash_place place;
		if (!hash_find(hash, &words, hash->words, &place))
			key = NULL;
	}
	return hash_follow(map, key, next, &steps);
}
