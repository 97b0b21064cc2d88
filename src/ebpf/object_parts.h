// SPDX-License-Identifier: Apache-2.0
// What the parts of the object reader share: object.c (order of work, choice of programs),
// object_maps.c (maps and globals), object_link.c (functions, relocations, instructions) and
// object_lines.c (.BTF.ext). Private to them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/btf.h"
#include "ebpf/core.h"
#include "ebpf/elf64.h"
#include "ebpf/image.h"

struct error;

// Makes room for one more element of `size` bytes behind `count`. Grows by doubling, so `count`
// must go up one at a time. Returns 0 or -ENOMEM.
int array_grow(void **array, uint32_t count, size_t size);

enum section_role {
	ROLE_OTHER, // nothing that a program can refer to
	ROLE_CODE,
	ROLE_GLOBAL, // .data, .rodata, .bss and their kin: a map of one entry
	ROLE_MAPS,   // .maps: defined by BTF
	ROLE_LEGACY, // maps: arrays of struct bpf_map_def
};

struct object_section {
	enum section_role role;
	bool has_function, has_global;      // symbols of functions, of global ones
	uint32_t map;                       // of ROLE_GLOBAL
	struct elf_relocation *relocations; // in order of offset
	uint32_t relocation_count;
};

// A function in a code section. Sorted by section and offset.
struct object_function {
	const char *name;
	uint32_t section, insn, insn_count; // in slots from the section's start
	bool is_global;
	uint8_t rank;           // enum rank of object.c
	bool is_taken;          // the image has it as a program,
	uint32_t program;       // of this index
	uint32_t stamp, linked; // while linking: position in the program `stamp`
};

// A map's place in its section; section 0 for a template, which has none.
struct object_map {
	uint32_t section;
	uint64_t offset, size;
	uint32_t values;       // bytes from its start to its initial values; 0 where it has none
	uint32_t id, inner_id; // of legacy maps as iproute2 has them, else 0
	bool is_used;
};

// A source line or a CO-RE relocation of an instruction.
struct object_line {
	uint32_t section, insn, file, text, line, column; // file and text: offsets of BTF strings
};
struct object_core {
	uint32_t section, insn;
	struct bpf_core_relo relocation;
};

struct object_extern {
	enum { EXTERN_NEW, EXTERN_VALUE, EXTERN_KFUNC, EXTERN_MISSING } kind;
	uint32_t at; // EXTERN_VALUE: offset in .kconfig; EXTERN_KFUNC: index
};

struct object {
	struct elf elf;
	struct btf btf;
	bool has_btf;
	struct btf_ext ext;
	struct core core;
	struct object_section *sections;
	struct object_function *functions;
	uint32_t function_count;
	struct object_function **programs; // beside each of image->programs
	uint32_t program_count;
	struct object_map *maps; // beside each of image->maps
	size_t global_bytes;
	uint32_t layout_budget;
	uint32_t *by_name; // symbols sorted by section and name
	struct object_line *lines;
	uint32_t line_count;
	struct object_core *cores;
	uint32_t core_count;
	struct object_extern *externs; // one a symbol
	uint32_t kconfig;              // index of its map, or IMAGE_NONE
	uint32_t kconfig_type;         // its DATASEC, or 0
	uint32_t stamp;
	uint32_t string_slots; // of string_index
	uint32_t *string_index, *string_offsets;
	size_t string_bytes;
	char *empty;
	struct image *image;
	struct error *err;
};

// object.c
// Copies a name, cut to size and with '?' for what a terminal would obey.
void object_name(char to[IMAGE_NAME_MAX], const char *from);
// Makes a function one of the image's programs.
int object_take(struct object *o, struct object_function *function);

// object_maps.c
int object_read_maps(struct object *o);
// The map that stands at `offset` of a section, or IMAGE_NONE.
uint32_t object_map_at(const struct object *o, uint32_t section, uint64_t offset);
int object_map_add(struct object *o, const char *name, struct object_map place, uint32_t *index);
bool object_holds_maps(uint32_t type);

// object_slots.c
// Initial entries of prog arrays and maps of maps. Takes the programs that they name.
int object_read_slots(struct object *o);
// Drops maps that no program uses and no card offers: they belong to programs that were left out.
int object_drop_maps(struct object *o);
int object_read_kconfig(struct object *o);
// Sets *found, and *offset in the map .kconfig, if `name` is declared with __kconfig. Errors:
// ENOTSUP for a variable whose value nobody knows.
int object_kconfig_find(
        struct object *o, const char *name, bool is_weak, bool *found, uint32_t *offset);

// object_link.c
int object_read_functions(struct object *o);
int object_read_relocations(struct object *o);
int object_link(struct object *o, struct object_function *main, struct image_program *program);
struct object_function *object_function_at(const struct object *o, uint32_t section, uint64_t insn);

// object_lines.c
int object_read_ext(struct object *o);
int object_add_lines(struct object *o, const struct object_function *function, uint32_t at,
        struct image_program *program);
int object_apply_core(
        struct object *o, const struct object_function *function, struct bpf_insn *insns);
