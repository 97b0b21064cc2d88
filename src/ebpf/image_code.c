// SPDX-License-Identifier: Apache-2.0
// The image's encoding: little endian, lengths before contents, a magic number and a version in
// front.
//
// Decoding allocates nothing whose size the input does not pay for: a count is checked against its
// limit and against the bytes that are left before its block is made.
#include "ebpf/image.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/maptype.h"

#define IMAGE_MAGIC   0x474d4952u // "RIMG"
#define IMAGE_VERSION 2u

enum map_bits { MAP_TEMPLATE = 1, MAP_GLOBAL = 2, MAP_READONLY = 4, MAP_DATA = 8, MAP_BITS = 15 };

// Where a line's string stands in the image's table.
struct string_index {
	const char *text;
	uint32_t index;
};

static int compare_strings(const void *a, const void *b)
{
	uintptr_t left = (uintptr_t)((const struct string_index *)a)->text;
	uintptr_t right = (uintptr_t)((const struct string_index *)b)->text;
	return (left > right) - (left < right);
}

static void encode_string(
        struct buffer *buffer, const struct string_index *strings, uint32_t count, const char *text)
{
	struct string_index key = {text, 0}, *found = NULL;
	if (count)
		found = bsearch(&key, strings, count, sizeof(*strings), compare_strings);
	if (!found) { // the maker broke image.h's contract
		buffer->failed = true;
		return;
	}
	buffer_u32(buffer, found->index);
}

static void encode_program(struct buffer *buffer, const struct image_program *program,
        const struct string_index *strings, uint32_t string_count)
{
	buffer_str(buffer, program->name);
	buffer_str(buffer, program->section);
	buffer_u32(buffer, program->insn_count);
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		buffer_u8(buffer, insn->code);
		buffer_u8(buffer, (uint8_t)(insn->dst_reg | insn->src_reg << 4));
		buffer_u16(buffer, (uint16_t)insn->off);
		buffer_u32(buffer, (uint32_t)insn->imm);
	}
	buffer_u32(buffer, program->function_count);
	for (uint32_t i = 0; i < program->function_count; i++) {
		buffer_str(buffer, program->functions[i].name);
		buffer_u32(buffer, program->functions[i].insn);
	}
	buffer_u32(buffer, program->line_count);
	for (uint32_t i = 0; i < program->line_count; i++) {
		const struct image_line *line = &program->lines[i];
		buffer_u32(buffer, line->insn);
		buffer_u32(buffer, line->line);
		buffer_u32(buffer, line->column);
		encode_string(buffer, strings, string_count, line->file);
		encode_string(buffer, strings, string_count, line->text);
	}
}

static void encode_layout(struct buffer *buffer, const struct image_layout *layout)
{
	buffer_u32(buffer, layout->lock);
	buffer_u32(buffer, layout->field_count);
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct image_field *field = &layout->fields[i];
		buffer_str(buffer, field->name);
		buffer_u32(buffer, field->kind);
		buffer_u32(buffer, field->bit_offset);
		buffer_u32(buffer, field->bits);
		buffer_u32(buffer, field->count);
	}
}

static void encode_map(struct buffer *buffer, const struct image_map *map)
{
	buffer_str(buffer, map->name);
	buffer_u32(buffer, map->type);
	buffer_u32(buffer, map->key_size);
	buffer_u32(buffer, map->value_size);
	buffer_u32(buffer, map->max_entries);
	buffer_u32(buffer, map->flags);
	buffer_u64(buffer, map->extra);
	buffer_u32(buffer, map->inner);
	buffer_u8(buffer,
	        (uint8_t)((map->is_template ? MAP_TEMPLATE : 0) |
	                  (map->is_global ? MAP_GLOBAL : 0) |
	                  (map->is_readonly ? MAP_READONLY : 0) | (map->data ? MAP_DATA : 0)));
	if (map->data)
		buffer_blob(buffer, map->data, map->value_size);
	buffer_u32(buffer, map->slot_count);
	for (uint32_t i = 0; i < map->slot_count; i++) {
		buffer_u32(buffer, map->slots[i].index);
		buffer_u32(buffer, map->slots[i].target);
	}
	encode_layout(buffer, &map->key);
	encode_layout(buffer, &map->value);
}

