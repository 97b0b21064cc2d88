// SPDX-License-Identifier: Apache-2.0
// `raio function check` and `raio function disasm`: what a file holds, without an agent.
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/source.h"
#include "cli/table.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"

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

static void print_image_json(const char *name, const struct image *image)
{
	autojson json_t *answer = json_pack("{s:s, s:b, s:s}", "file", name, "passes", 1, "entry",
	        image->programs[image->entry].name);
	json_t *programs = json_array(), *maps = json_array();
	for (uint32_t i = 0; i < image->program_count; i++)
		json_array_append_new(
		        programs, json_pack("{s:s, s:s, s:i}", "name", image->programs[i].name,
		                          "section", image->programs[i].section, "instructions",
		                          (int)image->programs[i].insn_count));
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct image_map *map = &image->maps[i];
		json_array_append_new(
		        maps, json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", map->name, "type",
		                      type_name(map->type), "key_size", (json_int_t)map->key_size,
		                      "value_size", (json_int_t)map->value_size, "max_entries",
		                      (json_int_t)map->max_entries));
	}
	json_object_set_new(answer, "programs", programs);
	json_object_set_new(answer, "maps", maps);
	cli_json(answer, false);
}

int function_check(struct cli *cli)
{
	cleanup(source_free) struct source source = {0};
	cleanup(image_free) struct image *image = NULL;
	int code = source_read(cli, args_word(&cli->args, 0), &source);
	if (code == EXIT_DONE)
		code = source_image(cli, &source, args_value(&cli->args, "program"), &image);
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json)
		print_image_json(source.name, image);
	else
		print_image(source.name, image);
	return EXIT_DONE;
}

int function_disasm(struct cli *cli)
{
	cleanup(image_free) struct image *image = NULL;
	cleanup(buffer_free) struct buffer text = {0};
	int code = source_any(
	        cli, args_word(&cli->args, 0), args_value(&cli->args, "program"), &image);
	if (code != EXIT_DONE)
		return code;
	for (uint32_t i = 0; i < image->program_count; i++) {
		if (i)
			buffer_printf(&text, "\n");
		disasm_program(image, &image->programs[i], &text);
	}
	if (cli->is_json) {
		autojson json_t *answer = json_pack(
		        "{s:s%}", "disasm", text.data ? (char *)text.data : "", text.size);
		cli_json(answer, false);
	} else {
		fwrite(text.data, 1, text.size, stdout);
	}
	return EXIT_DONE;
}
