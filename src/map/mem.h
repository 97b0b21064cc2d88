// SPDX-License-Identifier: Apache-2.0
// Words, locks and copies that the map types share. Everything that two threads may touch at once
// goes through these, so that a data race elsewhere is a defect that a sanitizer shows.
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

// condition ? a : b where nothing could foretell the condition: no branch, where the compiler can.
#define SELECT(condition, a, b)                                                                    \
	(__builtin_expect_with_probability(!!(condition), 1, 0.5) ? (a) : (b))

static inline void spin_pause(uint32_t *spins)
{
	if (++*spins % 64 == 0)
		sched_yield(); // the holder may share this core
#if defined(__x86_64__)
	else
		__builtin_ia32_pause();
#endif
}

// A lock that is held for less than a microsecond. Engines take it, so it never sleeps.
static inline void spin_lock(uint32_t *lock)
{
	uint32_t spins = 0;
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		while (load_relaxed(lock))
			spin_pause(&spins);
}

static inline void spin_unlock(uint32_t *lock)
{
	store_release(lock, 0);
}

// Up to eight bytes at `bytes` as a word, padded with zeros.
static inline __attribute__((always_inline)) uint64_t word_of(const uint8_t *bytes, uint32_t size)
{
	uint64_t word = 0;
	if (size >= 8)
		memcpy(&word, bytes, 8);
	else if (__builtin_constant_p(size))
		memcpy(&word, bytes, size);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	else if (size >= 4) { // two halves that may overlap
		uint32_t low, high;
		memcpy(&low, bytes, 4);
		memcpy(&high, bytes + size - 4, 4);
		word = low | (uint64_t)high << (8 * size - 32);
	}
#endif
	else
		for (uint32_t i = 0; i < size; i++)
			((uint8_t *)&word)[i] = bytes[i];
	return word;
}

// Between bytes of one owner and shared words, whose room is a multiple of eight.
static inline void words_store(uint64_t *words, const void *bytes, uint32_t size)
{
	const uint8_t *from = bytes;
	for (uint32_t at = 0; at < size; at += 8)
		store_relaxed(&words[at / 8], word_of(from + at, size - at));
}

static inline void words_zero(uint64_t *words, uint32_t size)
{
	for (uint32_t at = 0; at < size; at += 8)
		store_relaxed(&words[at / 8], 0);
}

static inline void words_load(void *bytes, const uint64_t *words, uint32_t size)
{
	uint8_t *to = bytes;
	for (uint32_t at = 0; at < size; at += 8) {
		uint64_t word = load_relaxed(&words[at / 8]);
		memcpy(to + at, &word, size - at < 8 ? size - at : 8);
	}
}

// Zeroed tables that cost memory only where they are touched, at a cache line's boundary; NULL:
// none left.
void *mem_new(size_t count, size_t size);
// The same for what random accesses go to: where it is big, in big pages, which then cost memory as
// a whole. Without them a look-up in a table of tens of megabytes waits for addresses more than for
// data.
void *mem_new_hot(size_t count, size_t size);
void mem_free(void *memory); // null-safe
// Asks for big pages in a block of the caller's that is filled from its start.
void mem_hot(void *memory, size_t size);

static inline uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}
