// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/check.h"
#include "ebpf/image.h"

#define EXIT                                                                                       \
	{                                                                                          \
		.code = BPF_JMP | BPF_EXIT                                                         \
	}
#define MOV0                                                                                       \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_K                                                \
	}
#define JA(to)                                                                                     \
	{                                                                                          \
		.code = BPF_JMP | BPF_JA, .off = (to)                                              \
	}
#define JAL(to)                                                                                    \
	{                                                                                          \
		.code = BPF_JMP32 | BPF_JA, .imm = (to)                                            \
	}
#define JEQ(to)                                                                                    \
	{                                                                                          \
		.code = BPF_JMP | BPF_JEQ | BPF_K, .off = (to)                                     \
	}
#define CALL(id)                                                                                   \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .imm = (id)                                            \
	}
#define CALLEE(to)                                                                                 \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = (to)                \
	}
#define KFUNC(id)                                                                                  \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .src_reg = 2, .imm = (id)                              \
	}
#define LDDW(kind, low, high)                                                                      \
	{.code = BPF_LD | BPF_IMM | BPF_DW, .src_reg = (kind), .imm = (low)},                      \
	{                                                                                          \
		.imm = (high)                                                                      \
	}

// Checks a program of these instructions whose second function, if any, begins at `second`. Line i
// + 1 of wire.c made instruction i.
static int check(const struct bpf_insn *insns, uint32_t count, uint32_t second, struct error *err)
{
	static struct image_map maps[] = {
	        {.name = "flows",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 1,
	                .inner = IMAGE_NONE},
	        {.name = ".bss",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = 1,
	                .inner = IMAGE_NONE,
	                .is_global = true},
	        {.name = "inner",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = 1,
	                .inner = IMAGE_NONE,
	                .is_template = true},
	};
	char kfuncs[2][IMAGE_NAME_MAX] = {"bpf_dynptr_slice", "bpf_skb_ct_lookup"};
	char file[] = "/src/wire.c", text[] = "";
	struct image_function functions[2] = {{"wire", 0}, {"f", second}};
	autofree struct image_line *lines = calloc(count, sizeof(*lines));
	for (uint32_t i = 0; i < count; i++)
		lines[i] = (struct image_line){i, i + 1, 1, file, text};
	autofree struct bpf_insn *copy = calloc(count, sizeof(*copy));
	memcpy(copy, insns, count * sizeof(*copy));
	struct image_program program = {.name = "wire",
	        .section = "xdp",
	        .insns = copy,
	        .insn_count = count,
	        .functions = functions,
	        .function_count = second ? 2 : 1,
	        .lines = lines,
	        .line_count = count};
	struct image image = {.programs = &program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = ARRAY_SIZE(maps),
	        .kfuncs = kfuncs,
	        .kfunc_count = 2};
	return check_image(&image, err);
}

static void expect(
        const struct bpf_insn *insns, uint32_t count, uint32_t second, int rc, const char *text)
{
	struct error err = {0};
	assert_int_equal(check(insns, count, second, &err), rc);
	if (rc && !strstr(err.text, text))
		fail_msg("expected '%s' in: %s", text, err.text);
}

#define PASSES(second, ...)                                                                        \
	expect((struct bpf_insn[]){__VA_ARGS__}, ARRAY_SIZE(((struct bpf_insn[]){__VA_ARGS__})),   \
	        second, 0, "")
#define REJECTS(rc, text, second, ...)                                                             \
	expect((struct bpf_insn[]){__VA_ARGS__}, ARRAY_SIZE(((struct bpf_insn[]){__VA_ARGS__})),   \
	        second, rc, text)

static void passes_sound_programs(void **state)
{
	PASSES(0, MOV0, EXIT);
	PASSES(0, MOV0, JEQ(-2), EXIT);
	PASSES(0, LDDW(BPF_PSEUDO_MAP_FD, 0, 0), CALL(1), EXIT);
	PASSES(0, LDDW(BPF_PSEUDO_MAP_VALUE, 1, 7), MOV0, EXIT);
	PASSES(3, CALLEE(2), MOV0, EXIT, MOV0, EXIT);
	PASSES(4, LDDW(BPF_PSEUDO_FUNC, 3, 0), MOV0, EXIT, MOV0, EXIT);
	PASSES(0, KFUNC(0), EXIT);
	PASSES(0, MOV0, JAL(-2));
	// Unreachable code is no fault.
	PASSES(0, MOV0, EXIT, MOV0, EXIT);
}

