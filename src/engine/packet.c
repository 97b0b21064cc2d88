// SPDX-License-Identifier: Apache-2.0
// Free frames stand on stacks: one for all, and in front of it a small one near each CPU, so that
// workers that take and give at the same time do not meet. Half of a near stack moves at a time.
// Each stack has a spin lock that is held for a few copies of 4 bytes; nobody but a thread that was
// moved to another CPU, or that finds all else empty, looks at a near stack that is not its own.
// The last frames given are the next taken: their lines are the warm ones.
#include "engine/packet.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/space.h"

#define NEAR_STACKS 16u // CPU n has n % NEAR_STACKS
#define NEAR_MAX    256u
#define NEAR_STEP   (NEAR_MAX / 2)
_Static_assert(NEAR_STEP >= BURST_MAX, "a near stack can take and give a burst");

struct stack {
	bool locked __attribute__((aligned(64)));
	uint32_t count;
	uint32_t *frames; // card addresses
};

struct near {
	struct stack stack;
	uint32_t frames[NEAR_MAX];
};

struct packet_memory {
	struct space *space; // borrowed
	uint32_t address, count;
	struct stack all;
	struct near near[NEAR_STACKS];
	uint32_t frames[]; // of `all`
};

int packet_memory_new(
        struct space *space, uint32_t frame_count, struct packet_memory **memory, struct error *err)
{
	struct packet_memory *new = NULL;
	size_t size = sizeof(*new) + frame_count * sizeof(new->frames[0]);
	if (!frame_count || frame_count > (1u << 20))
		return error_set(err, EINVAL,
		        "a packet memory of %u frames: from 1 to 1048576 can be had", frame_count);
	if (posix_memalign((void **)&new, 64, size))
		return error_set(err, ENOMEM, "out of memory for a packet memory");
	memset(new, 0, sizeof(*new));
	new->space = space;
	new->count = frame_count;
	new->all.frames = new->frames;
	for (uint32_t i = 0; i < NEAR_STACKS; i++)
		new->near[i].stack.frames = new->near[i].frames;
	int r = space_map(space, (size_t)frame_count * FRAME_SIZE, &new->address, err);
	if (r) {
		free(new);
		return r;
	}
	while (new->all.count < frame_count) {
		uint32_t frame = frame_count - 1 - new->all.count;
		new->frames[new->all.count++] = new->address + frame *FRAME_SIZE;
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
	uint32_t count = __atomic_load_n(&memory->all.count, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < NEAR_STACKS; i++)
		count += __atomic_load_n(&memory->near[i].stack.count, __ATOMIC_RELAXED);
	return count;
}

static void lock(struct stack *stack)
{
	for (uint32_t tries = 0; __atomic_exchange_n(&stack->locked, true, __ATOMIC_ACQUIRE);) {
		while (__atomic_load_n(&stack->locked, __ATOMIC_RELAXED)) {
			// The holder may have been taken off the CPU that we spin on.
			if (++tries % 1024 == 0)
				sched_yield();
		}
	}
}

static void unlock(struct stack *stack)
{
	__atomic_store_n(&stack->locked, false, __ATOMIC_RELEASE);
}

static struct stack *near_stack(struct packet_memory *memory)
{
	int cpu = sched_getcpu();
	return &memory->near[cpu < 0 ? 0 : (uint32_t)cpu % NEAR_STACKS].stack;
}

// Moves up to `count` frames, the warm ones. Both are locked.
static void move(struct stack *to, struct stack *from, uint32_t count)
{
	uint32_t n = count < from->count ? count : from->count, left = from->count - n;
	memcpy(to->frames + to->count, from->frames + left, n * sizeof(*to->frames));
	__atomic_store_n(&to->count, to->count + n, __ATOMIC_RELAXED);
	__atomic_store_n(&from->count, left, __ATOMIC_RELAXED);
}

static uint32_t pop(struct stack *stack, struct packet *packets, uint32_t count)
{
	uint32_t left = stack->count, n = count < left ? count : left;
	for (uint32_t i = 0; i < n; i++)
		packets[i].frame = stack->frames[--left];
	__atomic_store_n(&stack->count, left, __ATOMIC_RELAXED);
	return n;
}

static void push(struct stack *stack, const struct packet *packets, uint32_t count)
{
	uint32_t at = stack->count;
	for (uint32_t i = 0; i < count; i++)
		stack->frames[at++] = packets[i].frame;
	__atomic_store_n(&stack->count, at, __ATOMIC_RELAXED);
}

// What the nearest stacks do not have: from the one for all, then from other CPUs' stacks.
static uint32_t pop_far(struct packet_memory *memory, struct packet *packets, uint32_t count)
{
	uint32_t n = 0;
	for (uint32_t i = 0; n < count && i <= NEAR_STACKS; i++) {
		struct stack *stack = i ? &memory->near[i - 1].stack : &memory->all;
		if (!__atomic_load_n(&stack->count, __ATOMIC_RELAXED))
			continue;
		lock(stack);
		n += pop(stack, packets + n, count - n);
		unlock(stack);
	}
	return n;
}

uint32_t frames_take(struct packet_memory *memory, struct packet *packets, uint32_t count)
{
	struct stack *stack = near_stack(memory);
	lock(stack);
	if (stack->count < count && count <= NEAR_STEP) {
		lock(&memory->all);
		move(stack, &memory->all, NEAR_STEP);
		unlock(&memory->all);
	}
	uint32_t n = pop(stack, packets, count);
	unlock(stack);
	if (n < count)
		n += pop_far(memory, packets + n, count - n);
	for (uint32_t i = 0; i < n; i++)
		packets[i] = (struct packet){.frame = packets[i].frame,
		        .data = FRAME_HEADROOM,
		        .end = FRAME_HEADROOM,
		        .meta = FRAME_HEADROOM};
	return n;
}

void frames_give(struct packet_memory *memory, const struct packet *packets, uint32_t count)
{
	struct stack *stack = count > NEAR_STEP ? &memory->all : near_stack(memory);
	lock(stack);
	if (stack != &memory->all && stack->count + count > NEAR_MAX) {
		lock(&memory->all);
		move(&memory->all, stack, NEAR_STEP);
		unlock(&memory->all);
	}
	push(stack, packets, count);
	assert(stack->count <= memory->count);
	unlock(stack);
}
