// SPDX-License-Identifier: Apache-2.0
// A bounded queue of departing packets from one worker to another: one producer, one consumer, no
// lock. The producer publishes once a burst; each side keeps its copy of the other's index, so that
// the shared cache lines move only when a copy runs out.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/packet.h"

struct slot;

#define RING_SIZE 1024u // a power of two

// A packet on its way out, and the generation that sent it (for its counters).
struct departure {
	struct packet packet;
	struct slot *slot;
};

struct ring {
	_Alignas(64) _Atomic uint32_t tail; // written by the producer
	uint32_t tail_next, head_seen;      // the producer's own
	_Alignas(64) _Atomic uint32_t head; // written by the consumer
	uint32_t tail_seen;                 // the consumer's own
	_Alignas(64) struct departure entries[RING_SIZE];
};

// False when full. Not visible to the consumer before ring_publish().
static inline bool ring_push(struct ring *ring, const struct packet *packet, struct slot *slot)
{
	if (ring->tail_next - ring->head_seen == RING_SIZE) {
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
		if (ring->tail_next - ring->head_seen == RING_SIZE)
			return false;
	}
	struct departure *entry = &ring->entries[ring->tail_next++ % RING_SIZE];
	entry->packet = *packet;
	entry->slot = slot;
	return true;
}

// The producer's view of the room left.
static inline uint32_t ring_room(struct ring *ring, uint32_t wanted)
{
	if (RING_SIZE - (ring->tail_next - ring->head_seen) < wanted)
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
	return RING_SIZE - (ring->tail_next - ring->head_seen);
}

// Returns whether there was something to publish. Sequentially consistent, so that the producer may
// look at the consumer's `sleeping` flag next (worker.c).
static inline bool ring_publish(struct ring *ring)
{
	if (atomic_load_explicit(&ring->tail, memory_order_relaxed) == ring->tail_next)
		return false;
	atomic_store(&ring->tail, ring->tail_next);
	return true;
}

static inline bool ring_is_empty(struct ring *ring)
{
	return atomic_load(&ring->tail) == atomic_load_explicit(&ring->head, memory_order_relaxed);
}

// Up to `max` entries that stand in one piece; they stay in the ring until ring_release().
static inline struct departure *ring_peek(struct ring *ring, uint32_t max, uint32_t *count)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (ring->tail_seen == head)
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint32_t n = ring->tail_seen - head, at = head % RING_SIZE;
	if (n > RING_SIZE - at)
		n = RING_SIZE - at;
	*count = n < max ? n : max;
	return &ring->entries[at];
}

static inline void ring_release(struct ring *ring, uint32_t count)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	atomic_store_explicit(&ring->head, head + count, memory_order_release);
}
