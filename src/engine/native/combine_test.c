// SPDX-License-Identifier: Apache-2.0
// What combine() makes of each pattern, as text, and what it must leave alone.
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
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "engine/assembler.h"
#include "engine/bare.h"
#include "engine/native/combine.h"
#include "engine/native/combine_kit.h"
#include "engine/state.h"
#include "engine/test_kit.h"

static void check_becomes(const char *body, const char *expected)
{
	struct kit kit;
	struct rewritten it;
	char text[4096];
	kit_new(&kit);
	load_body(&kit, body);
	rewrite(kit.generation, 0, &it);
	print_from(kit.generation->image, &it, BODY, text, sizeof(text));
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
	for (uint32_t i = BODY; i < it.count; i++) {
		if (memcmp(&it.insns[i], &program->insns[i], sizeof(it.insns[i])) == 0)
			continue;
		char text[4096];
		print_from(kit.generation->image, &it, BODY, text, sizeof(text));
		fail_msg("%s\n  became   %s", body, text);
	}
	rewritten_clear(&it);
	kit_free(&kit);
}

static void check_context(const char *text)
{
	struct kit kit;
	struct rewritten it;
	struct filter filter;
	kit_new(&kit);
	kit_load(&kit, text, NULL);
	rewrite(kit.generation, 0, &it);
	const struct program *program = &kit.generation->programs[0];
	assert_memory_equal(it.insns, program->insns, it.count * sizeof(it.insns[0]));
	assert_false(combine_find_filter(it.insns, it.facts, it.count, 0, &filter));
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
#define PAIRS(name, ...)   CASES(name, (check_becomes(cases[i], cases[i + 1]), i++), __VA_ARGS__)
#define CONTEXT(name, ...) CASES(name, check_context(cases[i]), __VA_ARGS__)
#define KEPT(name, ...)    CASES(name, check_stays(cases[i]), __VA_ARGS__)

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

// Fields of the context stand in memory only where they are asked for.
CONTEXT(leaves_the_context_alone,
        "ldxw r0 [r1+0]; ldxw r2 [r1+4]; lsh r2 32; or r0 r2; exit",
        "ldxb r0 [r1+0]; ldxb r2 [r1+1]; lsh r2 8; or r0 r2; exit",
        "ldxb r2 [r1+0]; ldxb r3 [r1+4]; jne r2 r3 x; ldxb r2 [r1+1]; ldxb r3 [r1+5]; jne r2 r3 x;"
        "ldxb r2 [r1+2]; ldxb r3 [r1+6]; jne r2 r3 x; ldxb r2 [r1+3]; ldxb r3 [r1+7]; jne r2 r3 x;"
        "mov r0 1; exit; x: mov r0 2; exit")

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

KEPT(leaves_parts_that_are_read_again,
        "ldxh r2 [r8+0]; stxb [r6+4] r2; rsh32 r2 8; stxb [r6+5] r2; mov r0 r2; exit",
        "ldxh r2 [r8+0]; stxb [r6+4] r2; rsh32 r2 8; mov r0 r2; add r0 1; stxb [r6+5] r2; exit")

// The register that had the address has another since.
KEPT(leaves_a_word_whose_address_is_gone,
        "mov r3 r6; ldxb r0 [r3+1]; mov r2 r0; lsh r2 8; mov r4 r6; ldxb r5 [r4+0]; mov r3 r7;"
        "mov r4 r8; or r2 r5; stxdw [r10-8] r3; stxdw [r10-16] r4; mov r0 r2; exit")

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
        "ldxb r1 [r6+0]; ldxb r2 [r6+1]; and32 r1 7; mov r0 2; exit", "r0 = 2; exit",
        "ldxb r0 [r6+0]; ldxb r1 [r6+1]; and32 r0 255; mov32 r0 r0; exit",
        "r0 = *(u8 *)(r6 +0); exit",
        "ldxdw r0 [r6+0]; lsh r0 32; rsh r0 32; exit", "r0 = *(u64 *)(r6 +0); w0 = w0; exit")
