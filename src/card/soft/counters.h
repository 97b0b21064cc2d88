// SPDX-License-Identifier: Apache-2.0
// Counters of one generation on one port. The worker that drives the port is the only writer (but
// for tx_dropped), so adding is a plain load and store; the control thread reads them at any time.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "card/card.h"

struct image;

typedef _Atomic uint64_t counter;

// Where and why packets were aborted: one row a (fault, program, instruction).
struct fault_row {
	counter key; // 0 = free; else fault << 56 | program << 40 | instruction + 1
	counter count;
};

struct port_counters {
	// Packets that came by this port.
	_Alignas(64) counter packets;
	counter bytes, instructions;
	counter verdict_packets[5], verdict_bytes[5];
	counter faults[FAULT_COUNT];
	counter queued; // departures made of them, copies included
	// Packets that left by this port.
	_Alignas(64) counter tx_packets;
	counter tx_bytes;
	counter tx_dropped; // any worker adds: atomically
	counter latency[CARD_LATENCY_BINS];
	struct fault_row rows[CARD_FAULTS_MAX];
};

static inline void counter_add(counter *value, uint64_t more)
{
	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + more,
	        memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *value)
{
	return atomic_load_explicit((counter *)value, memory_order_relaxed);
}

// Aligned and zeroed; free() it. NULL without memory.
struct port_counters *port_counters_new(void);
// Notes an aborted packet's place. Places beyond CARD_FAULTS_MAX are counted in `faults` only.
void port_counters_fault(struct port_counters *counters, const struct verdict *verdict);
// Adds what `from` has to `to`.
void port_counters_sum(const struct port_counters *from, struct card_counters *to);
void card_counters_sum(const struct card_counters *from, struct card_counters *to);
// Merges the fault rows into `faults` (CARD_FAULTS_MAX places, *count used), with source place and
// text.
void port_counters_faults(const struct port_counters *counters, const struct image *image,
        struct card_fault *faults, uint32_t *count);
