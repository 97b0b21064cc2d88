// SPDX-License-Identifier: Apache-2.0
// The trie of the LPM map. The root looks at the first 24 bits of an address, each node at the next
// 8. An entry leads to a node, or to a rule, or to a few cells: rules that are longer than the way
// here, tried one after the other. Shorter rules are pushed down: every entry and every last cell
// names the longest of them. Rules of up to 8 bits are not, they stand in a table that is looked at
// where nothing longer matches: a default route need not be written 2^24 times. So an IPv4 look-up
// reads one or two places and the value, and a sparse IPv6 table needs few nodes. The root is
// virtual memory that costs what is used of it. Nodes are an optimisation: when none are left, an
// entry has more cells.
//
// Readers take no lock. Each change is one store to one word. A node is whole before it is seen,
// and is given back a grace period after it was taken out: who walks through nodes only needs to
// look back at nothing. Cells and rules are used again at once, since a change must not fail for
// want of one: they are counted (`freed`) before, and a look-up that came by a cell and finds that
// the count has changed begins again. The rule that a look-up ends at is not read, so it may be
// used again.
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "map/lpm.h"

#define ROOT_BITS   24u
#define CELLS_MAX   3u     // of one entry, before it becomes a node
#define NODES_CHEAP 4096u  // that many may be made for the sake of one rule
#define NODES_RATE  4u     // rules for one node that may be made beyond
#define HOT_RULES   16384u // with so many the root is used everywhere

// A rule that is longer than SHORT_BITS writes so many entries of the root at most.
#define RULE_SPAN (1u << (ROOT_BITS - SHORT_BITS - 1))

uint32_t pool_take(struct pool *pool)
{
	if (pool->free_count)
		return pool->free[--pool->free_count];
	return pool->fresh < pool->limit ? ++pool->fresh : 0;
}

int pool_new(struct pool *pool, uint32_t limit)
{
	pool->limit = limit;
	pool->free = mem_new(limit, sizeof(*pool->free));
	return pool->free ? 0 : -ENOMEM;
}

void lpm_give(struct lpm *lpm, struct pool *pool, uint32_t number)
{
	store_release(&lpm->freed, lpm->freed + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE); // whoever reads what is written there counts, too
	pool->free[pool->free_count++] = number;
}

int trie_start(struct lpm *lpm)
{
	uint64_t rules = lpm->rule_pool.limit;
	uint64_t nodes = (rules < NODES_CHEAP ? rules : NODES_CHEAP) + rules / NODES_RATE;
	lpm->root_bits = lpm->bits < ROOT_BITS ? lpm->bits : ROOT_BITS;
	size_t root = (size_t)1 << lpm->root_bits;
	lpm->shorts = mem_new(1u << SHORT_BITS, sizeof(*lpm->shorts));
	lpm->root = (rules < HOT_RULES ? mem_new : mem_new_hot)(root, sizeof(*lpm->root));
	lpm->nodes = mem_new_hot(nodes, NODE_WIDTH * sizeof(*lpm->nodes));
	lpm->node_rules = mem_new(nodes, sizeof(*lpm->node_rules));
	lpm->leaving = mem_new(nodes, sizeof(*lpm->leaving));
	lpm->waiting = mem_new(nodes, sizeof(*lpm->waiting));
	lpm->cells =
	        mem_new_hot(2 * rules, sizeof(*lpm->cells)); // all of them, and once more to move
	if (!lpm->shorts || !lpm->root || !lpm->nodes || !lpm->node_rules || !lpm->leaving ||
	        !lpm->waiting || !lpm->cells || pool_new(&lpm->node_pool, (uint32_t)nodes) ||
	        pool_new(&lpm->cell_pool, (uint32_t)(2 * rules)))
		return -ENOMEM;
	if (root > rules * RULE_SPAN)
		root = rules * RULE_SPAN;
	lpm->map.memory += (root + (1u << SHORT_BITS)) * sizeof(*lpm->root) +
	                   nodes * (NODE_WIDTH + 4) * sizeof(*lpm->nodes);
	return 0;
}

// Waits until no grace period of this map runs: grace_over() touches nothing behind its lock.
void trie_stop(struct lpm *lpm)
{
	for (bool runs = true; runs;) {
		spin_lock(&lpm->lock);
		lpm->stops = true;
		runs = lpm->waiting_count;
		spin_unlock(&lpm->lock);
		if (runs)
			usleep(1000);
	}
	mem_free(lpm->shorts);
	mem_free(lpm->root);
	mem_free(lpm->nodes);
	mem_free(lpm->node_rules);
	mem_free(lpm->leaving);
	mem_free(lpm->waiting);
	mem_free(lpm->cells);
	mem_free(lpm->node_pool.free);
	mem_free(lpm->cell_pool.free);
}

