// SPDX-License-Identifier: Apache-2.0
// Memory: everything that an image points to is a block of its own, but for image_line's strings,
// which stand in `strings`. A half-decoded image is one that image_free() takes: counts are set
// with the blocks that they count.
#include "ebpf/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static void layout_free(struct image_layout *layout)
{
	free(layout->fields);
}

void image_free(struct image **image)
{
	struct image *it = *image;
	if (!it)
		return;
	for (uint32_t i = 0; i < it->program_count; i++) {
		free(it->programs[i].insns);
		free(it->programs[i].functions);
		free(it->programs[i].lines);
	}
	for (uint32_t i = 0; i < it->map_count; i++) {
		free(it->maps[i].data);
		free(it->maps[i].slots);
		layout_free(&it->maps[i].key);
		layout_free(&it->maps[i].value);
	}
	for (uint32_t i = 0; i < it->string_count; i++)
		free(it->strings[i]);
	free(it->programs);
	free(it->maps);
	free(it->kfuncs);
	free(it->strings);
	free(it);
	*image = NULL;
}

bool image_field_fits(const struct image_field *field, uint32_t size)
{
	uint32_t bits = field->bits;
	bool is_bytes = !(field->bit_offset % 8) && bits && !(bits % 8);
	bool is_sound = false;
	switch (field->kind) {
	case IMAGE_UINT:
	case IMAGE_INT:
	case IMAGE_BOOL: // a bit field may stand anywhere, an array's elements only on bytes
		is_sound = bits && bits <= 64 && (is_bytes || field->count == 1);
		break;
	case IMAGE_CHAR:
		is_sound = is_bytes && bits == 8;
		break;
	case IMAGE_BE:
		is_sound = is_bytes && bits <= 64;
		break;
	case IMAGE_IPV4:
		is_sound = is_bytes && bits == 32;
		break;
	case IMAGE_IPV6:
		is_sound = is_bytes && bits == 128;
		break;
	case IMAGE_MAC:
		is_sound = is_bytes && bits == 48;
		break;
	case IMAGE_BYTES:
		is_sound = is_bytes;
		break;
	}
	// Positions in bits stay below 2^32; the product of two 32-bit numbers does not
	// overflow 64.
	uint64_t end = (uint64_t)size * 8 < UINT32_MAX ? (uint64_t)size * 8 : UINT32_MAX;
	uint64_t product = (uint64_t)bits * field->count;
	return is_sound && field->count && product <= end && field->bit_offset + product <= end;
}

// The last of `count` records of `stride` bytes, sorted by the u32 at `offset`, that is not above
// `insn`.
static const void *record_of(
        const void *records, uint32_t count, size_t stride, size_t offset, uint32_t insn)
{
	const uint8_t *base = records;
	uint32_t low = 0, high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2, at;
		memcpy(&at, base + middle * stride + offset, sizeof(at));
		if (at <= insn)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? base + (low - 1) * stride : NULL;
}

const struct image_line *image_line_of(const struct image_program *program, uint32_t insn)
{
	const struct image_line *line = record_of(program->lines, program->line_count,
	        sizeof(*program->lines), offsetof(struct image_line, insn), insn);
	const struct image_function *function = image_function_of(program, insn);
	// A function without lines does not have those of the one before it.
	return line && function && line->insn < function->insn ? NULL : line;
}

const struct image_function *image_function_of(const struct image_program *program, uint32_t insn)
{
	return record_of(program->functions, program->function_count, sizeof(*program->functions),
	        offsetof(struct image_function, insn), insn);
}

const char *image_place(const struct image_program *program, uint32_t insn, char *text, size_t size)
{
	const struct image_line *line = image_line_of(program, insn);
	if (line && line->line) {
		const char *slash = strrchr(line->file, '/');
		snprintf(text, size, "%s:%u", slash && slash[1] ? slash + 1 : line->file,
		        line->line);
		return text;
	}
	const struct image_function *function = image_function_of(program, insn);
	if (function)
		snprintf(text, size, "%s+%u", function->name, insn - function->insn);
	else
		snprintf(text, size, "%s+%u", program->name, insn);
	return text;
}

const struct image_map *image_map_find(const struct image *image, const char *name)
{
	for (uint32_t i = 0; i < image->map_count; i++) {
		if (!strcmp(image->maps[i].name, name))
			return &image->maps[i];
	}
	return NULL;
}
