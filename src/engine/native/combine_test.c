// SPDX-License-Identifier: Apache-2.0
// What the pass makes of each pattern, as text, and what it must leave alone; then programs at
// random, which run in the interpreter before and after with the same end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/analysis.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "ebpf/opcode.h"
#include "engine/native/combine.h"
#include "engine/space.h"
#include "engine/state.h"
#include "engine/test_kit.h"
#include "map/map.h"

// A program rewritten, beside what it was.
struct rewritten {
	struct analysis *analysis;
	struct bpf_insn *insns;
	struct fact *facts;
	uint32_t count;
};

static void rewrite(const struct generation *generation, uint32_t index, struct rewritten *it)
{
	const struct program *program = &generation->programs[index];
	struct error err = {0};
	if (analysis_new(generation->image, index, false, &it->analysis, &err))
		fail_msg("%s", err.text);
	it->count = program->insn_count;
	it->insns = malloc(it->count * sizeof(it->insns[0]));
	it->facts = malloc(it->count * sizeof(it->facts[0]));
	assert_non_null(it->insns);
	assert_non_null(it->facts);
	memcpy(it->insns, program->insns, it->count * sizeof(it->insns[0]));
	memcpy(it->facts, it->analysis->facts, it->count * sizeof(it->facts[0]));
	assert_int_equal(combine(generation, it->analysis, it->insns, it->facts), 0);
}

static void rewritten_clear(struct rewritten *it)
{
	analysis_free(&it->analysis);
	free(it->insns);
	free(it->facts);
}

static bool is_nothing(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA) && insn->off == 0;
}

// Instructions from `from` on, "; " between, without those that do nothing.
static void print_from(const struct image *image, const struct rewritten *it, uint32_t from,
        char *text, size_t size)
{
	struct image_program program = image->programs[0];
	size_t used = 0;
	program.insns = it->insns;
	text[0] = 0;
	for (uint32_t i = from; i < it->count && used < size;) {
		char line[128];
		uint32_t slots = disasm_insn(image, &program, i, line, sizeof(line));
		if (!is_nothing(&it->insns[i]))
			used += (size_t)snprintf(
			        text + used, size - used, "%s%s", used ? "; " : "", line);
		i += slots;
	}
}

// r6: the packet's data, 48 bytes of which are there; r7 and r8: values of 48 bytes of two maps;
// r9: the value of a hash that may be the one at r7.
#define PROLOGUE                                                                                   \
	"ldxw r6 [r1+0]; ldxw r2 [r1+4]; mov r3 r6; add r3 48; jgt r3 r2 out; stdw [r10-64] 0;"    \
	"map r1 0; mov r2 r10; add r2 -64; call 1; jeq r0 0 out; mov r7 r0;"                       \
	"map r1 1; mov r2 r10; add r2 -64; call 1; jeq r0 0 out; mov r8 r0;"                       \
	"map r1 0; mov r2 r10; add r2 -60; call 1; jeq r0 0 out; mov r9 r0;"                       \
	"mov r1 0; mov r2 0; mov r3 0; mov r4 0; mov r5 0; ja body;"                               \
	"out: mov r0 0; exit; body:"
#define PROLOGUE_SLOTS 35u

static void load_body(struct kit *kit, const char *body)
{
	char text[8192];
	if (!kit->map_count) {
		kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 48, 2);
		kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 48, 1);
	}
	snprintf(text, sizeof(text), "%s %s", PROLOGUE, body);
	kit_load(kit, text, NULL);
}

static void check_becomes(const char *body, const char *expected)
{
	struct kit kit;
	struct rewritten it;
	char text[4096];
	kit_new(&kit);
	load_body(&kit, body);
	rewrite(kit.generation, 0, &it);
	print_from(kit.generation->image, &it, PROLOGUE_SLOTS, text, sizeof(text));
	if (strcmp(text, expected) != 0)
		fail_msg("%s\n  became   %s\n  not      %s", body, text, expected);
	rewritten_clear(&it);
	kit_free(&kit);
}

static void check_stays(const char *body)
{
	struct kit kit;
	struct rewritten it;
	kit_new(&kit);
	load_body(&kit, body);
	rewrite(kit.generation, 0, &it);
	const struct program *program = &kit.generation->programs[0];
	for (uint32_t i = PROLOGUE_SLOTS; i < it.count; i++) {
		if (memcmp(&it.insns[i], &program->insns[i], sizeof(it.insns[i])) == 0)
			continue;
		char text[4096];
		print_from(kit.generation->image, &it, PROLOGUE_SLOTS, text, sizeof(text));
		fail_msg("%s\n  became   %s", body, text);
	}
	rewritten_clear(&it);
	kit_free(&kit);
}

