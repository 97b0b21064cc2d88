// SPDX-License-Identifier: Apache-2.0
// Hash, LRU hash and their per-CPU kinds: what changes the table of hash_table.h.
// Entries are numbered from 1; value i stands at place i - 1 of the area, so that keys and links
// are out of a program's reach.
//
// A writer locks the bucket that its key's chain begins with. All buckets of a chain but the last
// are full: whoever takes an entry out puts the last one in its place. So a chain of n overflow
// buckets holds more than 4 n entries, and there are enough of them for the worst keys.
//
// An update puts a new number in the place of the old one, as the kernel's does, so that a reader
// sees the old value or the new one whole and never misses the key. Spare numbers beyond
// max_entries serve that; per-CPU copies are written in place.
//
// An LRU that is full gives up an entry by the clock algorithm: a hand goes round the buckets,
// gives up those entries that have no mark, and takes one off the others as it goes on.
#include "map/hash.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/random.h>

#include "map/hash_table.h"

#define HAND_LIMIT 128u // entries that one eviction passes by, before it takes a new one

static uint32_t spare_count(const struct map_def *def)
{
	return def->cpu_count + 1;
}

static bool is_per_cpu(const struct map_def *def)
{
	return def->type == BPF_MAP_TYPE_PERCPU_HASH || def->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static size_t copy_size(const struct map_def *def)
{
	return round_up(
	        round_up(def->value_size, 8) * ((size_t)def->max_entries + spare_count(def)), 64);
}

size_t hash_area_size(const struct map_def *def)
{
	return copy_size(def) * (is_per_cpu(def) ? def->cpu_count : 1);
}

int hash_make(const struct map_def *def, struct map **map)
{
	struct hash *hash = calloc(1, sizeof(*hash));
	if (!hash)
		return -ENOMEM;
	hash->map.is_per_cpu = is_per_cpu(def);
	hash->is_lru =
	        def->type == BPF_MAP_TYPE_LRU_HASH || def->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	*map = &hash->map;
	return 0;
}

void hash_stop(struct map *map)
{
	struct hash *hash = (struct hash *)map;
	mem_free(hash->buckets);
	mem_free(hash->overflow);
	mem_free(hash->keys);
	mem_free(hash->spares);
	mem_free(hash->pool);
}

// Two entries a bucket when full: one in 25 then stands in an overflow bucket. mem_new() of a big
// block touches nothing.
int hash_start(struct map *map)
{
	struct hash *hash = (struct hash *)map;
	uint64_t buckets = 1;
	while (buckets * 2 < map->def.max_entries)
		buckets *= 2;
	bool apart = hash_keys_apart(map->def.key_size);
	hash->words = apart ? 1 : (map->def.key_size + 7) / 8;
	hash->bucket_size = (uint32_t)round_up(sizeof(struct bucket) + hash->words * SLOTS * 8, 64);
	hash->mask = (buckets - 1) * hash->bucket_size;
	hash->key_stride = apart ? (uint32_t)round_up(map->def.key_size, 8) : 0;
	hash->spare_count = spare_count(&map->def);
	hash->node_count = map->def.max_entries + hash->spare_count;
	hash->copy_size = map->is_per_cpu ? copy_size(&map->def) : 0;
	size_t overflow = hash->node_count / SLOTS + 1;
	hash->buckets = mem_new_hot(buckets, hash->bucket_size);
	hash->overflow = mem_new(overflow, hash->bucket_size);
	hash->keys = apart ? mem_new_hot(hash->node_count, hash->key_stride) : NULL;
	hash->pool = mem_new(hash->node_count, sizeof(*hash->pool));
	hash->spares = mem_new(hash->spare_count, sizeof(*hash->spares));
	if (!hash->buckets || !hash->overflow || (apart && !hash->keys) || !hash->pool ||
	        !hash->spares)
		return -ENOMEM;
	for (uint32_t i = 0; i < hash->spare_count; i++)
		hash->spares[i] = ++hash->fresh_count;
	map->memory = (buckets + overflow) * hash->bucket_size +
	              hash->node_count * (hash->key_stride + sizeof(*hash->pool)) +
	              hash->spare_count * sizeof(*hash->spares);
	mem_hot(map->area, map->area_size);
	if (getrandom(&hash->seed, sizeof(hash->seed), 0) != sizeof(hash->seed))
		return -EIO;
	hash->seed.word[1] |= 1;
	return 0;
}

// See hash_table.h. The lock is held.
static void bucket_step(struct bucket *home)
{
	store_release(&home->version, load_relaxed(&home->version) + VERSION_STEP);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static uint32_t overflow_take(struct hash *hash)
{
	spin_lock(&hash->lock);
	uint32_t number = hash->overflow_free;
	if (number)
		hash->overflow_free = overflow_at(hash, number)->next;
	else
		number = ++hash->overflow_fresh;
	spin_unlock(&hash->lock);
	return number;
}

static void overflow_give(struct hash *hash, uint32_t number)
{
	spin_lock(&hash->lock);
	store_relaxed(&overflow_at(hash, number)->next, hash->overflow_free);
	hash->overflow_free = number;
	spin_unlock(&hash->lock);
}

// Stores a key in an empty place, and only then its number.
static void place_fill(const struct hash *hash, struct bucket *home, const struct hash_place *place,
        const uint64_t *words, uint32_t number, uint8_t used)
{
	struct bucket *bucket = place->bucket;
	bucket_step(home);
	for (uint32_t i = 0; i < hash->words; i++)
		store_relaxed(&bucket->word[i][place->slot], words[i]);
	store_relaxed(&bucket->used[place->slot], used);
	bucket_step(home);
	store_release(&bucket->number[place->slot], number);
}

// The first empty place of a chain, behind its end if need be.
static struct hash_place place_new(struct hash *hash, struct bucket *home)
{
	for (struct bucket *bucket = home;; bucket = overflow_at(hash, bucket->next)) {
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			if (!bucket->number[slot])
				return (struct hash_place){bucket, slot, 0};
		if (bucket->next)
			continue;
		uint32_t number = overflow_take(hash);
		store_relaxed(&overflow_at(hash, number)->next, 0);
		store_release(&bucket->next, number);
	}
}

// Takes an entry out. Its number may be used again afterwards.
static void place_empty(struct hash *hash, struct bucket *home, const struct hash_place *place)
{
	store_release(&place->bucket->number[place->slot], 0);
	bucket_step(home);
	if (!home->next)
		return;
	struct bucket *last = home, *before = NULL;
	for (; last->next; last = overflow_at(hash, last->next))
		before = last;
	uint32_t count = 0, from = 0;
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		if (last->number[slot])
			count++, from = slot;
	}
	if (last != place->bucket) {
		uint64_t words[MAP_WORDS_MAX] = {0};
		for (uint32_t i = 0; i < hash->words; i++)
			words[i] = last->word[i][from];
		place_fill(hash, home, place, words, last->number[from],
		        load_relaxed(&last->used[from]));
		bucket_step(home);
		store_release(&last->number[from], 0);
		count--;
	}
	if (count) {
		bucket_step(home);
		return;
	}
	uint32_t number = before->next;
	store_release(&before->next, 0);
	bucket_step(home);
	overflow_give(hash, number);
}

// Whoever takes a number writes where look-ups may still be (hash_table.h).
static uint32_t taken(uint32_t number)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return number;
}

