// SPDX-License-Identifier: Apache-2.0
// Maps: time to load, time to look up, memory an entry, beside the kernel's maps and a limit.
// - limit: what one could write for this table alone. For hashes open addressing with key and value
// in
//   one slot, half full, inlined, for one thread that never deletes; for LPM one read of a table of
//   2^24 entries and one of the value (DIR-24-8 where no prefix is longer than 24);
// - raio: map_lookup() of a random key and a read of the value, through the public interface;
// - kernel: the same in a BPF program under BPF_PROG_TEST_RUN, minus the same program without the
//   look-up. Loads go through bpf(2) in batches. Left out where bpf(2) is denied.
// A look-up of one side does not wait for the one before: packets do not either.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench.h"
#include "map/map_rig.h"

#define ROUNDS    7
#define LOOKUPS   (1u << 20)
#define UNROLLED  32
#define TEST_RUNS 10000
#define BATCH     4096u

struct lpm_key {
	uint32_t length;
	uint8_t data[4];
};

struct table {
	const char *name;
	struct map_def def;
	const uint8_t *keys;   // max_entries of key_size bytes
	const uint8_t *probes; // LOOKUPS of key_size bytes
	uint32_t mask;         // random numbers of the kernel's program are cut to this
};

static volatile uint64_t sink;

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
	uint64_t start = clock_ns();
	for (uint64_t i = 0; i < table->def.max_entries; i++)
		map_update(map, table->keys + i * table->def.key_size, &i, BPF_ANY, 0);
	return (double)(clock_ns() - start);
}

static double lookup_raio(const struct table *table, struct map *map)
{
	uint64_t sum = 0, start = clock_ns();
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		const uint64_t *value =
		        map_lookup(map, table->probes + (size_t)i * table->def.key_size, 0);
		if (value)
			sum += *value;
	}
	double ns = (double)(clock_ns() - start) / LOOKUPS;
	sink += sum;
	return ns;
}

// The limit: both kinds share the slots and what they are asked.
struct limit {
	struct slot {
		uint64_t key, value;
	} * slots;        // LPM: only values are used
	uint32_t *direct; // LPM: by the first 24 bits
	uint64_t mask;
};

static inline uint64_t spread(uint64_t key)
{
	__uint128_t product = (__uint128_t)(key ^ 0x9e3779b97f4a7c15ull) * 0xd1b54a32d192ed03ull;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void limit_make(const struct table *table, struct limit *limit)
{
	uint64_t slots = 2, seed = 4;
	while (slots < 2ull * table->def.max_entries)
		slots *= 2;
	limit->mask = slots - 1;
	limit->slots = calloc(slots, sizeof(*limit->slots));
	for (uint64_t i = 0; i < table->def.max_entries; i++) {
		uint64_t key, at;
		memcpy(&key, table->keys + i * 8, 8);
		for (at = spread(key) & limit->mask; limit->slots[at].key;)
			at = (at + 1) & limit->mask;
		limit->slots[at] = (struct slot){key + 1, i};
	}
	if (table->def.type != BPF_MAP_TYPE_LPM_TRIE)
		return;
	limit->direct = calloc(1u << 24, sizeof(*limit->direct));
	for (uint32_t i = 0; i < 1u << 24; i++)
		limit->direct[i] = (uint32_t)(rig_random(&seed) % table->def.max_entries);
}

static double lookup_limit(const struct table *table, const struct limit *limit)
{
	uint64_t sum = 0, start = clock_ns();
	if (limit->direct) {
		const struct lpm_key *keys = (const struct lpm_key *)table->probes;
		for (uint32_t i = 0; i < LOOKUPS; i++) {
			const uint8_t *data = keys[i].data;
			uint32_t at = (uint32_t)data[0] << 16 | data[1] << 8 | data[2];
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
	double ns = (double)(clock_ns() - start) / LOOKUPS;
	sink += sum;
	return ns;
}

static void limit_free(struct limit *limit)
{
	free(limit->slots);
	free(limit->direct);
}

static int make_kernel(const struct table *table)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = table->def.flags);
	return bpf_map_create((enum bpf_map_type)table->def.type, "raio_bench", table->def.key_size,
	        table->def.value_size, table->def.max_entries, &options);
}

static double load_kernel(const struct table *table, int fd)
{
	static uint64_t values[BATCH];
	uint64_t start = clock_ns();
	for (uint32_t at = 0; at < table->def.max_entries; at += BATCH) {
		uint32_t count =
		        table->def.max_entries - at < BATCH ? table->def.max_entries - at : BATCH;
		if (bpf_map_update_batch(fd, table->keys + (size_t)at * table->def.key_size, values,
		            &count, NULL))
			return -1;
	}
	return (double)(clock_ns() - start);
}

// memlock of the map's fdinfo: what the kernel charges for it.
static double kernel_bytes(int fd)
{
	char path[64], line[128];
	unsigned long bytes = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	autofclose FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "memlock: %lu", &bytes);
	return (double)bytes;
}

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

