// SPDX-License-Identifier: Apache-2.0
// What .BTF.ext says about instructions: source lines and CO-RE relocations.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/object_parts.h"

#define TEXT_MAX    256
#define STRINGS_MAX (8u << 20) // bytes; lines beyond lose their text

// Records as the kernel defines them (struct bpf_line_info, struct bpf_core_relo).
#define LINE_SIZE 16
#define CORE_SIZE 16

// The code section of this name, or 0.
static uint32_t section_named(const struct object *o, const char *name)
{
	for (uint32_t i = 1; i < o->elf.section_count; i++)
		if (o->sections[i].role == ROLE_CODE &&
		        !strncmp(o->elf.sections[i].name, name, IMAGE_NAME_MAX))
			return i;
	return 0;
}

struct place_walk {
	struct btf_ext_walk walk;
	const char *name;
	uint32_t section, insn;
};

// Moves to the next record that is about an instruction of a code section that exists.
static int place_next(struct object *o, struct place_walk *w, bool *found)
{
	*found = false;
	while (btf_ext_next(&w->walk)) {
		uint32_t offset;
		if (w->walk.section != w->name) {
			w->name = w->walk.section;
			w->section = section_named(o, w->name);
		}
		memcpy(&offset, w->walk.record, sizeof(offset));
		if (!w->section)
			continue;
		if (offset % sizeof(struct bpf_insn) || offset >= o->elf.sections[w->section].size)
			return error_set(o->err, EINVAL,
			        ".BTF.ext speaks of byte %u of section '%.64s', where no "
			        "instruction "
			        "begins: file corrupt?",
			        offset, w->name);
		w->insn = offset / (uint32_t)sizeof(struct bpf_insn);
		*found = true;
		return 0;
	}
	if (w->walk.failed)
		return error_set(o->err, EINVAL,
		        "the records of section '.BTF.ext' are malformed: file corrupt?");
	return 0;
}

static int line_compare(const void *a, const void *b)
{
	const struct object_line *l = a, *r = b;
	if (l->section != r->section)
		return l->section < r->section ? -1 : 1;
	return l->insn < r->insn ? -1 : l->insn > r->insn;
}

static int core_compare(const void *a, const void *b)
{
	const struct object_core *l = a, *r = b;
	if (l->section != r->section)
		return l->section < r->section ? -1 : 1;
	return l->insn < r->insn ? -1 : l->insn > r->insn;
}

static int read_lines(struct object *o)
{
	struct place_walk w = {.walk = btf_ext_walk(&o->btf, &o->ext.lines, LINE_SIZE)};
	for (;;) {
		bool found;
		int rc = place_next(o, &w, &found);
		if (rc || !found)
			return rc;
		uint32_t record[4]; // instruction, file, text, line << 10 | column
		memcpy(record, w.walk.record, sizeof(record));
		if (!(record[3] >> 10)) // line 0 is code that no line made
			continue;
		if (array_grow((void **)&o->lines, o->line_count, sizeof(*o->lines)))
			return error_set(o->err, ENOMEM, "no memory for source lines");
		o->lines[o->line_count++] = (struct object_line){
		        .section = w.section,
		        .insn = w.insn,
		        .file = record[1],
		        .text = record[2],
		        .line = record[3] >> 10,
		        .column = record[3] & 0x3ff,
		};
	}
}

static int read_cores(struct object *o)
{
	struct place_walk w = {.walk = btf_ext_walk(&o->btf, &o->ext.relocations, CORE_SIZE)};
	for (;;) {
		bool found;
		int rc = place_next(o, &w, &found);
		if (rc || !found)
			return rc;
		if (array_grow((void **)&o->cores, o->core_count, sizeof(*o->cores)))
			return error_set(o->err, ENOMEM, "no memory for CO-RE relocations");
		struct object_core *core = &o->cores[o->core_count++];
		core->section = w.section;
		core->insn = w.insn;
		memcpy(&core->relocation, w.walk.record, sizeof(core->relocation));
	}
}

int object_read_ext(struct object *o)
{
	int rc = read_lines(o);
	if (!rc)
		rc = read_cores(o);
	if (rc)
		return rc;
	if (o->line_count)
		qsort(o->lines, o->line_count, sizeof(*o->lines), line_compare);
	if (o->core_count)
		qsort(o->cores, o->core_count, sizeof(*o->cores), core_compare);
	return 0;
}