PAIRS(keeps_what_is_known_of_a_leader,
        "mov r0 0; again: ldxb r1 [r6+0]; ldxb r2 [r6+1]; add r0 1; jlt r0 5 again; exit",
        "r0 = 0; r0 += 1; if r0 < 0x5 goto pc-4; exit")

#define ADD_BYTE(at) "ldxb r1 [" at "]; or32 r2 r1;"
PAIRS(asks_words_whether_they_are_zero,
        "ldxb r1 [r7+0]; ldxb r2 [r7+1]; or32 r2 r1;" ADD_BYTE("r7+2") ADD_BYTE("r7+3")
        ADD_BYTE("r7+4") ADD_BYTE("r7+5") "and32 r2 255; mov r0 1; jeq32 r2 0 zero; mov r0 2;"
        "zero: exit",
        "r2 = *(u32 *)(r7 +0); r1 = *(u16 *)(r7 +4); w2 |= w1; r0 = 1; if w2 == 0x0 goto pc+1;"
        " r0 = 2; exit",
        "ldxb r1 [r6+8]; ldxb r2 [r6+4]; or r2 r1;" ADD_BYTE("r6+5") ADD_BYTE("r6+6")
        ADD_BYTE("r6+7") "mov r0 1; jne r2 0 other; mov r0 2; other: exit",
        "r2 = *(u32 *)(r6 +4); r1 = *(u8 *)(r6 +8); w2 |= w1; r0 = 1; if r2 != 0x0 goto pc+1;"
        " r0 = 2; exit")

#define SUM "ldxb r1 [r7+0]; ldxb r2 [r7+1]; or32 r2 r1;" ADD_BYTE("r7+2") ADD_BYTE("r7+3")
KEPT(leaves_sums_that_are_wanted,
        SUM ADD_BYTE("r7+4") ADD_BYTE("r7+5") "mov r0 1; jeq32 r2 0 zero; mov r0 r2; zero: exit",
        SUM ADD_BYTE("r7+4") ADD_BYTE("r7+5") "mov r0 r1; jeq32 r2 0 zero; mov r0 2; zero: exit",
        SUM ADD_BYTE("r7+4") ADD_BYTE("r7+5") "mov r0 1; jeq32 r2 1 zero; mov r0 2; zero: exit",
        SUM ADD_BYTE("r7+4") ADD_BYTE("r7+6") "mov r0 1; jeq32 r2 0 zero; mov r0 2; zero: exit",
        SUM ADD_BYTE("r7+4") ADD_BYTE("r8+5") "mov r0 1; jeq32 r2 0 zero; mov r0 2; zero: exit",
        SUM ADD_BYTE("r7+4") ADD_BYTE("r7+4") "mov r0 1; jeq32 r2 0 zero; mov r0 2; zero: exit",
        "ldxb r1 [r6+8]; ldxb r2 [r6+4]; or r2 r1; stb [r6+8] 1;" ADD_BYTE("r6+5") ADD_BYTE("r6+6")
        ADD_BYTE("r6+7") "mov r0 1; jeq32 r2 0 zero; mov r0 2; zero: exit",
        SUM "stb [r9+5] 1;" ADD_BYTE("r7+4") ADD_BYTE("r7+5")
        "mov r0 1; jeq32 r2 0 zero; mov r0 2; zero: exit")
// clang-format on