static void rejects_jump_out_of_program(void **state)
{
	REJECTS(-EINVAL, "wire.c:2: jump out of the program", 0, MOV0, JEQ(1), EXIT);
	REJECTS(-EINVAL, "wire.c:1: jump out of the program", 0, JA(-2), EXIT);
	REJECTS(-EINVAL, "wire.c:1: jump out of the program", 0, JAL(INT32_MAX), EXIT);
	REJECTS(-EINVAL, "wire.c:1: jump out of the program", 0, JAL(INT32_MIN), EXIT);
}

static void rejects_jump_into_another_function(void **state)
{
	REJECTS(-EINVAL, "wire.c:1: jump out of its function", 2, JEQ(1), EXIT, MOV0, EXIT);
	REJECTS(-EINVAL, "wire.c:4: jump out of its function", 2, MOV0, EXIT, MOV0, JA(-4), EXIT);
}

static void rejects_jump_into_second_half_of_lddw(void **state)
{
	REJECTS(-EINVAL, "wire.c:1: jump into the second half", 0, JEQ(1), LDDW(0, 0, 0), EXIT);
}

static void rejects_half_an_lddw_at_the_end(void **state)
{
	REJECTS(-EINVAL, "wire.c:2: the second half", 0, MOV0, {.code = BPF_LD | BPF_IMM | BPF_DW});
}

static void rejects_fall_through_off_the_end(void **state)
{
	REJECTS(-EINVAL, "wire.c:2: execution falls off the end", 0, EXIT, MOV0);
	REJECTS(-EINVAL, "wire.c:2: execution falls off the end", 0, MOV0, JEQ(-1));
	REJECTS(-EINVAL, "wire.c:1: execution falls off the end", 1, MOV0, EXIT);
	REJECTS(-EINVAL, "wire.c:1: execution falls off the end", 0, LDDW(0, 0, 0));
}

static void names_a_helper_that_no_card_offers_with_its_line(void **state)
{
	REJECTS(-ENOTSUP, "wire.c:2: helper bpf_skb_load_bytes (number 26)", 0, MOV0, CALL(26),
	        EXIT);
	REJECTS(-ENOTSUP, "helper unknown (number 4294967295)", 0, CALL(-1), EXIT);
	REJECTS(-ENOTSUP, "wire.c:1: kfunc bpf_skb_ct_lookup", 0, KFUNC(1), EXIT);
	REJECTS(-EINVAL, "wire.c:1: call of a kfunc", 0, KFUNC(2), EXIT);
}

static void rejects_call_into_the_middle_of_a_function(void **state)
{
	REJECTS(-EINVAL, "wire.c:1: call into the middle", 3, CALLEE(3), MOV0, EXIT, MOV0, EXIT);
	REJECTS(-EINVAL, "wire.c:1: call of a function outside", 3, CALLEE(4), MOV0, EXIT, MOV0,
	        EXIT);
	REJECTS(-EINVAL, "wire.c:1: call into the middle", 4, LDDW(BPF_PSEUDO_FUNC, 2, 0), MOV0,
	        EXIT, MOV0, EXIT);
}

static void rejects_writes_to_r10_and_reserved_fields(void **state)
{
	REJECTS(-EINVAL, "wire.c:1: writes r10", 0,
	        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 10}, EXIT);
	REJECTS(-EINVAL, "wire.c:1: immediate field must be 0", 0,
	        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .imm = 1}, EXIT);
	REJECTS(-EINVAL, "wire.c:1: unknown opcode (opcode 0xff)", 0, {.code = 0xff}, EXIT);
	REJECTS(-EINVAL, "wire.c:1: legacy packet access", 0, {.code = 0x30}, EXIT);
	REJECTS(-EINVAL, "wire.c:1: call through a register", 0, {.code = 0x8d}, EXIT);
}