#define CASES(name, what, ...)                                                                     \
	static void name(void **state)                                                             \
	{                                                                                          \
		static const char *const cases[] = {__VA_ARGS__};                                  \
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)                                     \
			what;                                                                      \
	}
#define PAIRS(name, ...) CASES(name, (check_becomes(cases[i], cases[i + 1]), i++), __VA_ARGS__)
#define KEPT(name, ...)  CASES(name, check_stays(cases[i]), __VA_ARGS__)

// clang-format off
PAIRS(loads_a_word_at_once,
        "ldxb r0 [r6+1]; lsh32 r0 8; ldxb r2 [r6+0]; or32 r0 r2; exit",
        "r0 = *(u16 *)(r6 +0); exit",
        "ldxb r0 [r6+12]; ldxb r2 [r6+13]; lsh r2 8; add r2 r0; mov32 r0 r2; exit",
        "r2 = *(u16 *)(r6 +12); w0 = w2; exit",
        "ldxb r0 [r7+1]; lsh32 r0 8; ldxb r2 [r7+0]; or32 r0 r2; ldxb r2 [r7+2]; lsh32 r2 16;"
        "ldxb r3 [r7+3]; lsh32 r3 24; or32 r3 r2; or32 r3 r0; mov r0 r3; exit",
        "r3 = *(u32 *)(r7 +0); r0 = r3; exit",
        "ldxw r0 [r6+8]; ldxw r2 [r6+12]; lsh r2 32; or r0 r2; exit",
        "r0 = *(u64 *)(r6 +8); exit",
        "ldxb r2 [r6+4]; mov r4 r6; add r4 3; ldxb r0 [r4+0]; lsh r2 8; xor r0 r2; exit",
        "r4 = r6; r4 += 3; r0 = *(u16 *)(r4 +0); exit")

// The last load writes over its base: it becomes the wide one, and the shift behind it goes.
PAIRS(loads_where_the_base_still_is,
        "mov r3 r6; ldxb r0 [r3+0]; ldxb r3 [r3+1]; lsh r3 8; or r3 r0; mov r0 r3; exit",
        "r3 = r6; r3 = *(u16 *)(r3 +0); r0 = r3; exit")

PAIRS(loads_the_other_order_and_swaps,
        "ldxb r0 [r6+0]; lsh32 r0 8; ldxb r2 [r6+1]; or32 r0 r2; exit",
        "r0 = *(u16 *)(r6 +0); r0 = be16 r0; exit",
        "ldxb r0 [r6+0]; lsh r0 24; ldxb r2 [r6+1]; lsh r2 16; or r0 r2; ldxb r2 [r6+2];"
        "lsh r2 8; or r0 r2; ldxb r2 [r6+3]; or r0 r2; exit",
        "r0 = *(u32 *)(r6 +0); r0 = be32 r0; exit",
        "ldxb r0 [r6+0]; lsh32 r0 8; ldxb r2 [r6+1]; or32 r0 r2; be16 r0; exit",
        "r0 = *(u16 *)(r6 +0); exit")

KEPT(leaves_what_is_no_word,
        "ldxb r0 [r6+2]; lsh r0 8; ldxb r2 [r6+0]; or r0 r2; exit",             // not neighbours
        "ldxb r0 [r6+1]; lsh r0 8; ldxb r2 [r7+0]; or r0 r2; exit",             // two places
        "ldxb r0 [r6+1]; lsh r0 7; ldxb r2 [r6+0]; or r0 r2; exit",             // bits
        "ldxsb r0 [r6+1]; lsh r0 8; ldxb r2 [r6+0]; or r0 r2; exit",            // a sign
        "ldxb r0 [r6+1]; lsh r0 8; ldxb r2 [r6+0]; and r0 r2; exit",
        "ldxb r0 [r6+1]; lsh r0 16; ldxb r2 [r6+0]; or r0 r2; exit")

KEPT(leaves_a_word_that_changes_between_its_loads,
        "ldxb r0 [r6+1]; lsh r0 8; stb [r6+1] 7; ldxb r2 [r6+0]; or r0 r2; exit",
        "ldxb r0 [r6+1]; lsh r0 8; stb [r6+0] 7; ldxb r2 [r6+0]; or r0 r2; exit",
        "ldxb r0 [r7+1]; lsh r0 8; stb [r9+7] 7; ldxb r2 [r7+0]; or r0 r2; exit")