// UNROLLED times: a random key on the stack; look it up (or not); read the value.
static int kernel_program(const struct table *table, int fd, bool with_lookup)
{
	struct bpf_insn insns[UNROLLED * 12 + 2];
	uint32_t n = 0;
	bool is_lpm = table->def.type == BPF_MAP_TYPE_LPM_TRIE;
	for (int i = 0; i < UNROLLED; i++) {
		insns[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32);
		insns[n++] = INSN(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0, (int)table->mask);
		if (is_lpm)
			insns[n++] = INSN(BPF_ALU64 | BPF_LSH | BPF_K, 0, 0, 0, 32);
		if (is_lpm)
			insns[n++] = INSN(BPF_ALU64 | BPF_OR | BPF_K, 0, 0, 0, 32);
		insns[n++] = INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, -8, 0);
		if (!with_lookup)
			continue;
		insns[n++] = INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, fd);
		insns[n++] = INSN(0, 0, 0, 0, 0);
		insns[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
		insns[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8);
		insns[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
		insns[n++] = INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0);
		insns[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0);
	}
	insns[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP);
	insns[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "raio_bench", "GPL", insns, n, NULL);
}

static double run_kernel(int program)
{
	static uint8_t packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet),
	        .repeat = TEST_RUNS);
	return bpf_prog_test_run_opts(program, &options) ? -1 : (double)options.duration / UNROLLED;
}

static void sample_memory(struct bench *bench, const char *name, const char *side, double bytes,
        const struct table *table)
{
	bench_sample(bench, name, side, "bytes/entry", bytes / table->def.max_entries);
}

static void run(struct bench *bench, const struct table *table)
{
	char load[64], look[64], memory[64];
	snprintf(load, sizeof(load), "%s, load", table->name);
	snprintf(look, sizeof(look), "%s, look-up", table->name);
	snprintf(memory, sizeof(memory), "%s, memory", table->name);
	uint32_t entries = table->def.max_entries;
	cleanup(limit_free) struct limit limit = {0};
	limit_make(table, &limit);
	struct rig rig = {0};
	autoclose int fd = -1;
	for (int i = 0; i < (entries > 100000 ? 3 : ROUNDS); i++) {
		rig_close(&rig);
		double before = rss_bytes();
		if (rig_open(&rig, &table->def)) {
			fprintf(stderr, "%s: %s\n", table->name, rig.err.text);
			exit(1);
		}
		bench_sample(bench, load, "raio", "ns/entry", load_raio(table, rig.map) / entries);
		sample_memory(bench, memory, "raio", rss_bytes() - before, table);
		cleanup_close(&fd);
		fd = make_kernel(table);
		double ns = fd < 0 ? -1 : load_kernel(table, fd);
		if (ns < 0)
			continue;
		bench_sample(bench, load, "kernel", "ns/entry", ns / entries);
		sample_memory(bench, memory, "kernel", kernel_bytes(fd), table);
	}
	autoclose int program = fd < 0 ? -1 : kernel_program(table, fd, true);
	autoclose int empty = fd < 0 ? -1 : kernel_program(table, fd, false);
	for (int i = 0; i < ROUNDS; i++) {
		bench_sample(bench, look, "limit", "ns", lookup_limit(table, &limit));
		bench_sample(bench, look, "raio", "ns", lookup_raio(table, rig.map));
		if (program >= 0 && empty >= 0)
			bench_sample(bench, look, "kernel", "ns",
			        run_kernel(program) - run_kernel(empty));
	}
	rig_close(&rig);
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
	struct table table = {name, {type, 8, 8, entries, 0, 0, 1}, (uint8_t *)keys,
	        (uint8_t *)probes, entries - 1};
	run(bench, &table);
}

