// SPDX-License-Identifier: Apache-2.0
// For tests and benchmarks of maps: a map with an area of its own.
#pragma once

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "map/map.h"

struct rig {
	struct map *map;
	void *area;
	size_t area_size;
	struct error err;
};

static inline int rig_open(struct rig *rig, const struct map_def *def)
{
	*rig = (struct rig){.area_size = map_area_size(def)};
	if (rig->area_size) {
		rig->area = mmap(NULL, rig->area_size, PROT_READ | PROT_WRITE,
		        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (rig->area == MAP_FAILED)
			return -errno;
	}
	return map_new(def, rig->area, &rig->map, &rig->err);
}

static inline void rig_close(struct rig *rig)
{
	map_free(&rig->map);
	if (rig->area_size)
		munmap(rig->area, rig->area_size);
	rig->area_size = 0;
}

// xorshift64*: the same sequence for the same seed on every machine.
static inline uint64_t rig_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}
