// SPDX-License-Identifier: Apache-2.0
// Hash, LRU hash and their per-CPU kinds: chains of nodes that are numbered from 1; value i stands
// at place i - 1 of the area, so that keys and links are out of a program's reach.
//
// A look-up takes no lock. It may stand on a node that is taken out and used again under it, also
// in another chain, or further on in the same one. What keeps it right:
// - a bucket counts the nodes taken out of it, and counts before the node can be used again;
// - a look-up that finds nothing begins again if that count has changed since it began;
// - a look-up that finds its key may stand on a node that has just been taken out, as in the
// kernel: it
//   came first;
// - a node's hash is compared before its key, so that a key half overwritten is not taken for
// another.
//
// An update puts a new node in the place of the old one, as the kernel's does, so that a reader
// sees the old value or the new one whole and never misses the key. Spare nodes beyond max_entries
// serve that; per-CPU copies are written in place. Writers lock one bucket, by a bit in its count.
//
// An LRU that is full gives up an entry by the clock algorithm: a hand goes round the nodes, spares
// those used since it last came by, and takes the first other one.
#include "map/hash.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/random.h>

#include "ebpf/maptype.h"
#include "map/hash_key.h"
#include "map/mem.h"

#define BUCKET_LOCKED 1u // in taken, which counts in steps of two
#define BUCKET_STEP   2u
#define HAND_LIMIT    128u // used entries that one eviction passes by
#define STATE_LIVE    1u
#define STATE_USED    2u

struct bucket {
	uint32_t head, taken;
};

struct node {
	uint32_t next, hash;
	uint64_t key[];
};

struct hash {
	struct map map;
	struct hash_seed seed;
	struct bucket *buckets;
	uint8_t *nodes, *states; // states: LRU only
	uint32_t bucket_mask, node_stride, node_count, spare_count;
	size_t copy_size; // from one CPU's values to the next one's
	bool is_lru;

	uint32_t *spares; // node numbers, 0 = lent out; the data path begins at its CPU's
	uint32_t count;   // entries
	uint32_t hand;    // LRU
	uint32_t lock;    // of the rest
	uint32_t *pool;   // a stack of free nodes that have been used
	uint32_t pool_count, fresh_count;
};

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
	mem_free(hash->nodes);
	mem_free(hash->states);
	mem_free(hash->spares);
	mem_free(hash->pool);
}

// Chains are short: at most three entries for four buckets. mem_new() of a big block touches
// nothing.
int hash_start(struct map *map)
{
	struct hash *hash = (struct hash *)map;
	uint64_t buckets = 4;
	while (buckets < map->def.max_entries * 4ull / 3)
		buckets *= 2;
	hash->bucket_mask = (uint32_t)(buckets - 1);
	hash->node_stride = (uint32_t)(sizeof(struct node) + round_up(map->def.key_size, 8));
	hash->spare_count = spare_count(&map->def);
	hash->node_count = map->def.max_entries + hash->spare_count;
	hash->copy_size = copy_size(&map->def);
	hash->buckets = mem_new(buckets, sizeof(*hash->buckets));
	hash->nodes = mem_new(hash->node_count, hash->node_stride);
	hash->pool = mem_new(hash->node_count, sizeof(*hash->pool));
	hash->spares = mem_new(hash->spare_count, sizeof(*hash->spares));
	if (hash->is_lru)
		hash->states = mem_new(hash->node_count, 1);
	if (!hash->buckets || !hash->nodes || !hash->pool || !hash->spares ||
	        (hash->is_lru && !hash->states))
		return -ENOMEM;
	for (uint32_t i = 0; i < hash->spare_count; i++)
		hash->spares[i] = ++hash->fresh_count;
	map->memory = buckets * sizeof(*hash->buckets) +
	              hash->node_count * ((size_t)hash->node_stride + sizeof(*hash->pool)) +
	              (hash->is_lru ? hash->node_count : 0) +
	              hash->spare_count * sizeof(*hash->spares);
	if (getrandom(&hash->seed, sizeof(hash->seed), 0) != sizeof(hash->seed))
		return -EIO;
	hash->seed.word[1] |= 1;
	return 0;
}

static inline struct node *node_at(const struct hash *hash, uint32_t number)
{
	return (struct node *)(hash->nodes + (size_t)(number - 1) * hash->node_stride);
}

static inline uint64_t *value_at(const struct hash *hash, uint32_t number, uint32_t cpu)
{
	size_t at = (size_t)(number - 1) * hash->map.stride;
	if (hash->map.is_per_cpu)
		at += cpu * hash->copy_size;
	return (uint64_t *)(hash->map.area + at);
}

