// SPDX-License-Identifier: Apache-2.0
#include "port/dpdk_frames.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "port/dpdk_eal.h"
#include "port/driver.h"

#define OPS_NAME "raio"
#define PAGE     4096u

// The end of the buffer leaves the room behind a packet that every port leaves.
#define BUFFER_SIZE (RTE_PKTMBUF_HEADROOM + PACKET_MAX)
_Static_assert(DPDK_SHIFT + BUFFER_SIZE + 64 == FRAME_SIZE, "the buffer is the frame");

static uint32_t frame_of(const struct dpdk_frames *frames, const void *mbuf)
{
	size_t index = (size_t)((const uint8_t *)mbuf - frames->mbufs) / frames->stride;
	return frames->first + (uint32_t)index * FRAME_SIZE;
}

static int pool_alloc(struct rte_mempool *pool)
{
	pool->pool_data = pool->pool_config;
	return 0;
}

static int pool_enqueue(struct rte_mempool *pool, void *const *mbufs, unsigned int count)
{
	const struct dpdk_frames *frames = pool->pool_data;
	struct packet packets[BURST_MAX];
	if (!frames->ready)
		return 0; // while the pool is made and freed DPDK fills and empties it
	for (uint32_t done = 0, n; done < count; done += n) {
		n = count - done < BURST_MAX ? count - done : BURST_MAX;
		for (uint32_t i = 0; i < n; i++)
			packets[i].frame = frame_of(frames, mbufs[done + i]);
		frames_give(frames->memory, packets, n);
	}
	return 0;
}

static int pool_dequeue(struct rte_mempool *pool, void **mbufs, unsigned int count)
{
	const struct dpdk_frames *frames = pool->pool_data;
	struct packet packets[BURST_MAX];
	if (!frames->ready)
		return -ENOBUFS;
	for (uint32_t done = 0, n; done < count; done += n) {
		uint32_t wanted = count - done < BURST_MAX ? count - done : BURST_MAX;
		n = frames_take(frames->memory, packets, wanted);
		for (uint32_t i = 0; i < n; i++)
			mbufs[done + i] = dpdk_mbuf_of(frames, packets[i].frame);
		if (n < wanted) { // all or none
			pool_enqueue(pool, mbufs, done + n);
			return -ENOBUFS;
		}
	}
	return 0;
}

static unsigned int pool_count(const struct rte_mempool *pool)
{
	const struct dpdk_frames *frames = pool->pool_data;
	return packet_memory_free_count(frames->memory);
}

int dpdk_frames_register(void)
{
	static const struct rte_mempool_ops ops = {
	        .name = OPS_NAME,
	        .alloc = pool_alloc,
	        .enqueue = pool_enqueue,
	        .dequeue = pool_dequeue,
	        .get_count = pool_count,
	};
	int index = rte_mempool_register_ops(&ops);
	return index < 0 ? index : 0;
}

// Makes the mbuf of a frame. The frame is a buffer outside the mbuf that is pinned to it, DPDK's
// way for memory that is not its own: no driver looks for it elsewhere.
static void make_mbuf(struct rte_mempool *pool, void *argument, void *object, unsigned int index)
{
	struct dpdk_frames *frames = argument;
	struct rte_mbuf *mbuf = object;
	if (!index)
		frames->mbufs = object;
	rte_pktmbuf_init(pool, NULL, mbuf, index);
	mbuf->buf_addr = frames->base + frames->first + (size_t)index * FRAME_SIZE + DPDK_SHIFT;
	mbuf->buf_iova = (rte_iova_t)mbuf->buf_addr;
	mbuf->buf_len = BUFFER_SIZE;
	mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
	mbuf->shinfo = &frames->shared;
}

