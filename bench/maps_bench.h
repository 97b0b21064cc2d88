// SPDX-License-Identifier: Apache-2.0
// What the sides of the map benchmark share: a table's definition, its keys, and what is asked.
#pragma once

#include <time.h>

#include "base/clock.h"
#include "bench.h"
#include "map/map_rig.h"

#define LOOKUPS (1u << 20)
#define BURST   32u

struct lpm_key {
	uint32_t length;
	uint8_t data[16];
};

struct table {
	const char *name;
	struct map_def def;
	const uint8_t *keys;       // max_entries of key_size bytes; entry i has value i
	const uint8_t *probes;     // LOOKUPS of key_size bytes
	const uint32_t *addresses; // LPM IPv4: those of the probes, as packets have them
	uint32_t mask;             // random numbers of the kernel's program are cut to this
};

static inline const uint8_t *key_at(const struct table *table, uint32_t i)
{
	return table->keys + (size_t)i * table->def.key_size;
}

static inline const uint8_t *probe_at(const struct table *table, uint32_t i)
{
	return table->probes + (size_t)i * table->def.key_size;
}

static inline bool is_lpm(const struct table *table)
{
	return table->def.type == BPF_MAP_TYPE_LPM_TRIE;
}

// The thread's own time: others may share the machine.
static inline uint64_t maps_clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static inline uint32_t address_of(const uint8_t *data)
{
	return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

// The first eight bytes of a value go here, or the compiler would leave out the look-up.
extern volatile uint64_t maps_sink;

// The kernel's side (maps_kernel.c).
struct kernel_side {
	int map, program, empty; // -1: none
};
void kernel_load(struct kernel_side *kernel, const struct table *table, struct bench *bench);
void kernel_start(struct kernel_side *kernel, const struct table *table);
double kernel_lookup(const struct kernel_side *kernel); // ns; negative: not to be had
void kernel_close(struct kernel_side *kernel);

// DPDK's sides (maps_dpdk.c, or maps_no_dpdk.c where it is not built in).
struct dpdk_side;
int dpdk_start(void); // before any other; 0, or there is none
struct dpdk_side *dpdk_open(const struct table *table, struct bench *bench); // loads; NULL: none
void dpdk_sample(struct dpdk_side *dpdk, const char *name, struct bench *bench); // one of each
void dpdk_close(struct dpdk_side *dpdk);