static void grace_over(struct grace *grace);

// One grace period runs at a time; nodes that leave meanwhile wait for the next one.
static void grace_begin(struct lpm *lpm)
{
	uint32_t *empty = lpm->waiting;
	lpm->waiting = lpm->leaving;
	lpm->waiting_count = lpm->leaving_count;
	lpm->leaving = empty;
	lpm->leaving_count = 0;
	grace_defer(&lpm->grace, grace_over);
}

static void grace_over(struct grace *grace)
{
	struct lpm *lpm = (struct lpm *)((uint8_t *)grace - offsetof(struct lpm, grace));
	spin_lock(&lpm->lock);
	while (lpm->waiting_count)
		lpm->node_pool.free[lpm->node_pool.free_count++] =
		        lpm->waiting[--lpm->waiting_count];
	if (lpm->leaving_count && !lpm->stops)
		grace_begin(lpm);
	spin_unlock(&lpm->lock);
}

static void node_give(struct lpm *lpm, uint32_t number)
{
	lpm->leaving[lpm->leaving_count++] = number;
	if (!lpm->waiting_count)
		grace_begin(lpm);
}

static uint32_t *node_at(const struct lpm *lpm, uint32_t entry)
{
	return lpm->nodes + (size_t)((entry & ~ENTRY_KIND) - 1) * NODE_WIDTH;
}

static struct cell *cell_at(const struct lpm *lpm, uint32_t entry)
{
	return &lpm->cells[(entry & ~ENTRY_KIND) - 1];
}

static uint32_t length_of(const struct lpm *lpm, uint32_t rule)
{
	return rule_at(lpm, rule)->length;
}

static inline bool number_matches(
        const struct lpm *lpm, uint32_t number, const uint8_t *data, uint32_t size)
{
	const struct rule *rule = rule_at(lpm, number);
	return rule_matches(rule, load_relaxed(&rule->length), data, size);
}