// Maps 2 and 3: a global that nobody can change, bytes 1, 2, 3 …, and one that the program can.
static void load_globals(struct kit *kit, const char *body)
{
	static struct bpf_insn insns[ASSEMBLER_MAX];
	char wrong[256], text[2048];
	struct image *image;
	struct error err = {0};
	for (uint32_t i = 0; i < 2; i++) {
		struct image_map *map = &kit->maps[kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 16, 1)];
		map->is_global = true;
		map->is_readonly = !i;
		map->data = malloc(16);
		assert_non_null(map->data);
		for (uint8_t k = 0; k < 16; k++)
			map->data[k] = (uint8_t)(k + 1);
	}
	snprintf(text, sizeof(text), "value r6 0 0; value r7 1 0; ldxw r8 [r1+12]; %s", body);
	int count = assemble(text, insns, wrong);
	if (count < 0)
		fail_msg("%s", wrong);
	const struct generation_options options = {.engine_count = 1};
	if (bare_image(insns, (uint32_t)count, kit->maps, kit->map_count, &image, &err) ||
	        generation_new(kit->space, image, &options, &kit->generation, &err))
		fail_msg("%s", err.text);
}

static void check_constant(const char *body, const char *expected)
{
	struct kit kit;
	struct rewritten it;
	char text[2048];
	kit_new(&kit);
	load_globals(&kit, body);
	rewrite(kit.generation, 0, &it);
	for (uint32_t i = 0; i < it.count; i++) {
		if (!it.facts[i].reached) // what the compiler leaves out
			it.insns[i] = (struct bpf_insn){.code = BPF_JMP | BPF_JA};
	}
	print_from(kit.generation->image, &it, 5, text, sizeof(text));
	if (strcmp(text, expected) != 0)
		fail_msg("%s\n  became   %s\n  not      %s", body, text, expected);
	rewritten_clear(&it);
	kit_free(&kit);
}
#define CONSTANTS(name, ...) CASES(name, (check_constant(cases[i], cases[i + 1]), i++), __VA_ARGS__)

// clang-format off
CONSTANTS(knows_what_frozen_globals_hold,
        "ldxw r0 [r6+4]; exit", "r0 = 134678021; exit",
        "ldxsb r0 [r6+15]; exit", "r0 = 16; exit",
        "ldxdw r0 [r6+0]; exit", "r0 = *(u64 *)(r6 +0); exit", // not in one slot
        "ldxw r0 [r7+4]; exit", "r0 = *(u32 *)(r7 +4); exit",  // the program may write it
        "ldxw r0 [r6+14]; exit", "r0 = *(u32 *)(r6 +14); exit")

CONSTANTS(decides_jumps_on_constants,
        "ldxb r2 [r6+0]; jeq r2 0 other; mov r0 1; exit; other: mov r0 2; exit", "r0 = 1; exit",
        "ldxb r2 [r6+0]; jne r2 0 other; mov r0 1; exit; other: mov r0 2; exit",
        "r2 = 1; goto pc+2; r0 = 2; exit",
        "ldxb r2 [r7+0]; jeq r2 0 other; mov r0 1; exit; other: mov r0 2; exit",
        "r2 = *(u8 *)(r7 +0); if r2 == 0x0 goto pc+2; r0 = 1; exit; r0 = 2; exit")

CONSTANTS(keeps_constants_where_all_ways_agree,
        "mov r2 7; mov r3 1; jeq r8 0 join; mov r3 2; join: mov r0 r2; add r0 r3; exit",
        "r2 = 7; r3 = 1; if r8 == 0x0 goto pc+1; r3 = 2; r0 = 7; r0 += r3; exit",
        // the way that sets 8 is never taken
        "mov r2 7; jne r2 7 set; ja join; set: mov r2 8; join: mov r0 r2; exit",
        "r2 = 7; goto pc+1; r0 = 7; exit")

// What comes back may have changed anything.
CONSTANTS(forgets_constants_where_a_loop_begins,
        "mov r0 0; again: add r0 1; jlt r0 5 again; exit",
        "r0 = 0; r0 += 1; if r0 < 0x5 goto pc-2; exit")

CONSTANTS(forgets_constants_over_calls,
        "mov r1 3; mov r0 3; call 5; mov r6 r0; add r6 r1; mov r0 r6; exit",
        "r1 = 3; r0 = 3; call bpf_ktime_get_ns#5; r6 = r0; r6 += r1; r0 = r6; exit")

