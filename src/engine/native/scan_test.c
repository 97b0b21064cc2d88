// SPDX-License-Identifier: Apache-2.0
// The machine code of many programs, before an independent eye (scan_x86_64.h): the cases of
// tests/data, programs at random, and code that is wrong, which it must not let pass.
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/assembler.h"
#include "engine/bare.h"
#include "engine/case_file.h"
#include "engine/diff_case.h"
#include "engine/native/native.h"
#include "engine/native/scan_x86_64.h"
#include "engine/random_program.h"
#include "engine/state.h"

#define PROGRAMS 400

static struct space *space;
static size_t scanned_bytes;

static int open_space(void **state)
{
	return space_new(&space, NULL);
}

static int close_space(void **state)
{
	printf("%zu bytes of machine code\n", scanned_bytes);
	space_free(&space);
	return 0;
}

// Takes the image.
static void scan_image(struct image *image, const char *name, bool is_bare, bool verify)
{
	const struct generation_options options = {.id = 1,
	        .engine_count = 1,
	        .ports = RANDOM_PORTS,
	        .is_bare = is_bare,
	        .verify = verify};
	struct generation *generation;
	struct error err = {0};
	char wrong[256];
	uint32_t size;
	if (generation_new(space, image, &options, &generation, &err))
		return; // refused by the check: some at random are
	assert_non_null(generation->native);
	const uint8_t *code = native_code(generation->native, &size);
	if (!scan_code(code, size, wrong, sizeof(wrong)))
		fail_msg("%s: %s", name, wrong);
	scanned_bytes += size;
	generation_free(&generation);
}

static void every_instruction_is_clean(void **state)
{
	struct case_list list = {0};
	case_file_read("alu.case", &list);
	case_file_read("jump.case", &list);
	case_file_read("program.case", &list);
	for (uint32_t i = 0; i < list.count; i++) {
		struct image *image;
		const struct isa_case *it = &list.cases[i];
		assert_int_equal(bare_image(it->insns, it->insn_count, NULL, 0, &image, NULL), 0);
		scan_image(image, it->name, true, false);
	}
	case_list_free(&list);
}

static void scan_file(const char *path)
{
	static struct diff_case it;
	autofclose FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (diff_case_next(file, path, &it)) {
		for (int verify = 0; verify < 2; verify++) {
			struct image *image = random_program_image(&it.program, NULL);
			assert_non_null(image);
			scan_image(image, it.name, false, verify);
		}
	}
}

static int is_case(const struct dirent *entry)
{
	return strstr(entry->d_name, ".case") != NULL;
}

static void every_case_is_clean(void **state)
{
	struct dirent **entries;
	const char *source = getenv("RAIO_SOURCE_DIR");
	char directory[512], path[1024];
	snprintf(directory, sizeof(directory), "%s/tests/data/engines", source ? source : ".");
	int count = scandir(directory, &entries, is_case, alphasort);
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		scan_file(path);
		free(entries[i]);
	}
	free(entries);
}

static void random_programs_are_clean(void **state)
{
	static struct random_program program;
	struct random random = {0x5ca7};
	for (int i = 0; i < PROGRAMS; i++) {
		char name[32];
		random_program_write(&program, &random, i % 2 ? RANDOM_FREE : RANDOM_FOR_KERNEL);
		snprintf(name, sizeof(name), "random %d", i);
		struct image *image = random_program_image(&program, NULL);
		assert_non_null(image);
		scan_image(image, name, false, i % 3 == 0);
	}
}

// What no compiler of ours may write; a return behind it, where it does not end the code itself.
static void wrong_code_does_not_pass(void **state)
{
	static const struct {
		const char *what;
		const char *bytes;
		uint32_t size;
	} wrong[] = {
	        {"syscall", "\x0f\x05\xc3", 3},
	        {"int3", "\xcc\xc3", 2},
	        {"int 0x80", "\xcd\x80\xc3", 3},
	        {"an address of instructions' bytes", "\x48\x8b\x05\0\0\0\0\xc3", 8},
	        {"an absolute address", "\x8b\x04\x25\0\0\0\0\xc3", 8},
	        {"an index that is scaled", "\x41\x8b\x04\x8c\xc3", 5},
	        {"a jump out", "\xe9\x10\0\0\0\xc3", 6},
	        {"a jump into an instruction", "\xeb\x01\xb8\0\0\0\0\xc3", 8},
	        {"a call of no function", "\xe8\0\0\0\x7f\xc3", 6},
	        {"a jump by a register", "\x31\xc0\xff\xe0", 4},
	        {"a load by a number", "\x31\xc0\x48\x8b\x00\xc3", 6},
	        {"a store beyond the frame", "\x48\x89\x45\x00\xc3", 5},
	        {"a store below the frame", "\x48\x89\x85\xf8\xfd\xff\xff\xc3", 8},
	        {"a store beyond the scratch", "\x48\x89\x84\x24\0\x10\0\0\xc3", 9},
	        {"a store beyond the engine", "\x49\x89\x81\0\0\1\0\xc3", 8},
	        {"a sum of the base and 64 bits", "\x48\xf7\xd8\x4c\x01\xe0\x8b\x00\xc3", 9},
	        {"the base in r0", "\x4c\x89\xe0\xc3", 4},
	        {"the frame's address stored", "\x31\xff\x49\x89\x2c\x3c\xc3", 7},
	        {"the base changes", "\x31\xc0\xc3\x49\x89\xc4\xc3", 7},
	        {"the code ends", "\x31\xc0", 2},
	        {"a table is written", "\x48\xb8\0\0\0\0\1\0\0\0\x89\x08\xc3", 13},
	};
	char text[256];
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (scan_code((const uint8_t *)wrong[i].bytes, wrong[i].size, text, sizeof(text)))
			fail_msg("%s passes", wrong[i].what);
	}
	// mov eax, [r12 + rdi + 4]; mov [rbp - 8], rax; ret
	static const uint8_t right[] = "\x41\x8b\x44\x3c\x04\x48\x89\x45\xf8\xc3";
	if (!scan_code(right, sizeof(right) - 1, text, sizeof(text)))
		fail_msg("%s", text);
}

