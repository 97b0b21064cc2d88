// SPDX-License-Identifier: Apache-2.0
// Look-ups in hash maps. Most find their key in its home bucket while no writer is about: that is
// written here once more, without a branch that nothing could foretell, and made for each common
// key size. Everything else takes the way of hash_table.h.
#include "base/cleanup.h"
#include "map/hash.h"
#include "map/hash_table.h"

static void *look_further(struct hash *hash, const struct hash_words *words, uint32_t cpu)
{
	struct hash_place place;
	if (!hash_find(hash, words, hash->words, &place))
		return NULL;
	if (hash->is_lru)
		hash_mark_used(&place);
	return hash_value(hash, place.number, cpu);
}

// The three forms of a key: its bytes, one word, two words.
__attribute__((noinline)) void *hash_lookup(struct map *map, const void *key, uint32_t cpu)
{
	struct hash *hash = (struct hash *)map;
	const struct hash_words words = hash_words_of(hash, key, map->def.key_size);
	return look_further(hash, &words, cpu);
}

static inline __attribute__((always_inline)) struct hash_words one_word(
        const struct hash *hash, uint64_t key)
{
	return (struct hash_words){
	        .code = hash_words(&hash->seed, key, 0),
	        .word = {key},
	};
}

static inline __attribute__((always_inline)) struct hash_words two_words(
        const struct hash *hash, uint64_t first, uint64_t second)
{
	return (struct hash_words){
	        .code = hash_words(&hash->seed, first, second),
	        .word = {first, second},
	};
}

static __attribute__((noinline)) void *look_further_word(
        struct map *map, uint64_t key, uint32_t cpu)
{
	struct hash *hash = (struct hash *)map;
	const struct hash_words words = one_word(hash, key);
	return look_further(hash, &words, cpu);
}

static __attribute__((noinline)) void *look_further_pair(
        struct map *map, uint64_t first, uint64_t second, uint32_t cpu)
{
	struct hash *hash = (struct hash *)map;
	const struct hash_words words = two_words(hash, first, second);
	return look_further(hash, &words, cpu);
}

static inline __attribute__((always_inline)) bool is_alike(
        const struct bucket *bucket, uint32_t slot, const struct hash_words *words, uint32_t count)
{
	uint64_t wrong = 0;
#pragma GCC unroll 3
	for (uint32_t i = 0; i < count; i++)
		wrong |= load_relaxed(&bucket->word[i][slot]) ^ words->word[i];
	return !wrong;
}

// The value, or NULL where it takes more to know. Of places that are alike the first counts: a key
// stands once, and is put into the first empty place; those in front of it held other keys then,
// and it was in none of them since. An LRU's mark stands in the place, so there it is looked for.
static inline __attribute__((always_inline)) void *at_home(
        struct hash *hash, const struct hash_words *words, uint32_t count, uint32_t cpu, bool marks)
{
	struct bucket *home = bucket_home(hash, words->code);
	uint32_t version = load_acquire(&home->version), number = 0, place = SLOTS;
#pragma GCC unroll 4
	for (uint32_t slot = SLOTS; slot-- > 0;) {
		uint32_t here = marks ? 0 : load_relaxed(&home->number[slot]);
		bool alike = is_alike(home, slot, words, count);
		if (marks)
			place = SELECT(alike, slot, place);
		else
			number = SELECT(alike, here, number);
	}
	if (marks && place < SLOTS)
		number = load_relaxed(&home->number[place]);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!number || load_relaxed(&home->version) != version)
		return NULL;
	if (marks)
		hash_mark_used(&(struct hash_place){home, place, number});
	return hash_value(hash, number, cpu);
}

#define LOOKUP(name, size, marks)                                                                  \
	static void *name(struct map *map, const void *key, uint32_t cpu)                          \
	{                                                                                          \
		struct hash *hash = (struct hash *)map;                                            \
		const struct hash_words words = hash_words_of(hash, key, (size));                  \
		void *value = at_home(hash, &words, ((size) + 7) / 8, cpu, (marks));               \
		return value ? value : hash_lookup(map, key, cpu);                                 \
	}
#define LOOKUPS(size)                                                                              \
	LOOKUP(lookup_##size, size, false)                                                         \
	LOOKUP(lookup_##size##_marked, size, true)
LOOKUPS(4)
LOOKUPS(6)
LOOKUPS(8)
LOOKUPS(12)
LOOKUPS(13)
LOOKUPS(16)
LOOKUPS(20)
LOOKUPS(24)

static const struct {
	uint32_t key_size;
	map_lookup_fn plain, marked;
} by_size[] = {
        {4, lookup_4, lookup_4_marked},
        {6, lookup_6, lookup_6_marked},
        {8, lookup_8, lookup_8_marked},
        {12, lookup_12, lookup_12_marked},
        {13, lookup_13, lookup_13_marked},
        {16, lookup_16, lookup_16_marked},
        {20, lookup_20, lookup_20_marked},
        {24, lookup_24, lookup_24_marked},
};

map_lookup_fn hash_lookup_for(const struct map *map)
{
	bool marks = ((const struct hash *)map)->is_lru;
	for (size_t i = 0; i < ARRAY_SIZE(by_size); i++)
		if (by_size[i].key_size == map->def.key_size)
			return marks ? by_size[i].marked : by_size[i].plain;
	return hash_lookup;
}

#define LOOKUP_WORDS(marked, marks)                                                                \
	static void *lookup_word##marked(struct map *map, uint64_t key, uint32_t cpu)              \
	{                                                                                          \
		struct hash *hash = (struct hash *)map;                                            \
		const struct hash_words words = one_word(hash, key);                               \
		void *value = at_home(hash, &words, 1, cpu, (marks));                              \
		return value ? value : look_further_word(map, key, cpu);                           \
	}                                                                                          \
	static void *lookup_pair##marked(                                                          \
	        struct map *map, uint64_t first, uint64_t second, uint32_t cpu)                    \
	{                                                                                          \
		struct hash *hash = (struct hash *)map;                                            \
		const struct hash_words words = two_words(hash, first, second);                    \
		void *value = at_home(hash, &words, 2, cpu, (marks));                              \
		return value ? value : look_further_pair(map, first, second, cpu);                 \
	}
LOOKUP_WORDS(, false)
LOOKUP_WORDS(_marked, true)

map_lookup_word_fn hash_lookup_word_for(const struct map *map)
{
	if (map->def.key_size > 8)
		return NULL;
	return ((const struct hash *)map)->is_lru ? lookup_word_marked : lookup_word;
}

map_lookup_pair_fn hash_lookup_pair_for(const struct map *map)
{
	if (map->def.key_size <= 8 || map->def.key_size > 16)
		return NULL;
	return ((const struct hash *)map)->is_lru ? lookup_pair_marked : lookup_pair;
}

void hash_describe(const struct map *map, struct map_inline *description)
{
	const struct hash *hash = (const struct hash *)map;
	if (hash->keys)
		return;
	description->path = MAP_PATH_HASH;
	description->copy_size = hash->copy_size;
	description->buckets = hash->buckets;
	description->mask = hash->mask;
	description->seed[0] = hash->seed.word[0];
	description->seed[1] = hash->seed.word[1];
	description->words = hash->words;
	description->marks = hash->is_lru;
}
