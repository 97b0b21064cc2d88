// SPDX-License-Identifier: Apache-2.0
// The windows that are touched less often: metadata, values of maps, records of ring buffers, keys
// shown to callbacks, the block of engine_call().
#include "engine/access.h"

#include <string.h>

static const struct window *find_window(const struct generation *generation, uint64_t address)
{
	uint32_t low = 0, high = generation->window_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (generation->windows[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < generation->window_count ? &generation->windows[low] : NULL;
}

static bool is_reserved(const struct engine *engine, uint64_t address, uint64_t size)
{
	for (uint32_t i = 0; i < engine->reserved_count; i++) {
		const struct reserved *record = &engine->reserved[i];
		if (access_within(address, size, record->address, record->size))
			return true;
	}
	return false;
}

uint8_t *access_rest(struct engine *engine, uint64_t address, uint64_t size, bool write)
{
	const struct window *window = engine->window;
	if (!window || address < window->start || address >= window->end) {
		window = find_window(engine->generation, address);
		if (window)
			engine->window = window;
	}
	if (window && access_within(address, size, window->start, window->end - window->start)) {
		if (!(write ? window->may_write : window->may_read))
			return NULL;
		if (window->is_ring && !is_reserved(engine, address, size))
			return NULL;
		return engine->base + address;
	}
	if (access_within(address, size, engine->meta_start, engine->meta_size) ||
	        access_within(address, size, engine->memory_start, engine->memory_size) ||
	        (!write &&
	                access_within(address, size, engine->keys, engine->keys_used * KEY_SLOT)))
		return engine->base + address;
	return NULL;
}

uint8_t *access_value(struct engine *engine, uint64_t address, uint64_t size)
{
	const struct window *window = find_window(engine->generation, address);
	if (!window || window->is_ring || !window->may_write ||
	        !access_within(address, size, window->start, window->end - window->start))
		return NULL;
	return engine->base + address;
}

void access_enter_frame(struct engine *engine, uint32_t depth)
{
	uint64_t top = engine->stack_top - depth * STACK_FRAME;
	if (engine->stack_dirty < top) {
		memset(engine->base + engine->stack_dirty, 0, top - engine->stack_dirty);
		engine->stack_dirty = top;
	}
	access_leave_frame(engine, depth);
}
