// SPDX-License-Identifier: Apache-2.0
// Packets and the packet memory that all ports of a card share. A packet lies in one frame of
// fixed size and moves between ports by its descriptor, never by a copy.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct space;

#define FRAME_SIZE     2048u                               // a power of two; fits AF_XDP's chunks
#define FRAME_HEADROOM 256u                                // XDP_PACKET_HEADROOM
#define PACKET_MAX     (FRAME_SIZE - FRAME_HEADROOM - 64u) // room is left behind for adjust_tail
#define BURST_MAX      64u

// A descriptor. Offsets count from the frame's first byte.
struct packet {
	uint32_t frame;      // card address of the frame, a multiple of FRAME_SIZE
	uint16_t data, end;  // the packet is [data, end)
	uint16_t meta;       // metadata is [meta, data)
	uint8_t port, out;   // the port it came by; the port it leaves by
	uint64_t arrival_ns; // CLOCK_MONOTONIC, taken once a burst
};

static inline uint32_t packet_size(const struct packet *packet)
{
	return (uint32_t)packet->end - packet->data;
}

// Frames, in one window of a card address space. Any thread may take and give.
struct packet_memory;

int packet_memory_new(struct space *space, uint32_t frame_count, struct packet_memory **memory,
        struct error *err);
void packet_memory_free(struct packet_memory **memory);
uint32_t packet_memory_address(const struct packet_memory *memory); // of the first frame
uint8_t *packet_memory_host(const struct packet_memory *memory);    // of the first frame
uint32_t packet_memory_frame_count(const struct packet_memory *memory);
uint32_t packet_memory_free_count(const struct packet_memory *memory); // frames nobody holds now

// Takes up to `count` free frames: a descriptor each, with data = end = meta = FRAME_HEADROOM and
// the rest zero. Returns how many.
uint32_t frames_take(struct packet_memory *memory, struct packet *packets, uint32_t count);
void frames_give(struct packet_memory *memory, const struct packet *packets, uint32_t count);

// Host address of a packet's first byte.
static inline uint8_t *packet_data(uint8_t *space_base, const struct packet *packet)
{
	return space_base + packet->frame + packet->data;
}
