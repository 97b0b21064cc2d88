// SPDX-License-Identifier: Apache-2.0
#include "engine/case_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/assembler.h"

static struct isa_case *add_case(struct case_list *list, const char *name)
{
	list->cases = realloc(list->cases, (list->count + 1) * sizeof(list->cases[0]));
	assert_non_null(list->cases);
	struct isa_case *new = &list->cases[list->count++];
	*new = (struct isa_case){.fault = FAULT_NONE};
	snprintf(new->name, sizeof(new->name), "%s", name);
	return new;
}

static void set_program(struct isa_case *it, const char *text)
{
	static struct bpf_insn insns[ASSEMBLER_MAX];
	char wrong[256];
	int count = assemble(text, insns, wrong);
	if (count < 0)
		fail_msg("%s: %s", it->name, wrong);
	it->insns = malloc((size_t)count * sizeof(insns[0]));
	assert_non_null(it->insns);
	memcpy(it->insns, insns, (size_t)count * sizeof(insns[0]));
	it->insn_count = (uint32_t)count;
}

static void add_text(struct case_list *list, const char *name, uint64_t result, const char *format,
        ...) __attribute__((format(printf, 4, 5)));
static void add_text(
        struct case_list *list, const char *name, uint64_t result, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	struct isa_case *it = add_case(list, name);
	set_program(it, text);
	it->result = result;
}

static bool fits_immediate(const char *op, uint64_t value)
{
	size_t length = strlen(op);
	bool half = length > 2 && strcmp(op + length - 2, "32") == 0;
	return half || value == (uint64_t)(int64_t)(int32_t)value;
}

static void read_alu(struct case_list *list, const char *line)
{
	char op[16], operand[32];
	unsigned long long dst, result;
	if (sscanf(line, "%15s %llx %31s %llx", op, &dst, operand, &result) != 4)
		fail_msg("alu.case: %s", line);
	if (operand[0] == '-') {
		add_text(list, line, result, "lddw r0 %#llx; %s r0; exit", dst, op);
		return;
	}
	unsigned long long src = strtoull(operand, NULL, 16);
	add_text(list, line, result, "lddw r0 %#llx; lddw r2 %#llx; %s r0 r2; exit", dst, src, op);
	if (fits_immediate(op, src) && strncmp(op, "movs", 4) != 0)
		add_text(list, line, result, "lddw r0 %#llx; %s r0 %d; exit", dst, op,
		        (int)(uint32_t)src);
}

static void read_jump(struct case_list *list, const char *line)
{
	char op[16], outcome[16];
	unsigned long long left, right;
	if (sscanf(line, "%15s %llx %llx %15s", op, &left, &right, outcome) != 4)
		fail_msg("jump.case: %s", line);
	uint64_t result = strcmp(outcome, "taken") == 0;
	add_text(list, line, result,
	        "lddw r1 %#llx; lddw r2 %#llx; mov r0 1; %s r1 r2 out; mov r0 0; out: exit", left,
	        right, op);
	if (fits_immediate(op, right))
		add_text(list, line, result,
		        "lddw r1 %#llx; mov r0 1; %s r1 %d out; mov r0 0; out: exit", left, op,
		        (int)(uint32_t)right);
}

static uint32_t read_hex(const char *text, uint8_t bytes[CASE_MEMORY])
{
	uint32_t count = 0;
	unsigned value;
	for (; count < CASE_MEMORY && sscanf(text + 2 * count, "%2x", &value) == 1; count++)
		bytes[count] = (uint8_t)value;
	return count;
}

static enum fault fault_of(const char *name)
{
	static const struct {
		const char *name;
		enum fault fault;
	} faults[] = {{"read", FAULT_READ}, {"write", FAULT_WRITE}, {"budget", FAULT_BUDGET},
	        {"depth", FAULT_CALL_DEPTH}};
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (strcmp(faults[i].name, name) == 0)
			return faults[i].fault;
	}
	fail_msg("unknown fault %s", name);
	return FAULT_NONE;
}

// A line of program.case. `text` gathers the program of the case that is open.
static void read_program_line(struct case_list *list, char *line, char *text, size_t size)
{
	struct isa_case *it = list->count ? &list->cases[list->count - 1] : NULL;
	if (strncmp(line, "case ", 5) == 0) {
		add_case(list, line + 5);
		text[0] = '\0';
	} else if (it && strncmp(line, "memory ", 7) == 0) {
		it->memory_size = read_hex(line + 7, it->memory);
		memcpy(it->after, it->memory, sizeof(it->after));
	} else if (it && strncmp(line, "result ", 7) == 0) {
		set_program(it, text);
		it->result = strtoull(line + 7, NULL, 16);
	} else if (it && strncmp(line, "fault ", 6) == 0) {
		set_program(it, text);
		it->fault = fault_of(line + 6);
	} else if (it && strncmp(line, "after ", 6) == 0) {
		assert_int_equal(read_hex(line + 6, it->after), it->memory_size);
	} else {
		strncat(text, line, size - strlen(text) - 1);
		strncat(text, "\n", size - strlen(text) - 1);
	}
}

void case_file_read(const char *file, struct case_list *list)
{
	char path[512], line[256], text[4096] = "";
	const char *source = getenv("RAIO_SOURCE_DIR");
	snprintf(path, sizeof(path), "%s/tests/data/isa/%s", source ? source : ".", file);
	autofclose FILE *stream = fopen(path, "r");
	if (!stream)
		fail_msg("cannot open %s: run through meson test", path);
	while (fgets(line, sizeof(line), stream)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || !line[0])
			continue;
		if (strcmp(file, "alu.case") == 0)
			read_alu(list, line);
		else if (strcmp(file, "jump.case") == 0)
			read_jump(list, line);
		else
			read_program_line(list, line, text, sizeof(text));
	}
}

void case_list_free(struct case_list *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		free(list->cases[i].insns);
	free(list->cases);
	*list = (struct case_list){0};
}
