// SPDX-License-Identifier: Apache-2.0
#include "engine/diff_case.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ebpf/disasm.h"
#include "ebpf/opcode.h"
#include "engine/assembler.h"
#include "engine/engine.h"

#define TEXT_MAX 32768u

struct reader {
	FILE *file;
	const char *path;
	uint32_t line;
	struct diff_case *it;
	char text[TEXT_MAX]; // of the program that is being read
};

static const struct {
	const char *name;
	enum fault fault;
} faults[] = {{"read", FAULT_READ}, {"write", FAULT_WRITE}, {"budget", FAULT_BUDGET},
        {"depth", FAULT_CALL_DEPTH}, {"helper", FAULT_HELPER}};

static void __attribute__((noreturn)) fail(const struct reader *reader, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", reader->path, reader->line, what);
	exit(1);
}

struct image *diff_case_image(void *program, struct error *err)
{
	return random_program_image(program, err);
}

static void read_settings(struct reader *reader, char *line)
{
	struct diff_setup *setup = &reader->it->setup;
	char *save = NULL;
	strtok_r(line, " ", &save);
	for (char *word = strtok_r(NULL, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');
		uint64_t value = equals ? strtoull(equals + 1, NULL, 0) : 0;
		if (strncmp(word, "bursts=", 7) == 0)
			setup->bursts = (uint32_t)value;
		else if (strncmp(word, "burst=", 6) == 0 && value <= DIFF_BURST_MAX)
			setup->burst = (uint32_t)value;
		else if (strncmp(word, "size=", 5) == 0 && value <= PACKET_MAX)
			setup->size = (uint32_t)value;
		else if (strncmp(word, "budget=", 7) == 0)
			setup->budget = value;
		else if (strncmp(word, "seed=", 5) == 0)
			setup->seed = value;
		else if (strcmp(word, "carry") == 0)
			setup->carry = true;
		else if (strcmp(word, "churn") == 0)
			setup->churn = true;
		else if (strcmp(word, "bare") == 0)
			setup->is_bare = true;
		else if (strcmp(word, "large") == 0)
			reader->it->program.large = true;
		else
			fail(reader, "no such setting");
	}
}

static void end_program(struct reader *reader)
{
	static struct bpf_insn insns[ASSEMBLER_MAX];
	struct random_program *program = &reader->it->program;
	char wrong[256];
	int count = assemble(reader->text, insns, wrong);
	if (count <= 0)
		fail(reader, count ? wrong : "no program");
	if (program->count + (uint32_t)count > RANDOM_INSNS_MAX)
		fail(reader, "program too long");
	memcpy(program->insns + program->count, insns, (size_t)count * sizeof(insns[0]));
	program->count += (uint32_t)count;
	reader->text[0] = '\0';
}

static bool read_end(struct reader *reader, const char *line)
{
	struct diff_case *it = reader->it;
	if (strncmp(line, "result ", 7) == 0) {
		it->expects = true;
		it->result = (uint32_t)strtoul(line + 7, NULL, 16);
		return true;
	}
	if (strncmp(line, "fault ", 6) == 0) {
		it->expects = true;
		for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
			if (strcmp(faults[i].name, line + 6) == 0)
				it->fault = (uint8_t)faults[i].fault;
		}
		if (!it->fault)
			fail(reader, "no such fault");
		return true;
	}
	return strcmp(line, "alike") == 0;
}

static void begin(struct reader *reader, const char *name)
{
	struct diff_case *it = reader->it;
	memset(it, 0, sizeof(*it));
	snprintf(it->name, sizeof(it->name), "%s", name);
	it->setup = (struct diff_setup){.make = diff_case_image,
	        .context = &it->program,
	        .size = RANDOM_PACKET_SIZE,
	        .seed = 1,
	        .bursts = 2,
	        .burst = 3};
	reader->text[0] = '\0';
}

bool diff_case_next(FILE *file, const char *path, struct diff_case *it)
{
	static struct reader reader;
	char line[512];
	bool open = false;
	if (ftell(file) == 0)
		reader.line = 0;
	reader.file = file;
	reader.path = path;
	reader.it = it;
	while (fgets(line, sizeof(line), file)) {
		reader.line++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || !line[0])
			continue;
		if (strncmp(line, "case ", 5) == 0) {
			begin(&reader, line + 5);
			open = true;
		} else if (!open) {
			fail(&reader, "outside a case");
		} else if (strncmp(line, "run ", 4) == 0) {
			read_settings(&reader, line);
		} else if (strcmp(line, "second") == 0) {
			end_program(&reader);
			it->program.second = it->program.count;
		} else if (read_end(&reader, line)) {
			end_program(&reader);
			return true;
		} else {
			size_t at = strlen(reader.text);
			if (at + strlen(line) + 2 > TEXT_MAX)
				fail(&reader, "case too long");
			snprintf(reader.text + at, TEXT_MAX - at, "%s\n", line);
		}
	}
	if (open)
		fail(&reader, "the last case has no end");
	return false;
}

static void print_listing(FILE *to, struct random_program *program)
{
	struct buffer text = {0};
	struct image *image = random_program_image(program, NULL);
	if (!image)
		return;
	for (uint32_t i = 0; i < image->program_count; i++)
		disasm_program(image, &image->programs[i], &text);
	fprintf(to, "# ");
	for (size_t i = 0; i < text.size; i++)
		fprintf(to, text.data[i] == '\n' ? "\n# " : "%c", text.data[i]);
	fprintf(to, "\n");
	buffer_free(&text);
	image_free(&image);
}

static void print_words(FILE *to, const struct random_program *program)
{
	for (uint32_t i = 0; i < program->count; i++) {
		uint64_t word;
		if (i && i == program->second)
			fprintf(to, "second\n");
		memcpy(&word, &program->insns[i], sizeof(word));
		fprintf(to, "\tword 0x%016llx\n", (unsigned long long)word);
	}
}

void diff_case_print(FILE *to, const struct diff_case *it)
{
	const struct diff_setup *setup = &it->setup;
	struct random_program copy = it->program;
	print_listing(to, &copy);
	fprintf(to, "case %s\nrun bursts=%u burst=%u size=%u budget=%llu seed=%llu%s%s%s%s\n",
	        it->name, setup->bursts, setup->burst, setup->size,
	        (unsigned long long)setup->budget, (unsigned long long)setup->seed,
	        setup->carry ? " carry" : "", setup->churn ? " churn" : "",
	        setup->is_bare ? " bare" : "", it->program.large ? " large" : "");
	print_words(to, &it->program);
	fprintf(to, "alike\n");
}