static inline __attribute__((always_inline)) bool key_is(
        const struct node *node, const uint8_t *key, uint32_t size)
{
	for (uint32_t at = 0; at < size; at += 8)
		if (load_relaxed(&node->key[at / 8]) != word_of(key + at, size - at))
			return false;
	return true;
}

static inline __attribute__((always_inline)) uint32_t find_sized(
        const struct hash *hash, const uint8_t *key, uint32_t size)
{
	uint32_t code = (uint32_t)hash_key(&hash->seed, key, size);
	const struct bucket *bucket = &hash->buckets[code & hash->bucket_mask];
	uint32_t taken;
	do {
		taken = load_acquire(&bucket->taken);
		const struct node *node;
		for (uint32_t i = load_acquire(&bucket->head); i; i = load_acquire(&node->next)) {
			node = node_at(hash, i);
			if ((size <= 8 || load_relaxed(&node->hash) == code) &&
			        key_is(node, key, size))
				return i;
		}
	} while ((load_relaxed(&bucket->taken) ^ taken) & ~BUCKET_LOCKED);
	return 0;
}

static inline uint32_t find(const struct hash *hash, const uint8_t *key)
{
	switch (hash->map.def.key_size) {
	case 4:
		return find_sized(hash, key, 4);
	case 6:
		return find_sized(hash, key, 6);
	case 8:
		return find_sized(hash, key, 8);
	case 12:
		return find_sized(hash, key, 12);
	case 16:
		return find_sized(hash, key, 16);
	default:
		return find_sized(hash, key, hash->map.def.key_size);
	}
}

void *hash_lookup(struct map *map, const void *key, uint32_t cpu)
{
	const struct hash *hash = (const struct hash *)map;
	uint32_t i = find(hash, key);
	return i ? value_at(hash, i, cpu) : NULL;
}

static void *lru_lookup(struct map *map, const void *key, uint32_t cpu)
{
	struct hash *hash = (struct hash *)map;
	uint32_t i = find(hash, key);
	if (!i)
		return NULL;
	if (load_relaxed(&hash->states[i - 1]) == STATE_LIVE) // written once a round of the hand
		store_relaxed(&hash->states[i - 1], STATE_LIVE | STATE_USED);
	return value_at(hash, i, cpu);
}

static void bucket_lock(struct bucket *bucket)
{
	uint32_t spins = 0;
	while (__atomic_fetch_or(&bucket->taken, BUCKET_LOCKED, __ATOMIC_ACQUIRE) & BUCKET_LOCKED)
		while (load_relaxed(&bucket->taken) & BUCKET_LOCKED)
			spin_pause(&spins);
}

static void bucket_unlock(struct bucket *bucket, bool took)
{
	uint32_t taken = load_relaxed(&bucket->taken);
	store_release(&bucket->taken, (taken & ~BUCKET_LOCKED) + (took ? BUCKET_STEP : 0));
}

// In a locked bucket: the link that leads to the node with this key, or NULL.
static uint32_t *find_link(
        const struct hash *hash, struct bucket *bucket, const uint8_t *key, uint32_t code)
{
	for (uint32_t *link = &bucket->head; *link; link = &node_at(hash, *link)->next) {
		const struct node *node = node_at(hash, *link);
		if (node->hash == code && key_is(node, key, hash->map.def.key_size))
			return link;
	}
	return NULL;
}

