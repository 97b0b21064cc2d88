// SPDX-License-Identifier: Apache-2.0
// Windows, budget, calls, verdicts: what a program may touch and how it ends.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/test_kit.h"
#include "map/map.h"

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

static void expect_fault(struct verdict verdict, enum fault fault, const char *what)
{
	if (verdict.verdict != XDP_ABORTED || verdict.fault != fault)
		fail_msg("%s: verdict %u, fault %s, expected %s", what, verdict.verdict,
		        fault_name(verdict.fault), fault_name(fault));
}

// `prepare` leaves an address in r2; the access is at `off` from it.
static void expect_access(
        struct kit *kit, const char *prepare, const char *access, int off, enum fault fault)
{
	char text[512], line[128];
	snprintf(line, sizeof(line), access, off);
	snprintf(text, sizeof(text), "%s; %s; mov r0 1; exit", prepare, line);
	struct verdict verdict = kit_try(kit, text);
	if (fault != FAULT_NONE)
		expect_fault(verdict, fault, text);
	else if (verdict.verdict != XDP_DROP)
		fail_msg("%s: fault %s", text, fault_name(verdict.fault));
}

static void packet_window_is_exactly_data_to_data_end(void **state)
{
	static const char data[] = "ldxw r2 [r1+0]", end[] = "ldxw r2 [r1+4]";
	expect_access(*state, data, "ldxb r3 [r2%+d]", 0, FAULT_NONE);
	expect_access(*state, data, "ldxb r3 [r2%+d]", 63, FAULT_NONE);
	expect_access(*state, data, "ldxb r3 [r2%+d]", 64, FAULT_READ);
	expect_access(*state, data, "ldxb r3 [r2%+d]", -1, FAULT_READ);
	expect_access(*state, data, "ldxdw r3 [r2%+d]", 56, FAULT_NONE);
	expect_access(*state, data, "ldxdw r3 [r2%+d]", 57, FAULT_READ);
	expect_access(*state, data, "ldxdw r3 [r2%+d]", -7, FAULT_READ);
	expect_access(*state, end, "ldxb r3 [r2%+d]", -1, FAULT_NONE);
	expect_access(*state, end, "ldxb r3 [r2%+d]", 0, FAULT_READ);
	expect_access(*state, data, "stb [r2%+d] 1", 63, FAULT_NONE);
	expect_access(*state, data, "stb [r2%+d] 1", 64, FAULT_WRITE);
	expect_access(*state, data, "stb [r2%+d] 1", -1, FAULT_WRITE);
}

static void metadata_window_ends_where_the_packet_begins(void **state)
{
	static const char meta[] = "mov r6 r1; mov r2 -8; call 54; ldxw r2 [r6+8]";
	expect_access(*state, meta, "ldxb r3 [r2%+d]", 0, FAULT_NONE);
	expect_access(*state, meta, "stdw [r2%+d] 1", 0, FAULT_NONE);
	expect_access(*state, meta, "ldxb r3 [r2%+d]", -1, FAULT_READ);
	expect_access(*state, meta, "ldxdw r3 [r2%+d]", 4, FAULT_READ); // straddles data
	expect_access(*state, meta, "ldxb r3 [r2%+d]", 8, FAULT_NONE);
}

static void context_window_is_32_bytes_and_read_only(void **state)
{
	static const char context[] = "mov r2 r1";
	expect_access(*state, context, "ldxb r3 [r2%+d]", 0, FAULT_NONE);
	expect_access(*state, context, "ldxdw r3 [r2%+d]", 24, FAULT_NONE);
	expect_access(*state, context, "ldxb r3 [r2%+d]", 31, FAULT_NONE);
	expect_access(*state, context, "ldxb r3 [r2%+d]", 32, FAULT_READ);
	expect_access(*state, context, "ldxdw r3 [r2%+d]", 25, FAULT_READ);
	expect_access(*state, context, "ldxb r3 [r2%+d]", -1, FAULT_READ);
	expect_access(*state, context, "stw [r2%+d] 0", 16, FAULT_WRITE);
}