void image_encode(const struct image *image, struct buffer *buffer)
{
	autofree struct string_index *strings = calloc(image->string_count + 1, sizeof(*strings));
	if (!strings) {
		buffer->failed = true;
		return;
	}
	for (uint32_t i = 0; i < image->string_count; i++)
		strings[i] = (struct string_index){image->strings[i], i};
	qsort(strings, image->string_count, sizeof(*strings), compare_strings);

	buffer_u32(buffer, IMAGE_MAGIC);
	buffer_u32(buffer, IMAGE_VERSION);
	buffer_str(buffer, image->license);
	buffer_u32(buffer, image->string_count);
	for (uint32_t i = 0; i < image->string_count; i++)
		buffer_str(buffer, image->strings[i]);
	buffer_u32(buffer, image->kfunc_count);
	for (uint32_t i = 0; i < image->kfunc_count; i++)
		buffer_str(buffer, image->kfuncs[i]);
	buffer_u32(buffer, image->map_count);
	for (uint32_t i = 0; i < image->map_count; i++)
		encode_map(buffer, &image->maps[i]);
	buffer_u32(buffer, image->program_count);
	for (uint32_t i = 0; i < image->program_count; i++)
		encode_program(buffer, &image->programs[i], strings, image->string_count);
	buffer_u32(buffer, image->entry);
}

// Decoding. Each function returns 0 or fills `err`.
struct decoder {
	struct cursor cursor;
	struct error *err;
};

static int malformed(struct decoder *in, const char *what)
{
	return error_set(in->err, EINVAL,
	        "program image: %s (byte %zu of %zu); it did not come whole from a Raio of this "
	        "version: "
	        "create the function again",
	        in->cursor.failed ? "it ends early, or a text in it is too long" : what,
	        in->cursor.at, in->cursor.size);
}

static int no_memory(struct decoder *in)
{
	return error_set(in->err, ENOMEM,
	        "out of memory while reading a program image of %zu bytes", in->cursor.size);
}

// Reads a count, at most `max`, of records that take at least `least` bytes each, and makes zeroed
// room for them, `size` bytes each. Sets *count only with the block.
static int take_block(struct decoder *in, const char *what, uint32_t max, size_t least, size_t size,
        void *block, uint32_t *count)
{
	uint32_t n = cursor_u32(&in->cursor);
	if (in->cursor.failed || n > max || n > (in->cursor.size - in->cursor.at) / least)
		return malformed(in, what);
	if (!n)
		return 0;
	void *made = calloc(n, size);
	if (!made)
		return no_memory(in);
	memcpy(block, &made, sizeof(made));
	*count = n;
	return 0;
}

// A name: text of one line, since it ends up in logs, errors and paths.
static int take_name(struct decoder *in, char text[IMAGE_NAME_MAX])
{
	cursor_str(&in->cursor, text, IMAGE_NAME_MAX);
	for (const char *at = text; *at; at++) {
		if (iscntrl((unsigned char)*at))
			return malformed(in, "a name with a control character");
	}
	return in->cursor.failed ? malformed(in, "") : 0;
}

// A source line or file name. Control characters, which a terminal would obey, become spaces.
static int take_string(struct decoder *in, char **string)
{
	uint32_t size;
	const char *at = cursor_blob(&in->cursor, &size);
	if (!at || memchr(at, '\0', size))
		return malformed(in, "a text with a NUL");
	char *made = malloc((size_t)size + 1);
	if (!made)
		return no_memory(in);
	for (uint32_t i = 0; i < size; i++)
		made[i] = iscntrl((unsigned char)at[i]) && at[i] != '\t' ? ' ' : at[i];
	made[size] = '\0';
	*string = made;
	return 0;
}

static int take_functions(struct decoder *in, struct image_program *program)
{
	int rc = take_block(in, "more functions than instructions", program->insn_count, 8,
	        sizeof(*program->functions), &program->functions, &program->function_count);
	for (uint32_t i = 0; !rc && i < program->function_count; i++) {
		struct image_function *function = &program->functions[i];
		rc = take_name(in, function->name);
		function->insn = cursor_u32(&in->cursor);
		bool in_order = i ? function->insn > function[-1].insn : function->insn == 0;
		if (!rc && (!in_order || function->insn >= program->insn_count))
			return malformed(in, "a function out of order or out of the program");
	}
	if (!rc && !program->function_count)
		return malformed(in, "a program without a function");
	return rc;
}