static uint32_t spare_take(struct hash *hash, uint32_t cpu)
{
	uint32_t at = cpu < hash->spare_count ? cpu : hash->spare_count - 1, spins = 0;
	for (;; at = at + 1 < hash->spare_count ? at + 1 : 0) {
		uint32_t i = __atomic_exchange_n(&hash->spares[at], 0, __ATOMIC_ACQ_REL);
		if (i)
			return taken(i);
		spin_pause(&spins);
	}
}

// The place that spare_take() emptied may have been filled by another thread: any empty one will
// do.
static void spare_give(struct hash *hash, uint32_t cpu, uint32_t i)
{
	uint32_t at = cpu < hash->spare_count ? cpu : hash->spare_count - 1;
	for (;; at = at + 1 < hash->spare_count ? at + 1 : 0) {
		uint32_t empty = 0;
		if (__atomic_compare_exchange_n(&hash->spares[at], &empty, i, false,
		            __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return;
	}
}

static uint32_t pool_take(struct hash *hash)
{
	spin_lock(&hash->lock);
	uint32_t i = 0;
	if (hash->pool_count)
		i = hash->pool[--hash->pool_count];
	else if (hash->fresh_count < hash->node_count)
		i = ++hash->fresh_count;
	spin_unlock(&hash->lock);
	return taken(i);
}

static void pool_give(struct hash *hash, uint32_t i)
{
	spin_lock(&hash->lock);
	hash->pool[hash->pool_count++] = i;
	spin_unlock(&hash->lock);
}

// The hand is at a chain, which is locked: chooses the first entry with fewer than `marks`, or
// takes a mark off each.
static bool hand_choose(
        const struct hash *hash, struct bucket *home, uint32_t marks, struct hash_place *chosen)
{
	for (struct bucket *bucket = home;; bucket = overflow_at(hash, bucket->next)) {
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			if (!bucket->number[slot] || load_relaxed(&bucket->used[slot]) >= marks)
				continue;
			*chosen = (struct hash_place){bucket, slot, bucket->number[slot]};
			return true;
		}
		if (!bucket->next)
			return false;
	}
}

static uint32_t hand_pass(const struct hash *hash, struct bucket *home)
{
	uint32_t count = 0;
	for (struct bucket *bucket = home;; bucket = overflow_at(hash, bucket->next)) {
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			uint8_t used = load_relaxed(&bucket->used[slot]);
			if (bucket->number[slot] && used)
				store_relaxed(&bucket->used[slot], (uint8_t)(used - 1));
			count += bucket->number[slot] != 0;
		}
		if (!bucket->next)
			return count;
	}
}