static uint32_t spare_take(struct hash *hash, uint32_t cpu)
{
	uint32_t at = cpu < hash->spare_count ? cpu : hash->spare_count - 1, spins = 0;
	for (;; at = at + 1 < hash->spare_count ? at + 1 : 0) {
		uint32_t i = __atomic_exchange_n(&hash->spares[at], 0, __ATOMIC_ACQ_REL);
		if (i)
			return i;
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
	return i;
}

static void pool_give(struct hash *hash, uint32_t i)
{
	spin_lock(&hash->lock);
	hash->pool[hash->pool_count++] = i;
	spin_unlock(&hash->lock);
}

// Takes node i out of the table, if it still stands in it.
static bool evict(struct hash *hash, uint32_t i)
{
	struct node *node = node_at(hash, i);
	struct bucket *bucket = &hash->buckets[load_relaxed(&node->hash) & hash->bucket_mask];
	bucket_lock(bucket);
	uint32_t *link = &bucket->head;
	while (*link && *link != i)
		link = &node_at(hash, *link)->next;
	bool stands = *link == i;
	if (stands) {
		store_release(link, node->next);
		store_relaxed(&hash->states[i - 1], 0);
		__atomic_fetch_sub(&hash->count, 1, __ATOMIC_RELAXED);
	}
	bucket_unlock(bucket, stands);
	return stands;
}

// Before the pool is empty every node is in the table, in the pool, or lent out.
static uint32_t lru_take(struct hash *hash)
{
	uint32_t i = pool_take(hash), passed = 0;
	for (uint64_t step = 0; !i && step < 4ull * hash->node_count; step++) {
		uint32_t at =
		        __atomic_fetch_add(&hash->hand, 1, __ATOMIC_RELAXED) % hash->node_count;
		uint8_t state = load_relaxed(&hash->states[at]);
		if (!(state & STATE_LIVE))
			continue;
		if ((state & STATE_USED) && passed++ < HAND_LIMIT)
			store_relaxed(&hash->states[at], STATE_LIVE);
		else if (evict(hash, at + 1))
			i = at + 1;
	}
	return i;
}

static void value_set(
        struct hash *hash, uint32_t i, const uint8_t *value, uint32_t cpu, bool is_new)
{
	uint32_t size = hash->map.def.value_size;
	if (!hash->map.is_per_cpu) {
		map_value_store(&hash->map, value_at(hash, i, 0), value, is_new);
		return;
	}
	for (uint32_t at = 0; at < hash->map.def.cpu_count; at++) {
		if (cpu == CPU_ALL)
			words_store(
			        value_at(hash, i, at), value + (size_t)at * hash->map.stride, size);
		else if (at == cpu)
			words_store(value_at(hash, i, at), value, size);
		else if (is_new)
			words_zero(value_at(hash, i, at), size);
	}
}

static void node_set(struct hash *hash, uint32_t i, const uint8_t *key, uint32_t code)
{
	struct node *node = node_at(hash, i);
	store_relaxed(&node->hash, ~code); // no look-up takes the key before it is whole
	__atomic_thread_fence(__ATOMIC_RELEASE);
	words_store(node->key, key, hash->map.def.key_size);
	store_release(&node->hash, code);
}

static void node_mark(struct hash *hash, uint32_t i, uint8_t state)
{
	if (hash->is_lru)
		store_relaxed(&hash->states[i - 1], state);
}

// What an update works on; the bucket is locked.
struct change {
	const uint8_t *key, *value;
	struct bucket *bucket;
	uint32_t code, cpu;
};

// Puts node `i` in the place of the one that `link` leads to. Returns the old one.
static uint32_t replace(struct hash *hash, const struct change *change, uint32_t *link, uint32_t i)
{
	uint32_t old = *link;
	value_set(hash, i, change->value, change->cpu, true);
	node_set(hash, i, change->key, change->code);
	store_release(&node_at(hash, i)->next, node_at(hash, old)->next);
	node_mark(hash, i, STATE_LIVE | STATE_USED);
	store_release(link, i);
	node_mark(hash, old, 0);
	return old;
}

static void insert(struct hash *hash, const struct change *change, uint32_t i)
{
	value_set(hash, i, change->value, change->cpu, true);
	node_set(hash, i, change->key, change->code);
	store_release(&node_at(hash, i)->next, change->bucket->head);
	node_mark(hash, i, STATE_LIVE);
	store_release(&change->bucket->head, i);
	__atomic_fetch_add(&hash->count, 1, __ATOMIC_RELAXED);
}

// The key stands, at `link`. In an LRU, `i` may be a node that was fetched in vain.
static int update_standing(
        struct hash *hash, const struct change *change, uint32_t *link, uint64_t flags)
{
	if (flags & BPF_NOEXIST) {
		bucket_unlock(change->bucket, false);
		return -EEXIST;
	}
	if (hash->map.is_per_cpu || (flags & BPF_F_LOCK)) {
		int rc = 0;
		if (hash->map.is_per_cpu)
			value_set(hash, *link, change->value, change->cpu, false);
		else
			rc = map_value_change(
			        &hash->map, value_at(hash, *link, 0), change->value, flags);
		node_mark(hash, *link, STATE_LIVE | STATE_USED);
		bucket_unlock(change->bucket, false);
		return rc;
	}
	uint32_t old = replace(hash, change, link, spare_take(hash, change->cpu));
	bucket_unlock(change->bucket, true);
	spare_give(hash, change->cpu, old);
	return 0;
}

static int update_missing(struct hash *hash, const struct change *change, uint64_t flags)
{
	if (flags & BPF_EXIST) {
		bucket_unlock(change->bucket, false);
		return -ENOENT;
	}
	if (!hash->is_lru) {
		uint32_t i = pool_take(hash);
		if (i)
			insert(hash, change, i);
		bucket_unlock(change->bucket, false);
		return i ? 0 : -E2BIG;
	}
	// Making room may have to lock any bucket, so this one is let go meanwhile.
	bucket_unlock(change->bucket, false);
	uint32_t i = lru_take(hash);
	if (!i)
		return -ENOMEM;
	bucket_lock(change->bucket);
	uint32_t *link = find_link(hash, change->bucket, change->key, change->code);
	if (link) {
		pool_give(hash, i);
		return update_standing(hash, change, link, flags);
	}
	insert(hash, change, i);
	bucket_unlock(change->bucket, false);
	return 0;
}

int hash_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	struct hash *hash = (struct hash *)map;
	if ((flags & ~(uint64_t)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	uint32_t code = (uint32_t)hash_key(&hash->seed, key, map->def.key_size);
	struct change change = {
	        .key = key,
	        .value = value,
	        .bucket = &hash->buckets[code & hash->bucket_mask],
	        .code = code,
	        .cpu = cpu,
	};
	bucket_lock(change.bucket);
	uint32_t *link = find_link(hash, change.bucket, key, code);
	return link ? update_standing(hash, &change, link, flags)
	            : update_missing(hash, &change, flags);
}

int hash_remove(struct map *map, const void *key)
{
	struct hash *hash = (struct hash *)map;
	uint32_t code = (uint32_t)hash_key(&hash->seed, key, map->def.key_size);
	struct bucket *bucket = &hash->buckets[code & hash->bucket_mask];
	bucket_lock(bucket);
	uint32_t *link = find_link(hash, bucket, key, code), i = link ? *link : 0;
	if (link) {
		store_release(link, node_at(hash, i)->next);
		node_mark(hash, i, 0);
		__atomic_fetch_sub(&hash->count, 1, __ATOMIC_RELAXED);
	}
	bucket_unlock(bucket, link != NULL);
	if (!i)
		return -ENOENT;
	pool_give(hash, i);
	return 0;
}

// Reads again if the entry was replaced meanwhile, so that what it gives was never half of two
// values.
int hash_read(struct map *map, const void *key, void *value)
{
	struct hash *hash = (struct hash *)map;
	uint32_t i = find(hash, key), seen;
	do {
		if (!i)
			return -ENOENT;
		seen = i;
		if (!map->is_per_cpu) {
			words_load(value, value_at(hash, i, 0), map->def.value_size);
		} else {
			for (uint32_t cpu = 0; cpu < map->def.cpu_count; cpu++)
				words_load((uint8_t *)value + (size_t)cpu * map->stride,
				        value_at(hash, i, cpu), map->stride);
		}
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		i = find(hash, key);
	} while (i != seen);
	return 0;
}

// The least key of a bucket that is over `after` (NULL: the least), by its words, into `next`. An
// order that no update changes: whoever stands during a walk is met once.
static bool bucket_next(
        const struct hash *hash, const struct bucket *bucket, const uint8_t *after, uint8_t *next)
{
	uint32_t size = hash->map.def.key_size, taken;
	uint8_t key[MAP_KEY_MAX], best[MAP_KEY_MAX];
	bool found;
	do {
		taken = load_acquire(&bucket->taken);
		found = false;
		const struct node *node;
		for (uint32_t i = load_acquire(&bucket->head); i; i = load_acquire(&node->next)) {
			node = node_at(hash, i);
			words_load(key, node->key, size);
			if ((after && memcmp(key, after, size) <= 0) ||
			        (found && memcmp(key, best, size) >= 0))
				continue;
			memcpy(best, key, size);
			found = true;
		}
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((load_relaxed(&bucket->taken) ^ taken) & ~BUCKET_LOCKED);
	if (found)
		memcpy(next, best, size);
	return found;
}

// The first key behind `after` (NULL: any) in bucket `at`, or else the first of the buckets that
// follow.
static int walk(
        const struct hash *hash, uint64_t at, const void *after, void *next, uint64_t *steps)
{
	for (; at <= hash->bucket_mask; at++, after = NULL) {
		if (!*steps)
			return -EAGAIN;
		--*steps;
		if (load_relaxed(&hash->buckets[at].head) &&
		        bucket_next(hash, &hash->buckets[at], after, next))
			return 0;
	}
	return -ENOENT;
}

int hash_follow(struct map *map, const void *key, void *next, uint64_t *steps)
{
	const struct hash *hash = (const struct hash *)map;
	uint64_t code = key ? hash_key(&hash->seed, key, map->def.key_size) : 0;
	return walk(hash, (uint32_t)code & hash->bucket_mask, key, next, steps);
}

int hash_next(struct map *map, const void *key, void *next)
{
	uint64_t steps = UINT64_MAX;
	if (key && !find((const struct hash *)map, key))
		key = NULL;
	return hash_follow(map, key, next, &steps);
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
};

const struct map_ops lru_ops = {
        .area_size = hash_area_size,
        .make = hash_make,
        .start = hash_start,
        .stop = hash_stop,
        .lookup = lru_lookup,
        .update = hash_update,
        .remove = hash_remove,
        .read = hash_read,
        .next = hash_next,
        .follow = hash_follow,
        .count = hash_count,
};
