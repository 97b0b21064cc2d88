// SPDX-License-Identifier: Apache-2.0
// Maps: time to load, time to look up, memory an entry, beside DPDK's tables, the kernel's and a
// limit.
// - limit: what one could write for this table alone. For hashes open addressing with key and value
//   in one slot, half full, inlined, for one thread that never deletes; for LPM IPv4 one read of a
//   table of 2^24 entries and one of the value;
// - raio: the look-up as the compiler of programs emits it in place (map/in_place.h); in bursts,
// with
//   the place that each begins at fetched ahead; and the function that it calls otherwise;
// - kernel, rte_…: see maps_kernel.c and maps_dpdk.c.
// Keys are random among those that stand; addresses lie in a random prefix. A look-up of one side
// does not wait for the one before: packets do not either.
#include "maps_bench.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "map/in_place.h"
#include "map/prefix_rig.h"

#define ROUNDS 7

volatile uint64_t maps_sink;

static double rss_bytes(void)
{
	unsigned long all = 0, resident = 0;
	autofclose FILE *file = fopen("/proc/self/statm", "r");
	if (!file || fscanf(file, "%lu %lu", &all, &resident) != 2)
		return 0;
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double load_raio(const struct table *table, struct map *map)
{
	uint64_t start = maps_clock_ns();
	for (uint64_t i = 0; i < table->def.max_entries; i++)
		map_update(map, key_at(table, (uint32_t)i), &i, BPF_ANY, 0);
	return (double)(maps_clock_ns() - start);
}

// What the compiler of programs emits.
static inline __attribute__((always_inline)) uint64_t run_hash(
        const struct table *table, struct map *map, bool marks, bool ahead)
{
	const uint64_t *keys = (const uint64_t *)table->probes;
	map_lookup_fn lookup = map_lookup_function(map);
	uint64_t sum = 0;
	struct map_inline described;
	map_inline(map, &described);
	struct map_inline in = described; // which nobody else can change
	in.stride = 8;                    // a constant there, too
	in.copy_size = 0;
	for (uint32_t i = 0; i < LOOKUPS; i += BURST) {
		for (uint32_t j = 0; ahead && j < BURST; j++)
			__builtin_prefetch(in_place_bucket(&in, &keys[i + j], 1));
		for (uint32_t j = i; j < i + BURST; j++) {
			void *value;
			uint8_t *bucket = in_place_bucket(&in, &keys[j], 1);
			if (!in_place_hash(&in, bucket, &keys[j], 1, marks, 0, &value))
				value = lookup(map, &keys[j], 0);
			if (value)
				sum += *(const uint64_t *)value;
		}
	}
	return sum;
}

static inline __attribute__((always_inline)) uint64_t run_lpm(
        const struct table *table, struct map *map, bool ahead)
{
	const uint32_t *addresses = table->addresses;
	map_lookup_fn lookup = map_lookup_function(map);
	uint64_t sum = 0;
	struct map_inline described;
	map_inline(map, &described);
	struct map_inline in = described;
	in.stride = 8;
	in.copy_size = 0;
	for (uint32_t i = 0; i < LOOKUPS; i += BURST) {
		for (uint32_t j = i; ahead && j < i + BURST; j++)
			__builtin_prefetch(&in.root[be32toh(addresses[j]) >> 8]);
		for (uint32_t j = i; j < i + BURST; j++) {
			void *value;
			if (!in_place_lpm(&in, be32toh(addresses[j]), &value))
				value = lookup(map, probe_at(table, j), 0);
			if (value)
				sum += *(const uint64_t *)value;
		}
	}
	return sum;
}

static uint64_t in_place(const struct table *table, struct map *map)
{
	if (is_lpm(table))
		return run_lpm(table, map, false);
	return table->def.type == BPF_MAP_TYPE_HASH ? run_hash(table, map, false, false)
	                                            : run_hash(table, map, true, false);
}

static uint64_t in_bursts(const struct table *table, struct map *map)
{
	if (is_lpm(table))
		return run_lpm(table, map, true);
	return table->def.type == BPF_MAP_TYPE_HASH ? run_hash(table, map, false, true)
	                                            : run_hash(table, map, true, true);
}

static uint64_t by_call(const struct table *table, struct map *map)
{
	map_lookup_fn lookup = map_lookup_function(map);
	uint64_t sum = 0;
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		const uint64_t *value = lookup(map, probe_at(table, i), 0);
		if (value)
			sum += *value;
	}
	return sum;
}

