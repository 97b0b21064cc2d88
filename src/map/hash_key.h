// SPDX-License-Identifier: Apache-2.0
// The hash of a key under a secret seed: 64 x 64 -> 128 bit multiplications, folded, two words of
// the key each, and one at the end: with a single one, keys that follow each other crowd into few
// buckets for one seed in fifty. Who does not know the seed cannot choose keys that collide.
// Inlined for the sizes that programs use; a compiler of programs emits the same for a size that it
// knows.
#pragma once

#include <stdint.h>

#include "map/mem.h"

struct hash_seed {
	uint64_t word[2]; // [1] is odd
};

static inline __attribute__((always_inline)) uint64_t hash_fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline __attribute__((always_inline)) uint64_t hash_words(
        const struct hash_seed *seed, uint64_t first, uint64_t second)
{
	uint64_t hash = hash_fold(first ^ seed->word[0], second ^ seed->word[1]);
	return hash_fold(hash ^ seed->word[0], seed->word[1]);
}

static inline __attribute__((always_inline)) uint64_t hash_key(
        const struct hash_seed *seed, const uint8_t *key, uint32_t size)
{
	if (size <= 8)
		return hash_words(seed, word_of(key, size), 0);
	uint64_t hash = seed->word[0];
	for (uint32_t at = 0; at < size; at += 16) {
		uint64_t first = word_of(key + at, size - at);
		uint64_t second = size - at > 8 ? word_of(key + at + 8, size - at - 8) : 0;
		hash = hash_fold(first ^ hash, second ^ seed->word[1]);
	}
	return hash_fold(hash ^ seed->word[0], seed->word[1]);
}
