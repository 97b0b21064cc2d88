// SPDX-License-Identifier: Apache-2.0
// The address space and packet memory, also from several threads.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "engine/packet.h"
#include "engine/space.h"

#define THREADS 3
#define ROUNDS  3000

static bool is_mapped(struct space *space, uint64_t address)
{
	int pipe_ends[2];
	assert_int_equal(pipe(pipe_ends), 0);
	bool ok = write(pipe_ends[1], space_base(space) + address, 1) ==
	          1; // EFAULT where it cannot be read
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return ok;
}

static void windows_have_holes_on_both_sides(void **state)
{
	struct space *space;
	uint32_t a, b;
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(space_map(space, 1, &a, NULL), 0);
	assert_int_equal(space_map(space, 5000, &b, NULL), 0);
	assert_true(a > 65536 && a % 4096 == 0 && b % 4096 == 0);
	assert_false(is_mapped(space, 0));
	assert_false(is_mapped(space, 65535));
	assert_false(is_mapped(space, a - 1));
	assert_true(is_mapped(space, a));
	assert_false(is_mapped(space, a + 4096));
	assert_true(is_mapped(space, b + 4096));
	assert_false(is_mapped(space, b + 8192));
	assert_false(is_mapped(space, 0xffffffff));
	space_free(&space);
}

static void a_window_begins_as_zeros_also_the_second_time(void **state)
{
	struct space *space;
	uint32_t a, b;
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(space_map(space, 4096, &a, NULL), 0);
	memset(space_base(space) + a, 0xff, 4096);
	space_unmap(space, a);
	assert_false(is_mapped(space, a));
	assert_int_equal(space_map(space, 4096, &b, NULL), 0);
	assert_int_equal(a, b);
	assert_int_equal(space_base(space)[b], 0);
	assert_int_equal(space_base(space)[b + 4095], 0);
	space_free(&space);
}

static void a_full_space_says_what_is_left(void **state)
{
	struct space *space;
	struct error err = {0};
	uint32_t address = 7;
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(space_map(space, (1ull << 32) - (1u << 20), &address, &err), 0);
	assert_int_equal(space_map(space, 1u << 21, &address, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "largest hole"));
	assert_int_equal(space_map(space, 0, &address, &err), -ENOMEM);
	assert_int_equal(space_map(space, SIZE_MAX, &address, &err), -ENOMEM);
	space_free(&space);
}

static void frames_are_taken_until_none_is_left(void **state)
{
	struct space *space;
	struct packet_memory *memory;
	struct packet packets[BURST_MAX];
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(packet_memory_new(space, 0, &memory, NULL), -EINVAL);
	assert_int_equal(packet_memory_new(space, 10, &memory, NULL), 0);
	assert_int_equal(frames_take(memory, packets, 4), 4);
	assert_int_equal(packets[0].data, FRAME_HEADROOM);
	assert_int_equal(packets[0].frame % FRAME_SIZE, 0);
	assert_int_equal(packet_memory_free_count(memory), 6);
	assert_int_equal(frames_take(memory, packets + 4, BURST_MAX - 4), 6);
	assert_int_equal(frames_take(memory, packets + 10, 1), 0);
	for (uint32_t i = 0; i < 10; i++) {
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(packets[i].frame, packets[j].frame);
	}
	frames_give(memory, packets, 10);
	assert_int_equal(packet_memory_free_count(memory), 10);
	packet_memory_free(&memory);
	space_free(&space);
}

static void *give_back(void *context)
{
	struct packet_memory **memory = context;
	struct packet packets[BURST_MAX];
	cpu_set_t one;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) { // from any CPU that there is
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			continue;
		frames_give(*memory, packets, frames_take(*memory, packets, BURST_MAX));
	}
	return NULL;
}

// Wherever frames lie after all kinds of taking and giving, all can be taken, each once.
static void frames_that_lie_near_another_cpu_are_found(void **state)
{
	enum { FRAMES = 1000 };
	static struct packet packets[FRAMES + 1];
	static bool seen[FRAMES];
	struct space *space;
	struct packet_memory *memory;
	pthread_t thread;
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(packet_memory_new(space, FRAMES, &memory, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, give_back, &memory), 0);
	pthread_join(thread, NULL);
	for (uint32_t size = 1; size <= FRAMES; size = size * 3 + 1) {
		uint32_t taken = 0, n;
		while ((n = frames_take(memory, packets + taken,
		                taken + size <= FRAMES ? size : FRAMES + 1 - taken)))
			taken += n;
		assert_int_equal(taken, FRAMES);
		assert_int_equal(packet_memory_free_count(memory), 0);
		memset(seen, 0, sizeof(seen));
		for (uint32_t i = 0; i < FRAMES; i++) {
			uint32_t frame =
			        (packets[i].frame - packet_memory_address(memory)) / FRAME_SIZE;
			assert_false(seen[frame]);
			seen[frame] = true;
		}
		for (uint32_t i = 0; i < FRAMES; i += n) {
			n = FRAMES - i < size ? FRAMES - i : size;
			frames_give(memory, packets + i, n);
		}
		assert_int_equal(packet_memory_free_count(memory), FRAMES);
	}
	packet_memory_free(&memory);
	space_free(&space);
}

static void *take_and_give(void *context)
{
	struct packet_memory *memory = context;
	struct packet packets[8];
	uint8_t *base = packet_memory_host(memory) - packet_memory_address(memory);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = frames_take(memory, packets, 8);
		for (uint32_t i = 0; i < n; i++)
			memset(base + packets[i].frame, round,
			        64); // TSan sees a frame that two hold
		frames_give(memory, packets, n);
	}
	return NULL;
}

static void threads_never_hold_the_same_frame(void **state)
{
	struct space *space;
	struct packet_memory *memory;
	pthread_t threads[THREADS];
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(packet_memory_new(space, 16, &memory, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, memory), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(packet_memory_free_count(memory), 16);
	packet_memory_free(&memory);
	space_free(&space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(windows_have_holes_on_both_sides),
	        cmocka_unit_test(a_window_begins_as_zeros_also_the_second_time),
	        cmocka_unit_test(a_full_space_says_what_is_left),
	        cmocka_unit_test(frames_are_taken_until_none_is_left),
	        cmocka_unit_test(frames_that_lie_near_another_cpu_are_found),
	        cmocka_unit_test(threads_never_hold_the_same_frame),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