static void stack_window_is_the_frames_in_use(void **state)
{
	static const char stack[] = "mov r2 r10";
	expect_access(*state, stack, "stdw [r2%+d] 1", -8, FAULT_NONE);
	expect_access(*state, stack, "stdw [r2%+d] 1", -512, FAULT_NONE);
	expect_access(*state, stack, "stb [r2%+d] 1", -513, FAULT_WRITE);
	expect_access(*state, stack, "stdw [r2%+d] 1", -516, FAULT_WRITE);
	expect_access(*state, stack, "stdw [r2%+d] 1", -7, FAULT_WRITE);
	expect_access(*state, stack, "ldxb r3 [r2%+d]", 0, FAULT_READ);
}

static void a_function_sees_its_callers_frames_but_none_below_its_own(void **state)
{
	struct verdict verdict = kit_try(*state, "stdw [r10-8] 2; mov r1 r10; callf f; exit; f: "
	                                         "ldxdw r0 [r1-8]; stdw [r10-512] 1; exit");
	assert_int_equal(verdict.verdict, XDP_PASS);
	verdict = kit_try(*state, "callf f; exit; f: stb [r10-513] 1; mov r0 1; exit");
	expect_fault(verdict, FAULT_WRITE, "below the frame");
	verdict = kit_try(*state,
	        "callf f; ldxb r1 [r0-1]; mov r0 1; exit; f: stb [r10-1] 1; mov r0 r10; exit");
	expect_fault(verdict, FAULT_READ, "frame of a function that has returned");
}

static void a_map_value_window_is_the_values_only(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 8, 512); // a page exactly
	static const char value[] = "value r2 0 0", last[] = "value r2 0 0; add r2 4088";
	kit->maps[0].max_entries = 1;
	expect_access(kit, value, "stdw [r2%+d] 1", 0, FAULT_NONE);
	expect_access(kit, value, "ldxb r3 [r2%+d]", -1, FAULT_READ);
	static const char first[] =
	        "stw [r10-4] 0; mov r2 r10; add r2 -4; map r1 0; call 1; mov r2 r0";
	kit->maps[0].max_entries = 512;
	expect_access(kit, first, "stdw [r2%+d] 1", 0, FAULT_NONE);
	expect_access(kit, first, "stdw [r2%+d] 1", 4088, FAULT_NONE);
	expect_access(kit, first, "stdw [r2%+d] 1", 4089, FAULT_WRITE);
	expect_access(kit, first, "ldxb r3 [r2%+d]", 4096, FAULT_READ);
	(void)last;
}

static void holes_and_addresses_beyond_32_bits_fault(void **state)
{
	expect_access(*state, "mov r2 0", "ldxb r3 [r2%+d]", 0, FAULT_READ);
	expect_access(*state, "mov r2 0", "stb [r2%+d] 0", 0, FAULT_WRITE);
	expect_access(*state, "mov r2 -1", "ldxdw r3 [r2%+d]", 0, FAULT_READ);
	expect_access(*state, "mov r2 -8", "ldxdw r3 [r2%+d]", 4, FAULT_READ); // wraps
	expect_access(*state, "mov32 r2 -1", "ldxb r3 [r2%+d]", 0, FAULT_READ);
	expect_access(*state, "mov32 r2 -4", "ldxdw r3 [r2%+d]", 0, FAULT_READ); // 2^32
	expect_access(*state, "ldxw r2 [r1+0]; lddw r3 0x100000000; add r2 r3", "ldxb r3 [r2%+d]",
	        0, FAULT_READ);
	expect_access(*state, "lddw r2 0x8000000000000000; add r2 r10", "ldxb r3 [r2%+d]", -8,
	        FAULT_READ);
	expect_access(*state, "mov r2 r1; sub r2 r10", "ldxb r3 [r2%+d]", 0, FAULT_READ);
}