static int take_lines(struct decoder *in, const struct image *image, struct image_program *program)
{
	int rc = take_block(in, "more lines than instructions", program->insn_count, 20,
	        sizeof(*program->lines), &program->lines, &program->line_count);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < program->line_count; i++) {
		struct image_line *line = &program->lines[i];
		line->insn = cursor_u32(&in->cursor);
		line->line = cursor_u32(&in->cursor);
		line->column = cursor_u32(&in->cursor);
		uint32_t file = cursor_u32(&in->cursor), text = cursor_u32(&in->cursor);
		if (in->cursor.failed || line->insn >= program->insn_count ||
		        (i && line->insn <= line[-1].insn))
			return malformed(in, "a line out of order or out of the program");
		if (file >= image->string_count || text >= image->string_count)
			return malformed(in, "a line whose text is not there");
		line->file = image->strings[file];
		line->text = image->strings[text];
	}
	return 0;
}

static int take_program(
        struct decoder *in, const struct image *image, struct image_program *program)
{
	int rc = take_name(in, program->name);
	if (!rc)
		rc = take_name(in, program->section);
	if (!rc)
		rc = take_block(in, "too many instructions", IMAGE_INSNS_MAX,
		        sizeof(struct bpf_insn), sizeof(struct bpf_insn), &program->insns,
		        &program->insn_count);
	if (rc)
		return rc;
	if (!program->insn_count)
		return malformed(in, "a program without instructions");
	for (uint32_t i = 0; i < program->insn_count; i++) {
		struct bpf_insn *insn = &program->insns[i];
		insn->code = cursor_u8(&in->cursor);
		uint8_t registers = cursor_u8(&in->cursor);
		insn->dst_reg = registers & 0xf;
		insn->src_reg = registers >> 4;
		insn->off = (int16_t)cursor_u16(&in->cursor);
		insn->imm = (int32_t)cursor_u32(&in->cursor);
	}
	rc = take_functions(in, program);
	return rc ? rc : take_lines(in, image, program);
}

static int take_layout(struct decoder *in, uint32_t size, struct image_layout *layout)
{
	layout->lock = cursor_u32(&in->cursor);
	if (layout->lock && (layout->lock % 4 != 1 || size < 4 || layout->lock - 1 > size - 4))
		return malformed(in, "a lock that is outside its value");
	int rc = take_block(in, "too many fields", IMAGE_FIELDS_MAX, 20, sizeof(*layout->fields),
	        &layout->fields, &layout->field_count);
	uint64_t bits = 0;
	for (uint32_t i = 0; !rc && i < layout->field_count; i++) {
		struct image_field *field = &layout->fields[i];
		rc = take_name(in, field->name);
		uint32_t kind = cursor_u32(&in->cursor);
		field->kind = kind <= IMAGE_BYTES ? (enum image_kind)kind : IMAGE_BYTES;
		field->bit_offset = cursor_u32(&in->cursor);
		field->bits = cursor_u32(&in->cursor);
		field->count = cursor_u32(&in->cursor);
		if (!rc && (kind > IMAGE_BYTES || !image_field_fits(field, size)))
			return malformed(in, "a field that is outside its key or value");
		bits += (uint64_t)field->bits * field->count;
	}
	// Printing a value then costs no more than its size allows.
	if (!rc && bits > (uint64_t)size * 8)
		return malformed(in, "fields that overlap");
	return rc;
}

static int take_map_data(struct decoder *in, struct image_map *map, uint8_t bits)
{
	if (!!(bits & MAP_DATA) != map->is_global)
		return malformed(in, "a global without content, or content of another map");
	if (!map->is_global)
		return 0;
	uint32_t size;
	const void *data = cursor_blob(&in->cursor, &size);
	if (!data || !size || size != map->value_size || size > MAP_VALUE_MAX)
		return malformed(in, "a global whose content is not of its size");
	map->data = malloc(size);
	if (!map->data)
		return no_memory(in);
	memcpy(map->data, data, size);
	return 0;
}

