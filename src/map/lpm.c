// SPDX-License-Identifier: Apache-2.0
// The LPM map (Documentation/bpf/map_lpm_trie.rst): a key is a u32 length in bits and up to 256
// bytes of address, highest bit first. Rules are found by exact prefix through a hash, for updates,
// deletes, reads and walks, and by longest match through the trie (lpm_trie.c).
//
// An update of a prefix that stands puts a new rule in the old one's place, with its value, so that
// a reader sees the one or the other whole. One spare rule serves that: writers take turns.
#include "map/lpm.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/error.h"

#define DATA_MAX    256u
#define LENGTH_COST 12u

static int lpm_check(const struct map_def *def, struct error *err)
{
	if (!(def->flags & BPF_F_NO_PREALLOC))
		return error_set(err, EINVAL,
		        "an lpm_trie must have map_flags BPF_F_NO_PREALLOC, as in the kernel: add "
		        "__uint(map_flags, BPF_F_NO_PREALLOC)");
	if (def->key_size < 5 || def->key_size > 4 + DATA_MAX)
		return error_set(err, EINVAL,
		        "key_size of an lpm_trie is 4 bytes for the length and 1 to %u of address, "
		        "not %u",
		        DATA_MAX, def->key_size);
	if (def->max_entries > ~ENTRY_KIND / 2)
		return error_set(err, E2BIG, "an lpm_trie holds at most %u entries, not %u",
		        ~ENTRY_KIND / 2, def->max_entries);
	return 0;
}

static size_t lpm_area_size(const struct map_def *def)
{
	return round_up(def->value_size, 8) * ((size_t)def->max_entries + 1);
}

static int lpm_make(const struct map_def *def, struct map **map)
{
	(void)def;
	struct lpm *lpm = calloc(1, sizeof(*lpm));
	if (!lpm)
		return -ENOMEM;
	*map = &lpm->map;
	return 0;
}

static void lpm_stop(struct map *map)
{
	struct lpm *lpm = (struct lpm *)map;
	trie_stop(lpm);
	mem_free(lpm->rules);
	mem_free(lpm->buckets);
	mem_free(lpm->lengths);
	mem_free(lpm->rule_pool.free);
}

static int lpm_start(struct map *map)
{
	struct lpm *lpm = (struct lpm *)map;
	uint64_t buckets = 4, rules = (uint64_t)map->def.max_entries + 1;
	while (buckets < rules * 4 / 3)
		buckets *= 2;
	lpm->data_size = map->def.key_size - 4;
	lpm->bits = lpm->data_size * 8;
	lpm->bucket_mask = (uint32_t)(buckets - 1);
	lpm->rule_stride = (uint32_t)(sizeof(struct rule) + round_up(lpm->data_size, 8));
	lpm->rules = mem_new_hot(rules, lpm->rule_stride);
	lpm->buckets = mem_new_hot(buckets, sizeof(*lpm->buckets));
	lpm->lengths = mem_new(lpm->bits + 1, sizeof(*lpm->lengths));
	if (!lpm->rules || !lpm->buckets || !lpm->lengths ||
	        pool_new(&lpm->rule_pool, (uint32_t)rules))
		return -ENOMEM;
	map->memory =
	        buckets * sizeof(*lpm->buckets) +
	        rules * (lpm->rule_stride + sizeof(*lpm->rule_pool.free) + sizeof(struct cell));
	mem_hot(map->area, map->area_size);
	if (getrandom(&lpm->seed, sizeof(lpm->seed), 0) != sizeof(lpm->seed))
		return -EIO;
	lpm->seed.word[1] |= 1;
	return trie_start(lpm);
}

// A key taken apart: the prefix in words, with all behind `length` cleared.
struct prefix {
	uint32_t length;
	uint64_t words[DATA_MAX / 8];
};

static void prefix_cut(struct prefix *prefix, uint32_t length, uint32_t data_size)
{
	uint32_t words = (data_size + 7) / 8, whole = length / 64;
	prefix->length = length;
	if (length % 64)
		prefix->words[whole++] &= lpm_mask(length % 64);
	for (uint32_t i = whole; i < words; i++)
		prefix->words[i] = 0;
}

static uint32_t length_of(const void *key)
{
	return (uint32_t)word_of(key, sizeof(uint32_t));
}

