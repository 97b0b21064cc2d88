// SPDX-License-Identifier: Apache-2.0
// What a hostile program gains: nothing of another run or another owner, no time beyond its budget.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/state.h"
#include "engine/test_kit.h"
#include "map/map.h"

#define BUDGET 100000u

static int setup(void **state)
{
	static struct kit kit;
	kit_new(&kit);
	*state = &kit;
	return 0;
}

static int teardown(void **state)
{
	kit_free(*state);
	return 0;
}

// How many helpers a program that calls one for ever gets done before its budget is spent.
static uint64_t calls_of(struct kit *kit, const char *before, const char *loop)
{
	char text[2048];
	kit->budget = BUDGET;
	snprintf(text, sizeof(text),
	        "mov r6 r1; ldxw r7 [r1+0]; %s; top: %s; ja top; f: mov r0 0; exit", before, loop);
	uint64_t calls = engine_stats(kit->engine)->helper_calls;
	struct verdict verdict = kit_try(kit, text);
	assert_int_equal(verdict.fault, FAULT_BUDGET);
	return engine_stats(kit->engine)->helper_calls - calls;
}

// Each call passes 2^21 buckets; 16 instructions a call would let one packet take half a minute.
static void walks_over_empty_maps_are_charged(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_HASH, 4, 4, 1 << 20);
	kit_map(kit, BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 1 << 20);
	kit_map(kit, BPF_MAP_TYPE_HASH, 4, 4, 1 << 12);
	const char *each = "map r1 %u; func r2 f; mov r3 0; mov r4 0; call 164";
	char text[256];
	snprintf(text, sizeof(text), each, 0);
	assert_int_equal(calls_of(kit, "mov r0 0", text), 1);
	assert_int_equal(calls_of(kit, "mov r0 0", "map r1 1; mov r2 0; mov r3 8; call 51"), 1);
	snprintf(text, sizeof(text), each, 2);
	assert_in_range(calls_of(kit, "mov r0 0", text), 50, 200);
}

static void text_and_loops_are_charged(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 1 << 20, 1);
	// 8192 bytes of spaces
	const char *fill =
	        "value r9 0 0; mov r3 0; fill: mov r2 r9; add r2 r3;"
	        "lddw r1 0x2020202020202020; stxdw [r2+0] r1; add r3 8;"
	        "jlt r3 8192 fill; lddw r1 0x7325732573257325; stxdw [r10-16] r1;"
	        "stdw [r10-8] 0; stxdw [r10-32] r9; stxdw [r10-40] r9; stxdw [r10-48] r9;"
	        "stxdw [r10-56] r9";
	const char *number = "mov r1 r9; mov r2 8192; mov r3 0; mov r4 r10; add r4 -24; call 105";
	assert_in_range(calls_of(kit, fill, number), 10, 200);
	const char *print = "mov r1 r7; mov r2 8; mov r3 r10; add r3 -16; mov r4 r10; add r4 -56;"
	                    "mov r5 32; call 165";
	assert_in_range(calls_of(kit, fill, print), 1, 10);
	const char *loop = "mov r1 1000; func r2 f; mov r3 0; mov r4 0; call 181";
	assert_in_range(calls_of(kit, "mov r0 0", loop), 2, 20);
}

// A prefix that is not a whole address is looked for length by length; one of no bits is written
// into every entry.
static void tries_are_charged_for_what_they_walk(void **state)
{
	struct kit *kit = *state;
	uint32_t map = kit_map(kit, BPF_MAP_TYPE_LPM_TRIE, 260, 8, 4096);
	kit->maps[map].flags = BPF_F_NO_PREALLOC;
	map = kit_map(kit, BPF_MAP_TYPE_LPM_TRIE, 8, 8, 4096);
	kit->maps[map].flags = BPF_F_NO_PREALLOC;
	const char *part = "map r1 0; mov r2 r10; add r2 -260; stw [r10-260] 2047; call 1";
	assert_in_range(calls_of(kit, "mov r0 0", part), 2, 10);
	const char *all = "map r1 1; mov r2 r10; add r2 -8; mov r3 r7; mov r4 0; call 2";
	assert_in_range(calls_of(kit, "stdw [r10-8] 0", all), 1, 10);
	// The everyday look-up of a whole address is not.
	const char *whole = "map r1 1; mov r2 r10; add r2 -8; stw [r10-8] 32; call 1";
	assert_in_range(calls_of(kit, "stdw [r10-8] 0", whole), 4000, 20000);
}