PAIRS(loads_a_word_past_stores_elsewhere,
        "ldxb r0 [r6+1]; lsh r0 8; stb [r6+2] 7; ldxb r2 [r6+0]; or r0 r2; exit",
        "*(u8 *)(r6 +2) = 7; r0 = *(u16 *)(r6 +0); exit",
        "ldxb r0 [r7+1]; lsh r0 8; stb [r8+1] 7; stb [r10-1] 1; ldxb r2 [r7+0]; or r0 r2; exit",
        "*(u8 *)(r8 +1) = 7; *(u8 *)(r10 -1) = 1; r0 = *(u16 *)(r7 +0); exit")

// Another may change a map's value between two loads.
KEPT(loads_no_byte_of_a_map_twice,
        "ldxb r0 [r7+1]; lsh r0 8; ldxb r2 [r7+0]; or r0 r2; add r0 r2; exit")
PAIRS(may_load_bytes_of_the_packet_twice,
        "ldxb r0 [r6+1]; lsh r0 8; ldxb r2 [r6+0]; or r0 r2; add r0 r2; exit",
        "r2 = *(u8 *)(r6 +0); r0 = *(u16 *)(r6 +0); r0 += r2; exit")

PAIRS(copies_in_words,
        "ldxb r1 [r8+3]; stxb [r6+3] r1; ldxb r1 [r8+2]; stxb [r6+2] r1; ldxb r1 [r8+1];"
        "stxb [r6+1] r1; ldxb r1 [r8+0]; stxb [r6+0] r1; ldxb r1 [r8+5]; stxb [r6+5] r1;"
        "ldxb r1 [r8+4]; stxb [r6+4] r1; mov r0 2; exit",
        "r1 = *(u32 *)(r8 +0); *(u32 *)(r6 +0) = r1; r1 = *(u16 *)(r8 +4);"
        " *(u16 *)(r6 +4) = r1; r0 = 2; exit",
        "ldxw r1 [r6+0]; stxw [r7+0] r1; ldxw r1 [r6+4]; stxw [r7+4] r1; ldxw r1 [r6+8];"
        "stxw [r7+8] r1; ldxw r1 [r6+12]; stxw [r7+12] r1; mov r0 2; exit",
        "r1 = *(u64 *)(r6 +0); *(u64 *)(r7 +0) = r1; r1 = *(u64 *)(r6 +8);"
        " *(u64 *)(r7 +8) = r1; r0 = 2; exit",
        // within the packet, at a known distance
        "ldxb r1 [r6+6]; stxb [r6+0] r1; ldxb r1 [r6+7]; stxb [r6+1] r1; mov r0 2; exit",
        "r1 = *(u16 *)(r6 +6); *(u16 *)(r6 +0) = r1; r0 = 2; exit",
        // all loads first, within one map
        "ldxb r1 [r7+0]; ldxb r2 [r7+1]; stxb [r9+0] r1; stxb [r9+1] r2; mov r0 2; exit",
        "r2 = *(u16 *)(r7 +0); *(u16 *)(r9 +0) = r2; r0 = 2; exit")

KEPT(leaves_copies_that_may_overlap,
        "ldxb r1 [r7+0]; stxb [r9+0] r1; ldxb r1 [r7+1]; stxb [r9+1] r1; mov r0 2; exit",
        "ldxb r1 [r6+0]; stxb [r6+1] r1; ldxb r1 [r6+1]; stxb [r6+2] r1; mov r0 2; exit",
        "ldxb r1 [r8+0]; stxb [r6+0] r1; ldxb r0 [r6+0]; ldxb r1 [r8+1]; stxb [r6+1] r1; exit",
        "ldxb r1 [r8+0]; stxb [r6+0] r1; call 5; ldxb r1 [r8+1]; stxb [r6+1] r1; exit",
        "ldxb r1 [r8+0]; stxb [r6+0] r1; ldxb r0 [r8+1]; stxb [r6+1] r0; exit",
        "ldxb r1 [r8+0]; stxb [r6+0] r1; ja next; next: ldxb r1 [r8+1]; stxb [r6+1] r1; exit")

// Its bytes may be anywhere: what it reads must be as the program made it.
KEPT(moves_nothing_past_an_access_that_is_not_proven,
        "ldxb r1 [r8+0]; stxb [r6+0] r1; ldxdw r2 [r8+40]; ldxb r2 [r2+0]; ldxb r1 [r8+1];"
        "stxb [r6+1] r1; mov r0 2; exit")