static void a_fault_says_where(void **state)
{
	struct verdict verdict =
	        kit_try(*state, "mov r2 0; callf f; exit; f: ldxb r0 [r2+77]; exit");
	expect_fault(verdict, FAULT_READ, "hole");
	assert_int_equal(verdict.insn, 3);
	assert_int_equal(verdict.program, 0);
	assert_int_equal(verdict.address, 77);
}

static void misaligned_atomics_fault(void **state)
{
	expect_access(*state, "mov r2 r10", "atomic_add32 [r2%+d] r1", -4, FAULT_NONE);
	expect_access(*state, "mov r2 r10", "atomic_add32 [r2%+d] r1", -6, FAULT_WRITE);
	expect_access(*state, "mov r2 r10", "cmpxchg64 [r2%+d] r1", -12, FAULT_WRITE);
	expect_access(*state, "mov r2 r1", "atomic_add32 [r2%+d] r1", 16, FAULT_WRITE);
}

static void stack_reads_as_zeros_whoever_wrote_it_before(void **state)
{
	struct kit *kit = *state;
	kit_load(kit,
	        "ldxdw r0 [r10-8]; ldxdw r2 [r10-512]; or r0 r2; jne r0 0 out; callf f; out: "
	        "stdw [r10-8] -1; stdw [r10-512] -1; stdw [r10-300] -1; jne r0 0 bad; mov r0 2; "
	        "exit; "
	        "bad: mov r0 1; exit; "
	        "f: ldxdw r0 [r10-8]; ldxdw r2 [r10-512]; or r0 r2; stdw [r10-512] -1; stdw "
	        "[r10-8] -1; "
	        "exit",
	        NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(kit_run(kit, 64).verdict, XDP_PASS);
	// Twice in one packet, the second time through a deeper frame.
	kit_load(kit,
	        "callf f; callf f; callf g; exit; g: callf f; exit;"
	        "f: ldxdw r0 [r10-8]; stdw [r10-8] 5; jne r0 0 bad; mov r0 2; exit; bad: mov r0 "
	        "77; exit",
	        NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(kit_run(kit, 64).verdict, XDP_PASS);
}

static void budget_ends_loops(void **state)
{
	struct kit *kit = *state;
	expect_fault(kit_try(kit, "l: ja l; exit"), FAULT_BUDGET, "ja");
	expect_fault(kit_try(kit, "l: jal l; exit"), FAULT_BUDGET, "jal");
	expect_fault(kit_try(kit, "l: jeq r0 0 l; exit"), FAULT_BUDGET, "jeq");
	kit->budget = 1000;
	// Two instructions a round: 500 rounds fit, the next does not.
	kit_load(kit, "mov r0 0; l: add r0 1; jlt r0 501 l; mov r0 1; exit", NULL);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP);
	kit_load(kit, "mov r0 0; l: add r0 1; jlt r0 502 l; mov r0 1; exit", NULL);
	expect_fault(kit_run(kit, 64), FAULT_BUDGET, "501 rounds");
}

static void budget_is_charged_for_calls_and_helpers(void **state)
{
	struct kit *kit = *state;
	kit->budget = 100;
	kit_load(kit, "mov r6 0; l: add r6 1; call 5; jlt r6 50 l; mov r0 1; exit", NULL);
	expect_fault(kit_run(kit, 64), FAULT_BUDGET, "helpers");
	kit->budget = 1u << 20;
	kit_load(kit,
	        "mov r1 -1; func r2 f; mov r3 0; mov r4 0; call 181; mov r0 1; exit; f: mov r0 0; "
	        "exit",
	        NULL);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP); // -E2BIG
	kit_load(kit,
	        "mov r1 8000000; func r2 f; mov r3 0; mov r4 0; call 181; mov r0 1; exit; f: mov "
	        "r0 0; exit",
	        NULL);
	expect_fault(kit_run(kit, 64), FAULT_BUDGET, "bpf_loop");
}