static void sample(struct bench *bench, const struct table *table, const char *side,
        uint64_t (*lookups)(const struct table *, struct map *), struct map *map)
{
	uint64_t start = maps_clock_ns(), sum = lookups(table, map);
	bench_sample(bench, table->name, side, "ns", (double)(maps_clock_ns() - start) / LOOKUPS);
	maps_sink += sum;
}

// The limit: both kinds share the slots and what they are asked.
struct limit {
	struct slot {
		uint64_t key, value;
	} * slots;        // LPM: only values are used, from 1
	uint32_t *direct; // LPM: by the first 24 bits
	uint64_t mask;
};

static inline uint64_t spread(uint64_t key)
{
	__uint128_t product = (__uint128_t)(key ^ 0x9e3779b97f4a7c15ull) * 0xd1b54a32d192ed03ull;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Shorter prefixes first; none is longer than 24.
static void limit_direct(const struct table *table, struct limit *limit)
{
	limit->direct = calloc(1u << 24, sizeof(*limit->direct));
	limit->slots = calloc(table->def.max_entries + 1, sizeof(*limit->slots));
	for (uint32_t length = 0; length <= 24; length++)
		for (uint32_t i = 0; i < table->def.max_entries; i++) {
			const struct lpm_key *key = (const struct lpm_key *)key_at(table, i);
			if (key->length != length)
				continue;
			uint32_t first = (uint32_t)key->data[0] << 16 |
			                 (uint32_t)key->data[1] << 8 | key->data[2];
			for (uint32_t at = first; at < first + (1u << (24 - length)); at++)
				limit->direct[at] = i + 1;
			limit->slots[i + 1].value = i;
		}
}

static void limit_make(const struct table *table, struct limit *limit)
{
	if (is_lpm(table)) {
		if (table->def.key_size == 8)
			limit_direct(table, limit);
		return;
	}
	uint64_t slots = 2;
	while (slots < 2ull * table->def.max_entries)
		slots *= 2;
	limit->mask = slots - 1;
	limit->slots = calloc(slots, sizeof(*limit->slots));
	for (uint32_t i = 0; i < table->def.max_entries; i++) {
		uint64_t key, at;
		memcpy(&key, key_at(table, i), 8);
		for (at = spread(key) & limit->mask; limit->slots[at].key;)
			at = (at + 1) & limit->mask;
		limit->slots[at] = (struct slot){key + 1, i};
	}
}

static double lookup_limit(const struct table *table, const struct limit *limit)
{
	uint64_t sum = 0, start = maps_clock_ns();
	if (limit->direct) {
		for (uint32_t i = 0; i < LOOKUPS; i++) {
			uint32_t at = be32toh(table->addresses[i]) >> 8;
			sum += limit->slots[limit->direct[at]].value;
		}
	} else {
		const uint64_t *keys = (const uint64_t *)table->probes;
		for (uint32_t i = 0; i < LOOKUPS; i++) {
			uint64_t at = spread(keys[i]) & limit->mask;
			while (limit->slots[at].key && limit->slots[at].key != keys[i] + 1)
				at = (at + 1) & limit->mask;
			sum += limit->slots[at].value;
		}
	}
	double ns = (double)(maps_clock_ns() - start) / LOOKUPS;
	maps_sink += sum;
	return ns;
}

static void limit_free(struct limit *limit)
{
	free(limit->slots);
	free(limit->direct);
}

static void open_raio(struct rig *rig, const struct table *table, struct bench *bench)
{
	char name[64];
	double before = rss_bytes(), entries = table->def.max_entries;
	if (rig_open(rig, &table->def)) {
		fprintf(stderr, "%s: %s\n", table->name, rig->err.text);
		exit(1);
	}
	snprintf(name, sizeof(name), "%s, load", table->name);
	bench_sample(bench, name, "raio", "ns/entry", load_raio(table, rig->map) / entries);
	snprintf(name, sizeof(name), "%s, memory", table->name);
	bench_sample(bench, name, "raio", "bytes/entry", (rss_bytes() - before) / entries);
}

static void run(struct bench *bench, const struct table *table)
{
	cleanup(limit_free) struct limit limit = {0};
	struct rig rig = {0};
	struct kernel_side kernel = {-1, -1, -1};
	struct dpdk_side *dpdk = NULL;
	for (int i = 0; i < (table->def.max_entries > 100000 ? 3 : ROUNDS); i++) {
		rig_close(&rig);
		kernel_close(&kernel);
		dpdk_close(dpdk);
		open_raio(&rig, table, bench);
		kernel_load(&kernel, table, bench);
		dpdk = dpdk_open(table, bench);
	}
	kernel_start(&kernel, table);
	limit_make(table, &limit);
	for (int i = 0; i < ROUNDS; i++) {
		if (limit.slots)
			bench_sample(
			        bench, table->name, "limit", "ns", lookup_limit(table, &limit));
		if (table->def.key_size == 8) {
			sample(bench, table, "raio", in_place, rig.map);
			sample(bench, table, "raio, bursts", in_bursts, rig.map);
		}
		sample(bench, table, "raio, call", by_call, rig.map);
		dpdk_sample(dpdk, table->name, bench);
		double ns = kernel_lookup(&kernel);
		if (ns >= 0)
			bench_sample(bench, table->name, "kernel", "ns", ns);
	}
	rig_close(&rig);
	kernel_close(&kernel);
	dpdk_close(dpdk);
}

static void bench_hash(struct bench *bench, const char *name, uint32_t type, uint32_t entries)
{
	autofree uint64_t *keys = calloc(entries, sizeof(*keys));
	autofree uint64_t *probes = calloc(LOOKUPS, sizeof(*probes));
	uint64_t seed = 1;
	for (uint32_t i = 0; i < entries; i++)
		keys[i] = i;
	for (uint32_t i = 0; i < LOOKUPS; i++)
		probes[i] = rig_random(&seed) % entries;
	struct table table = {
	        .name = name,
	        .def = {type, 8, 8, entries, 0, 0, 1},
	        .keys = (uint8_t *)keys,
	        .probes = (uint8_t *)probes,
	        .mask = entries - 1,
	};
	run(bench, &table);
}

// Distinct prefixes, of key_size bytes each, in an order of no meaning; addresses within them.
static void bench_lpm(struct bench *bench, const char *name, uint32_t key_size, uint32_t entries)
{
	autofree uint8_t *keys = calloc(entries, key_size);
	autofree uint8_t *probes = calloc(LOOKUPS, key_size);
	struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, key_size, 8, entries, BPF_F_NO_PREALLOC, 0, 1};
	uint32_t bits = (key_size - 4) * 8;
	uint64_t seed = 2;
	struct rig rig;
	if (rig_open(&rig, &def))
		exit(1);
	for (uint32_t i = 0; i < entries;) {
		rig_prefix(&seed, keys + (size_t)i * key_size, key_size);
		i += !map_update(rig.map, keys + (size_t)i * key_size, &seed, BPF_NOEXIST, 0);
	}
	rig_close(&rig);
	for (uint32_t i = 0; i < LOOKUPS; i++)
		rig_address_in(&seed, keys + rig_random(&seed) % entries * key_size,
		        probes + (size_t)i * key_size, bits);
	autofree uint32_t *addresses = calloc(LOOKUPS, sizeof(*addresses));
	for (uint32_t i = 0; i < LOOKUPS; i++)
		memcpy(&addresses[i], probes + (size_t)i * key_size + 4, 4);
	struct table table = {
	        .name = name,
	        .def = def,
	        .keys = keys,
	        .probes = probes,
	        .addresses = addresses,
	        .mask = key_size == 8 ? UINT32_MAX : 0xffffff1f,
	};
	run(bench, &table);
}

int main(void)
{
	struct bench *bench;
	if (bench_new(&bench))
		return 1;
	if (dpdk_start())
		fprintf(stderr, "without DPDK's sides: build with libdpdk, run as root\n");
	bench_hash(bench, "hash, 16 entries", BPF_MAP_TYPE_HASH, 16);
	bench_hash(bench, "hash, 64k entries", BPF_MAP_TYPE_HASH, 1u << 16);
	bench_hash(bench, "hash, 1M entries", BPF_MAP_TYPE_HASH, 1u << 20);
	bench_hash(bench, "lru_hash, 1M entries", BPF_MAP_TYPE_LRU_HASH, 1u << 20);
	bench_lpm(bench, "LPM IPv4, 16 prefixes", 8, 16);
	bench_lpm(bench, "LPM IPv4, 64k prefixes", 8, 1u << 16);
	bench_lpm(bench, "LPM IPv4, 1M prefixes", 8, 1000000); // the Internet's
	bench_lpm(bench, "LPM IPv6, 250k prefixes", 20, 250000);
	int rc = bench_report(bench, "maps", NULL);
	bench_free(&bench);
	return rc ? 1 : 0;
}