PAIRS(stores_a_word_that_was_taken_apart,
        "ldxw r2 [r8+0]; mov32 r3 r2; rsh32 r3 24; stxb [r6+3] r3; mov32 r3 r2; rsh32 r3 16;"
        "stxb [r6+2] r3; stxb [r6+0] r2; rsh32 r2 8; stxb [r6+1] r2; mov r0 2; exit",
        "r2 = *(u32 *)(r8 +0); *(u32 *)(r6 +0) = r2; r0 = 2; exit",
        "ldxh r2 [r8+0]; stxb [r6+4] r2; rsh32 r2 8; stxb [r6+5] r2; mov r0 2; exit",
        "r2 = *(u16 *)(r8 +0); *(u16 *)(r6 +4) = r2; r0 = 2; exit",
        "ldxw r2 [r6+0]; stxb [r7+0] r2; mov r3 r2; rsh r3 8; stxb [r7+1] r3; mov r0 r3; exit",
        "r2 = *(u32 *)(r6 +0); r3 = r2; r3 >>= 8; *(u16 *)(r7 +0) = r2; r0 = r3; exit")

PAIRS(stores_neighbouring_numbers_as_one,
        "mov32 r1 8; stxb [r6+12] r1; mov32 r1 0; stxb [r6+13] r1; mov r0 2; exit",
        "*(u16 *)(r6 +12) = 8; r0 = 2; exit",
        "stb [r6+0] 1; stb [r6+1] 2; stb [r6+2] 3; stb [r6+3] 4; mov r0 2; exit",
        "*(u32 *)(r6 +0) = 67305985; r0 = 2; exit",
        "stw [r6+0] -1; stw [r6+4] -1; mov r0 2; exit",
        "*(u64 *)(r6 +0) = -1; r0 = 2; exit")

KEPT(leaves_stores_that_are_read_between,
        "stb [r6+0] 1; ldxb r0 [r6+0]; stb [r6+1] 2; exit",
        "stb [r7+0] 1; ldxb r0 [r9+8]; stb [r7+1] 2; exit",
        "stw [r10-12] 1; stw [r10-8] 1; stw [r10-4] 1; mov r0 2; exit",
        "sth [r10-7] 1; sth [r10-5] 1; mov r0 2; exit")

PAIRS(stores_past_what_lies_elsewhere,
        "stb [r6+0] 1; ldxb r0 [r6+2]; stb [r6+1] 2; exit",
        "r0 = *(u8 *)(r6 +2); *(u16 *)(r6 +0) = 513; exit",
        // an earlier store to the same byte stays before
        "stb [r6+0] 1; stb [r6+0] 3; stb [r6+1] 2; mov r0 2; exit",
        "*(u8 *)(r6 +0) = 1; *(u16 *)(r6 +0) = 515; r0 = 2; exit")

PAIRS(drops_what_nobody_reads,
        "mov32 r1 5; mov32 r1 r6; mov r0 2; exit", "r0 = 2; exit",
        "ldxb r1 [r6+0]; and32 r1 7; mov r0 2; exit", "r0 = 2; exit",
        "ldxb r0 [r6+0]; and32 r0 255; mov32 r0 r0; exit", "r0 = *(u8 *)(r6 +0); exit",
        "ldxdw r0 [r6+0]; lsh r0 32; rsh r0 32; exit", "r0 = *(u64 *)(r6 +0); w0 = w0; exit")
// clang-format on

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(loads_a_word_at_once),
	        cmocka_unit_test(loads_where_the_base_still_is),
	        cmocka_unit_test(loads_the_other_order_and_swaps),
	        cmocka_unit_test(leaves_what_is_no_word),
	        cmocka_unit_test(leaves_a_word_that_changes_between_its_loads),
	        cmocka_unit_test(loads_a_word_past_stores_elsewhere),
	        cmocka_unit_test(loads_no_byte_of_a_map_twice),
	        cmocka_unit_test(may_load_bytes_of_the_packet_twice),
	        cmocka_unit_test(copies_in_words),
	        cmocka_unit_test(leaves_copies_that_may_overlap),
	        cmocka_unit_test(moves_nothing_past_an_access_that_is_not_proven),
	        cmocka_unit_test(stores_a_word_that_was_taken_apart),
	        cmocka_unit_test(stores_neighbouring_numbers_as_one),
	        cmocka_unit_test(leaves_stores_that_are_read_between),
	        cmocka_unit_test(stores_past_what_lies_elsewhere),
	        cmocka_unit_test(drops_what_nobody_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
