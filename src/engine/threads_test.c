// SPDX-License-Identifier: Apache-2.0
// Two engines over one generation with shared maps: nothing counted is lost, locks exclude, and
// each packet ends with a verdict of its own.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/test_kit.h"
#include "map/map.h"

#define ENGINES 2
#define BURSTS  400
#define BURST   8

struct worker {
	struct kit *kit;
	struct engine *engine;
	pthread_t thread;
	uint32_t passed;
};

static void *run_bursts(void *context)
{
	struct worker *worker = context;
	struct packet packets[BURST];
	struct verdict verdicts[BURST];
	for (int i = 0; i < BURSTS; i++) {
		uint32_t n = frames_take(worker->kit->memory, packets, BURST);
		for (uint32_t p = 0; p < n; p++)
			packets[p].end = (uint16_t)(packets[p].data + 64);
		engine_run(worker->engine, worker->kit->generation, packets, verdicts, n);
		for (uint32_t p = 0; p < n; p++)
			worker->passed += verdicts[p].verdict == XDP_PASS;
		frames_give(worker->kit->memory, packets, n);
	}
	return NULL;
}

static uint32_t run_engines(struct kit *kit)
{
	struct worker workers[ENGINES] = {{0}};
	uint32_t passed = 0;
	for (uint32_t i = 0; i < ENGINES; i++) {
		const struct engine_options options = {
		        .kind = kit->options.kind, .number = i, .random = 1};
		workers[i].kit = kit;
		assert_int_equal(engine_new(kit->space, &options, &workers[i].engine, NULL), 0);
	}
	for (uint32_t i = 0; i < ENGINES; i++)
		pthread_create(&workers[i].thread, NULL, run_bursts, &workers[i]);
	for (uint32_t i = 0; i < ENGINES; i++) {
		pthread_join(workers[i].thread, NULL);
		passed += workers[i].passed;
		engine_free(&workers[i].engine);
	}
	return passed;
}

static uint64_t count_of(struct kit *kit, uint32_t map)
{
	uint64_t values[4] = {0}, sum = 0;
	uint32_t key = 0;
	struct map *it = generation_map(kit->generation, map);
	assert_true(map_io_size(it) <= sizeof(values));
	assert_int_equal(map_read(it, &key, values, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		sum += values[i];
	return sum;
}

static void counts_are_exact(void **state)
{
	struct kit kit;
	kit_new(&kit);
	kit.engine_count = ENGINES;
	kit_map(&kit, BPF_MAP_TYPE_ARRAY, 4, 8, 1);        // by atomic addition
	kit_map(&kit, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1); // a copy an engine
	kit_map(&kit, BPF_MAP_TYPE_ARRAY, 4, 16, 1);       // lock, count
	kit_map(&kit, BPF_MAP_TYPE_HASH, 4, 8, 64);        // updated and deleted by both
	kit_load(&kit,
	        "value r6 0 0; mov r2 1; atomic_add64 [r6+0] r2;"
	        "stw [r10-4] 0; mov r2 r10; add r2 -4; map r1 1; call 1; jeq r0 0 bad;"
	        "ldxdw r2 [r0+0]; add r2 1; stxdw [r0+0] r2;"
	        "value r6 2 0; mov r1 r6; call 93; ldxdw r2 [r6+8]; add r2 1; stxdw [r6+8] r2; mov "
	        "r1 r6; call 94;"
	        "call 7; and r0 127; stxw [r10-4] r0; stdw [r10-16] 1; mov r2 r10; add r2 -4; mov "
	        "r3 r10;"
	        "add r3 -16; map r1 3; mov r4 0; call 2; mov r2 r10; add r2 -4; map r1 3; call 1; "
	        "jeq r0 0 good;"
	        "mov r2 1; atomic_add64 [r0+0] r2; mov r2 r10; add r2 -4; map r1 3; call 3;"
	        "good: mov r0 2; exit; bad: mov r0 1; exit",
	        NULL);
	uint32_t passed = run_engines(&kit), all = ENGINES * BURSTS * BURST;
	assert_int_equal(passed, all);
	assert_int_equal(count_of(&kit, 0), all);
	assert_int_equal(count_of(&kit, 1), all);
	assert_int_equal(count_of(&kit, 2), all);
	kit_free(&kit);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(counts_are_exact)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return kit_each_way(run);
}