CONSTANTS(writes_operands_as_immediates,
        "mov r2 7; and r8 r2; mov r0 r8; exit", "r8 &= 7; r0 = r8; exit",
        "mov r2 -9; stxdw [r10-8] r2; mov r0 0; exit", "*(u64 *)(r10 -8) = -9; r0 = 0; exit",
        "mov r2 64; lsh r8 r2; mov r0 r8; exit", "r2 = 64; r8 <<= r2; r0 = r8; exit",
        "mov r2 0; div r8 r2; mov r0 r8; exit", "r2 = 0; r8 /= r2; r0 = r8; exit")
// clang-format on

// Where the body's first chain ends, counted from its start, and how many bytes it compares.
static void find_filter(const char *body, uint32_t *end, uint32_t *size)
{
	struct kit kit;
	struct rewritten it;
	struct filter filter;
	*end = *size = 0;
	kit_new(&kit);
	load_body(&kit, body);
	rewrite(kit.generation, 0, &it);
	if (combine_find_filter(it.insns, it.facts, it.count, BODY, &filter)) {
		*end = filter.end - BODY;
		*size = filter.size;
	}
	rewritten_clear(&it);
	kit_free(&kit);
}

#define LINK(a, b) "ldxb r2 [" a "]; ldxb r3 [" b "]; jne32 r3 r2 differ;"
#define CHAIN      LINK("r6+0", "r7+8") LINK("r6+1", "r7+9") LINK("r6+2", "r7+10")
#define DIFFER     "mov r0 1; exit; differ: mov r0 2; exit"

static void finds_chains_of_compares(void **state)
{
	uint32_t end, size;
	find_filter(CHAIN LINK("r6+3", "r7+11") DIFFER, &end, &size);
	assert_int_equal(end, 12);
	assert_int_equal(size, 4);
	find_filter(CHAIN LINK("r6+3", "r7+11") LINK("r6+4", "r7+12") LINK("r6+5", "r7+13")
	                    LINK("r6+6", "r7+20") DIFFER,
	        &end, &size);
	assert_int_equal(end, 18);
	assert_int_equal(size, 6);
	find_filter("ldxw r2 [r6+0]; ldxw r3 [r8+0]; jne r2 r3 differ; ldxw r4 [r6+4];"
	            "ldxw r5 [r8+4]; jne r4 r5 differ;" DIFFER,
	        &end, &size);
	assert_int_equal(end, 6);
	assert_int_equal(size, 8);
}

static void leaves_compares_that_are_no_chain(void **state)
{
	static const char *const bodies[] = {
	        CHAIN DIFFER,                       // too short
	        CHAIN LINK("r6+4", "r7+12") DIFFER, // a gap
	        CHAIN LINK("r6+3", "r8+11") DIFFER,
	        CHAIN LINK("r6+3", "r7+11") "mov r0 r2; exit; differ: mov r0 2; exit",
	        CHAIN LINK("r6+3", "r7+11") "mov r0 1; exit; differ: mov r0 r3; exit",
	        CHAIN "ldxb r2 [r6+3]; ldxb r3 [r7+11]; jeq32 r3 r2 differ;" DIFFER,
	        CHAIN "ldxb r2 [r6+3]; ldxsb r3 [r7+11]; jne32 r3 r2 differ;" DIFFER,
	        "ldxb r7 [r6+0]; ldxb r3 [r8+0]; jne r3 r7 differ; ldxb r7 [r6+1]; ldxb r3 [r8+1];"
	        "jne r3 r7 differ; ldxb r7 [r6+2]; ldxb r8 [r8+2]; jne r8 r7 differ; ldxb r7 "
	        "[r6+3];"
	        "ldxb r3 [r8+3]; jne r3 r7 differ;" DIFFER,
	};
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		uint32_t end, size;
		find_filter(bodies[i], &end, &size);
		if (size)
			fail_msg("%s: a chain of %u bytes", bodies[i], size);
	}
}

