// SPDX-License-Identifier: Apache-2.0
// The one place that decides whether a program may touch an address. Both give the host address of
// `size` bytes at card address `address`, or NULL where they do not lie wholly in one window.
// `address` is a full register: anything at or above 2^32 lies in no window. `size` is at least 1.
#pragma once

#include "engine/state.h"

// Wrap-safe: an address below `start` gives an offset beyond any size.
static inline bool access_within(uint64_t address, uint64_t size, uint64_t start, uint64_t length)
{
	uint64_t offset = address - start;
	return offset < length && size <= length - offset;
}

uint8_t *access_rest(struct engine *engine, uint64_t address, uint64_t size, bool write);

// For writing, in a map's value: no packet, stack, metadata or record, which are gone or another's
// while the program still runs.
uint8_t *access_value(struct engine *engine, uint64_t address, uint64_t size);

static inline uint8_t *access_read(struct engine *engine, uint64_t address, uint64_t size)
{
	if (access_within(address, size, engine->packet_start, engine->packet_size) ||
	        access_within(address, size, engine->stack_start, engine->stack_size) ||
	        access_within(address, size, engine->context, CONTEXT_SIZE))
		return engine->base + address;
	return access_rest(engine, address, size, false);
}

static inline uint8_t *access_write(struct engine *engine, uint64_t address, uint64_t size)
{
	if (access_within(address, size, engine->packet_start, engine->packet_size))
		return engine->base + address;
	if (access_within(address, size, engine->stack_start, engine->stack_size)) {
		if (address < engine->stack_dirty)
			engine->stack_dirty = address;
		return engine->base + address;
	}
	return access_rest(engine, address, size, true);
}

// Makes room for a frame at depth `depth`: zeros what was written where it, and deeper ones, will
// stand.
void access_enter_frame(struct engine *engine, uint32_t depth);
// The window of frames in use ends with frame `depth`.
static inline void access_leave_frame(struct engine *engine, uint32_t depth)
{
	engine->depth = depth;
	engine->stack_size = (depth + 1) * STACK_FRAME;
	engine->stack_start = engine->stack_top - engine->stack_size;
}
