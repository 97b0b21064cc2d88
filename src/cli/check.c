// SPDX-License-Identifier: Apache-2.0
// `raio check`: what a card would load, what the forward pass (ebpf/analysis.h) proves of it, and
// what is therefore checked as it runs: where, why, and what its author can do.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/source.h"
#include "cli/table.h"
#include "ebpf/analysis.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"
#include "ebpf/opcode.h"

// What to do to have it proven.
static const char *const advice[REASON_COUNT] = {
        [REASON_UNTYPED] = "nothing, where it must be so; else take the pointer from ctx, from a "
                           "look-up of this function, or from its own stack",
        [REASON_NOT_TESTED] = "test before it that all its bytes lie below ctx->data_end, as in "
                              "if ((void *)(p + 1) > data_end) return XDP_DROP",
        [REASON_MOVED] = "load ctx->data and ctx->data_end again behind the helper that moves the "
                         "packet, and test again",
        [REASON_NULL] = "test the pointer before it, as in if (!value) return XDP_PASS",
        [REASON_UNBOUNDED] = "bound the index right before it: if (i >= N) return XDP_DROP, or "
                             "i &= N - 1",
        [REASON_BEYOND] = "correct the offset: it aborts the packet whenever it runs",
        [REASON_READ_ONLY] = "take the access out, or the map's flag: it aborts the packet "
                             "whenever it runs",
        [REASON_ATOMIC] = "keep what is atomic in map values or on the stack, at constant offsets",
};

static const char *const region_names[] = {
        [VALUE_ANY] = "memory",
        [VALUE_CONTEXT] = "the context",
        [VALUE_PACKET] = "the packet",
        [VALUE_PACKET_END] = "the packet",
        [VALUE_PACKET_META] = "metadata",
        [VALUE_STACK] = "the stack",
        [VALUE_MAP] = "memory",
        [VALUE_MAP_VALUE] = "a map's value",
        [VALUE_MAP_VALUE_NULL] = "a map's value",
};

// Of one program.
struct summary {
	uint32_t accesses, proven, loops, helpers, stack;
	uint32_t reasons[REASON_COUNT];
};

static bool is_access(const struct opcode *op)
{
	return op->kind == KIND_LOAD || op->kind == KIND_LOAD_SX || op->kind == KIND_STORE ||
	       op->kind == KIND_ATOMIC;
}

static struct summary summarize(
        const struct image_program *program, const struct analysis *analysis)
{
	struct summary summary = {0};
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		const struct opcode *op = opcode_of(insn);
		const struct fact *fact = &analysis->facts[i];
		if (!fact->reached)
			continue;
		summary.loops += fact->loop;
		summary.helpers += op->kind == KIND_CALL && insn->src_reg != BPF_PSEUDO_CALL;
		if (!is_access(op))
			continue;
		summary.accesses++;
		summary.proven += fact->proven;
		summary.reasons[fact->reason]++;
	}
	for (uint32_t i = 0; i < analysis->function_count; i++) {
		uint32_t low = analysis->functions[i].stack_low;
		summary.stack = low > summary.stack ? low : summary.stack;
	}
	return summary;
}

static const char *access_name(const struct opcode *op)
{
	return op->kind == KIND_ATOMIC ? "atomic" : op->kind == KIND_STORE ? "write" : "read";
}

// "a value of flows", or what else it reaches.
static const char *region_text(
        const struct image *image, const struct fact *fact, char *text, size_t size)
{
	bool is_map = fact->region == VALUE_MAP_VALUE || fact->region == VALUE_MAP_VALUE_NULL;
	if (is_map && fact->map < image->map_count) {
		snprintf(text, size, "a value of %s", image->maps[fact->map].name);
		return text;
	}
	return fact->region < ARRAY_SIZE(region_names) && region_names[fact->region]
	               ? region_names[fact->region]
	               : "memory";
}

