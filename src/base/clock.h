// SPDX-License-Identifier: Apache-2.0
// Time. A variable that holds a time carries its unit in its name: `_ns`, `_us`, `_ms`, `_s`.
// Monotonic instants order events; wall-clock instants are for people only.
#pragma once

#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

// CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns(); the same for all processes of a machine.
static inline uint64_t clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

// CLOCK_REALTIME, nanoseconds since 1970. It jumps: never compare two of them to wait.
static inline uint64_t clock_wall_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

#define CLOCK_TEXT_SIZE 32
// RFC 3339 in UTC with milliseconds, "2026-01-31T12:00:00.123Z", into `text`. Returns `text`.
const char *clock_rfc3339(uint64_t wall_ns, char text[CLOCK_TEXT_SIZE]);
