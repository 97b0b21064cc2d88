// SPDX-License-Identifier: Apache-2.0
// What a compiler of programs needs to know of a map: the function that an operation goes to, and
// for the common kinds the look-up itself as constants, to be emitted in place. A map never moves:
// addresses hold for its life.
//
// Every look-up here, in place or by function, belongs into a read-side section (map_enter(),
// map_leave() in map.h; engines hold one around a burst). The value that it gives may be used
// behind the section, too. Look-ups in place are what the functions do, with the same guarantees
// under concurrent writers:
// - array, devmap: right at once.
// - hash: a hit is right if the bucket's version is the same before and after; a miss is, if the
//   version is the same and the bucket has no next one. Anything else: call the function.
// - LPM: a rule that is found is right, and so is none. Anything else: call the helper.
// Loads must not pass each other where the text says "then": on x86-64 they never do, on aarch64
// take load-acquire for the version, the numbers and the LPM's entries, and a load barrier (dmb
// ishld) before the version is read again.
#pragma once

#include "map/map.h"

enum map_path {
	MAP_PATH_CALL,   // not in place: call map_lookup_function()
	MAP_PATH_ARRAY,  // and per-CPU array
	MAP_PATH_DEVMAP, // and cpumap, xskmap
	MAP_PATH_HASH,   // and LRU, per-CPU, devmap_hash; keys of up to MAP_WORDS_MAX words
	MAP_PATH_LPM,    // of IPv4 addresses: key_size 8
};

// A bucket of a hash, at buckets + (hash & mask): four entries, word by word.
//
//	offset  0: u32 version; bit 0: a writer is in
//	        4: u32 next; not 0: there are more entries elsewhere
//	        8: u8 used[4], LRU only
//	       16: u32 number[4]: which value; 0: no entry
//	       32: u64 word[words][4] of the keys: bytes in memory order, padded with zeros
//
// Look-up: load the version; then compare the key's words with those of all four entries; then
// load the number of the first that is alike, which gives the value unless it is 0; then compare
// the version with the first. If there was a hit in an LRU and used[i] is not MAP_BUCKET_MARK,
// store that there. Of two entries alike the first is right: an entry that is gone never stands in
// front.
#define MAP_BUCKET_SLOTS   4u
#define MAP_BUCKET_VERSION 0u
#define MAP_BUCKET_NEXT    4u
#define MAP_BUCKET_USED    8u
#define MAP_BUCKET_MARK    2u
#define MAP_BUCKET_NUMBERS 16u
#define MAP_BUCKET_WORDS   32u
#define MAP_WORDS_MAX      3u

// The hash of a key of `words` words (uint64_t; fold(a, b) = low ^ high half of the product a * b):
//	hash = fold(word0 ^ seed0, word1 ^ seed1)      word1 is 0 where there is one word
//	hash = fold(word2 ^ hash, seed1)               three words only
//	hash = fold(hash ^ seed0, seed1)

// An entry of the LPM's tables, by its two top bits.
#define MAP_LPM_KIND 0xc0000000u // both 0: the number of a rule, 0 for none
#define MAP_LPM_NODE 0x40000000u // the rest is the number of a node: 256 entries by the next byte
#define MAP_LPM_CELL 0x80000000u // call the helper

// LPM look-up of a key with length 32 (else call), `ip` in host order: load root[ip >> 8]; where it
// is a node, then load nodes[number * 256 + (ip & 255)]; if the entry is 0, load shorts[ip >> 24];
// a rule gives the value, 0 none, anything else calls the helper, which charges what it may take to
// the budget; nothing else is charged.

struct map_inline {
	enum map_path path;
	uint32_t stride;    // from one value to the next
	uint64_t copy_size; // from one CPU's values to the next CPU's; 0: they share one copy
	uint8_t *values;    // array, devmap: of index 0; hash, LPM: of number 1

	uint32_t
	        limit; // array, devmap: indices (u32) are below; a devmap's empty place has value 0

	uint8_t *buckets; // hash
	uint64_t mask;    // offset of the bucket in bytes = hash & mask
	uint64_t seed[2];
	uint32_t words;
	bool marks; // it is an LRU

	const uint32_t *root, *nodes; // LPM; nodes: where node 0 would stand, there is none
	const uint32_t *shorts;
	uint32_t root_shift; // 8
};

void map_inline(const struct map *map, struct map_inline *description);

// The functions behind map_lookup(), map_update() and map_delete() of this map, special for its
// type and key size. Never NULL: a type that lacks the operation answers NULL or -ENOTSUP.
typedef void *(*map_lookup_fn)(struct map *map, const void *key, uint32_t cpu);
typedef int (*map_update_fn)(
        struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu);
typedef int (*map_delete_fn)(struct map *map, const void *key);
map_lookup_fn map_lookup_function(const struct map *map);
map_update_fn map_update_function(const struct map *map);
map_delete_fn map_delete_function(const struct map *map);

// The same look-up with the key in registers: padded with zeros to one word (key_size up to 8) or
// two (9 to 16). NULL where the key is longer, or the map is no hash.
typedef void *(*map_lookup_word_fn)(struct map *map, uint64_t key, uint32_t cpu);
typedef void *(*map_lookup_pair_fn)(struct map *map, uint64_t first, uint64_t second, uint32_t cpu);
map_lookup_word_fn map_lookup_word_function(const struct map *map);
map_lookup_pair_fn map_lookup_pair_function(const struct map *map);
