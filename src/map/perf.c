// SPDX-License-Identifier: Apache-2.0
// Perf event array: one ring of records for each engine, which writes it alone; one reader takes
// from all of them in turn. Records are whole and in their engine's order; what finds no room is
// counted.
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "map/map_ops.h"
#include "map/mem.h"

#define RING_SIZE  (256u << 10) // a power of two; touched only as records come
#define RECORD_MAX (64u << 10)

struct ring {
	uint64_t produced, consumed, lost;
	uint32_t lock; // two threads may drive one engine, one after the other
	uint64_t words[RING_SIZE / 8];
};

struct perf {
	struct map map;
	struct ring *rings;
	uint32_t turn;
};

static int perf_make(const struct map_def *def, struct map **map)
{
	(void)def;
	struct perf *perf = calloc(1, sizeof(*perf));
	if (!perf)
		return -ENOMEM;
	*map = &perf->map;
	return 0;
}

static int perf_start(struct map *map)
{
	struct perf *perf = (struct perf *)map;
	perf->rings = mem_new(map->def.cpu_count, sizeof(*perf->rings));
	map->memory = map->def.cpu_count * sizeof(*perf->rings);
	return perf->rings ? 0 : -ENOMEM;
}

static void perf_stop(struct map *map)
{
	mem_free(((struct perf *)map)->rings);
}

static uint64_t *word_at(struct ring *ring, uint64_t position)
{
	return &ring->words[position % RING_SIZE / 8];
}

int perf_output(struct map *map, uint32_t index, const void *data, uint32_t size)
{
	if (map->def.type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return -EINVAL;
	if (index >= map->def.cpu_count)
		return -ENOENT;
	if (size > RECORD_MAX)
		return -E2BIG;
	struct ring *ring = &((struct perf *)map)->rings[index];
	spin_lock(&ring->lock);
	uint64_t at = ring->produced, room = 8 + round_up(size, 8);
	if (at + room - load_acquire(&ring->consumed) > RING_SIZE) {
		store_relaxed(&ring->lost, ring->lost + 1);
		spin_unlock(&ring->lock);
		return -ENOSPC;
	}
	store_relaxed(word_at(ring, at), size);
	for (uint32_t done = 0; done < size; done += 8)
		store_relaxed(word_at(ring, at + 8 + done),
		        word_of((const uint8_t *)data + done, size - done));
	store_release(&ring->produced, at + room);
	spin_unlock(&ring->lock);
	return 0;
}

// A record of no bytes cannot be told from none; it is passed over.
static uint32_t ring_consume(struct ring *ring, uint8_t *data, uint32_t max)
{
	uint64_t at = load_relaxed(&ring->consumed), end = load_acquire(&ring->produced);
	uint32_t size = 0;
	while (!size && at != end) {
		size = (uint32_t)load_relaxed(word_at(ring, at));
		uint32_t copied = size < max ? size : max;
		for (uint32_t done = 0; done < copied; done += 8) {
			uint64_t word = load_relaxed(word_at(ring, at + 8 + done));
			memcpy(data + done, &word, copied - done < 8 ? copied - done : 8);
		}
		at += 8 + round_up(size, 8);
	}
	store_release(&ring->consumed, at);
	return size;
}

static uint32_t perf_consume(struct map *map, void *data, uint32_t max)
{
	struct perf *perf = (struct perf *)map;
	for (uint32_t i = 0; i < map->def.cpu_count; i++) {
		struct ring *ring = &perf->rings[perf->turn++ % map->def.cpu_count];
		uint32_t size = ring_consume(ring, data, max);
		if (size)
			return size;
	}
	return 0;
}

static uint64_t perf_lost(const struct map *map)
{
	uint64_t lost = 0;
	for (uint32_t i = 0; i < map->def.cpu_count; i++)
		lost += load_relaxed(&((const struct perf *)map)->rings[i].lost);
	return lost;
}

const struct map_ops perf_ops = {
        .make = perf_make,
        .start = perf_start,
        .stop = perf_stop,
        .consume = perf_consume,
        .lost = perf_lost,
};
