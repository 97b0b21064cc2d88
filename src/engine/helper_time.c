// SPDX-License-Identifier: Apache-2.0
// Clocks, chance, and the number of the engine that a program takes for its CPU.
#include <time.h>

#include "base/clock.h"
#include "engine/helpers.h"

#define JIFFY_NS (4 * NS_PER_MS) // 250 a second, as Debian's kernels

uint64_t helper_time(const struct engine *engine, int clock)
{
	if (engine->options.fixed_ns)
		return engine->options.fixed_ns;
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t helper_ktime(struct engine *engine, const uint64_t args[5])
{
	(void)args;
	return helper_time(engine, CLOCK_MONOTONIC);
}

uint64_t helper_ktime_boot(struct engine *engine, const uint64_t args[5])
{
	(void)args;
	return helper_time(engine, CLOCK_BOOTTIME);
}

uint64_t helper_ktime_coarse(struct engine *engine, const uint64_t args[5])
{
	(void)args;
	return helper_time(engine, CLOCK_MONOTONIC_COARSE);
}

uint64_t helper_ktime_tai(struct engine *engine, const uint64_t args[5])
{
	(void)args;
	return helper_time(engine, CLOCK_TAI);
}

uint64_t helper_jiffies(struct engine *engine, const uint64_t args[5])
{
	(void)args;
	return helper_time(engine, CLOCK_MONOTONIC) / JIFFY_NS;
}

// xorshift64* (Vigna 2016).
uint64_t helper_random(struct engine *engine, const uint64_t args[5])
{
	(void)args;
	uint64_t x = engine->random;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	engine->random = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1dull) >> 32);
}

uint64_t helper_cpu(struct engine *engine, const uint64_t args[5])
{
	(void)args;
	return engine->options.number;
}