static void calls_nest_eight_frames_deep(void **state)
{
	expect_fault(
	        kit_try(*state, "callf f; exit; f: callf f; exit"), FAULT_CALL_DEPTH, "endless");
	static const char depth[] = "mov r1 %d; callf f; mov r0 1; exit;"
	                            "f: jeq r1 0 out; add r1 -1; callf f; out: mov r0 0; exit";
	char text[256];
	snprintf(text, sizeof(text), depth, 6); // main and seven more
	assert_int_equal(kit_try(*state, text).verdict, XDP_DROP);
	snprintf(text, sizeof(text), depth, 7);
	expect_fault(kit_try(*state, text), FAULT_CALL_DEPTH, "nine");
}

static void tail_calls_stop_at_33(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	static const char again[] =
	        "value r3 1 0; ldxdw r4 [r3+0]; add r4 1; stxdw [r3+0] r4;"
	        "ldxdw r5 [r10-8]; stdw [r10-8] 1; add r5 1; map r2 0; mov r3 0; call 12;"
	        "mov r0 1; exit";
	kit_load(kit, again, NULL);
	uint32_t key = 0, target = 0;
	uint64_t value = 0;
	assert_int_equal(map_write(generation_map(kit->generation, 0), &key, &target, 0), 0);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP);
	assert_int_equal(map_read(generation_map(kit->generation, 1), &key, &value, 0), 0);
	assert_int_equal(value, 34); // the first and 33 tail calls
}

static void a_tail_call_starts_another_program_with_a_clean_frame(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
	kit_load(kit, "stdw [r10-8] 9; mov r6 5; map r2 0; mov r3 1; call 12; mov r0 1; exit",
	        "ldxdw r0 [r10-8]; add r0 r6; ldxw r2 [r1+12]; add r0 r2; exit");
	uint32_t key = 1, target = 1;
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP); // empty slot
	assert_int_equal(map_write(generation_map(kit->generation, 0), &key, &target, 0), 0);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_PASS); // 0 + 0 + ifindex 2
	target = 7;                                           // no such program
	assert_int_equal(map_write(generation_map(kit->generation, 0), &key, &target, 0), 0);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP);
	// From a function: the target returns to the function's caller.
	kit_load(kit,
	        "mov r6 3; callf f; add r0 -1; jne r6 3 bad; exit; bad: mov r0 77; exit;"
	        "f: map r2 0; mov r3 1; call 12; mov r0 77; exit",
	        "mov r6 9; mov r0 2; exit");
	target = 1;
	assert_int_equal(map_write(generation_map(kit->generation, 0), &key, &target, 0), 0);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP);
}

static void the_context_says_port_and_arrival(void **state)
{
	struct kit *kit = *state;
	struct verdict verdict = kit_try(kit, "ldxw r0 [r1+12]; exit");
	assert_int_equal(verdict.result, 2);
	verdict = kit_try(kit, "ldxdw r0 [r1+24]; exit");
	assert_int_equal(verdict.result, 0x55667788);
	verdict = kit_try(kit, "ldxw r0 [r1+16]; ldxw r2 [r1+20]; or r0 r2; add r0 2; exit");
	assert_int_equal(verdict.verdict, XDP_PASS);
	verdict = kit_try(kit, "ldxw r2 [r1+0]; ldxw r0 [r1+4]; sub r0 r2; exit");
	assert_int_equal(verdict.result, 64);
}

