// SPDX-License-Identifier: Apache-2.0
// Look-ups in place, as map/inline.h describes them, in C: type, sizes and map are constants where
// they are inlined. What is not described there goes to the map's function, with a copy of the key:
// a function's variable whose address goes elsewhere would have to be in memory, where a key that
// was stored in parts waits to be read whole.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>

#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

#include "map/in_place.h"

struct lookup_place {
	struct map *map;
	struct map_inline in;
	map_lookup_fn function;
};

// What stands in a map's area; the compiler need not ask whether it is NULL.
IN_PLACE void *lookup_value(const struct map_inline *in, uint32_t index)
{
	void *value = in_place_value(in, index, 0);
	if (!value)
		__builtin_unreachable();
	return value;
}

// Four bits: which of four words are `key`.
IN_PLACE uint32_t lookup_alike(const uint64_t *word, uint64_t key)
{
#if defined(__SSE4_1__)
	const __m128i wanted = _mm_set1_epi64x((long long)key), *pair = (const __m128i *)word;
	__m128i low = _mm_cmpeq_epi64(_mm_load_si128(pair), wanted);
	__m128i high = _mm_cmpeq_epi64(_mm_load_si128(pair + 1), wanted);
	return (uint32_t)(_mm_movemask_pd((__m128d)low) | _mm_movemask_pd((__m128d)high) << 2);
#else
	uint32_t alike = 0;
	for (uint32_t i = 0; i < MAP_BUCKET_SLOTS; i++)
		alike |= (uint32_t)(load_relaxed(&word[i]) == key) << i;
	return alike;
#endif
}

static __attribute__((noinline, cold)) void *lookup_elsewhere(
        const struct lookup_place *place, const void *key)
{
	return place->function(place->map, key, 0);
}

IN_PLACE void *lookup_copied(const struct lookup_place *place, uint32_t key_size, const void *key)
{
	uint64_t copy[8];
	memcpy(copy, key, key_size);
	return lookup_elsewhere(place, copy);
}

// Keys of one or two words. As in_place_hash(), but with the machine's comparison of four words, as
// the native engine has it.
IN_PLACE void *lookup_hash(const struct lookup_place *place, const struct map_inline *in,
        uint32_t key_size, bool marks, const void *key)
{
	uint64_t words[2] = {word_of(key, key_size),
	        key_size > 8 ? word_of((const uint8_t *)key + 8, key_size - 8) : 0};
	uint8_t *bucket = in_place_bucket(in, words, key_size > 8 ? 2 : 1);
	const uint32_t *number = (const uint32_t *)(bucket + MAP_BUCKET_NUMBERS);
	const uint64_t *word = (const uint64_t *)(bucket + MAP_BUCKET_WORDS);
	uint32_t version = load_acquire((uint32_t *)(bucket + MAP_BUCKET_VERSION));
	uint32_t alike = lookup_alike(word, words[0]);
	if (key_size > 8)
		alike &= lookup_alike(word + MAP_BUCKET_SLOTS, words[1]);
	uint32_t slot = alike ? (uint32_t)__builtin_ctz(alike) : 0;
	uint32_t at = alike ? load_relaxed(&number[slot]) : 0;
	uint32_t next = load_relaxed((uint32_t *)(bucket + MAP_BUCKET_NEXT));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	bool changed = load_relaxed((uint32_t *)(bucket + MAP_BUCKET_VERSION)) != version;
	if (__builtin_expect(changed || (!at && next), 0))
		return lookup_copied(place, key_size, key);
	if (!at)
		return NULL;
	uint8_t *used = bucket + MAP_BUCKET_USED + slot;
	if (marks && load_relaxed(used) != MAP_BUCKET_MARK)
		store_relaxed(used, MAP_BUCKET_MARK);
	return lookup_value(in, at - 1);
}

// With the length of a whole IPv4 address in the key.
IN_PLACE void *lookup_lpm(
        const struct lookup_place *place, const struct map_inline *in, const void *key)
{
	uint32_t length, ip;
	void *value;
	memcpy(&length, key, 4);
	memcpy(&ip, (const uint8_t *)key + 4, 4);
	if (__builtin_expect(length != 32 || in->path != MAP_PATH_LPM, 0) ||
	        __builtin_expect(!in_place_lpm(in, __builtin_bswap32(ip), &value), 0))
		return lookup_copied(place, 8, key);
	return value;
}

IN_PLACE enum map_path lookup_path(uint32_t type, uint32_t key_size)
{
	switch (type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		return MAP_PATH_ARRAY;
	case BPF_MAP_TYPE_DEVMAP:
		return MAP_PATH_DEVMAP;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
		return key_size <= 16 ? MAP_PATH_HASH : MAP_PATH_CALL;
	case BPF_MAP_TYPE_LPM_TRIE:
		return key_size == 8 ? MAP_PATH_LPM : MAP_PATH_CALL;
	default:
		return MAP_PATH_CALL;
	}
}

// Whether the map is what lookup() takes maps of its kind for.
static inline bool lookup_fits(const struct lookup_place *place, uint32_t type, uint32_t key_size)
{
	enum map_path path = lookup_path(type, key_size);
	return path == MAP_PATH_CALL || path == MAP_PATH_LPM || path == place->in.path;
}

IN_PLACE void *lookup(const struct lookup_place *place, uint32_t type, uint32_t key_size,
        uint32_t value_size, const void *key)
{
	struct map_inline in = place->in;
	enum map_path path = lookup_path(type, key_size);
	uint32_t index;
	in.stride = (value_size + 7) / 8 * 8;
	if (path == MAP_PATH_CALL)
		return lookup_copied(place, key_size, key);
	if (path == MAP_PATH_HASH)
		return lookup_hash(place, &in, key_size, type == BPF_MAP_TYPE_LRU_HASH, key);
	if (path == MAP_PATH_LPM)
		return lookup_lpm(place, &in, key);
	memcpy(&index, key, 4);
	if (index >= in.limit)
		return NULL;
	void *value = lookup_value(&in, index);
	return path == MAP_PATH_DEVMAP && !load_relaxed((uint32_t *)value) ? NULL : value;
}
