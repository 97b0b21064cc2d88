// SPDX-License-Identifier: Apache-2.0
// Free frames stand on one stack under a spin lock that is held for a few copies of 4 bytes;
// callers take and give in bursts, so that it is taken once for up to BURST_MAX packets. The last
// frames given are the next taken: their lines are the warm ones.
#include "engine/packet.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "base/error.h"
#include "engine/space.h"

struct packet_memory {
	struct space *space; // borrowed
	uint32_t address, count;
	bool locked __attribute__((aligned(64)));
	uint32_t free_count;
	uint32_t free[]; // card addresses
};

int packet_memory_new(
        struct space *space, uint32_t frame_count, struct packet_memory **memory, struct error *err)
{
	struct packet_memory *new = NULL;
	size_t size = sizeof(*new) + frame_count * sizeof(new->free[0]);
	if (!frame_count || frame_count > (1u << 20))
		return error_set(err, EINVAL,
		        "a packet memory of %u frames: from 1 to 1048576 can be had", frame_count);
	if (posix_memalign((void **)&new, 64, size))
		return error_set(err, ENOMEM, "out of memory for a packet memory");
	*new = (struct packet_memory){.space = space, .count = frame_count};
	int r = space_map(space, (size_t)frame_count * FRAME_SIZE, &new->address, err);
	if (r) {
		free(new);
		return r;
	}
	while (new->free_count < frame_count) {
		uint32_t frame = frame_count - 1 - new->free_count;
		new->free[new->free_count++] = new->address + frame *FRAME_SIZE;
	}
	*memory = new;
	return 0;
}

void packet_memory_free(struct packet_memory **memory)
{
	if (!*memory)
		return;
	space_unmap((*memory)->space, (*memory)->address);
	free(*memory);
	*memory = NULL;
}

uint32_t packet_memory_address(const struct packet_memory *memory)
{
	return memory->address;
}

uint8_t *packet_memory_host(const struct packet_memory *memory)
{
	return space_base(memory->space) + memory->address;
}

uint32_t packet_memory_frame_count(const struct packet_memory *memory)
{
	return memory->count;
}

uint32_t packet_memory_free_count(const struct packet_memory *memory)
{
	return __atomic_load_n(&memory->free_count, __ATOMIC_RELAXED);
}

static void lock(struct packet_memory *memory)
{
	for (uint32_t tries = 0; __atomic_exchange_n(&memory->locked, true, __ATOMIC_ACQUIRE);) {
		while (__atomic_load_n(&memory->locked, __ATOMIC_RELAXED)) {
			// The holder may have been taken off the CPU that we spin on.
			if (++tries % 1024 == 0)
				sched_yield();
		}
	}
}

static void unlock(struct packet_memory *memory)
{
	__atomic_store_n(&memory->locked, false, __ATOMIC_RELEASE);
}

uint32_t frames_take(struct packet_memory *memory, struct packet *packets, uint32_t count)
{
	lock(memory);
	uint32_t left = memory->free_count;
	uint32_t n = count < left ? count : left;
	for (uint32_t i = 0; i < n; i++)
		packets[i].frame = memory->free[--left];
	__atomic_store_n(&memory->free_count, left, __ATOMIC_RELAXED);
	unlock(memory);
	for (uint32_t i = 0; i < n; i++)
		packets[i] = (struct packet){.frame = packets[i].frame,
		        .data = FRAME_HEADROOM,
		        .end = FRAME_HEADROOM,
		        .meta = FRAME_HEADROOM};
	return n;
}

void frames_give(struct packet_memory *memory, const struct packet *packets, uint32_t count)
{
	lock(memory);
	uint32_t left = memory->free_count;
	for (uint32_t i = 0; i < count; i++)
		memory->free[left++] = packets[i].frame;
	assert(left <= memory->count);
	__atomic_store_n(&memory->free_count, left, __ATOMIC_RELAXED);
	unlock(memory);
}