static int make_pool(struct dpdk_frames *frames, const char *name)
{
	uint32_t count = packet_memory_frame_count(frames->memory);
	frames->pool = rte_mempool_create_empty(name, count, sizeof(struct rte_mbuf), DPDK_CACHE,
	        sizeof(struct rte_pktmbuf_pool_private), SOCKET_ID_ANY,
	        RTE_MEMPOOL_F_NO_IOVA_CONTIG); // one after the other, across pages
	if (!frames->pool)
		return -rte_errno;
	struct rte_mempool *pool = frames->pool;
	int status = rte_mempool_set_ops_byname(pool, OPS_NAME, frames);
	if (status)
		return status;
	struct rte_pktmbuf_pool_private private = {
	        .mbuf_data_room_size = BUFFER_SIZE, .flags = RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF};
	rte_pktmbuf_pool_init(pool, &private);
	frames->stride = pool->header_size + pool->elt_size + pool->trailer_size;
	frames->area_size = (size_t)count * frames->stride + RTE_MEMPOOL_ALIGN;
	frames->area = mmap(NULL, frames->area_size, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (frames->area == MAP_FAILED)
		return -ENOMEM;
	status = rte_mempool_populate_iova(
	        pool, frames->area, (rte_iova_t)frames->area, frames->area_size, NULL, NULL);
	if (status != (int)count)
		return status < 0 ? status : -ENOMEM;
	rte_mempool_obj_iter(pool, make_mbuf, frames);
	return 0;
}

static void frames_free(struct dpdk_frames *frames)
{
	for (unsigned int lcore = 0; frames->ready && lcore < RTE_MAX_LCORE; lcore++) {
		struct rte_mempool_cache *cache = rte_mempool_default_cache(frames->pool, lcore);
		rte_mempool_cache_flush(cache, frames->pool);
	}
	size_t size = (size_t)packet_memory_frame_count(frames->memory) * FRAME_SIZE;
	if (frames->ready)
		rte_extmem_unregister(frames->base + frames->first, size);
	frames->ready = false;
	rte_mempool_free(frames->pool);
	if (frames->area != MAP_FAILED)
		munmap(frames->area, frames->area_size);
	free(frames);
}

static int frames_new(
        struct packet_memory *memory, const char *name, struct dpdk_frames **out, struct error *err)
{
	struct dpdk_frames *frames = calloc(1, sizeof(*frames));
	if (!frames)
		return error_set(err, ENOMEM, "out of memory");
	frames->memory = memory;
	frames->first = packet_memory_address(memory);
	frames->base = packet_memory_host(memory) - frames->first;
	frames->area = MAP_FAILED;
	rte_mbuf_ext_refcnt_set(&frames->shared, 1);
	int status = make_pool(frames, name);
	size_t size = (size_t)packet_memory_frame_count(memory) * FRAME_SIZE;
	if (!status && rte_extmem_register(packet_memory_host(memory), size, NULL, 0, PAGE))
		status = -rte_errno;
	if (status) {
		frames_free(frames);
		return dpdk_error(err, -status, "DPDK cannot have the card's packet memory: %s",
		        strerror(-status));
	}
	frames->ready = true;
	*out = frames;
	return 0;
}

int dpdk_frames_get(struct packet_memory *memory, struct dpdk_frames **frames, struct error *err)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof(name), "raio_%lx", (unsigned long)memory);
	struct rte_mempool *pool = rte_mempool_lookup(name);
	int status = pool ? 0 : frames_new(memory, name, frames, err);
	if (status)
		return status;
	if (pool)
		*frames = pool->pool_data;
	(*frames)->users++;
	return 0;
}

void dpdk_frames_put(struct dpdk_frames **frames)
{
	if (!*frames)
		return;
	rte_mempool_cache_flush(NULL, (*frames)->pool); // this thread's
	if (--(*frames)->users == 0)
		frames_free(*frames);
	*frames = NULL;
}

bool dpdk_frames_has(const struct dpdk_frames *frames, uint32_t count)
{
	const struct rte_mempool_cache *cache =
	        rte_mempool_default_cache(frames->pool, rte_lcore_id());
	uint32_t here = cache ? cache->len : 0;
	return here >= count || here + packet_memory_free_count(frames->memory) >= count;
}
