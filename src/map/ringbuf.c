// SPDX-License-Identifier: Apache-2.0
// BPF ring buffer (Documentation/bpf/ringbuf.rst): programs of all engines reserve records in one
// order; a record becomes readable when it and all before it are committed.
//
// The kernel maps its data pages twice in a row so that a record that wraps is contiguous. Here the
// area is twice as big as the ring, and a record that begins near the end of the ring runs on into
// the second half; the next one begins in the first half again. A record's header (length and
// state) counts eight bytes of the ring, as in the kernel, but stands outside the area: a program
// cannot forge one.
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "base/error.h"
#include "map/map_ops.h"
#include "map/mem.h"

#define PAGE        4096u
#define HEADER_SIZE ((uint32_t)BPF_RINGBUF_HDR_SZ)

struct ringbuf {
	struct map map;
	uint32_t *headers; // by position / 8: length, BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT
	uint32_t mask, lock;
	uint64_t produced, consumed, lost;
};

static int ringbuf_check(const struct map_def *def, struct error *err)
{
	if (def->max_entries % PAGE || (def->max_entries & (def->max_entries - 1)))
		return error_set(err, EINVAL,
		        "max_entries of a ringbuf is its size in bytes, a power of two and a "
		        "multiple "
		        "of %u, not %u",
		        PAGE, def->max_entries);
	return 0;
}

static size_t ringbuf_area_size(const struct map_def *def)
{
	return 2 * (size_t)def->max_entries;
}

static int ringbuf_make(const struct map_def *def, struct map **map)
{
	(void)def;
	struct ringbuf *ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	*map = &ring->map;
	return 0;
}

static int ringbuf_start(struct map *map)
{
	struct ringbuf *ring = (struct ringbuf *)map;
	ring->mask = map->def.max_entries - 1;
	ring->headers = mem_new(map->def.max_entries / 8, sizeof(*ring->headers));
	map->memory = map->def.max_entries / 8 * sizeof(*ring->headers);
	return ring->headers ? 0 : -ENOMEM;
}

static void ringbuf_stop(struct map *map)
{
	mem_free(((struct ringbuf *)map)->headers);
}

static bool is_ring(const struct map *map)
{
	return map->def.type == BPF_MAP_TYPE_RINGBUF;
}

static uint32_t *header_at(struct ringbuf *ring, uint64_t position)
{
	return &ring->headers[(position & ring->mask) / 8];
}

static uint64_t record_size(uint64_t size)
{
	return round_up(size + HEADER_SIZE, 8);
}

void *ringbuf_reserve(struct map *map, uint64_t size, uint64_t flags)
{
	struct ringbuf *ring = (struct ringbuf *)map;
	if (!is_ring(map) || flags || size > UINT32_MAX / 4)
		return NULL;
	spin_lock(&ring->lock);
	uint64_t at = ring->produced;
	bool fits = at + record_size(size) - load_acquire(&ring->consumed) <= ring->mask;
	if (fits) {
		store_relaxed(header_at(ring, at), (uint32_t)size | BPF_RINGBUF_BUSY_BIT);
		store_release(&ring->produced, at + record_size(size));
	} else {
		store_relaxed(&ring->lost, ring->lost + 1);
	}
	spin_unlock(&ring->lock);
	return fits ? map->area + (at & ring->mask) + HEADER_SIZE : NULL;
}

// The header of what may be a reserved sample, or NULL.
static uint32_t *sample_header(struct map *map, const void *sample)
{
	struct ringbuf *ring = (struct ringbuf *)map;
	uintptr_t at = (uintptr_t)sample - (uintptr_t)map->area - HEADER_SIZE;
	if (!is_ring(map) || at > ring->mask || at % 8)
		return NULL;
	return header_at(ring, at);
}

// A header word of a record that is gone stays behind; only the busy bit tells.
int ringbuf_commit(struct map *map, void *sample, uint64_t flags, bool discard)
{
	(void)flags; // BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP: readers poll
	uint32_t *header = sample_header(map, sample);
	if (!header)
		return -EINVAL;
	uint32_t word = load_relaxed(header), done;
	do {
		if (!(word & BPF_RINGBUF_BUSY_BIT))
			return -EINVAL;
		done = (word & ~BPF_RINGBUF_BUSY_BIT) | (discard ? BPF_RINGBUF_DISCARD_BIT : 0);
	} while (!__atomic_compare_exchange_n(
	        header, &word, done, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	return 0;
}

uint64_t ringbuf_query(struct map *map, uint64_t flags)
{
	struct ringbuf *ring = (struct ringbuf *)map;
	if (!is_ring(map))
		return 0;
	uint64_t consumed = load_acquire(&ring->consumed), produced = load_acquire(&ring->produced);
	switch (flags) {
	case BPF_RB_AVAIL_DATA:
		return produced - consumed;
	case BPF_RB_RING_SIZE:
		return (uint64_t)ring->mask + 1;
	case BPF_RB_CONS_POS:
		return consumed;
	case BPF_RB_PROD_POS:
		return produced;
	default:
		return 0;
	}
}

uint32_t ringbuf_sample_size(struct map *map, const void *sample)
{
	uint32_t *header = sample_header(map, sample);
	uint32_t word = header ? load_relaxed(header) : 0;
	return word & BPF_RINGBUF_BUSY_BIT ? word & ~BPF_RINGBUF_BUSY_BIT : 0;
}

static uint32_t ringbuf_consume(struct map *map, void *data, uint32_t max)
{
	struct ringbuf *ring = (struct ringbuf *)map;
	uint64_t at = load_relaxed(&ring->consumed);
	while (at != load_acquire(&ring->produced)) {
		uint32_t word = load_acquire(header_at(ring, at));
		if (word & BPF_RINGBUF_BUSY_BIT)
			return 0;
		uint32_t size = word & ~BPF_RINGBUF_DISCARD_BIT;
		bool is_record = !(word & BPF_RINGBUF_DISCARD_BIT);
		if (is_record)
			memcpy(data, map->area + (at & ring->mask) + HEADER_SIZE,
			        size < max ? size : max);
		at += record_size(size);
		store_release(&ring->consumed, at);
		if (is_record && size)
			return size;
	}
	return 0;
}

static uint64_t ringbuf_lost(const struct map *map)
{
	return load_relaxed(&((const struct ringbuf *)map)->lost);
}

const struct map_ops ringbuf_ops = {
        .check = ringbuf_check,
        .area_size = ringbuf_area_size,
        .make = ringbuf_make,
        .start = ringbuf_start,
        .stop = ringbuf_stop,
        .consume = ringbuf_consume,
        .lost = ringbuf_lost,
};
