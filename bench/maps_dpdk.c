// SPDX-License-Identifier: Apache-2.0
// DPDK's sides of the map benchmark: rte_hash (lock-free readers beside writers, as ours), rte_lpm,
// rte_fib and rte_fib6. Each look-up ends with the first eight bytes of a value: rte_hash gives a
// pointer to it, the others its index. Single look-ups, and bursts of 32 where there is a call for
// them. One lcore, memory from ordinary pages, no devices, no files.
#include "maps_bench.h"

#undef NS_PER_S // DPDK has one of its own
#include <endian.h>
#include <rte_eal.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_hash.h>
#include <rte_lpm.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NO_HOP   0u // of rte_fib: no route; hop n is value n - 1
#define TBL8_MAX ((1u << 19) - 1)

struct dpdk_side {
	const struct table *table;
	uint64_t *values;
	struct rte_hash *hash;
	struct rte_lpm *lpm;
	struct rte_fib *fib;
	struct rte_fib6 *fib6;
};

// The folders that DPDK makes even when it keeps nothing there.
static void remove_folders(const char *folder)
{
	static const char *const names[] = {"/dpdk/rte", "/dpdk", ""};
	char path[128];
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s%s", folder, names[i]);
		rmdir(path);
	}
}

int dpdk_start(void)
{
	char *args[] = {"maps_bench", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
	        "--lcores=0", "-m", "2048", "--log-level=error", NULL};
	char folder[] = "/tmp/maps_bench.XXXXXX";
	if (!mkdtemp(folder))
		return -1;
	setenv("RUNTIME_DIRECTORY", folder, 1);
	int rc = rte_eal_init((int)ARRAY_SIZE(args) - 1, args);
	remove_folders(folder);
	return rc < 0 ? -1 : 0;
}

static double heap_bytes(void)
{
	struct rte_malloc_socket_stats stats = {0};
	rte_malloc_get_socket_stats(SOCKET_ID_ANY, &stats);
	if (!stats.heap_totalsz_bytes)
		rte_malloc_get_socket_stats(0, &stats);
	return (double)stats.heap_allocsz_bytes;
}

static const struct lpm_key *prefix_at(const struct table *table, uint32_t i)
{
	return (const struct lpm_key *)key_at(table, i);
}

static int load_hash(struct dpdk_side *side)
{
	const struct table *table = side->table;
	struct rte_hash_parameters parameters = {
	        .name = "bench",
	        .entries = table->def.max_entries,
	        .key_len = table->def.key_size,
	        .extra_flag =
	                RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};
	side->hash = rte_hash_create(&parameters);
	if (!side->hash)
		return -1;
	for (uint32_t i = 0; i < table->def.max_entries; i++)
		if (rte_hash_add_key_data(side->hash, key_at(table, i), &side->values[i]))
			return -1;
	return 0;
}

// rte_lpm_add() goes through all rules of the same length, which takes minutes for a million. What
// it would write into its first table is written here, shorter prefixes first; no prefix of these
// tables is longer than 24.
static int load_lpm(struct dpdk_side *side)
{
	const struct table *table = side->table;
	const struct rte_lpm_config config = {.max_rules = 256, .number_tbl8s = 256};
	side->lpm = rte_lpm_create("bench", SOCKET_ID_ANY, &config);
	if (!side->lpm)
		return -1;
	for (uint32_t length = 0; length <= 24; length++)
		for (uint32_t i = 0; i < table->def.max_entries; i++) {
			if (prefix_at(table, i)->length != length)
				continue;
			uint32_t first = address_of(prefix_at(table, i)->data) >> 8;
			for (uint32_t at = first; at < first + (1u << (24 - length)); at++)
				side->lpm->tbl24[at] = (struct rte_lpm_tbl_entry){
				        .next_hop = i,
				        .valid = 1,
				        .depth = (uint8_t)length,
				};
		}
	return 0;
}