// Makes room in the hash of strings by their BTF offset, which is at most half full.
static int strings_grow(struct object *o)
{
	uint32_t slots = o->string_slots ? o->string_slots * 2 : 256;
	uint32_t *index = calloc(slots, sizeof(*index));
	if (!index)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->image->string_count; i++) {
		uint32_t slot = (o->string_offsets[i] * 2654435761u) & (slots - 1);
		while (index[slot])
			slot = (slot + 1) & (slots - 1);
		index[slot] = i + 1;
	}
	free(o->string_index);
	o->string_index = index;
	o->string_slots = slots;
	return 0;
}

// The image's copy of the BTF string at `offset`, without the white space around it.
static int string_take(struct object *o, uint32_t offset, char **text)
{
	struct image *image = o->image;
	if (o->string_bytes > STRINGS_MAX && image->string_count) {
		*text = image->strings[0];
		return 0;
	}
	if ((image->string_count + 1) * 2 > o->string_slots && strings_grow(o))
		return -ENOMEM;
	uint32_t slot = (offset * 2654435761u) & (o->string_slots - 1);
	for (; o->string_index[slot]; slot = (slot + 1) & (o->string_slots - 1)) {
		uint32_t i = o->string_index[slot] - 1;
		if (o->string_offsets[i] == offset) {
			*text = image->strings[i];
			return 0;
		}
	}
	const char *from = btf_string(&o->btf, offset);
	for (int i = 0; i < TEXT_MAX && (*from == ' ' || *from == '\t'); i++)
		from++;
	char *copy = strndup(from, TEXT_MAX - 1);
	if (!copy || array_grow((void **)&image->strings, image->string_count, sizeof(char *)) ||
	        array_grow((void **)&o->string_offsets, image->string_count, sizeof(uint32_t))) {
		free(copy);
		return -ENOMEM;
	}
	o->string_bytes += strlen(copy) + 1 + sizeof(char *);
	o->string_offsets[image->string_count] = offset;
	image->strings[image->string_count++] = *text = copy;
	o->string_index[slot] = image->string_count;
	return 0;
}

int object_add_lines(struct object *o, const struct object_function *function, uint32_t at,
        struct image_program *program)
{
	uint32_t low = 0, high = o->line_count;
	struct object_line key = {.section = function->section, .insn = function->insn};
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (line_compare(&o->lines[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	char *nothing;
	if (low < o->line_count && string_take(o, 0, &nothing)) // [0] is ""
		return error_set(o->err, ENOMEM, "no memory for source lines");
	uint32_t end = function->insn + function->insn_count;
	for (; low < o->line_count && o->lines[low].section == function->section &&
	        o->lines[low].insn < end;
	        low++) {
		const struct object_line *from = &o->lines[low];
		uint32_t insn = at + from->insn - function->insn;
		// Of several records for one instruction the last holds.
		bool again =
		        program->line_count && program->lines[program->line_count - 1].insn == insn;
		if (!again && array_grow((void **)&program->lines, program->line_count,
		                      sizeof(*program->lines)))
			return error_set(o->err, ENOMEM, "no memory for source lines");
		struct image_line *line =
		        &program->lines[again ? program->line_count - 1 : program->line_count];
		struct image_line made = {.insn = insn, .line = from->line, .column = from->column};
		if (string_take(o, from->file, &made.file) ||
		        string_take(o, from->text, &made.text))
			return error_set(o->err, ENOMEM, "no memory for source lines");
		*line = made;
		program->line_count += !again;
	}
	return 0;
}

int object_apply_core(
        struct object *o, const struct object_function *function, struct bpf_insn *insns)
{
	uint32_t low = 0, high = o->core_count;
	struct object_core key = {.section = function->section, .insn = function->insn};
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (core_compare(&o->cores[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	uint32_t end = function->insn + function->insn_count;
	for (; low < o->core_count && o->cores[low].section == function->section &&
	        o->cores[low].insn < end;
	        low++) {
		uint32_t insn = o->cores[low].insn - function->insn;
		int rc = core_apply(&o->core, &o->cores[low].relocation, insns + insn,
		        function->insn_count - insn, o->err);
		if (rc)
			return o->err ? error_prefix(o->err, "function '%.64s', instruction %u",
			                        function->name, insn)
			              : rc;
	}
	return 0;
}
