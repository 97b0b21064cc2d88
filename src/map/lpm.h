// SPDX-License-Identifier: Apache-2.0
// What the two halves of the LPM map share: lpm.c is the map (rules, found by exact prefix),
// lpm_trie.c the trie in which look-ups find the longest match.
#pragma once

#include "map/grace.h"
#include "map/hash_key.h"
#include "map/inline.h"
#include "map/map_ops.h"
#include "map/mem.h"

// What an entry of the trie leads to, in its two top bits.
#define ENTRY_KIND MAP_LPM_KIND
#define ENTRY_NODE MAP_LPM_NODE // a node, which looks at the next byte
#define ENTRY_CELL MAP_LPM_CELL // a cell; else a rule, or 0 for none

#define NODE_WIDTH 256u
#define SHORT_BITS 8u // rules up to this length stand in a table of their own

// Numbers from 1 to limit. Whoever holds the map's lock takes and gives.
struct pool {
	uint32_t *free;
	uint32_t free_count, fresh, limit;
};

struct rule {
	uint32_t next;   // in the chain of its hash
	uint32_t length; // bits
	uint64_t data[]; // as the user wrote it, behind `length` bits too
};

// One rule that is longer than its node looks; if it does not match, follow `other`. Cells of one
// entry stand in order of length, longest first. The rule's first eight bytes stand here too, so
// that most look-ups need not go to the rule.
struct cell {
	uint32_t rule, other;
	uint64_t data, mask;
};

struct lpm {
	struct map map;
	struct hash_seed seed;
	uint32_t bits, data_size; // of a whole address
	uint32_t lock;            // writers'
	uint32_t freed;           // counts rules and cells that were given back
	uint32_t count;           // rules
	uint32_t longest;         // most cells that an entry kept for want of a node

	uint8_t *rules;
	uint32_t *buckets; // of rules by length and prefix
	uint32_t *lengths; // rules by length
	uint32_t bucket_mask, rule_stride;
	struct pool rule_pool;

	uint32_t *shorts; // by the first byte
	uint32_t *root, root_bits;
	uint32_t *nodes;      // NODE_WIDTH entries each
	uint32_t *node_rules; // rules that are longer than the way to the node
	struct cell *cells;
	struct pool node_pool, cell_pool;

	// Nodes taken out since the grace period that runs began, and those that wait for its end.
	uint32_t *leaving, *waiting;
	uint32_t leaving_count, waiting_count;
	bool stops;
	struct grace grace;
};

static inline struct rule *rule_at(const struct lpm *lpm, uint32_t number)
{
	return (struct rule *)(lpm->rules + (size_t)(number - 1) * lpm->rule_stride);
}

// The first `length` (1 to 63) bits of eight bytes, as a word in memory order.
static inline uint64_t lpm_mask(uint32_t length)
{
	uint64_t mask = ~0ull << (64 - length);
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(mask) : mask;
}

static inline __attribute__((always_inline)) bool rule_matches(
        const struct rule *rule, uint32_t length, const uint8_t *data, uint32_t size)
{
	for (uint32_t at = 0; at * 8 < length; at += 8) {
		uint64_t wrong = load_relaxed(&rule->data[at / 8]) ^ word_of(data + at, size - at);
		if (length - at * 8 < 64)
			wrong &= lpm_mask(length - at * 8);
		if (wrong)
			return false;
	}
	return true;
}

uint32_t pool_take(struct pool *pool); // 0: none left
int pool_new(struct pool *pool, uint32_t limit);
// Gives back a rule or cell that no reader can meet any more that begins from now on.
void lpm_give(struct lpm *lpm, struct pool *pool, uint32_t number);

int trie_start(struct lpm *lpm); // rules and pools of rules stand already; -ENOMEM
void trie_stop(struct lpm *lpm);
// The number of the longest rule that matches a whole address, or 0. Takes no lock; in a read-side
// section.
uint32_t trie_lookup(const struct lpm *lpm, const uint8_t *data);
bool trie_meets_cells(const struct lpm *lpm, const uint8_t *data); // such a look-up
// Writers, under the lock. `old` is the rule of the same prefix that `rule` takes the place of, or
// 0.
void trie_put(struct lpm *lpm, uint32_t rule, uint32_t old);
void trie_remove(struct lpm *lpm, uint32_t rule, uint32_t cover); // cover: next longest, or 0
// Entries that a change of the rule `data`/`length` rewrites; counting stops at `limit`. As a
// look-up.
uint64_t trie_effort(const struct lpm *lpm, const uint8_t *data, uint32_t length, uint64_t limit);
