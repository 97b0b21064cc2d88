// SPDX-License-Identifier: Apache-2.0
// Every opcode in every form, from tests/data/isa: on every engine, and, where bpf(2) is allowed,
// the same cases in the kernel, so that what the files expect is not our own opinion.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "base/error.h"
#include "ebpf/opcode.h"
#include "engine/assembler.h"
#include "engine/bare.h"
#include "engine/case_file.h"
#include "engine/generation.h"
#include "engine/space.h"
#include "engine/way.h"

static struct case_list list;

static int read_files(void **state)
{
	case_file_read("alu.case", &list);
	case_file_read("jump.case", &list);
	case_file_read("program.case", &list);
	return 0;
}

static int free_files(void **state)
{
	case_list_free(&list);
	return 0;
}

static void run_case(struct space *space, struct engine *engine, const struct engine_way *way,
        uint32_t memory, const struct isa_case *it)
{
	struct image *image;
	struct generation *generation;
	struct error err = {0};
	struct verdict verdict;
	uint64_t result = 0;
	const struct generation_options options = {.id = 1,
	        .engine_count = 1,
	        .ports = 1,
	        .is_bare = true,
	        .verify = way->verify,
	        .look_ahead = way->look_ahead};
	assert_int_equal(bare_image(it->insns, it->insn_count, NULL, 0, &image, &err), 0);
	if (generation_new(space, image, &options, &generation, &err))
		fail_msg("%s: %s: %s", way->name, it->name, err.text);
	uint8_t *host = space_base(space) + memory;
	memcpy(host, it->memory, CASE_MEMORY);
	int r = engine_call(engine, generation, memory, it->memory_size, &verdict, &result);
	if ((r == 0) != (it->fault == FAULT_NONE) || verdict.fault != it->fault ||
	        (!r && result != it->result))
		fail_msg("%s: %s: r0 = %#llx, expected %#llx; fault: %s, expected: %s", way->name,
		        it->name, (unsigned long long)result, (unsigned long long)it->result,
		        fault_name(verdict.fault), fault_name(it->fault));
	assert_memory_equal(host, it->after, it->memory_size);
	generation_free(&generation);
}

static void run_cases(const struct engine_way *way)
{
	struct space *space;
	struct engine *engine;
	uint32_t memory;
	const struct engine_options options = {.kind = way->kind};
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(space_map(space, CASE_MEMORY, &memory, NULL), 0);
	assert_int_equal(engine_new(space, &options, &engine, NULL), 0);
	for (uint32_t i = 0; i < list.count; i++)
		run_case(space, engine, way, memory, &list.cases[i]);
	printf("%s: %u cases\n", way->name, list.count);
	engine_free(&engine);
	space_free(&space);
}

static void every_case_comes_out_as_its_file_says(void **state)
{
	for (uint32_t i = 0; engine_way(i); i++)
		run_cases(engine_way(i));
}

// An opcode whose row of the table no case meets would be one that nothing tests.
static void every_opcode_has_a_case(void **state)
{
	bool met[256] = {0};
	for (uint32_t i = 0; i < list.count; i++) {
		for (uint32_t j = 0; j < list.cases[i].insn_count; j++)
			met[list.cases[i].insns[j].code] = true;
	}
	for (uint32_t code = 0; code < 256; code++) {
		enum opcode_kind kind = opcode_table[code].kind;
		if (kind != KIND_INVALID && kind != KIND_PACKET && !met[code])
			fail_msg("no case for opcode %#04x", code);
	}
}

// The case as a function of an XDP program: r1 = packet, r2 = size; its R0, or the high half of it,
// comes back.
static int load_into_kernel(const struct isa_case *it, bool high)
{
	static struct bpf_insn insns[ASSEMBLER_MAX + 64];
	char text[512], wrong[256];
	snprintf(text, sizeof(text),
	        "ldxw r3 [r1+4]; ldxw r1 [r1+0]; mov r4 r1; add r4 %u; mov r0 0; jgt r4 r3 out;"
	        "mov r2 %u; callf case; %s out: exit; case:",
	        CASE_MEMORY, it->memory_size, high ? "rsh r0 32;" : "");
	int count = assemble(text, insns, wrong);
	if (count < 0)
		fail_msg("%s", wrong);
	memcpy(insns + count, it->insns, it->insn_count * sizeof(insns[0]));
	return bpf_prog_load(
	        BPF_PROG_TYPE_XDP, "isa_case", "GPL", insns, (size_t)count + it->insn_count, NULL);
}

static uint64_t run_in_kernel(int fd, const struct isa_case *it, uint8_t after[CASE_MEMORY])
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = it->memory, .data_size_in = CASE_MEMORY,
	        .data_out = after, .data_size_out = CASE_MEMORY, .repeat = 1);
	assert_int_equal(bpf_prog_test_run_opts(fd, &options), 0);
	return options.retval;
}

static bool may_load(void)
{
	struct bpf_insn nothing[] = {{.code = BPF_ALU64 | BPF_MOV}, {.code = BPF_JMP | BPF_EXIT}};
	const struct isa_case trivial = {.insns = nothing, .insn_count = 2};
	int fd = load_into_kernel(&trivial, false);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void the_kernel_agrees_with_the_files(void **state)
{
	uint32_t agreed = 0, refused = 0;
	if (!may_load()) {
		printf("bpf(2) is not allowed here: not compared with the kernel\n");
		skip();
	}
	for (uint32_t i = 0; i < list.count; i++) {
		const struct isa_case *it = &list.cases[i];
		uint8_t after[CASE_MEMORY];
		if (it->fault)
			continue;
		int low = load_into_kernel(it, false), high = load_into_kernel(it, true);
		if (low < 0 || high < 0) {
			refused++;
		} else {
			uint64_t result = run_in_kernel(high, it, after) << 32;
			result |= run_in_kernel(low, it, after);
			if (result != it->result)
				fail_msg("%s: the kernel says %#llx, the file %#llx", it->name,
				        (unsigned long long)result, (unsigned long long)it->result);
			assert_memory_equal(after, it->after, it->memory_size);
			agreed++;
		}
		if (low >= 0)
			close(low);
		if (high >= 0)
			close(high);
	}
	printf("the kernel agrees on %u cases, its verifier refuses %u\n", agreed, refused);
	assert_true(agreed > 10 * refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_case_comes_out_as_its_file_says),
	        cmocka_unit_test(every_opcode_has_a_case),
	        cmocka_unit_test(the_kernel_agrees_with_the_files),
	};
	return cmocka_run_group_tests(tests, read_files, free_files);
}
