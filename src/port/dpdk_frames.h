// SPDX-License-Identifier: Apache-2.0
// The card's frames as DPDK sees them: a pool in which each frame of the packet memory has an mbuf
// of its own, with the frame as its buffer. The pool has no stock: drivers that take from it take
// from the packet memory, and what they free goes back there. So a frame has one owner, whatever
// kind of port it is at, and no packet is copied. Private to the DPDK driver.
//
// Frames that a thread frees and takes again stay in DPDK's cache for that thread, DPDK_CACHE and
// half as many more at most. All DPDK ports of a packet memory share its pool.
#pragma once

#include <rte_mbuf.h>

#include "engine/packet.h"

struct dpdk_frames;
struct error;

#define DPDK_CACHE 256u
// Where a driver puts a packet is RTE_PKTMBUF_HEADROOM behind the start of its buffer, which hence
// starts so far behind the start of the frame.
#define DPDK_SHIFT (FRAME_HEADROOM - RTE_PKTMBUF_HEADROOM)

struct dpdk_frames {
	struct packet_memory *memory;
	struct rte_mempool *pool;
	uint8_t *base;  // host address of card address 0
	uint32_t first; // card address of the first frame
	uint32_t stride;
	uint8_t *mbufs; // that of frame i at i * stride
	// The driver's own.
	bool ready;
	uint32_t users;
	void *area;
	size_t area_size;
	struct rte_mbuf_ext_shared_info shared;
};

int dpdk_frames_register(void); // once for the process; 0 or -errno
// Between dpdk_begin() and dpdk_end(). The pool of a packet memory is made when its first port
// opens, and goes with the last one, which gives all frames back.
int dpdk_frames_get(struct packet_memory *memory, struct dpdk_frames **frames, struct error *err);
void dpdk_frames_put(struct dpdk_frames **frames);
// Whether a driver can take `count` frames now.
bool dpdk_frames_has(const struct dpdk_frames *frames, uint32_t count);

static inline struct rte_mbuf *dpdk_mbuf_of(const struct dpdk_frames *frames, uint32_t frame)
{
	uint32_t index = (frame - frames->first) / FRAME_SIZE;
	return (struct rte_mbuf *)(frames->mbufs + (size_t)index * frames->stride);
}