static void prefix_of(const struct lpm *lpm, const void *key, struct prefix *prefix)
{
	const uint8_t *data = (const uint8_t *)key + 4;
	for (uint32_t at = 0; at < lpm->data_size; at += 8)
		prefix->words[at / 8] = word_of(data + at, lpm->data_size - at);
	prefix_cut(prefix, length_of(key), lpm->data_size);
}

static uint32_t *bucket_of(const struct lpm *lpm, const struct prefix *prefix)
{
	uint64_t hash = hash_fold(prefix->length ^ lpm->seed.word[0], lpm->seed.word[1]);
	for (uint32_t at = 0; at * 64 < prefix->length; at++)
		hash = hash_fold(prefix->words[at] ^ hash, lpm->seed.word[1]);
	return &lpm->buckets[hash & lpm->bucket_mask];
}

// The rule of exactly this prefix, or 0. Takes no lock.
static uint32_t find(const struct lpm *lpm, const struct prefix *prefix)
{
	uint32_t freed, i;
	do {
		freed = load_acquire(&lpm->freed);
		const struct rule *rule;
		for (i = load_acquire(bucket_of(lpm, prefix)); i; i = load_acquire(&rule->next)) {
			rule = rule_at(lpm, i);
			if (load_relaxed(&rule->length) == prefix->length &&
			        rule_matches(rule, prefix->length, (const uint8_t *)prefix->words,
			                DATA_MAX))
				break;
		}
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (load_relaxed(&lpm->freed) != freed);
	return i;
}

// The longest rule of at most prefix->length bits that covers it, by trying every length.
static uint32_t find_cover(const struct lpm *lpm, struct prefix *prefix)
{
	for (uint32_t length = prefix->length + 1; length-- > 0;) {
		if (!load_relaxed(&lpm->lengths[length]))
			continue;
		prefix_cut(prefix, length, lpm->data_size);
		uint32_t i = find(lpm, prefix);
		if (i)
			return i;
	}
	return 0;
}

static void *value_at(const struct lpm *lpm, uint32_t rule)
{
	return lpm->map.area + (size_t)(rule - 1) * lpm->map.stride;
}

// As in the kernel, a key's length bounds the match; keys of packets have the whole length.
static void *look_up(struct map *map, const void *key, uint32_t cpu)
{
	(void)cpu;
	const struct lpm *lpm = (const struct lpm *)map;
	uint32_t length = length_of(key), rule;
	if (length == lpm->bits) {
		rule = trie_lookup(lpm, (const uint8_t *)key + 4);
	} else {
		if (length > lpm->bits)
			return NULL;
		struct prefix prefix;
		prefix_of(lpm, key, &prefix);
		rule = find_cover(lpm, &prefix);
	}
	return rule ? value_at(lpm, rule) : NULL;
}

// What most look-ups of IPv4 addresses need: no cell.
static void *look_up_ipv4(struct map *map, const void *key, uint32_t cpu)
{
	const struct lpm *lpm = (const struct lpm *)map;
	const uint8_t *data = (const uint8_t *)key + 4;
	uint32_t address = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 |
	                   (uint32_t)data[2] << 8 | data[3];
	if (length_of(key) != 32)
		return look_up(map, key, cpu);
	uint32_t entry = load_acquire(&lpm->root[address >> 8]);
	if (entry - 1 < ENTRY_NODE - 1) // a rule
		return value_at(lpm, entry);
	if ((entry & ENTRY_KIND) == ENTRY_NODE)
		entry = load_acquire(
		        &lpm->nodes[(size_t)((entry & ~ENTRY_KIND) - 1) * NODE_WIDTH + data[3]]);
	if (entry & ENTRY_KIND)
		return look_up(map, key, cpu);
	if (!entry)
		entry = load_acquire(&lpm->shorts[data[0]]);
	return entry ? value_at(lpm, entry) : NULL;
}

static map_lookup_fn lpm_lookup_for(const struct map *map)
{
	return map->def.key_size == 8 ? look_up_ipv4 : look_up;
}

static void *lpm_lookup(struct map *map, const void *key, uint32_t cpu)
{
	map_enter();
	void *value = lpm_lookup_for(map)(map, key, cpu);
	map_leave();
	return value;
}

static void lpm_describe(const struct map *map, struct map_inline *description)
{
	const struct lpm *lpm = (const struct lpm *)map;
	if (map->def.key_size != 8)
		return;
	description->path = MAP_PATH_LPM;
	description->root = lpm->root;
	description->nodes =
	        (const uint32_t *)((uintptr_t)lpm->nodes - NODE_WIDTH * sizeof(uint32_t));
	description->shorts = lpm->shorts;
	description->root_shift = 8;
}

static void rule_set(struct lpm *lpm, uint32_t number, const void *key, const void *value)
{
	struct rule *rule = rule_at(lpm, number);
	store_relaxed(&rule->length, length_of(key));
	words_store(rule->data, (const uint8_t *)key + 4, lpm->data_size);
	words_store(value_at(lpm, number), value, lpm->map.def.value_size);
}

// The link of the chain that leads to `rule`.
static uint32_t *link_of(struct lpm *lpm, const struct prefix *prefix, uint32_t rule)
{
	uint32_t *link = bucket_of(lpm, prefix);
	while (*link != rule)
		link = &rule_at(lpm, *link)->next;
	return link;
}

static void put(struct lpm *lpm, const struct prefix *prefix, uint32_t rule, uint32_t old)
{
	trie_put(lpm, rule, old);
	if (old) {
		uint32_t *link = link_of(lpm, prefix, old);
		store_release(&rule_at(lpm, rule)->next, rule_at(lpm, old)->next);
		store_release(link, rule);
		lpm_give(lpm, &lpm->rule_pool, old);
		return;
	}
	uint32_t *bucket = bucket_of(lpm, prefix);
	store_release(&rule_at(lpm, rule)->next, *bucket);
	store_release(bucket, rule);
	store_relaxed(&lpm->lengths[prefix->length], lpm->lengths[prefix->length] + 1);
	store_relaxed(&lpm->count, lpm->count + 1);
}

static int lpm_update(
        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	(void)cpu;
	struct lpm *lpm = (struct lpm *)map;
	struct prefix prefix;
	if (flags > BPF_EXIST || length_of(key) > lpm->bits)
		return -EINVAL;
	prefix_of(lpm, key, &prefix);
	spin_lock(&lpm->lock);
	uint32_t old = find(lpm, &prefix);
	int rc = 0;
	if (old && flags == BPF_NOEXIST) {
		rc = -EEXIST;
	} else if (!old && flags == BPF_EXIST) {
		rc = -ENOENT;
	} else if (!old && lpm->count == map->def.max_entries) {
		rc = -ENOSPC;
	} else {
		uint32_t rule = pool_take(&lpm->rule_pool);
		rule_set(lpm, rule, key, value);
		put(lpm, &prefix, rule, old);
	}
	spin_unlock(&lpm->lock);
	return rc;
}

static int lpm_remove(struct map *map, const void *key)
{
	struct lpm *lpm = (struct lpm *)map;
	struct prefix prefix;
	if (length_of(key) > lpm->bits)
		return -EINVAL;
	prefix_of(lpm, key, &prefix);
	spin_lock(&lpm->lock);
	uint32_t rule = find(lpm, &prefix);
	if (rule) {
		store_release(link_of(lpm, &prefix, rule), rule_at(lpm, rule)->next);
		store_relaxed(&lpm->lengths[prefix.length], lpm->lengths[prefix.length] - 1);
		store_relaxed(&lpm->count, lpm->count - 1);
		uint32_t cover = 0;
		if (prefix.length) {
			prefix_cut(&prefix, prefix.length - 1, lpm->data_size);
			cover = find_cover(lpm, &prefix);
		}
		trie_remove(lpm, rule, cover);
		lpm_give(lpm, &lpm->rule_pool, rule);
	}
	spin_unlock(&lpm->lock);
	return rule ? 0 : -ENOENT;
}

// As bpf(2) does, a read by the control side is a look-up. It reads again if what it read was taken
// out.
static int lpm_read(struct map *map, const void *key, void *value)
{
	struct lpm *lpm = (struct lpm *)map;
	uint32_t freed;
	bool found;
	do {
		freed = load_acquire(&lpm->freed);
		const uint64_t *stored = lpm_lookup(map, key, 0);
		found = stored;
		if (found)
			words_load(value, stored, map->def.value_size);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (load_relaxed(&lpm->freed) != freed);
	return found ? 0 : -ENOENT;
}

// A length that is tried costs about a dozen instructions, a cell one; a look-up that meets none
// is the usual one.
static uint64_t lpm_effort(struct map *map, const void *key, bool changes, uint64_t limit)
{
	const struct lpm *lpm = (const struct lpm *)map;
	const uint8_t *data = (const uint8_t *)key + 4;
	uint64_t length = length_of(key), effort = load_relaxed(&lpm->longest);
	if (length > lpm->bits)
		return 0;
	if (changes || length < lpm->bits)
		effort += length * LENGTH_COST;
	else if (effort && !trie_meets_cells(lpm, data))
		return 0;
	if (changes && effort < limit) {
		map_enter();
		effort += trie_effort(lpm, data, (uint32_t)length, limit - effort);
		map_leave();
	}
	return effort;
}

static int prefix_order(const struct lpm *lpm, const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(a->words, b->words, lpm->data_size);
	return order ? order : (a->length > b->length) - (a->length < b->length);
}

// The least prefix of a bucket over `after` (NULL: the least), with all bits that its user wrote.
// An order that no update changes: whoever stands during a walk is met once.
static bool bucket_next(
        const struct lpm *lpm, const uint32_t *bucket, const struct prefix *after, uint8_t *next)
{
	uint8_t key[4 + DATA_MAX];
	struct prefix prefix, best = {0};
	uint32_t freed;
	bool found;
	do {
		freed = load_acquire(&lpm->freed);
		found = false;
		const struct rule *rule;
		for (uint32_t i = load_acquire(bucket); i; i = load_acquire(&rule->next)) {
			rule = rule_at(lpm, i);
			uint32_t length = load_relaxed(&rule->length);
			memcpy(key, &length, 4);
			words_load(key + 4, rule->data, lpm->data_size);
			prefix_of(lpm, key, &prefix);
			if ((after && prefix_order(lpm, &prefix, after) <= 0) ||
			        (found && prefix_order(lpm, &prefix, &best) >= 0))
				continue;
			memcpy(next, key, lpm->map.def.key_size);
			best = prefix;
			found = true;
		}
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (load_relaxed(&lpm->freed) != freed);
	return found;
}

static int lpm_follow(struct map *map, const void *key, void *next, uint64_t *steps)
{
	const struct lpm *lpm = (const struct lpm *)map;
	const uint32_t *bucket = lpm->buckets, *end = bucket + lpm->bucket_mask;
	struct prefix after;
	uint8_t room[4 + DATA_MAX]; // `next` stays untouched on failure
	bool begins = !key || length_of(key) > lpm->bits, found = false;
	if (!begins) {
		prefix_of(lpm, key, &after);
		bucket = bucket_of(lpm, &after);
	}
	for (; !found && bucket <= end; bucket++, begins = true) {
		if (!*steps)
			return -EAGAIN;
		--*steps;
		found = load_relaxed(bucket) &&
		        bucket_next(lpm, bucket, begins ? NULL : &after, room);
	}
	if (!found)
		return -ENOENT;
	memcpy(next, room, map->def.key_size);
	return 0;
}

static int lpm_next(struct map *map, const void *key, void *next)
{
	const struct lpm *lpm = (const struct lpm *)map;
	uint64_t steps = UINT64_MAX;
	struct prefix prefix;
	if (key && length_of(key) <= lpm->bits) {
		prefix_of(lpm, key, &prefix);
		if (!find(lpm, &prefix))
			key = NULL;
	}
	return lpm_follow(map, key, next, &steps);
}

static uint32_t lpm_count(const struct map *map)
{
	return load_relaxed(&((const struct lpm *)map)->count);
}

const struct map_ops lpm_ops = {
        .check = lpm_check,
        .area_size = lpm_area_size,
        .make = lpm_make,
        .start = lpm_start,
        .stop = lpm_stop,
        .lookup = lpm_lookup,
        .update = lpm_update,
        .remove = lpm_remove,
        .read = lpm_read,
        .next = lpm_next,
        .follow = lpm_follow,
        .effort = lpm_effort,
        .count = lpm_count,
        .in_section = true,
        .describe = lpm_describe,
        .lookup_for = lpm_lookup_for,
};
