// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "ebpf/analysis.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "engine/native/combine.h"
#include "engine/native/combine_kit.h"
#include "engine/state.h"
#include "engine/test_kit.h"

void rewrite(const struct generation *generation, uint32_t index, struct rewritten *it)
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
	for (uint32_t i = 0; i < it->count; i++) {
		const struct fact *before = &it->analysis->facts[i], *after = &it->facts[i];
		assert_true(before->leader >= after->leader);
		assert_true(before->reached >= after->reached);
		if (after->leader)
			assert_int_equal(before->loop, after->loop);
	}
}

void rewritten_clear(struct rewritten *it)
{
	analysis_free(&it->analysis);
	free(it->insns);
	free(it->facts);
}

bool is_nothing(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA) && insn->off == 0;
}

void print_from(const struct image *image, const struct rewritten *it, uint32_t from, char *text,
        size_t size)
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

#define PROLOGUE                                                                                   \
	"ldxw r6 [r1+0]; ldxw r2 [r1+4]; mov r3 r6; add r3 48; jgt r3 r2 out; stdw [r10-64] 0;"    \
	"map r1 0; mov r2 r10; add r2 -64; call 1; jeq r0 0 out; mov r7 r0;"                       \
	"map r1 1; mov r2 r10; add r2 -64; call 1; jeq r0 0 out; mov r8 r0;"                       \
	"map r1 0; mov r2 r10; add r2 -60; call 1; jeq r0 0 out; mov r9 r0;"                       \
	"mov r1 0; mov r2 0; mov r3 0; mov r4 0; mov r5 0; ja body;"                               \
	"out: mov r0 0; exit; body:"
void load_body(struct kit *kit, const char *body)
{
	char text[8192];
	if (!kit->map_count) {
		kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 48, 2);
		kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 48, 1);
	}
	snprintf(text, sizeof(text), "%s %s", PROLOGUE, body);
	kit_load(kit, text, NULL);
}