static void a_key_shown_to_a_callback_has_nothing_of_others_behind_it(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_HASH, 16, 4, 4);
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 4, 1);
	kit_load(kit,
	        "ldxw r7 [r1+0]; map r1 0; mov r2 r7; add r2 16; mov r3 r7; mov r4 0; call 2;"
	        "map r1 0; func r2 f; mov r3 0; mov r4 0; call 164; mov r0 2; exit;"
	        "f: ldxdw r0 [r2+8]; exit",
	        NULL);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_PASS);
	// Another function, on the same engine.
	kit_load(kit,
	        "mov r6 r10; add r6 -8; map r1 1; func r2 f; mov r3 r6; mov r4 0; call 164;"
	        "ldxdw r0 [r10-8]; exit; f: ldxdw r1 [r2+8]; stxdw [r4+0] r1; mov r0 0; exit",
	        NULL);
	assert_int_equal(kit_run(kit, 64).result, 0);
}

// The lock is let go after the packet: by then a record is the reader's, and metadata a header.
static void locks_stand_in_map_values_only(void **state)
{
	struct kit *kit = *state;
	static const char *const places[] = {
	        "mov r1 r10; add r1 -8",
	        "mov r1 r7",
	        "mov r1 r6",
	        "mov r1 r6; mov r2 -8; call 54; ldxw r1 [r6+8]",
	        "map r1 0; mov r2 16; mov r3 0; call 131; mov r1 r0",
	        "value r1 1 0; add r1 2",
	};
	kit_map(kit, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 16, 1);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char text[512];
		snprintf(text, sizeof(text),
		        "mov r6 r1; ldxw r7 [r1+0]; %s; call 93; mov r0 2; exit", places[i]);
		struct verdict verdict = kit_try(kit, text);
		if (verdict.fault != FAULT_HELPER)
			fail_msg("%s: %s", places[i], fault_name(verdict.fault));
	}
	assert_int_equal(kit_try(kit, "value r1 1 0; call 93; mov r0 2; exit").verdict, XDP_PASS);
}

// A generation may be made where a freed one stood: what the engine knew of the freed one's windows
// must not count any more.
static void a_window_of_a_freed_generation_is_not_remembered(void **state)
{
	struct kit *kit = *state;
	uint32_t address;
	assert_int_equal(space_map(kit->space, 4096, &address, NULL), 0);
	char text[128];
	snprintf(text, sizeof(text), "lddw r1 %u; ldxdw r2 [r1+0]; mov r0 2; exit", address);
	kit_load(kit, text, NULL);
	const struct window stale = {
	        .start = address, .end = address + 4096, .may_read = true, .may_write = true};
	kit->engine->generation = kit->generation; // as if it stood at the same place
	kit->engine->window = &stale;
	assert_int_equal(kit_run(kit, 64).fault, FAULT_READ);
	space_unmap(kit->space, address);
}

// The number that a fault names is this packet's, not that of one before it.
static void a_redirect_that_was_not_made_names_no_port(void **state)
{
	struct kit *kit = *state;
	struct verdict verdict = kit_try(kit, "mov r1 60; mov r2 0; call 23; exit");
	assert_int_equal(verdict.fault, FAULT_REDIRECT);
	assert_int_equal(verdict.address, 60);
	verdict = kit_try(kit, "mov r0 4; exit");
	assert_int_equal(verdict.fault, FAULT_REDIRECT);
	assert_int_equal(verdict.address, 0);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        TEST(walks_over_empty_maps_are_charged),
	        TEST(text_and_loops_are_charged),
	        TEST(tries_are_charged_for_what_they_walk),
	        TEST(a_key_shown_to_a_callback_has_nothing_of_others_behind_it),
	        TEST(locks_stand_in_map_values_only),
	        TEST(a_window_of_a_freed_generation_is_not_remembered),
	        TEST(a_redirect_that_was_not_made_names_no_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return kit_each_way(run);
}