// The source line, or the instruction where the object has no lines.
static void source_text(const struct image *image, const struct image_program *program,
        uint32_t insn, char *text, size_t size)
{
	const struct image_line *line = image_line_of(program, insn);
	if (line && *line->text)
		snprintf(text, size, "%s", line->text + strspn(line->text, " \t"));
	else
		disasm_insn(image, program, insn, text, size);
}

// Whether the instruction's row would say what `before`'s said.
static bool is_same_row(const struct image_program *program, const struct analysis *analysis,
        uint32_t insn, uint32_t before)
{
	const struct fact *a = &analysis->facts[insn], *b = &analysis->facts[before];
	const struct opcode *x = opcode_of(&program->insns[insn]),
	                    *y = opcode_of(&program->insns[before]);
	const struct image_line *here = image_line_of(program, insn),
	                        *there = image_line_of(program, before);
	return here && there && here->line == there->line && !strcmp(here->file, there->file) &&
	       a->reason == b->reason && a->region == b->region && a->map == b->map &&
	       x->kind == y->kind && x->size == y->size;
}

static void print_unproven(const struct image *image, const struct image_program *program,
        const struct analysis *analysis)
{
	cleanup(table_free) struct table *table = NULL;
	uint32_t before = UINT32_MAX;
	char text[256], place[192];
	if (table_new("WHERE ACCESS +BYTES OF WHY SOURCE", &table) < 0)
		return;
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct opcode *op = opcode_of(&program->insns[i]);
		const struct fact *fact = &analysis->facts[i];
		if (!is_access(op) || !fact->reached || fact->proven)
			continue;
		if (before != UINT32_MAX && is_same_row(program, analysis, i, before))
			continue;
		before = i;
		table_add(table, image_place(program, i, place, sizeof(place)));
		table_add(table, access_name(op));
		table_printf(table, "%u", op->size);
		table_add(table, region_text(image, fact, text, sizeof(text)));
		table_add(table, access_reason_text(fact->reason));
		source_text(image, program, i, text, sizeof(text));
		table_add(table, text);
	}
	puts("");
	table_print(table, stdout, "  ");
}

static void print_program(const struct cli *cli, const struct image *image,
        const struct image_program *program, const struct analysis *analysis)
{
	const struct summary summary = summarize(program, analysis);
	uint32_t checked = summary.accesses - summary.proven;
	printf("\n%s%s%s: %u of %u accesses proven, %u checked as they run; %u loop%s, %u helper "
	       "call%s, %u bytes of stack\n",
	        cli_color(cli, COLOR_BOLD), program->name, cli_color(cli, COLOR_PLAIN),
	        summary.proven, summary.accesses, checked, summary.loops,
	        summary.loops == 1 ? "" : "s", summary.helpers, summary.helpers == 1 ? "" : "s",
	        summary.stack);
	if (!checked)
		return;
	print_unproven(image, program, analysis);
	puts("");
	for (int i = REASON_PROVEN + 1; i < REASON_COUNT; i++) {
		if (summary.reasons[i])
			printf("  %s (%u): %s\n", access_reason_text(i), summary.reasons[i],
			        advice[i]);
	}
}

static json_t *unproven_json(const struct image *image, const struct image_program *program,
        const struct analysis *analysis)
{
	json_t *list = json_array();
	char text[256], region[192], place[192];
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct opcode *op = opcode_of(&program->insns[i]);
		const struct fact *fact = &analysis->facts[i];
		if (!is_access(op) || !fact->reached || fact->proven)
			continue;
		source_text(image, program, i, text, sizeof(text));
		json_array_append_new(list,
		        json_pack("{s:s, s:I, s:s, s:i, s:s, s:s, s:s, s:s}", "place",
		                image_place(program, i, place, sizeof(place)), "instruction",
		                (json_int_t)i, "access", access_name(op), "bytes", (int)op->size,
		                "of", region_text(image, fact, region, sizeof(region)), "why",
		                access_reason_text(fact->reason), "text", text, "advice",
		                advice[fact->reason]));
	}
	return list;
}