// Lengths as in today's Internet table, in per mille from /8 to /24.
static uint32_t internet_length(uint64_t *seed)
{
	static const uint32_t permille[] = {
	        1, 1, 1, 1, 1, 1, 2, 2, 14, 9, 14, 25, 45, 52, 115, 98, 618};
	uint32_t number = (uint32_t)(rig_random(seed) % 1000), i = 0;
	while (number >= permille[i])
		number -= permille[i++];
	return 8 + i;
}

// Prefixes stand in 45,000 blocks of 16 bits. Packets go anywhere.
static void bench_lpm(struct bench *bench, const char *name, uint32_t entries)
{
	autofree struct lpm_key *keys = calloc(entries, sizeof(*keys));
	autofree struct lpm_key *probes = calloc(LOOKUPS, sizeof(*probes));
	autofree uint16_t *blocks = calloc(45000, sizeof(*blocks));
	struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, 8, 8, entries, BPF_F_NO_PREALLOC, 0, 1};
	struct rig rig;
	uint64_t seed = 2;
	for (int i = 0; i < 45000; i++)
		blocks[i] =
		        (uint16_t)((1 + rig_random(&seed) % 223) << 8 | rig_random(&seed) % 256);
	if (rig_open(&rig, &def))
		exit(1);
	for (uint32_t i = 0; i < entries;) { // distinct ones
		struct lpm_key *key = &keys[i];
		uint32_t number = (uint32_t)blocks[rig_random(&seed) % 45000] << 16 |
		                  (uint32_t)(rig_random(&seed) & 0xffff);
		key->length = internet_length(&seed);
		number &= ~0u << (32 - key->length);
		for (int j = 0; j < 4; j++)
			key->data[j] = (uint8_t)(number >> (24 - 8 * j));
		i += !map_update(rig.map, key, &seed, BPF_NOEXIST, 0);
	}
	rig_close(&rig);
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		uint32_t number = (uint32_t)rig_random(&seed);
		probes[i].length = 32;
		memcpy(probes[i].data, &number, 4);
	}
	struct table table = {name, def, (uint8_t *)keys, (uint8_t *)probes, UINT32_MAX};
	run(bench, &table);
}

int main(void)
{
	struct bench *bench;
	if (bench_new(&bench))
		return 1;
	bench_hash(bench, "hash, 16 entries", BPF_MAP_TYPE_HASH, 16);
	bench_hash(bench, "hash, 64 k entries", BPF_MAP_TYPE_HASH, 1u << 16);
	bench_hash(bench, "hash, 1 M entries", BPF_MAP_TYPE_HASH, 1u << 20);
	bench_hash(bench, "lru_hash, 1 M entries", BPF_MAP_TYPE_LRU_HASH, 1u << 20);
	bench_lpm(bench, "lpm IPv4, 64 k prefixes", 1u << 16);
	bench_lpm(bench, "lpm IPv4, 1 M prefixes", 1000000);
	int rc = bench_report(bench, "maps", NULL);
	bench_free(&bench);
	return rc ? 1 : 0;
}