static int load_fib(struct dpdk_side *side)
{
	const struct table *table = side->table;
	struct rte_fib_conf config = {
	        .type = RTE_FIB_DIR24_8,
	        .default_nh = NO_HOP,
	        .max_routes = (int)table->def.max_entries,
	        .dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = 256},
	};
	side->fib = rte_fib_create("bench", SOCKET_ID_ANY, &config);
	if (!side->fib)
		return -1;
	for (uint32_t i = 0; i < table->def.max_entries; i++) {
		const struct lpm_key *key = prefix_at(table, i);
		if (rte_fib_add(side->fib, address_of(key->data), (uint8_t)key->length, i + 1))
			return -1;
	}
	return 0;
}

static int load_fib6(struct dpdk_side *side)
{
	const struct table *table = side->table;
	struct rte_fib6_conf config = {
	        .type = RTE_FIB6_TRIE,
	        .default_nh = NO_HOP,
	        .max_routes = (int)table->def.max_entries,
	        .trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = TBL8_MAX},
	};
	side->fib6 = rte_fib6_create("bench", SOCKET_ID_ANY, &config);
	if (!side->fib6)
		return -1;
	for (uint32_t i = 0; i < table->def.max_entries; i++) {
		const struct lpm_key *key = prefix_at(table, i);
		if (rte_fib6_add(side->fib6, key->data, (uint8_t)key->length, i + 1))
			return -1;
	}
	return 0;
}

static void load(struct dpdk_side *side, const char *name, int (*loads)(struct dpdk_side *),
        struct bench *bench)
{
	char cell[64];
	double entries = side->table->def.max_entries, before = heap_bytes();
	uint64_t start = maps_clock_ns();
	if (loads(side)) {
		fprintf(stderr, "%s: %s cannot hold it\n", side->table->name, name);
		return;
	}
	double ns = (double)(maps_clock_ns() - start);
	snprintf(cell, sizeof(cell), "%s, load", side->table->name);
	if (loads != load_lpm)
		bench_sample(bench, cell, name, "ns/entry", ns / entries);
	snprintf(cell, sizeof(cell), "%s, memory", side->table->name);
	bench_sample(bench, cell, name, "bytes/entry", (heap_bytes() - before) / entries + 8);
}

struct dpdk_side *dpdk_open(const struct table *table, struct bench *bench)
{
	struct dpdk_side *side = calloc(1, sizeof(*side));
	side->table = table;
	side->values = calloc(table->def.max_entries, sizeof(*side->values));
	for (uint32_t i = 0; i < table->def.max_entries; i++)
		side->values[i] = i;
	if (!is_lpm(table)) {
		load(side, "rte_hash", load_hash, bench);
	} else if (table->def.key_size == 8) {
		load(side, "rte_lpm", load_lpm, bench);
		load(side, "rte_fib", load_fib, bench);
	} else {
		load(side, "rte_fib6", load_fib6, bench);
	}
	return side;
}

void dpdk_close(struct dpdk_side *side)
{
	if (!side)
		return;
	rte_hash_free(side->hash);
	rte_lpm_free(side->lpm);
	rte_fib_free(side->fib);
	rte_fib6_free(side->fib6);
	free(side->values);
	free(side);
}

static uint64_t hash_single(const struct dpdk_side *side)
{
	uint64_t sum = 0;
	void *value;
	for (uint32_t i = 0; i < LOOKUPS; i++)
		if (rte_hash_lookup_data(side->hash, probe_at(side->table, i), &value) >= 0)
			sum += *(const uint64_t *)value;
	return sum;
}

static uint64_t hash_burst(const struct dpdk_side *side)
{
	uint64_t sum = 0, hits;
	const void *keys[BURST];
	void *values[BURST];
	for (uint32_t i = 0; i < LOOKUPS; i += BURST) {
		for (uint32_t j = 0; j < BURST; j++)
			keys[j] = probe_at(side->table, i + j);
		rte_hash_lookup_bulk_data(side->hash, keys, BURST, &hits, values);
		for (uint32_t j = 0; j < BURST; j++)
			if (hits >> j & 1)
				sum += *(const uint64_t *)values[j];
	}
	return sum;
}