static json_t *program_json(const struct image *image, const struct image_program *program,
        const struct analysis *analysis)
{
	const struct summary summary = summarize(program, analysis);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name",
	        program->name, "section", program->section, "instructions",
	        (json_int_t)program->insn_count, "accesses", (json_int_t)summary.accesses, "proven",
	        (json_int_t)summary.proven, "checked",
	        (json_int_t)(summary.accesses - summary.proven), "loops", (json_int_t)summary.loops,
	        "helper_calls", (json_int_t)summary.helpers, "stack", (json_int_t)summary.stack,
	        "unproven", unproven_json(image, program, analysis));
}

static const char *type_name(uint32_t type)
{
	const struct map_type *row = map_type_find(type);
	return row ? row->name : "?";
}

static void print_image(const char *name, const struct image *image)
{
	cleanup(table_free) struct table *programs = NULL, *maps = NULL;
	if (table_new("PROGRAM SECTION +INSTRUCTIONS ENTRY", &programs) < 0 ||
	        table_new("MAP TYPE +KEY +VALUE +CAPACITY", &maps) < 0)
		return;
	printf("%s: passes\n\n", name);
	for (uint32_t i = 0; i < image->program_count; i++) {
		table_add(programs, image->programs[i].name);
		table_add(programs, image->programs[i].section);
		table_printf(programs, "%u", image->programs[i].insn_count);
		table_add(programs, i == image->entry ? "here" : "-");
	}
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct image_map *map = &image->maps[i];
		table_add(maps, map->name);
		table_add(maps, type_name(map->type));
		table_printf(maps, "%u B", map->key_size);
		table_printf(maps, "%u B", map->value_size);
		table_printf(maps, "%u", map->max_entries);
	}
	table_print(programs, stdout, "");
	if (table_rows(maps))
		puts("");
	table_print(maps, stdout, "");
}

static json_t *maps_json(const struct image *image)
{
	json_t *maps = json_array();
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct image_map *map = &image->maps[i];
		json_array_append_new(
		        maps, json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", map->name, "type",
		                      type_name(map->type), "key_size", (json_int_t)map->key_size,
		                      "value_size", (json_int_t)map->value_size, "max_entries",
		                      (json_int_t)map->max_entries));
	}
	return maps;
}

static int print_all(struct cli *cli, const char *name, const struct image *image)
{
	autojson json_t *programs = json_array();
	if (!cli->is_json)
		print_image(name, image);
	for (uint32_t i = 0; i < image->program_count; i++) {
		cleanup(analysis_free) struct analysis *analysis = NULL;
		struct error err = {0};
		if (analysis_new(image, i, false, &analysis, &err))
			return cli_fail(cli, EXIT_FAILED, "%s", err.text);
		if (cli->is_json)
			json_array_append_new(
			        programs, program_json(image, &image->programs[i], analysis));
		else
			print_program(cli, image, &image->programs[i], analysis);
	}
	if (!cli->is_json)
		return EXIT_DONE;
	autojson json_t *answer = json_pack("{s:s, s:b, s:s, s:O, s:o}", "file", name, "passes", 1,
	        "entry", image->programs[image->entry].name, "programs", programs, "maps",
	        maps_json(image));
	cli_json(answer, false);
	return EXIT_DONE;
}

int function_check(struct cli *cli)
{
	cleanup(image_free) struct image *image = NULL;
	const char *word = args_word(&cli->args, 0), *program = args_value(&cli->args, "program");
	// Whatever lies here is meant, also where it is not named as sources are.
	if (!source_is_file(word) && access(word, F_OK) == 0) {
		cleanup(source_free) struct source source = {0};
		int code = source_read(cli, word, &source);
		if (code == EXIT_DONE)
			code = source_image(cli, &source, program, &image);
		return code == EXIT_DONE ? print_all(cli, source.name, image) : code;
	}
	int code = source_any(cli, word, program, &image);
	if (code != EXIT_DONE)
		return code;
	const char *slash = strrchr(word, '/');
	return print_all(cli, slash ? slash + 1 : word, image);
}
