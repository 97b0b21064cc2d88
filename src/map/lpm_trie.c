// SPDX-License-Identifier: Apache-2.0
// The trie of the LPM map. The root looks at the first 16 bits of an address, each node at the
// next 8. An entry leads to a node, or to a rule, or to a few cells: rules that are longer than the
// way here, tried one after the other. Shorter rules are pushed down: every entry and every last
// cell names the longest of them. So an IPv4 look-up in a full Internet table reads two or three
// places and the value, and a sparse IPv6 table needs few nodes. Nodes are an optimisation: when
// none are left, an entry has more cells.
//
// Readers take no lock. Each change is one store to one word. A node, cell or rule that is taken
// out is counted (`freed`) before it can be used again; a look-up whose count changed begins again.
#include <errno.h>
#include <stdlib.h>

#include "map/lpm.h"

#define CELLS_MAX  3u // of one entry, before it becomes a node
#define NODES_MIN  64u
#define NODES_RATE 4u // rules for one node that may be made

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
	pool->free[pool->free_count++] = number;
}

int trie_start(struct lpm *lpm)
{
	uint32_t rules = lpm->rule_pool.limit, nodes = NODES_MIN + rules / NODES_RATE;
	lpm->root_bits = lpm->bits < 16 ? 8 : 16;
	lpm->root = mem_new((size_t)1 << lpm->root_bits, sizeof(*lpm->root));
	lpm->nodes = mem_new(nodes, NODE_WIDTH * sizeof(*lpm->nodes));
	lpm->node_rules = mem_new(nodes, sizeof(*lpm->node_rules));
	lpm->cells = mem_new(
	        2 * (size_t)rules, sizeof(*lpm->cells)); // all of them, and once more to move
	if (!lpm->root || !lpm->nodes || !lpm->node_rules || !lpm->cells ||
	        pool_new(&lpm->node_pool, nodes) || pool_new(&lpm->cell_pool, 2 * rules))
		return -ENOMEM;
	lpm->map.memory += ((size_t)1 << lpm->root_bits) * sizeof(*lpm->root);
	return 0;
}

void trie_stop(struct lpm *lpm)
{
	mem_free(lpm->root);
	mem_free(lpm->nodes);
	mem_free(lpm->node_rules);
	mem_free(lpm->cells);
	mem_free(lpm->node_pool.free);
	mem_free(lpm->cell_pool.free);
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

// A node that is used again under a reader may lead it deeper than the address; then it begins
// again.
static inline __attribute__((always_inline)) uint32_t lookup_sized(
        const struct lpm *lpm, const uint8_t *data, uint32_t size)
{
	uint32_t freed, entry;
	uint64_t first = word_of(data, size);
	do {
		freed = load_acquire(&lpm->freed);
		uint32_t at = size > 1 ? 2 : 1;
		entry = load_acquire(&lpm->root[size > 1 ? data[0] << 8 | data[1] : data[0]]);
		while ((entry & ENTRY_KIND) == ENTRY_NODE && at < size)
			entry = load_acquire(&node_at(lpm, entry)[data[at++]]);
		while ((entry & ENTRY_KIND) == ENTRY_CELL) {
			const struct cell *cell = cell_at(lpm, entry);
			uint32_t number = load_acquire(&cell->rule);
			if (!((load_relaxed(&cell->data) ^ first) & load_relaxed(&cell->mask)) &&
			        (size <= 8 || number_matches(lpm, number, data, size))) {
				entry = number;
				break;
			}
			entry = load_acquire(&cell->other);
		}
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (load_relaxed(&lpm->freed) != freed || (entry & ENTRY_KIND));
	return entry;
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

// A table is the root or a node; its entries look at bits [base, end).
struct table {
	uint32_t *entries, base, end;
};

static struct table root_table(const struct lpm *lpm)
{
	return (struct table){lpm->root, 0, lpm->root_bits};
}

static struct table node_table(const struct lpm *lpm, uint32_t entry, uint32_t base)
{
	return (struct table){node_at(lpm, entry), base, base + 8};
}

static uint32_t index_in(const struct table *table, const struct rule *rule)
{
	const uint8_t *data = (const uint8_t *)rule->data + table->base / 8;
	return table->end - table->base == 16 ? (uint32_t)data[0] << 8 | data[1] : data[0];
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
	if (count <= CELLS_MAX)
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
	__atomic_fetch_add(&lpm->map.memory, NODE_WIDTH * sizeof(*entry), __ATOMIC_RELAXED);
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
	struct table table = root_table(lpm);
	const struct rule *what = rule_at(lpm, rule);
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
	__atomic_fetch_sub(&lpm->map.memory, NODE_WIDTH * sizeof(*entry), __ATOMIC_RELAXED);
	lpm_give(lpm, &lpm->node_pool, number);
}

void trie_remove(struct lpm *lpm, uint32_t rule, uint32_t cover)
{
	struct table table = root_table(lpm);
	table_remove(lpm, &table, rule, cover);
}

static void count_entry(
        const struct lpm *lpm, uint32_t entry, uint32_t depth, uint64_t limit, uint64_t *count)
{
	++*count;
	// A node that is used again meanwhile may lead deeper than the address.
	if ((entry & ENTRY_KIND) != ENTRY_NODE || depth > lpm->data_size)
		return;
	const uint32_t *node = node_at(lpm, entry);
	for (uint32_t i = 0; i < NODE_WIDTH && *count < limit; i++)
		count_entry(lpm, load_acquire(&node[i]), depth + 1, limit, count);
}

uint64_t trie_effort(const struct lpm *lpm, const uint8_t *data, uint32_t length, uint64_t limit)
{
	const uint32_t *entries = lpm->root;
	uint32_t base = 0, end = lpm->root_bits,
	         index = end == 16 ? data[0] << 8 | data[1] : data[0];
	uint64_t count = 0;
	for (; length > end; base = end, end += 8, index = data[base / 8]) {
		uint32_t entry = load_acquire(&entries[index]);
		if ((entry & ENTRY_KIND) != ENTRY_NODE)
			return 1;
		entries = node_at(lpm, entry);
	}
	uint32_t span_size = 1u << (end - length), first = index & ~(span_size - 1);
	for (uint32_t i = first; i < first + span_size && count < limit; i++)
		count_entry(lpm, load_acquire(&entries[i]), end / 8, limit, &count);
	return count;
}
