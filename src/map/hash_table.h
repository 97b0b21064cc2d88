// SPDX-License-Identifier: Apache-2.0
// The table behind the hash maps, and how a key is found in it. A bucket is one cache line for keys
// of up to 8 bytes, two for up to 24: four entries with their keys, so that a look-up reads the
// bucket and the value and nothing else. Longer keys stand apart, by the entry's number; the bucket
// then holds their hash. Where more than four entries meet, a bucket is followed by others.
//
// A look-up takes no lock and waits for nobody. What keeps it right under a writer is the version
// of the chain's first bucket, which a writer (who holds that bucket's lock) steps
// - before and after it writes a key into a place, and only then is the place's number stored;
// - after an entry is taken out, and before its number, or a bucket that it leaves empty, may be
//   used again;
// - after an entry has been copied to another place, and before the first copy goes.
// A step is a release, followed by a release fence; a look-up loads the version (acquire), then
// keys and numbers in any order, then (acquire fence) the version again, and begins anew if it has
// changed. So, with the version the same before and after:
// - it saw no key that was written meanwhile: who reads such a word reads the step before it, too;
// - the number that it read belongs to the key that it read: another one would have been stored
//   behind two steps, and to read it is to read those;
// - an entry that stood all the time was found: it was moved behind a step, and who misses the
//   first copy by then began behind that step, where the second one is to be seen;
// - a key that stands apart was not overwritten: its number was used again behind a step, and
//   whoever takes a number puts a release fence before what it writes there.
// A hit may be on an entry that is taken out, and used for another key, right behind the look-up,
// as in the kernel: the look-up came first. Locking alone is no step, and disturbs no look-up.
#pragma once

#include "map/hash_key.h"
#include "map/inline.h"
#include "map/map_ops.h"
#include "map/mem.h"

#define SLOTS          MAP_BUCKET_SLOTS
#define VERSION_LOCKED 1u
#define VERSION_STEP   2u

// An LRU's marks. The hand takes one off as it comes by, and gives up who has none.
#define USED_NEW 1u
#define USED     MAP_BUCKET_MARK

struct bucket {
	uint32_t version, next; // next: number of an overflow bucket
	uint8_t used[SLOTS];
	uint32_t unused;
	uint32_t number[SLOTS];
	uint64_t word[][SLOTS];
};

struct hash {
	struct map map;
	uint8_t *buckets;
	uint64_t mask; // of a hash: the offset of its bucket
	struct hash_seed seed;
	uint8_t *overflow; // buckets, numbered from 1
	uint8_t *keys;     // of entries, where they stand apart
	size_t copy_size;  // from one CPU's values to the next one's; 0: one copy
	uint32_t bucket_size, words, key_stride;
	bool is_lru;

	uint32_t node_count, spare_count;
	uint32_t *spares; // numbers, 0 = lent out; the data path begins at its CPU's
	uint32_t count;   // entries
	uint32_t hand;    // LRU: the bucket that it comes to next
	uint32_t lock;    // of the rest
	uint32_t *pool;   // a stack of free numbers that have been used
	uint32_t pool_count, fresh_count;
	uint32_t overflow_free, overflow_fresh; // a list by next, and those never used
};

// A key as look-ups compare it.
struct hash_words {
	uint64_t code; // its hash
	uint64_t word[MAP_WORDS_MAX];
	const uint8_t *key; // where it stands apart, else NULL
};

struct hash_place {
	struct bucket *bucket;
	uint32_t slot, number;
};

static inline bool hash_keys_apart(uint32_t key_size)
{
	return key_size > MAP_WORDS_MAX * 8;
}

static inline __attribute__((always_inline)) struct hash_words hash_words_of(
        const struct hash *hash, const uint8_t *key, uint32_t size)
{
	struct hash_words words = {.code = hash_key(&hash->seed, key, size)};
	if (hash_keys_apart(size)) {
		words.word[0] = words.code;
		words.key = key;
		return words;
	}
	for (uint32_t at = 0; at < size; at += 8)
		words.word[at / 8] = word_of(key + at, size - at);
	return words;
}