static uint64_t lpm_single(const struct dpdk_side *side)
{
	const uint32_t *addresses = side->table->addresses;
	uint64_t sum = 0;
	uint32_t hop;
	for (uint32_t i = 0; i < LOOKUPS; i++)
		if (!rte_lpm_lookup(side->lpm, be32toh(addresses[i]), &hop))
			sum += side->values[hop];
	return sum;
}

static uint64_t lpm_burst(const struct dpdk_side *side)
{
	uint64_t sum = 0;
	uint32_t hops[BURST], addresses[BURST];
	for (uint32_t i = 0; i < LOOKUPS; i += BURST) {
		for (uint32_t j = 0; j < BURST; j++)
			addresses[j] = be32toh(side->table->addresses[i + j]);
		rte_lpm_lookup_bulk(side->lpm, addresses, hops, BURST);
		for (uint32_t j = 0; j < BURST; j++)
			if (hops[j] & RTE_LPM_LOOKUP_SUCCESS)
				sum += side->values[hops[j] & 0xffffff];
	}
	return sum;
}

static inline __attribute__((always_inline)) uint64_t fib_run(
        const struct dpdk_side *side, uint32_t burst)
{
	uint64_t sum = 0, hops[BURST];
	uint32_t addresses[BURST];
	for (uint32_t i = 0; i < LOOKUPS; i += burst) {
		for (uint32_t j = 0; j < burst; j++)
			addresses[j] = be32toh(side->table->addresses[i + j]);
		rte_fib_lookup_bulk(side->fib, addresses, hops, (int)burst);
		for (uint32_t j = 0; j < burst; j++)
			if (hops[j] != NO_HOP)
				sum += side->values[hops[j] - 1];
	}
	return sum;
}

static uint64_t fib_single(const struct dpdk_side *side)
{
	return fib_run(side, 1);
}

static uint64_t fib_burst(const struct dpdk_side *side)
{
	return fib_run(side, BURST);
}

static inline __attribute__((always_inline)) uint64_t fib6_run(
        const struct dpdk_side *side, uint32_t burst)
{
	uint64_t sum = 0, hops[BURST];
	uint8_t addresses[BURST][RTE_FIB6_IPV6_ADDR_SIZE];
	for (uint32_t i = 0; i < LOOKUPS; i += burst) {
		for (uint32_t j = 0; j < burst; j++)
			memcpy(addresses[j], probe_at(side->table, i + j) + 4, 16);
		rte_fib6_lookup_bulk(side->fib6, addresses, hops, (int)burst);
		for (uint32_t j = 0; j < burst; j++)
			if (hops[j] != NO_HOP)
				sum += side->values[hops[j] - 1];
	}
	return sum;
}

static uint64_t fib6_single(const struct dpdk_side *side)
{
	return fib6_run(side, 1);
}

static uint64_t fib6_burst(const struct dpdk_side *side)
{
	return fib6_run(side, BURST);
}

static void sample(const struct dpdk_side *side, const char *name, const char *who,
        uint64_t (*run)(const struct dpdk_side *), struct bench *bench)
{
	uint64_t start = maps_clock_ns(), sum = run(side);
	bench_sample(bench, name, who, "ns", (double)(maps_clock_ns() - start) / LOOKUPS);
	maps_sink += sum;
}

void dpdk_sample(struct dpdk_side *side, const char *name, struct bench *bench)
{
	if (!side)
		return;
	if (side->hash) {
		sample(side, name, "rte_hash", hash_single, bench);
		sample(side, name, "rte_hash, bursts", hash_burst, bench);
	}
	if (side->lpm) {
		sample(side, name, "rte_lpm", lpm_single, bench);
		sample(side, name, "rte_lpm, bursts", lpm_burst, bench);
	}
	if (side->fib) {
		sample(side, name, "rte_fib", fib_single, bench);
		sample(side, name, "rte_fib, bursts", fib_burst, bench);
	}
	if (side->fib6) {
		sample(side, name, "rte_fib6", fib6_single, bench);
		sample(side, name, "rte_fib6, bursts", fib6_burst, bench);
	}
}