static void verdicts_are_the_low_32_bits_of_r0(void **state)
{
	struct verdict verdict = kit_try(*state, "lddw r0 0x100000001; exit");
	assert_int_equal(verdict.verdict, XDP_DROP);
	expect_fault(kit_try(*state, "mov r0 5; exit"), FAULT_VERDICT, "5");
	expect_fault(kit_try(*state, "mov r0 -1; exit"), FAULT_VERDICT, "-1");
	expect_fault(kit_try(*state, "mov r0 0; exit"), FAULT_EXPLICIT, "0");
	verdict = kit_try(*state, "mov r0 3; exit");
	assert_int_equal(verdict.verdict, XDP_TX);
	assert_int_equal(verdict.ports, 2);
	assert_int_equal(((struct kit *)*state)->packet.out, 1);
	expect_fault(kit_try(*state, "mov r0 4; exit"), FAULT_REDIRECT, "redirect to nowhere");
}

static void packets_of_a_burst_do_not_touch_each_other(void **state)
{
	struct kit *kit = *state;
	struct packet packets[BURST_MAX];
	struct verdict verdicts[BURST_MAX];
	kit_load(kit, "ldxw r2 [r1+0]; ldxb r0 [r2+0]; exit", NULL);
	uint32_t n = frames_take(kit->memory, packets, 3);
	for (uint32_t i = 0; i < n; i++) {
		packets[i].end = (uint16_t)(packets[i].data + (i == 1 ? 0 : 60));
		packet_data(space_base(kit->space), &packets[i])[0] = (uint8_t)(i + 1);
	}
	engine_run(kit->engine, kit->generation, packets, verdicts, n);
	assert_int_equal(verdicts[0].verdict, XDP_DROP);
	expect_fault(verdicts[1], FAULT_READ, "empty packet");
	assert_int_equal(verdicts[2].verdict, XDP_TX);
	assert_int_equal(engine_stats(kit->engine)->packets, 3);
	frames_give(kit->memory, packets, n);
}

static void an_engine_call_reads_and_writes_its_block_only(void **state)
{
	struct kit *kit = *state;
	struct verdict verdict;
	uint64_t result = 0;
	uint32_t address;
	assert_int_equal(space_map(kit->space, 16, &address, NULL), 0);
	kit_load(kit, "stxdw [r1+8] r2; ldxdw r0 [r1+8]; exit", NULL);
	assert_int_equal(
	        engine_call(kit->engine, kit->generation, address, 16, &verdict, &result), 0);
	assert_int_equal(result, 16);
	assert_int_equal(
	        engine_call(kit->engine, kit->generation, address, 15, &verdict, &result), -EFAULT);
	expect_fault(verdict, FAULT_WRITE, "beyond the block");
	kit_load(kit, "mov r2 -8; call 44; exit", NULL);
	assert_int_equal(
	        engine_call(kit->engine, kit->generation, address, 16, &verdict, &result), -EFAULT);
	expect_fault(verdict, FAULT_HELPER, "no packet");
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        TEST(packet_window_is_exactly_data_to_data_end),
	        TEST(metadata_window_ends_where_the_packet_begins),
	        TEST(context_window_is_32_bytes_and_read_only),
	        TEST(stack_window_is_the_frames_in_use),
	        TEST(a_function_sees_its_callers_frames_but_none_below_its_own),
	        TEST(a_map_value_window_is_the_values_only),
	        TEST(holes_and_addresses_beyond_32_bits_fault),
	        TEST(a_fault_says_where),
	        TEST(misaligned_atomics_fault),
	        TEST(stack_reads_as_zeros_whoever_wrote_it_before),
	        TEST(budget_ends_loops),
	        TEST(budget_is_charged_for_calls_and_helpers),
	        TEST(calls_nest_eight_frames_deep),
	        TEST(tail_calls_stop_at_33),
	        TEST(a_tail_call_starts_another_program_with_a_clean_frame),
	        TEST(the_context_says_port_and_arrival),
	        TEST(verdicts_are_the_low_32_bits_of_r0),
	        TEST(packets_of_a_burst_do_not_touch_each_other),
	        TEST(an_engine_call_reads_and_writes_its_block_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return kit_each_way(run);
}