// Begins at the cells of an entry: the rule, or UINT32_MAX if it has to be looked up again.
static uint32_t cells_lookup(
        const struct lpm *lpm, uint32_t entry, uint32_t freed, const uint8_t *data, uint32_t size)
{
	uint64_t first = word_of(data, size);
	while ((entry & ENTRY_KIND) == ENTRY_CELL) {
		const struct cell *cell = cell_at(lpm, entry);
		uint64_t mask = load_relaxed(&cell->mask);
		uint32_t number = load_acquire(&cell->rule);
		entry = load_acquire(&cell->other);
		// A mask without a gap may be the beginning of a longer one.
		if (!((load_relaxed(&cell->data) ^ first) & mask) &&
		        (size <= 8 || ~mask || number_matches(lpm, number, data, size))) {
			entry = number;
			break;
		}
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return load_relaxed(&lpm->freed) == freed ? entry : UINT32_MAX;
}

static inline __attribute__((always_inline)) uint32_t root_index(const uint8_t *data, uint32_t size)
{
	return size == 1   ? data[0]
	       : size == 2 ? (uint32_t)data[0] << 8 | data[1]
	                   : (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
}

static inline __attribute__((always_inline)) uint32_t lookup_sized(
        const struct lpm *lpm, const uint8_t *data, uint32_t size)
{
	uint32_t freed, entry;
	do {
		freed = load_acquire(&lpm->freed);
		uint32_t at = size < ROOT_BITS / 8 ? size : ROOT_BITS / 8;
		entry = load_acquire(&lpm->root[root_index(data, size)]);
		while ((entry & ENTRY_KIND) == ENTRY_NODE)
			entry = load_acquire(&node_at(lpm, entry)[data[at++]]);
		if ((entry & ENTRY_KIND) == ENTRY_CELL)
			entry = cells_lookup(lpm, entry, freed, data, size);
	} while (entry == UINT32_MAX);
	return entry ? entry : load_acquire(&lpm->shorts[data[0]]);
}

uint32_t trie_lookup(const struct lpm *lpm, const uint8_t *data)
{
	switch (lpm->data_size) {
	case 4:
		return lookup_sized(lpm, data, 4);
	case 16:
		return lookup_sized(lpm, data, 16);
	default:
		return lookup_sized(lpm, data, lpm->data_size);
	}
}

bool trie_meets_cells(const struct lpm *lpm, const uint8_t *data)
{
	map_enter();
	uint32_t at = lpm->root_bits / 8;
	uint32_t entry = load_acquire(&lpm->root[root_index(data, at)]);
	while ((entry & ENTRY_KIND) == ENTRY_NODE)
		entry = load_acquire(&node_at(lpm, entry)[data[at++]]);
	map_leave();
	return (entry & ENTRY_KIND) == ENTRY_CELL;
}

// A table is that of short rules, the root or a node; its entries look at bits [base, end).
struct table {
	uint32_t *entries, base, end;
};

// Where a rule of this length is looked for first.
static struct table first_table(const struct lpm *lpm, uint32_t length)
{
	if (length <= SHORT_BITS)
		return (struct table){lpm->shorts, 0, SHORT_BITS};
	return (struct table){lpm->root, 0, lpm->root_bits};
}

static struct table node_table(const struct lpm *lpm, uint32_t entry, uint32_t base)
{
	return (struct table){node_at(lpm, entry), base, base + 8};
}

static uint32_t index_in(const struct table *table, const struct rule *rule)
{
	return root_index(
	        (const uint8_t *)rule->data + table->base / 8, (table->end - table->base) / 8);
}

// The entries that a rule no longer than the table looks covers: `count` from `first`.
static void span(
        const struct table *table, const struct rule *rule, uint32_t *first, uint32_t *count)
{
	*count = 1u << (table->end - rule->length);
	*first = index_in(table, rule) & ~(*count - 1);
}

// The word that ends the cells of an entry.
static uint32_t *last_of(const struct lpm *lpm, uint32_t *entry)
{
	while ((*entry & ENTRY_KIND) == ENTRY_CELL)
		entry = &cell_at(lpm, *entry)->other;
	return entry;
}

// Lets `rule` take the place of the shorter rules that an entry ends in.
static void push(struct lpm *lpm, uint32_t *entry, uint32_t rule, uint32_t length)
{
	if ((*entry & ENTRY_KIND) == ENTRY_NODE) {
		uint32_t *node = node_at(lpm, *entry);
		for (uint32_t i = 0; i < NODE_WIDTH; i++)
			push(lpm, &node[i], rule, length);
		return;
	}
	uint32_t *last = last_of(lpm, entry);
	if (!*last || length_of(lpm, *last) <= length)
		store_release(last, rule);
}

static void pull(struct lpm *lpm, uint32_t *entry, uint32_t rule, uint32_t cover)
{
	if ((*entry & ENTRY_KIND) == ENTRY_NODE) {
		uint32_t *node = node_at(lpm, *entry);
		for (uint32_t i = 0; i < NODE_WIDTH; i++)
			pull(lpm, &node[i], rule, cover);
		return;
	}
	uint32_t *last = last_of(lpm, entry);
	if (*last == rule)
		store_release(last, cover);
}

// Adds a cell in its place by length, or gives the one of `old` to `rule`.
static void cell_put(struct lpm *lpm, uint32_t *entry, uint32_t rule, uint32_t old)
{
	uint32_t length = length_of(lpm, rule);
	while ((*entry & ENTRY_KIND) == ENTRY_CELL) {
		struct cell *cell = cell_at(lpm, *entry);
		if (old && cell->rule == old) {
			store_release(&cell->rule, rule);
			return;
		}
		if (!old && length_of(lpm, cell->rule) < length)
			break;
		entry = &cell->other;
	}
	uint32_t number = pool_take(&lpm->cell_pool); // the pool has room for all rules twice
	struct cell *cell = cell_at(lpm, number);
	store_relaxed(&cell->data, rule_at(lpm, rule)->data[0]);
	store_relaxed(&cell->mask, length < 64 ? lpm_mask(length) : ~0ull);
	store_release(&cell->rule, rule);
	store_release(&cell->other, *entry);
	store_release(entry, number | ENTRY_CELL);
}

static void cell_remove(struct lpm *lpm, uint32_t *entry, uint32_t rule)
{
	while (cell_at(lpm, *entry)->rule != rule)
		entry = &cell_at(lpm, *entry)->other;
	uint32_t number = *entry & ~ENTRY_KIND;
	store_release(entry, lpm->cells[number - 1].other);
	lpm_give(lpm, &lpm->cell_pool, number);
}

// Puts a rule into a table that no longer rule's node stands below.
static void table_put(struct lpm *lpm, const struct table *table, uint32_t rule, uint32_t old)
{
	const struct rule *what = rule_at(lpm, rule);
	uint32_t first, count;
	if (what->length > table->end) {
		cell_put(lpm, &table->entries[index_in(table, what)], rule, old);
		return;
	}
	span(table, what, &first, &count);
	for (uint32_t i = first; i < first + count; i++)
		push(lpm, &table->entries[i], rule, what->length);
}

// Turns an entry with many cells into a node, and the node's entries likewise. The node is whole
// before it is seen, and has cells of its own: readers may still be on the old ones.
static void grow(struct lpm *lpm, uint32_t *entry, uint32_t base)
{
	uint32_t count = 0, number, first = *entry;
	for (uint32_t at = first; (at & ENTRY_KIND) == ENTRY_CELL; at = cell_at(lpm, at)->other)
		count++;
	// Look-ups of IPv4 addresses are meant to need no cells.
	bool is_cheap =
	        lpm->bits == 32 && lpm->node_pool.fresh - lpm->node_pool.free_count < NODES_CHEAP;
	if (count <= (is_cheap ? 0 : CELLS_MAX))
		return;
	number = pool_take(&lpm->node_pool);
	if (!number) {
		if (count > lpm->longest)
			store_relaxed(&lpm->longest, count);
		return;
	}
	struct table table = node_table(lpm, number, base);
	for (uint32_t i = 0; i < NODE_WIDTH; i++)
		store_release(&table.entries[i], *last_of(lpm, entry));
	for (uint32_t at = first; (at & ENTRY_KIND) == ENTRY_CELL; at = cell_at(lpm, at)->other)
		table_put(lpm, &table, cell_at(lpm, at)->rule, 0);
	lpm->node_rules[number - 1] = count;
	store_release(entry, number | ENTRY_NODE);
	for (uint32_t at = first, next; (at & ENTRY_KIND) == ENTRY_CELL; at = next) {
		next = cell_at(lpm, at)->other;
		lpm_give(lpm, &lpm->cell_pool, at & ~ENTRY_KIND);
	}
	for (uint32_t i = 0; i < NODE_WIDTH; i++)
		grow(lpm, &table.entries[i], base + 8);
}

void trie_put(struct lpm *lpm, uint32_t rule, uint32_t old)
{
	const struct rule *what = rule_at(lpm, rule);
	struct table table = first_table(lpm, what->length);
	uint32_t *entry = NULL;
	while (what->length > table.end) {
		entry = &table.entries[index_in(&table, what)];
		if ((*entry & ENTRY_KIND) != ENTRY_NODE)
			break;
		lpm->node_rules[(*entry & ~ENTRY_KIND) - 1] += !old;
		table = node_table(lpm, *entry, table.end);
	}
	table_put(lpm, &table, rule, old);
	if (what->length > table.end)
		grow(lpm, entry, table.end);
}

// A node that no longer rule needs holds the same rule in all its entries: the entry takes it over.
static void table_remove(struct lpm *lpm, const struct table *table, uint32_t rule, uint32_t cover)
{
	const struct rule *what = rule_at(lpm, rule);
	uint32_t first, count;
	if (what->length <= table->end) {
		span(table, what, &first, &count);
		for (uint32_t i = first; i < first + count; i++)
			pull(lpm, &table->entries[i], rule, cover);
		return;
	}
	uint32_t *entry = &table->entries[index_in(table, what)];
	if ((*entry & ENTRY_KIND) == ENTRY_CELL) {
		cell_remove(lpm, entry, rule);
		return;
	}
	uint32_t number = *entry & ~ENTRY_KIND;
	struct table node = node_table(lpm, *entry, table->end);
	table_remove(lpm, &node, rule, cover);
	if (--lpm->node_rules[number - 1])
		return;
	store_release(entry, node.entries[0]);
	node_give(lpm, number);
}

void trie_remove(struct lpm *lpm, uint32_t rule, uint32_t cover)
{
	struct table table = first_table(lpm, length_of(lpm, rule));
	if (table.entries == lpm->root && cover && length_of(lpm, cover) <= SHORT_BITS)
		cover = 0; // found in a table of its own
	table_remove(lpm, &table, rule, cover);
}

static void count_entry(const struct lpm *lpm, uint32_t entry, uint64_t limit, uint64_t *count)
{
	++*count;
	if ((entry & ENTRY_KIND) != ENTRY_NODE)
		return;
	const uint32_t *node = node_at(lpm, entry);
	for (uint32_t i = 0; i < NODE_WIDTH && *count < limit; i++)
		count_entry(lpm, load_acquire(&node[i]), limit, count);
}

// A rule of up to SHORT_BITS has the price of one of a bit more, which writes the most: shorter
// prefixes never cost less.
uint64_t trie_effort(const struct lpm *lpm, const uint8_t *data, uint32_t length, uint64_t limit)
{
	if (length <= SHORT_BITS && lpm->root_bits > SHORT_BITS)
		return 1u << (lpm->root_bits - SHORT_BITS - 1);
	struct table table = first_table(lpm, length);
	uint32_t index = root_index(data, table.end / 8);
	uint64_t count = 0;
	while (length > table.end) {
		uint32_t entry = load_acquire(&table.entries[index]);
		if ((entry & ENTRY_KIND) != ENTRY_NODE)
			return 1;
		table = node_table(lpm, entry, table.end);
		index = data[table.base / 8];
	}
	uint32_t span_size = 1u << (table.end - length), first = index & ~(span_size - 1);
	for (uint32_t i = first; i < first + span_size && count < limit; i++)
		count_entry(lpm, load_acquire(&table.entries[i]), limit, &count);
	return count;
}
