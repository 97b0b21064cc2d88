// SPDX-License-Identifier: Apache-2.0
// Loops by call, spin locks, reads that may fail, and the end of a run.
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "engine/helpers.h"
#include "map/map.h"

#define LOOPS_MAX (8u << 20) // BPF_MAX_LOOPS
// A holder runs at most its budget between lock and unlock, but its thread may lose the CPU
// meanwhile, for some milliseconds on a busy machine. So after so many tries engines sleep between
// them, up to engine->patience a burst; then the program must have written over the lock.
#define LOCK_TRIES    (1u << 16)
#define LOCK_SLEEP_NS 100000

// R1 how often, R2 function (index, R3), R4 flags. How often it was called.
uint64_t helper_loop(struct engine *engine, const uint64_t args[5])
{
	uint32_t count = (uint32_t)args[0];
	if (args[3])
		return (uint64_t)-EINVAL;
	if (count > LOOPS_MAX)
		return (uint64_t)-E2BIG;
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t call[5] = {i, args[2], 0, 0, 0};
		uint64_t stop;
		if (!helper_call(engine, args[1], call, &stop))
			return 0;
		if (stop)
			return i + 1;
	}
	return count;
}

// A lock must lie in a map value, and a packet may hold one at a time: the kernel's rules.
static uint32_t *lock_word(struct engine *engine, uint64_t address)
{
	uint8_t *host = address % 4 ? NULL : access_value(engine, address, 4);
	if (!host)
		helper_fault(engine, address);
	return (uint32_t *)host;
}

uint64_t helper_lock(struct engine *engine, const uint64_t args[5])
{
	uint32_t *word = lock_word(engine, args[0]);
	if (!word)
		return 0;
	if (engine->lock)
		return helper_fault(engine, args[0]);
	for (uint32_t i = 0; i < LOCK_TRIES || engine->patience; i++) {
		uint32_t free = 0;
		if (__atomic_compare_exchange_n(
		            word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			engine->lock = args[0];
			return 0;
		}
		if (i >= LOCK_TRIES) {
			const struct timespec pause = {.tv_nsec = LOCK_SLEEP_NS};
			engine->patience--;
			nanosleep(&pause, NULL);
		} else if (i % 256 == 255) { // the holder may wait for this CPU
			sched_yield();
		}
	}
	engine->fault = FAULT_BUDGET;
	return 0;
}

static void unlock(struct engine *engine)
{
	uint32_t *word = (uint32_t *)(engine->base + engine->lock);
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
	engine->lock = 0;
}

uint64_t helper_unlock(struct engine *engine, const uint64_t args[5])
{
	if (!engine->lock || args[0] != engine->lock)
		return helper_fault(engine, args[0]);
	unlock(engine);
	return 0;
}

// R1, R2 where to, R3 from: what lies in no window reads as zeros and -EFAULT.
uint64_t helper_probe_read(struct engine *engine, const uint64_t args[5])
{
	uint8_t *to = helper_out(engine, args[0], args[1]);
	if (!to || !args[1] || !helper_charge(engine, args[1] / 32))
		return 0;
	const uint8_t *from = access_read(engine, args[2], args[1]);
	if (from) {
		memmove(to, from, args[1]);
		return 0;
	}
	memset(to, 0, args[1]);
	return (uint64_t)-EFAULT;
}

void helper_release(struct engine *engine)
{
	if (engine->lock)
		unlock(engine);
	while (engine->reserved_count) {
		const struct reserved *record = &engine->reserved[--engine->reserved_count];
		struct map *map = engine->generation->maps[record->map]->map;
		ringbuf_commit(map, engine->base + record->address, 0, true);
	}
}
