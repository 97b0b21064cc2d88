// SPDX-License-Identifier: Apache-2.0
// What else the forward pass says of a program: what is reached and live, calls, frames, functions;
// and that it ends soon on programs that aim at it.
#include <errno.h>

#include "ebpf/analysis_test.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static uint32_t allocations_left = UINT32_MAX; // until the one that fails

static bool fails(void)
{
	return allocations_left != UINT32_MAX && allocations_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

static void a_bare_program_begins_with_numbers(void **state)
{
	static const struct bpf_insn insns[] = {LD(BPF_W, 3, 1, 0), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), true);
	assert_int_equal(rig.analysis->facts[0].reason, REASON_UNTYPED);
	analysis_free(&rig.analysis);
}

static void code_that_no_path_leads_to_is_not_reached(void **state)
{
	static const struct bpf_insn insns[] = {
	        MOVI(0, 1), JI(BPF_JEQ, 0, 1, 1), MOVI(0, 2), EXIT, MOVI(0, 3), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	static const bool reached[] = {true, true, false, true, false, false};
	for (uint32_t i = 0; i < ARRAY_SIZE(insns); i++)
		assert_int_equal(rig.analysis->facts[i].reached, reached[i]);
	static const bool leaders[] = {true, false, true, true, true, false};
	for (uint32_t i = 0; i < ARRAY_SIZE(insns); i++)
		assert_int_equal(rig.analysis->facts[i].leader, leaders[i]);
	analysis_free(&rig.analysis);
}

static void live_registers_are_those_still_used(void **state)
{
	static const struct bpf_insn insns[] = {
	        MOV(6, 1),            // 0: then r6
	        MOVI(1, 5),           // r1, r6
	        CALLF(3),             // r0, r6
	        OP(BPF_ADD, 0, 6),    // r0
	        LD(BPF_W, 7, 10, -4), // r0: r7 is not used
	        EXIT,                 // r0
	        MOV(0, 1),            // r0
	        EXIT,                 // r0
	};
	static const uint16_t live[] = {1 << 6, 1 << 1 | 1 << 6, 1 | 1 << 6, 1, 1, 1, 1, 1};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	for (uint32_t i = 0; i < ARRAY_SIZE(insns); i++)
		assert_int_equal(rig.analysis->facts[i].live, live[i]);
	assert_int_equal(rig.analysis->functions[0].entry_live, 1 << 1);
	assert_int_equal(rig.analysis->functions[1].entry_live, 1 << 1);
	analysis_free(&rig.analysis);
}

static void helpers_use_what_their_row_names(void **state)
{
	static const struct bpf_insn insns[] = {MOVI(5, 9), MOVI(4, 9), MOVI(3, 9), MOV(2, 1),
	        MAPFD(1, HASH), CALL(map_lookup_elem), MOVI(0, 0), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	assert_int_equal(rig.analysis->facts[4].live, 1 << 1 | 1 << 2);
	assert_int_equal(rig.analysis->facts[6].live, 0); // its result is not used
	analysis_free(&rig.analysis);
}

static void calls_have_their_arguments(void **state)
{
	static const struct bpf_insn insns[] = {STI(BPF_W, 10, -8, 3), MOV(2, 10), ADD(2, -8),
	        MAPFD(1, HASH), MOV(3, 6), CALL(map_lookup_elem), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	const struct call_fact *call = analysis_call(rig.analysis, 6);
	assert_non_null(call);
	assert_int_equal(call->args[0].kind, VALUE_MAP);
	assert_int_equal(call->args[0].map, HASH);
	assert_int_equal(call->args[1].kind, VALUE_STACK);
	assert_int_equal(call->args[1].min, -8);
	assert_int_equal(call->args[1].max, -8);
	assert_int_equal(call->args[2].kind, VALUE_SCALAR);
	assert_null(analysis_call(rig.analysis, 5));
	analysis_free(&rig.analysis);
}

static void offsets_are_exact_where_they_are_constant(void **state)
{
	static const struct bpf_insn insns[] = {PACKET_ENDS, MOV(4, 2), ADD(4, 14),
	        JR(BPF_JGT, 4, 3, 6), LD(BPF_B, 5, 4, -2), OPI(BPF_AND, 5, 3), OP(BPF_ADD, 2, 5),
	        LD(BPF_B, 5, 2, 1), EXIT, EXIT, EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	const struct fact *fact = &rig.analysis->facts[6];
	assert_true(fact->proven && fact->exact && !fact->by_branch);
	assert_int_equal(fact->region, VALUE_PACKET);
	assert_int_equal(fact->offset, 12);
	fact = &rig.analysis->facts[9];
	assert_true(fact->proven && !fact->exact && fact->by_branch);
	analysis_free(&rig.analysis);
}

// A mask holds whatever a CPU thinks of the branches before.
static void bounds_say_whether_a_branch_made_them(void **state)
{
	static const struct bpf_insn insns[] = {MAPV(1, GLOBAL, 0), LD(BPF_W, 2, 1, 0),
	        JI(BPF_JGT, 2, 7, 6), MOV(3, 1), OP(BPF_ADD, 3, 2), LD(BPF_B, 4, 3, 0),
	        OPI(BPF_AND, 2, 7), OP(BPF_ADD, 1, 2), LD(BPF_B, 4, 1, 0), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	assert_true(rig.analysis->facts[6].proven && rig.analysis->facts[6].by_branch);
	assert_true(rig.analysis->facts[9].proven && !rig.analysis->facts[9].by_branch);
	analysis_free(&rig.analysis);
}

struct frame_row {
	const char *name;
	struct bpf_insn insns[INSNS_ROW];
	uint32_t low;
	bool unwritten, untyped_stores, moves, has_loop, calls;
};

static const struct frame_row frame_rows[] = {
        {"reads what it wrote", {STI(BPF_DW, 10, -16, 0), LD(BPF_W, 0, 10, -12), EXIT}, .low = 16},
        {"reads a byte more", {STI(BPF_DW, 10, -16, 0), LD(BPF_DW, 0, 10, -15), EXIT}, .low = 16,
                .unwritten = true},
        {"writes on one path only",
                {LD(BPF_W, 2, 1, 12), JI(BPF_JEQ, 2, 1, 1), STI(BPF_DW, 10, -8, 0),
                        LD(BPF_DW, 0, 10, -8), EXIT},
                .low = 8, .unwritten = true},
        {"writes on both paths",
                {LD(BPF_W, 2, 1, 12), JI(BPF_JEQ, 2, 1, 2), STI(BPF_DW, 10, -8, 0), JA(1),
                        STI(BPF_DW, 10, -8, 1), LD(BPF_DW, 0, 10, -8), EXIT},
                .low = 8},
        {"gives a helper a key of which a part is not written",
                {STI(BPF_H, 10, -4, 0), MOV(2, 10), ADD(2, -4), MAPFD(1, HASH),
                        CALL(map_lookup_elem), EXIT},
                .low = 4, .unwritten = true},
        {"gives a helper a key", {LOOK_UP(HASH), EXIT}, .low = 4},
        {"reads through a number", {LD(BPF_DW, 2, 1, 24), LD(BPF_B, 0, 2, 0), EXIT},
                .unwritten = true},
        {"calls one that reads through its argument",
                {STI(BPF_DW, 10, -8, 0), MOV(1, 10), CALLF(1), EXIT, LD(BPF_B, 0, 1, -8), EXIT},
                .low = 8, .unwritten = true, .calls = true},
        {"stores through a number", {LD(BPF_DW, 2, 1, 24), STI(BPF_B, 2, 0, 0), EXIT},
                .untyped_stores = true},
        {"calls one that moves the packet",
                {CALLF(1), EXIT, MOVI(2, 0), CALL(xdp_adjust_meta), EXIT}, .moves = true,
                .calls = true},
        {"tail-calls, and is not called",
                {STI(BPF_B, 10, -1, 0), MAPFD(2, JUMPS), MOVI(3, 0), CALL(tail_call), EXIT},
                .low = 1},
        {"loops", {MOVI(2, 9), ADD(2, -1), JI(BPF_JNE, 2, 0, -2), EXIT}, .has_loop = true},
};

static void functions_say_what_they_may_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(frame_rows); i++) {
		const struct frame_row *row = &frame_rows[i];
		struct rig rig = {0};
		rig_analyse(&rig, row->insns, row_length(row->insns), false);
		const struct function_fact *function = &rig.analysis->functions[0];
		if (function->stack_low != row->low ||
		        function->reads_unwritten != row->unwritten ||
		        function->untyped_stores != row->untyped_stores ||
		        function->moves_packet != row->moves ||
		        function->has_loop != row->has_loop || function->calls != row->calls)
			fail_msg("%s: low %u, reads unwritten %d, untyped stores %d, moves %d, "
			         "loop %d, calls %d",
			        row->name, function->stack_low, function->reads_unwritten,
			        function->untyped_stores, function->moves_packet,
			        function->has_loop, function->calls);
		analysis_free(&rig.analysis);
	}
}

// The most instructions, each a jump both forward and back, all loops entangled; and states that
// differ on each path.
static void hostile_jumps_take_bounded_work(void **state)
{
	(void)state;
	struct bpf_insn *insns = calloc(IMAGE_INSNS_MAX, sizeof(insns[0]));
	assert_non_null(insns);
	uint32_t count = IMAGE_INSNS_MAX, seed = 1;
	for (uint32_t i = 0; i < count; i++) {
		seed = seed * 1664525 + 1013904223;
		int64_t by = (int64_t)(seed >> 16) - 32768, to = (int64_t)i + 1 + by;
		if (to < 0 || to >= count)
			by = 0;
		if (i % 3 == 0)
			insns[i] = (struct bpf_insn)JI(BPF_JGT, seed >> 8 & 7, 0, 0);
		else if (i % 3 == 1)
			insns[i] = (struct bpf_insn)ST(BPF_DW, 10, -8 * (1 + (seed >> 5 & 63)), 3);
		else
			insns[i] = (struct bpf_insn)OPI(BPF_ADD, seed >> 8 & 7, 3);
		insns[i].off = i % 3 ? insns[i].off : (int16_t)by;
		insns[i].src_reg = i % 3 == 1 ? seed >> 11 & 7 : 0;
	}
	insns[count - 1] = (struct bpf_insn)EXIT;
	struct rig rig = {0};
	rig_analyse(&rig, insns, count, false);
	uint32_t blocks = 0;
	for (uint32_t i = 0; i < count; i++)
		blocks += rig.analysis->facts[i].leader;
	assert_true(blocks > count / 3);
	assert_true(rig.analysis->steps <= 80ull * count);
	analysis_free(&rig.analysis);
	free(insns);
}

// A chain of functions, each called from the one before and after it.
static void hostile_calls_take_bounded_work(void **state)
{
	(void)state;
	const uint32_t functions = 16000, count = functions * 4;
	struct bpf_insn *insns = calloc(count, sizeof(insns[0]));
	struct image_function *starts = calloc(functions, sizeof(starts[0]));
	assert_true(insns && starts);
	for (uint32_t i = 0; i < functions; i++) {
		int32_t next = i + 1 < functions ? 2 : -1, back = i ? -7 : -3;
		insns[4 * i] = (struct bpf_insn)ADD(1, 1);
		insns[4 * i + 1] = (struct bpf_insn)CALLF(next);
		insns[4 * i + 2] = (struct bpf_insn)CALLF(back);
		insns[4 * i + 3] = (struct bpf_insn)EXIT;
		starts[i].insn = 4 * i;
	}
	insns[4 * (functions - 1)] = (struct bpf_insn)STI(BPF_B, 1, 0, 0);
	insns[4 * (functions - 1) + 1] = (struct bpf_insn)MOVI(0, 0);
	struct image_program program = {.name = "chain",
	        .insns = insns,
	        .insn_count = count,
	        .functions = starts,
	        .function_count = functions};
	struct image image = {.programs = &program, .program_count = 1};
	struct analysis *analysis = NULL;
	struct error err = {0};
	if (check_image(&image, &err) || analysis_new(&image, 0, false, &analysis, &err))
		fail_msg("%s", err.text);
	assert_true(analysis->steps <= 80ull * count);
	assert_true(analysis->functions[0].untyped_stores);
	analysis_free(&analysis);
	free(insns);
	free(starts);
}

// One block that calls many functions, each of which stores through what it is given: a pointer
// that is known for as long as nobody knows that the function before stores anywhere.
static void hostile_discoveries_take_bounded_work(void **state)
{
	(void)state;
	const uint32_t functions = 5000, main_length = 6 * functions + 2,
	               count = main_length + 2 * functions;
	struct bpf_insn *insns = calloc(count, sizeof(insns[0]));
	struct image_function *starts = calloc(functions + 1, sizeof(starts[0]));
	assert_true(insns && starts);
	for (uint32_t i = 0; i < functions; i++) {
		struct bpf_insn *at = &insns[6 * i];
		int32_t to = (int32_t)(main_length + 2 * i);
		at[0] = (struct bpf_insn)LD(BPF_DW, 1, 10, -8);
		at[1] = (struct bpf_insn)MOV(2, 10);
		at[2] = (struct bpf_insn){.code = BPF_LD | BPF_DW | BPF_IMM,
		        .dst_reg = 3,
		        .src_reg = BPF_PSEUDO_MAP_VALUE,
		        .imm = GLOBAL};
		at[4] = (struct bpf_insn)ST(BPF_DW, 10, -8, 3);
		at[5] = (struct bpf_insn)CALLF(to - (int32_t)(6 * i + 6));
		starts[i + 1].insn = (uint32_t)to;
		insns[to] = (struct bpf_insn)STI(BPF_DW, 1, 0, 0);
		insns[to + 1] = (struct bpf_insn)EXIT;
	}
	insns[main_length - 2] = (struct bpf_insn)MOVI(0, 0);
	insns[main_length - 1] = (struct bpf_insn)EXIT;
	struct image_program program = {.name = "chain",
	        .insns = insns,
	        .insn_count = count,
	        .functions = starts,
	        .function_count = functions + 1};
	struct image image = {.programs = &program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = ARRAY_SIZE(maps)};
	struct analysis *analysis = NULL;
	struct error err = {0};
	if (check_image(&image, &err) || analysis_new(&image, 0, false, &analysis, &err))
		fail_msg("%s", err.text);
	assert_true(analysis->steps <= 80ull * count);
	assert_true(analysis->functions[functions].untyped_stores);
	analysis_free(&analysis);
	free(insns);
	free(starts);
}

static void whichever_allocation_fails_is_said(void **state)
{
	static const struct bpf_insn insns[] = {LOOK_UP(HASH), CALLF(1), EXIT, MOVI(0, 0), EXIT};
	struct rig rig = {0};
	(void)state;
	rig_analyse(&rig, insns, ARRAY_SIZE(insns), false);
	analysis_free(&rig.analysis);
	uint32_t failed = 0;
	for (int r = -ENOMEM; r; failed++) {
		struct error err = {0};
		allocations_left = failed;
		r = analysis_new(&rig.image, 0, false, &rig.analysis, &err);
		allocations_left = UINT32_MAX;
		assert_true(r == 0 || (r == -ENOMEM && err.code == ENOMEM && !rig.analysis));
	}
	assert_in_range(failed, 10, 30);
	analysis_free(&rig.analysis);
}

static void every_reason_has_a_text(void **state)
{
	(void)state;
	for (int i = 0; i < REASON_COUNT; i++)
		assert_string_not_equal(access_reason_text(i), "unknown");
	assert_string_equal(access_reason_text(REASON_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_bare_program_begins_with_numbers),
	        cmocka_unit_test(code_that_no_path_leads_to_is_not_reached),
	        cmocka_unit_test(live_registers_are_those_still_used),
	        cmocka_unit_test(helpers_use_what_their_row_names),
	        cmocka_unit_test(calls_have_their_arguments),
	        cmocka_unit_test(offsets_are_exact_where_they_are_constant),
	        cmocka_unit_test(bounds_say_whether_a_branch_made_them),
	        cmocka_unit_test(functions_say_what_they_may_do),
	        cmocka_unit_test(hostile_jumps_take_bounded_work),
	        cmocka_unit_test(hostile_calls_take_bounded_work),
	        cmocka_unit_test(hostile_discoveries_take_bounded_work),
	        cmocka_unit_test(whichever_allocation_fails_is_said),
	        cmocka_unit_test(every_reason_has_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