static int take_map(struct decoder *in, struct image_map *map)
{
	int rc = take_name(in, map->name);
	map->type = cursor_u32(&in->cursor);
	map->key_size = cursor_u32(&in->cursor);
	map->value_size = cursor_u32(&in->cursor);
	map->max_entries = cursor_u32(&in->cursor);
	map->flags = cursor_u32(&in->cursor);
	map->extra = cursor_u64(&in->cursor);
	map->inner = cursor_u32(&in->cursor);
	uint8_t bits = cursor_u8(&in->cursor);
	map->is_template = bits & MAP_TEMPLATE;
	map->is_global = bits & MAP_GLOBAL;
	map->is_readonly = bits & MAP_READONLY;
	if (!rc && (in->cursor.failed || bits & ~MAP_BITS))
		return malformed(in, "unknown properties of a map");
	if (!rc)
		rc = take_map_data(in, map, bits);
	if (!rc)
		rc = take_block(in, "too many initial entries of a map", UINT32_MAX, 8,
		        sizeof(*map->slots), &map->slots, &map->slot_count);
	for (uint32_t i = 0; !rc && i < map->slot_count; i++) {
		map->slots[i].index = cursor_u32(&in->cursor);
		map->slots[i].target = cursor_u32(&in->cursor);
	}
	if (!rc)
		rc = take_layout(in, map->key_size, &map->key);
	return rc ? rc : take_layout(in, map->value_size, &map->value);
}

// What can be told only when all maps and programs are known.
static int check_references(struct decoder *in, const struct image *image)
{
	if (image->entry >= image->program_count)
		return malformed(in, "no such program to enter");
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct image_map *map = &image->maps[i];
		if (map->inner != IMAGE_NONE && (map->inner >= image->map_count || map->inner == i))
			return malformed(in, "no such inner map");
		bool is_prog_array = map->type == BPF_MAP_TYPE_PROG_ARRAY;
		uint32_t count = is_prog_array ? image->program_count : image->map_count;
		bool holds = is_prog_array || map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
		             map->type == BPF_MAP_TYPE_HASH_OF_MAPS;
		if (map->slot_count && !holds)
			return malformed(in, "initial entries of a map that has none");
		for (uint32_t j = 0; j < map->slot_count; j++) {
			uint32_t target = map->slots[j].target;
			if (target >= count || (!is_prog_array && image->maps[target].is_template))
				return malformed(in, "no such target of an initial entry");
		}
	}
	return 0;
}

static int take_image(struct decoder *in, struct image *image)
{
	if (cursor_u32(&in->cursor) != IMAGE_MAGIC || cursor_u32(&in->cursor) != IMAGE_VERSION)
		return malformed(in, "not a program image of this version");
	int rc = take_name(in, image->license);
	if (!rc)
		rc = take_block(in, "too many texts", UINT32_MAX, 4, sizeof(*image->strings),
		        &image->strings, &image->string_count);
	for (uint32_t i = 0; !rc && i < image->string_count; i++)
		rc = take_string(in, &image->strings[i]);
	if (!rc)
		rc = take_block(in, "too many kfuncs", IMAGE_KFUNCS_MAX, 4, sizeof(*image->kfuncs),
		        &image->kfuncs, &image->kfunc_count);
	for (uint32_t i = 0; !rc && i < image->kfunc_count; i++)
		rc = take_name(in, image->kfuncs[i]);
	if (!rc)
		rc = take_block(in, "too many maps", IMAGE_MAPS_MAX, 53, sizeof(*image->maps),
		        &image->maps, &image->map_count);
	for (uint32_t i = 0; !rc && i < image->map_count; i++)
		rc = take_map(in, &image->maps[i]);
	if (!rc)
		rc = take_block(in, "too many programs", IMAGE_PROGRAMS_MAX, 20,
		        sizeof(*image->programs), &image->programs, &image->program_count);
	for (uint32_t i = 0; !rc && i < image->program_count; i++)
		rc = take_program(in, image, &image->programs[i]);
	if (rc)
		return rc;
	image->entry = cursor_u32(&in->cursor);
	if (!cursor_done(&in->cursor))
		return malformed(in, "something stands behind its end");
	return check_references(in, image);
}

int image_decode(const void *data, size_t size, struct image **image, struct error *err)
{
	struct decoder in = {.cursor = cursor_of(data, size), .err = err};
	cleanup(image_free) struct image *made = calloc(1, sizeof(*made));
	if (!made)
		return no_memory(&in);
	int rc = take_image(&in, made);
	if (rc)
		return rc;
	*image = TAKE_PTR(made);
	return 0;
}