// A program chooses its numbers freely, and would choose instructions. None of those that are over
// 24 bits stands in the code as it is.
static void constants_of_programs_do_not_stand_in_the_code(void **state)
{
	static const char *const texts[] = {
	        "lddw r0 0x3c0f05c33c0f05c3; exit",
	        "lddw r0 0x3c0f05c3; exit",
	        "lddw r0 0x3c0f05c300000000; exit",
	        "mov r0 0x3c0f05c3; exit",
	        "mov32 r0 0x3c0f05c3; exit",
	        "ldxw r0 [r1+16]; add r0 0x3c0f05c3; exit",
	        "ldxw r0 [r1+16]; sub32 r0 0x3c0f05c3; exit",
	        "ldxw r0 [r1+16]; xor r0 0x3c0f05c3; exit",
	        "ldxw r0 [r1+16]; and32 r0 0x3c0f05c3; exit",
	        "ldxw r0 [r1+16]; mul r0 0x3c0f05c3; exit",
	        "ldxw r0 [r1+16]; div r0 0x3c0f05c3; exit",
	        "ldxw r0 [r1+16]; smod32 r0 0x3c0f05c3; exit",
	        "ldxw r2 [r1+16]; jeq r2 0x3c0f05c3 l; mov r0 1; l: exit",
	        "ldxw r2 [r1+16]; jset32 r2 0x3c0f05c3 l; mov r0 1; l: exit",
	        "ldxw r2 [r1+16]; mov r3 0x3c0f05c3; jsgt r2 r3 l; mov r0 1; l: exit",
	        "stw [r10-8] 0x3c0f05c3; ldxdw r0 [r10-8]; exit",
	        "stdw [r10-8] 0x3c0f05c3; ldxdw r0 [r10-8]; exit",
	        "ldxw r2 [r1+0]; stb [r2+0] 0xc3; stb [r2+1] 5; stb [r2+2] 15; stb [r2+3] 60; exit",
	        "ldxw r2 [r1+0]; sth [r2+0] 0x05c3; sth [r2+2] 0x3c0f; exit",
	        "mov r0 r10; add r0 0x3c0f05c3; exit",
	        "mov r2 r10; add r2 0x3c0f05c3; ldxb r0 [r2+0]; exit",
	        "ldxw r2 [r1+0]; add r2 0x3c0f05c3; ldxb r0 [r2+0]; exit",
	        "mov r0 0x3c0f05c2; add r0 1; exit",
	        "mov r0 0x3c0f; lsh r0 16; or r0 0x05c3; exit",
	        "mov r1 0x3c0f05c3; mov r2 r1; call 23; exit",
	};
	static struct random_program program;
	uint32_t found = 0;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		static struct bpf_insn insns[ASSEMBLER_MAX];
		char why[256];
		uint32_t size;
		struct generation *generation;
		const struct generation_options options = {.id = 1, .engine_count = 1, .ports = 1};
		int count = assemble(texts[i], insns, why);
		if (count < 0)
			fail_msg("%s: %s", texts[i], why);
		program.count = (uint32_t)count;
		memcpy(program.insns, insns, (size_t)count * sizeof(insns[0]));
		struct image *image = random_program_image(&program, NULL);
		assert_int_equal(generation_new(space, image, &options, &generation, NULL), 0);
		const uint8_t *code = native_code(generation->native, &size);
		if (memmem(code, size, "\xc3\x05\x0f\x3c", 4))
			print_error("%s: its constant stands in the code\n", texts[i]);
		found += memmem(code, size, "\xc3\x05\x0f\x3c", 4) != NULL;
		generation_free(&generation);
	}
	assert_int_equal(found, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(wrong_code_does_not_pass),
	        cmocka_unit_test(every_instruction_is_clean),
	        cmocka_unit_test(every_case_is_clean),
	        cmocka_unit_test(random_programs_are_clean),
	        cmocka_unit_test(constants_of_programs_do_not_stand_in_the_code),
	};
	if (!native_offered())
		return 77;
	return cmocka_run_group_tests(tests, open_space, close_space);
}