static void rejects_map_references_that_lead_nowhere(void **state)
{
	REJECTS(-EINVAL, "wire.c:1: reference to a map", 0, LDDW(1, 3, 0), EXIT);
	REJECTS(-EINVAL, "wire.c:1: reference to a map", 0, LDDW(1, -1, 0), EXIT);
	REJECTS(-EINVAL, "wire.c:1: map inner only gives", 0, LDDW(1, 2, 0), EXIT);
	REJECTS(-EINVAL, "wire.c:1: address of a value of map flows", 0, LDDW(2, 0, 0), EXIT);
	REJECTS(-EINVAL, "wire.c:1: address of byte 8 of .bss", 0, LDDW(2, 1, 8), EXIT);
	REJECTS(-ENOTSUP, "wire.c:1: address of a kernel variable", 0, LDDW(3, 1, 0), EXIT);
}

static int check_map_of(struct image_map map, struct error *err)
{
	struct bpf_insn insns[] = {LDDW(BPF_PSEUDO_MAP_FD, 0, 0), MOV0, EXIT};
	char file[] = "fw.c", text[] = "";
	struct image_function function = {"fw", 0};
	struct image_line line = {0, 7, 1, file, text};
	struct image_program program = {.name = "fw",
	        .insns = insns,
	        .insn_count = 4,
	        .functions = &function,
	        .function_count = 1,
	        .lines = &line,
	        .line_count = 1};
	map.inner = IMAGE_NONE;
	strcpy(map.name, "conns");
	struct image image = {
	        .programs = &program, .program_count = 1, .maps = &map, .map_count = 1};
	return check_image(&image, err);
}

static void names_a_map_type_that_no_card_offers_with_its_line(void **state)
{
	struct error err;
	assert_int_equal(
	        check_map_of((struct image_map){.type = BPF_MAP_TYPE_SOCKMAP}, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "fw.c:7: map conns: maps of type sockmap"));
	assert_int_equal(check_map_of((struct image_map){.type = 99}, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "type unknown (number 99)"));
}

static void rejects_map_definitions_that_their_type_excludes(void **state)
{
	struct error err;
	struct image_map map = {.type = BPF_MAP_TYPE_ARRAY, .key_size = 8, .value_size = 4};
	assert_int_equal(check_map_of(map, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a array's key has 4 bytes, this one has 8"));
	map = (struct image_map){.type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 8};
	assert_int_equal(check_map_of(map, &err), -EINVAL);
	map = (struct image_map){.type = BPF_MAP_TYPE_HASH, .key_size = 513, .value_size = 8};
	assert_int_equal(check_map_of(map, &err), -EINVAL);
	map = (struct image_map){.type = BPF_MAP_TYPE_HASH, .key_size = 4, .flags = BPF_F_MMAPABLE};
	assert_int_equal(check_map_of(map, &err), -EINVAL);
	map.flags = BPF_F_NO_PREALLOC;
	assert_int_equal(check_map_of(map, &err), 0);
}

static void rejects_an_image_without_a_program(void **state)
{
	struct image image = {0};
	struct error err;
	assert_int_equal(check_image(&image, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(passes_sound_programs),
	        cmocka_unit_test(rejects_jump_out_of_program),
	        cmocka_unit_test(rejects_jump_into_another_function),
	        cmocka_unit_test(rejects_jump_into_second_half_of_lddw),
	        cmocka_unit_test(rejects_half_an_lddw_at_the_end),
	        cmocka_unit_test(rejects_fall_through_off_the_end),
	        cmocka_unit_test(names_a_helper_that_no_card_offers_with_its_line),
	        cmocka_unit_test(rejects_call_into_the_middle_of_a_function),
	        cmocka_unit_test(rejects_writes_to_r10_and_reserved_fields),
	        cmocka_unit_test(rejects_map_references_that_lead_nowhere),
	        cmocka_unit_test(names_a_map_type_that_no_card_offers_with_its_line),
	        cmocka_unit_test(rejects_map_definitions_that_their_type_excludes),
	        cmocka_unit_test(rejects_an_image_without_a_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