// Slots of each function that are reached and still do something, at most.
static void shortens_the_shipped_functions(void **state)
{
	static const struct {
		const char *name;
		uint32_t left;
	} functions[] = {{"lsl2", 152}, {"ripv4", 820}, {"ddos", 323}};
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		char path[512];
		autofree uint8_t *data = NULL;
		size_t size;
		struct image *image;
		struct error err = {0};
		struct kit kit;
		struct rewritten it;
		uint32_t reached = 0, left = 0;
		const struct generation_options options = {.engine_count = 1, .ports = 0xf};
		snprintf(path, sizeof(path), "%s/functions/%s.o", getenv("RAIO_BUILD_DIR"),
		        functions[i].name);
		kit_new(&kit);
		if (file_read(path, OBJECT_SIZE_MAX, &data, &size, &err) ||
		        object_read(data, size, NULL, NULL, 0, &image, &err) ||
		        generation_new(kit.space, image, &options, &kit.generation, &err))
			fail_msg("%s: %s", path, err.text);
		rewrite(kit.generation, 0, &it);
		for (uint32_t k = 0; k < it.count; k++) {
			reached += it.analysis->facts[k].reached;
			left += it.facts[k].reached && !is_nothing(&it.insns[k]);
		}
		print_message("%s: %u instructions, %u left\n", functions[i].name, reached, left);
		if (left > functions[i].left)
			fail_msg("%s: %u instructions left, not %u", functions[i].name, left,
			        functions[i].left);
		rewritten_clear(&it);
		kit_free(&kit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(loads_a_word_at_once),
	        cmocka_unit_test(loads_where_the_base_still_is),
	        cmocka_unit_test(loads_the_other_order_and_swaps),
	        cmocka_unit_test(leaves_what_is_no_word),
	        cmocka_unit_test(leaves_the_context_alone),
	        cmocka_unit_test(leaves_a_word_that_changes_between_its_loads),
	        cmocka_unit_test(loads_a_word_past_stores_elsewhere),
	        cmocka_unit_test(loads_no_byte_of_a_map_twice),
	        cmocka_unit_test(may_load_bytes_of_the_packet_twice),
	        cmocka_unit_test(copies_in_words),
	        cmocka_unit_test(leaves_parts_that_are_read_again),
	        cmocka_unit_test(leaves_a_word_whose_address_is_gone),
	        cmocka_unit_test(leaves_copies_that_may_overlap),
	        cmocka_unit_test(moves_nothing_past_an_access_that_is_not_proven),
	        cmocka_unit_test(stores_a_word_that_was_taken_apart),
	        cmocka_unit_test(stores_neighbouring_numbers_as_one),
	        cmocka_unit_test(leaves_stores_that_are_read_between),
	        cmocka_unit_test(stores_past_what_lies_elsewhere),
	        cmocka_unit_test(drops_what_nobody_reads),
	        cmocka_unit_test(keeps_what_is_known_of_a_leader),
	        cmocka_unit_test(asks_words_whether_they_are_zero),
	        cmocka_unit_test(leaves_sums_that_are_wanted),
	        cmocka_unit_test(knows_what_frozen_globals_hold),
	        cmocka_unit_test(decides_jumps_on_constants),
	        cmocka_unit_test(keeps_constants_where_all_ways_agree),
	        cmocka_unit_test(forgets_constants_where_a_loop_begins),
	        cmocka_unit_test(forgets_constants_over_calls),
	        cmocka_unit_test(writes_operands_as_immediates),
	        cmocka_unit_test(finds_chains_of_compares),
	        cmocka_unit_test(leaves_compares_that_are_no_chain),
	        cmocka_unit_test(shortens_the_shipped_functions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