// A number for a new entry: a free one, or that of an entry that has to go. Before the pool is
// empty every number is in the table, in the pool, or lent out.
static uint32_t lru_take(struct hash *hash)
{
	uint32_t number = pool_take(hash), passed = 0;
	uint32_t buckets = (uint32_t)(hash->mask / hash->bucket_size) + 1;
	for (uint64_t step = 0; !number && step < 4ull * buckets; step++) {
		uint32_t hand = load_relaxed(&hash->hand), at = hand & (buckets - 1);
		struct bucket *home =
		        (struct bucket *)(hash->buckets + (size_t)at * hash->bucket_size);
		struct hash_place place;
		bucket_lock(home);
		if (hand_choose(hash, home, 1 + passed / HAND_LIMIT, &place)) {
			place_empty(hash, home, &place);
			__atomic_fetch_sub(&hash->count, 1, __ATOMIC_RELAXED);
			number = taken(place.number);
		} else if (__atomic_compare_exchange_n(&hash->hand, &hand, hand + 1, false,
		                   __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			passed += hand_pass(hash, home);
		}
		bucket_unlock(home);
	}
	return number;
}

static void value_set(
        struct hash *hash, uint32_t i, const uint8_t *value, uint32_t cpu, bool is_new)
{
	uint32_t size = hash->map.def.value_size;
	if (!hash->map.is_per_cpu) {
		map_value_store(&hash->map, hash_value(hash, i, 0), value, is_new);
		return;
	}
	for (uint32_t at = 0; at < hash->map.def.cpu_count; at++) {
		if (cpu == CPU_ALL)
			words_store(hash_value(hash, i, at), value + (size_t)at * hash->map.stride,
			        size);
		else if (at == cpu)
			words_store(hash_value(hash, i, at), value, size);
		else if (is_new)
			words_zero(hash_value(hash, i, at), size);
	}
}

// What an update works on; the chain is locked.
struct change {
	const uint8_t *key, *value;
	struct hash_words words;
	struct bucket *home;
	uint32_t cpu;
};

// Fills what stands apart from the table.
static void entry_set(struct hash *hash, const struct change *change, uint32_t number)
{
	value_set(hash, number, change->value, change->cpu, true);
	if (hash->keys)
		words_store(key_apart(hash, number), change->key, hash->map.def.key_size);
}

static void insert(struct hash *hash, const struct change *change, uint32_t number)
{
	entry_set(hash, change, number);
	struct hash_place place = place_new(hash, change->home);
	place_fill(hash, change->home, &place, change->words.word, number, USED_NEW);
	__atomic_fetch_add(&hash->count, 1, __ATOMIC_RELAXED);
}

// The key stands at `place`.
static int update_standing(struct hash *hash, const struct change *change,
        const struct hash_place *place, uint64_t flags)
{
	int rc = 0;
	uint32_t old = 0;
	if (flags & BPF_NOEXIST) {
		bucket_unlock(change->home);
		return -EEXIST;
	}
	if (hash->map.is_per_cpu) {
		value_set(hash, place->number, change->value, change->cpu, false);
	} else if (flags & BPF_F_LOCK) {
		rc = map_value_change(
		        &hash->map, hash_value(hash, place->number, 0), change->value, flags);
	} else {
		uint32_t number = spare_take(hash, change->cpu);
		old = place->number;
		entry_set(hash, change, number);
		store_release(&place->bucket->number[place->slot], number);
		bucket_step(change->home);
	}
	if (hash->is_lru)
		hash_mark_used(place);
	bucket_unlock(change->home);
	if (old)
		spare_give(hash, change->cpu, old);
	return rc;
}

static int update_missing(struct hash *hash, const struct change *change, uint64_t flags)
{
	if (flags & BPF_EXIST) {
		bucket_unlock(change->home);
		return -ENOENT;
	}
	if (!hash->is_lru) {
		uint32_t number = pool_take(hash);
		if (number)
			insert(hash, change, number);
		bucket_unlock(change->home);
		return number ? 0 : -E2BIG;
	}
	// Making room may have to lock any bucket, so this one is let go meanwhile.
	bucket_unlock(change->home);
	uint32_t number = lru_take(hash);
	if (!number)
		return -ENOMEM;
	struct hash_place place;
	bucket_lock(change->home);
	if (chain_find(hash, change->home, &change->words, &place)) {
		pool_give(hash, number);
		return update_standing(hash, change, &place, flags);
	}
	insert(hash, change, number);
	bucket_unlock(change->home);
	return 0;
}

static inline __attribute__((always_inline)) int update_sized(struct hash *hash, const void *key,
        uint32_t size, const void *value, uint64_t flags, uint32_t cpu)
{
	if ((flags & ~(uint64_t)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	struct change change = {
	        .key = key,
	        .value = value,
	        .words = hash_words_of(hash, key, size),
	        .cpu = cpu,
	};
	change.home = bucket_home(hash, change.words.code);
	struct hash_place place;
	bucket_lock(change.home);
	return chain_find(hash, change.home, &change.words, &place)
	               ? update_standing(hash, &change, &place, flags)
	               : update_missing(hash, &change, flags);
}

int hash_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	struct hash *hash = (struct hash *)map;
	switch (map->def.key_size) {
	case 4:
		return update_sized(hash, key, 4, value, flags, cpu);
	case 6:
		return update_sized(hash, key, 6, value, flags, cpu);
	case 8:
		return update_sized(hash, key, 8, value, flags, cpu);
	case 16:
		return update_sized(hash, key, 16, value, flags, cpu);
	default:
		return update_sized(hash, key, map->def.key_size, value, flags, cpu);
	}
}

int hash_remove(struct map *map, const void *key)
{
	struct hash *hash = (struct hash *)map;
	struct hash_words words = hash_words_of(hash, key, map->def.key_size);
	struct bucket *home = bucket_home(hash, words.code);
	struct hash_place place;
	bucket_lock(home);
	bool found = chain_find(hash, home, &words, &place);
	if (found) {
		place_empty(hash, home, &place);
		__atomic_fetch_sub(&hash->count, 1, __ATOMIC_RELAXED);
	}
	bucket_unlock(home);
	if (!found)
		return -ENOENT;
	pool_give(hash, place.number);
	return 0;
}

uint32_t hash_count(const struct map *map)
{
	return load_relaxed(&((const struct hash *)map)->count);
}

const struct map_ops hash_ops = {
        .area_size = hash_area_size,
        .make = hash_make,
        .start = hash_start,
        .stop = hash_stop,
        .lookup = hash_lookup,
        .update = hash_update,
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