static inline struct bucket *bucket_home(const struct hash *hash, uint64_t code)
{
	return (struct bucket *)(hash->buckets + (code & hash->mask));
}

static inline struct bucket *overflow_at(const struct hash *hash, uint32_t number)
{
	return (struct bucket *)(hash->overflow + (size_t)(number - 1) * hash->bucket_size);
}

static inline uint64_t *key_apart(const struct hash *hash, uint32_t number)
{
	return (uint64_t *)(hash->keys + (size_t)(number - 1) * hash->key_stride);
}

static inline uint64_t *hash_value(const struct hash *hash, uint32_t number, uint32_t cpu)
{
	size_t at = (size_t)(number - 1) * hash->map.stride + cpu * hash->copy_size;
	return (uint64_t *)(hash->map.area + at);
}

// Whether the key of `number`, which stands apart, is `key`.
static inline bool key_is(const struct hash *hash, uint32_t number, const uint8_t *key)
{
	const uint64_t *words = key_apart(hash, number);
	uint32_t size = hash->map.def.key_size;
	for (uint32_t at = 0; at < size; at += 8)
		if (load_relaxed(&words[at / 8]) != word_of(key + at, size - at))
			return false;
	return true;
}

// Looks for a key of `count` words in one bucket. Which of four places it is in no branch depends
// on, since nothing could foretell it.
static inline __attribute__((always_inline)) bool bucket_find(const struct hash *hash,
        struct bucket *bucket, const struct hash_words *words, uint32_t count,
        struct hash_place *place)
{
	uint32_t alike = 0;
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		uint64_t wrong = 0;
		for (uint32_t i = 0; i < count; i++)
			wrong |= load_relaxed(&bucket->word[i][slot]) ^ words->word[i];
		alike |= (uint32_t)!wrong << slot;
	}
	for (; alike; alike &= alike - 1) {
		uint32_t slot = (uint32_t)__builtin_ctz(alike);
		uint32_t number = load_relaxed(&bucket->number[slot]);
		if (number && (!words->key || key_is(hash, number, words->key))) {
			*place = (struct hash_place){bucket, slot, number};
			return true;
		}
	}
	return false;
}

// Without the lock.
static inline __attribute__((always_inline)) bool hash_find(const struct hash *hash,
        const struct hash_words *words, uint32_t count, struct hash_place *place)
{
	struct bucket *home = bucket_home(hash, words->code), *bucket;
	uint32_t version, next;
	bool found;
	do {
		version = load_acquire(&home->version);
		found = bucket_find(hash, home, words, count, place);
		next = load_relaxed(&home->next);
		while (!found && next) {
			bucket = overflow_at(hash, next);
			found = bucket_find(hash, bucket, words, count, place);
			next = load_relaxed(&bucket->next);
			// A bucket that was given back leads anywhere.
			if ((load_relaxed(&home->version) ^ version) & ~VERSION_LOCKED)
				break;
		}
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((load_relaxed(&home->version) ^ version) & ~VERSION_LOCKED);
	return found;
}

static inline void hash_mark_used(const struct hash_place *place)
{
	uint8_t *used = &place->bucket->used[place->slot];
	if (load_relaxed(used) != USED) // written once a round of the hand
		store_relaxed(used, USED);
}

static inline void bucket_lock(struct bucket *home)
{
	uint32_t spins = 0;
	while (__atomic_fetch_or(&home->version, VERSION_LOCKED, __ATOMIC_ACQUIRE) & VERSION_LOCKED)
		while (load_relaxed(&home->version) & VERSION_LOCKED)
			spin_pause(&spins);
}

static inline void bucket_unlock(struct bucket *home)
{
	store_release(&home->version, load_relaxed(&home->version) & ~VERSION_LOCKED);
}

// In a locked chain.
static inline bool chain_find(const struct hash *hash, struct bucket *home,
        const struct hash_words *words, struct hash_place *place)
{
	struct bucket *bucket = home;
	while (!bucket_find(hash, bucket, words, hash->words, place)) {
		if (!bucket->next)
			return false;
		bucket = overflow_at(hash, bucket->next);
	}
	return true;
}
