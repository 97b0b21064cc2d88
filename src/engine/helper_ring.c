// SPDX-License-Identifier: Apache-2.0
// Records for the control side: ring buffers and perf event arrays. A record that was reserved is a
// window of its packet's run only; what is not submitted by its end is discarded.
#include <errno.h>
#include <string.h>

#include "engine/helpers.h"
#include "map/map.h"

static struct linked_map *ring_of(struct engine *engine, uint64_t handle)
{
	struct linked_map *map = helper_map(engine, handle);
	if (map && map->type != BPF_MAP_TYPE_RINGBUF) {
		helper_fault(engine, handle);
		return NULL;
	}
	return map;
}

uint64_t helper_ring_output(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = ring_of(engine, args[0]);
	const uint8_t *data = map ? helper_in(engine, args[1], args[2]) : NULL;
	if (!data || !helper_charge(engine, args[2] / 32))
		return 0;
	if (args[3] & ~(uint64_t)(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP))
		return (uint64_t)-EINVAL;
	void *record = ringbuf_reserve(map->map, args[2], 0);
	if (!record)
		return (uint64_t)-EAGAIN;
	memcpy(record, data, args[2]);
	ringbuf_commit(map->map, record, args[3], false);
	return 0;
}

uint64_t helper_ring_reserve(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = ring_of(engine, args[0]);
	if (!map || args[2] || engine->reserved_count >= RESERVED_MAX || args[1] > UINT32_MAX)
		return 0;
	const uint8_t *record = ringbuf_reserve(map->map, args[1], 0);
	if (!record)
		return 0;
	uint32_t address = (uint32_t)(record - engine->base);
	engine->reserved[engine->reserved_count++] = (struct reserved){
	        .address = address,
	        .size = (uint32_t)args[1],
	        .map = (uint16_t)(args[0] - HANDLE_MAP),
	};
	return address;
}

static uint64_t commit(struct engine *engine, const uint64_t args[5], bool discard)
{
	for (uint32_t i = 0; i < engine->reserved_count; i++) {
		struct reserved record = engine->reserved[i];
		if (record.address != args[0])
			continue;
		engine->reserved[i] = engine->reserved[--engine->reserved_count];
		struct map *map = engine->generation->maps[record.map]->map;
		ringbuf_commit(map, engine->base + record.address, args[1], discard);
		return 0;
	}
	return helper_fault(engine, args[0]);
}

uint64_t helper_ring_submit(struct engine *engine, const uint64_t args[5])
{
	return commit(engine, args, false);
}

uint64_t helper_ring_discard(struct engine *engine, const uint64_t args[5])
{
	return commit(engine, args, true);
}

uint64_t helper_ring_query(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = ring_of(engine, args[0]);
	return map ? ringbuf_query(map->map, args[1]) : 0;
}

// R3: the index in its low half (all ones: this engine), and above it how much of the packet
// follows the data.
uint64_t helper_perf_output(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	struct linked_map *map = helper_map(engine, args[1]);
	if (!map || map->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return helper_fault(engine, args[1]);
	const uint8_t *data = helper_in(engine, args[3], args[4]);
	if (!data || !helper_charge(engine, args[4] / 32))
		return 0;
	uint64_t flags = args[2], packet_size = (flags & BPF_F_CTXLEN_MASK) >> 32;
	if (flags & ~(uint64_t)(BPF_F_CTXLEN_MASK | BPF_F_INDEX_MASK))
		return (uint64_t)-EINVAL;
	if (packet_size > engine->packet_size)
		return (uint64_t)-EFAULT;
	if (args[4] + packet_size > SCRATCH_SIZE)
		return (uint64_t)-E2BIG;
	uint32_t index = (uint32_t)flags;
	if (index == (uint32_t)BPF_F_CURRENT_CPU)
		index = engine->options.number;
	memcpy(engine->scratch, data, args[4]);
	memcpy(engine->scratch + args[4], engine->base + engine->packet_start, packet_size);
	return (uint64_t)(int64_t)perf_output(
	        map->map, index, engine->scratch, (uint32_t)(args[4] + packet_size));
}
