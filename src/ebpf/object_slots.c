// SPDX-License-Identifier: Apache-2.0
// What refers from maps to other things: initial entries of prog arrays and of maps of maps, the
// map of kernel configuration variables; and the maps that nothing refers to.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/error.h"
#include "ebpf/layout.h"
#include "ebpf/maptype.h"
#include "ebpf/object_parts.h"
#include "ebpf/opcode.h"

#define RELOC_ABS64 2
#define KCONFIG_MAX 256
#define JIFFIES_HZ  250 // of bpf_jiffies64()

static int slot_add(struct object *o, uint32_t m, uint32_t index, uint32_t target)
{
	struct image_map *map = &o->image->maps[m];
	bool is_array = map->type != BPF_MAP_TYPE_HASH_OF_MAPS;
	if (is_array && index >= map->max_entries)
		return error_set(o->err, EINVAL,
		        "map '%.64s' has an initial value for index %u, but %u entries", map->name,
		        index, map->max_entries);
	if (array_grow((void **)&map->slots, map->slot_count, sizeof(*map->slots)))
		return error_set(o->err, ENOMEM, "no memory for map '%.64s'", map->name);
	map->slots[map->slot_count++] = (struct image_slot){index, target};
	return 0;
}

// One address in a definition: of a program or of an inner map.
static int slot_read(
        struct object *o, uint32_t m, uint32_t index, const struct elf_relocation *relocation)
{
	const struct object_map *place = &o->maps[m];
	const struct elf_symbol *symbol = &o->elf.symbols[relocation->symbol];
	const struct image_map *map = &o->image->maps[m];
	uint64_t addend;
	memcpy(&addend, o->elf.sections[place->section].data + relocation->offset, sizeof(addend));
	uint64_t address = symbol->value + addend;
	if (relocation->type != RELOC_ABS64)
		return error_set(o->err, EINVAL,
		        "map '%.64s': relocation of type %u, not an address (2)", map->name,
		        relocation->type);
	if (map->type == BPF_MAP_TYPE_PROG_ARRAY) {
		struct object_function *function =
		        address % sizeof(struct bpf_insn)
		                ? NULL
		                : object_function_at(
		                          o, symbol->section, address / sizeof(struct bpf_insn));
		if (!function)
			return error_set(o->err, EINVAL,
			        "prog array '%.64s': initial value %u ('%.64s') is not a program "
			        "of this file",
			        map->name, index, symbol->name);
		int rc = object_take(o, function);
		return rc ? rc : slot_add(o, m, index, function->program);
	}
	uint32_t inner = object_map_at(o, symbol->section, address);
	if (!object_holds_maps(map->type) || inner == IMAGE_NONE || inner == m ||
	        o->image->maps[inner].is_template)
		return error_set(o->err, EINVAL,
		        "map '%.64s': initial value %u ('%.64s') is not a map of this file",
		        map->name, index, symbol->name);
	return slot_add(o, m, index, inner);
}

static int relocation_read(
        struct object *o, uint32_t section, const struct elf_relocation *relocation)
{
	for (uint32_t m = 0; m < o->image->map_count; m++) {
		const struct object_map *at = &o->maps[m];
		if (at->section != section || relocation->offset < at->offset ||
		        relocation->offset - at->offset >= at->size)
			continue;
		uint64_t offset = relocation->offset - at->offset;
		bool inside =
		        relocation->offset <= o->elf.sections[section].size &&
		        o->elf.sections[section].size - relocation->offset >= sizeof(uint64_t);
		if (!at->values || offset < at->values || (offset - at->values) % 8 || !inside ||
		        (offset - at->values) / 8 > UINT32_MAX)
			break;
		return slot_read(o, m, (uint32_t)((offset - at->values) / 8), relocation);
	}
	return error_set(o->err, EINVAL,
	        "section .maps has an address at byte %llu, which is no initial value of a map",
	        (unsigned long long)relocation->offset);
}

// iproute2 fills prog arrays itself: section "2/7" holds entry 7 of the map with id 2.
static int numbered_programs(struct object *o)
{
	for (uint32_t i = 0; i < o->program_count; i++) {
		const struct object_function *function = o->programs[i];
		unsigned id, index;
		int end = 0;
		const char *name = o->elf.sections[function->section].name;
		if (sscanf(name, "%9u/%9u%n", &id, &index, &end) != 2 || name[end] || !id)
			continue;
		for (uint32_t m = 0; m < o->image->map_count; m++) {
			const struct image_map *map = &o->image->maps[m];
			if (o->maps[m].id != id || map->type != BPF_MAP_TYPE_PROG_ARRAY ||
			        index >= map->max_entries)
				continue;
			int rc = slot_add(o, m, index, function->program);
			if (rc)
				return rc;
		}
	}
	return 0;
}

int object_read_slots(struct object *o)
{
	for (uint32_t s = 1; s < o->elf.section_count; s++) {
		const struct object_section *section = &o->sections[s];
		for (uint32_t i = 0; i < section->relocation_count; i++) {
			const struct elf_relocation *relocation = &section->relocations[i];
			if (section->role == ROLE_GLOBAL)
				return error_set(o->err, ENOTSUP,
				        "section '%.64s' holds the address of '%.64s' at byte "
				        "%llu; global data "
				        "cannot hold addresses: use an index, or an array of char "
				        "arrays instead of "
				        "one of pointers",
				        o->elf.sections[s].name,
				        o->elf.symbols[relocation->symbol].name,
				        (unsigned long long)relocation->offset);
			if (section->role != ROLE_MAPS)
				break;
			int rc = relocation_read(o, s, relocation);
			if (rc)
				return rc;
		}
	}
	return numbered_programs(o);
}

// Does an LDDW refer to a map?
static bool is_map_reference(const struct bpf_insn *insn)
{
	return insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE;
}

static void mark_program(struct object *o, const struct image_program *program)
{
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		if (!insn_is_lddw(insn))
			continue;
		if (is_map_reference(insn)) // linking made the index, so it is one
			o->maps[insn->imm].is_used = true;
		i++;
	}
}

static void mark_maps(struct object *o)
{
	struct image *image = o->image;
	for (uint32_t i = 0; i < image->program_count; i++)
		mark_program(o, &image->programs[i]);
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct map_type *type = map_type_find(image->maps[i].type);
		if (type && type->is_offered && !image->maps[i].is_template)
			o->maps[i].is_used = true;
	}
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct image_map *map = &image->maps[i];
		if (!o->maps[i].is_used || map->is_template)
			continue;
		if (map->inner != IMAGE_NONE)
			o->maps[map->inner].is_used = true;
		for (uint32_t k = 0; k < map->slot_count && map->type != BPF_MAP_TYPE_PROG_ARRAY;
		        k++)
			o->maps[map->slots[k].target].is_used = true;
	}
}

static void renumber_program(struct image_program *program, const uint32_t *to)
{
	for (uint32_t i = 0; i < program->insn_count; i++) {
		struct bpf_insn *insn = &program->insns[i];
		if (!insn_is_lddw(insn))
			continue;
		if (is_map_reference(insn))
			insn->imm = (int32_t)to[insn->imm];
		i++;
	}
}

static void map_free_parts(struct image_map *map)
{
	free(map->data);
	free(map->slots);
	free(map->key.fields);
	free(map->value.fields);
}

int object_drop_maps(struct object *o)
{
	struct image *image = o->image;
	uint32_t to[IMAGE_MAPS_MAX], kept = 0;
	mark_maps(o);
	for (uint32_t i = 0; i < image->map_count; i++)
		to[i] = o->maps[i].is_used ? kept++ : IMAGE_NONE;
	if (kept == image->map_count)
		return 0;
	for (uint32_t i = 0; i < image->map_count; i++) {
		struct image_map *map = &image->maps[i];
		if (to[i] == IMAGE_NONE) {
			map_free_parts(map);
			continue;
		}
		if (map->inner != IMAGE_NONE)
			map->inner = to[map->inner];
		for (uint32_t k = 0; k < map->slot_count && map->type != BPF_MAP_TYPE_PROG_ARRAY;
		        k++)
			map->slots[k].target = to[map->slots[k].target];
		image->maps[to[i]] = *map;
	}
	image->map_count = kept;
	for (uint32_t i = 0; i < image->program_count; i++)
		renumber_program(&image->programs[i], to);
	return 0;
}

// Variables whose value is known without the kernel's configuration file.
static bool kconfig_value(const char *name, uint64_t *value)
{
	struct utsname system;
	unsigned version = 0, patch = 0, minor = 0;
	*value = 0;
	if (!strcmp(name, "LINUX_KERNEL_VERSION")) {
		if (!uname(&system))
			sscanf(system.release, "%4u.%3u.%5u", &version, &patch, &minor);
		*value = version << 16 | (patch & 0xff) << 8 | (minor < 255 ? minor : 255);
		return true;
	}
	if (!strcmp(name, "CONFIG_HZ")) {
		*value = JIFFIES_HZ;
		return true;
	}
	// Questions to libbpf about the kernel's tracing features, which cards do not have.
	return !strncmp(name, "LINUX_HAS_", 10);
}

static uint32_t kconfig_align(uint32_t at, uint64_t size)
{
	uint32_t align = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
	return (at + align - 1) & ~(align - 1);
}

int object_read_kconfig(struct object *o)
{
	o->kconfig_type = btf_datasec(&o->btf, ".kconfig");
	const struct btf_type *section = btf_type(&o->btf, o->kconfig_type);
	uint32_t count = btf_count(section), size = 0;
	if (!count)
		return 0;
	if (count > KCONFIG_MAX)
		return error_set(
		        o->err, E2BIG, "the object has over %u __kconfig variables", KCONFIG_MAX);
	struct object_map nowhere = {0};
	int rc = object_map_add(o, ".kconfig", nowhere, &o->kconfig);
	if (rc)
		return rc;
	struct image_map *map = &o->image->maps[o->kconfig];
	map->type = BPF_MAP_TYPE_ARRAY;
	map->key_size = sizeof(uint32_t);
	map->max_entries = 1;
	map->is_global = map->is_readonly = true;
	map->flags = BPF_F_RDONLY_PROG;
	map->data = calloc(KCONFIG_MAX, 128);
	if (!map->data)
		return error_set(o->err, ENOMEM, "no memory for __kconfig variables");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = btf_vars(section)[i].type, type = btf_type(&o->btf, id)->type;
		uint64_t bytes = btf_size(&o->btf, type), value;
		if (!bytes || bytes > 120)
			return error_set(o->err, EINVAL,
			        "__kconfig variable '%.64s' has no usual size",
			        btf_name(&o->btf, id));
		size = kconfig_align(size, bytes);
		kconfig_value(btf_name(&o->btf, id), &value);
		memcpy(map->data + size, &value, bytes < sizeof(value) ? bytes : sizeof(value));
		size += (uint32_t)bytes;
		map->value_size = size;
		if (layout_append(&o->btf, type, btf_name(&o->btf, id), size - (uint32_t)bytes,
		            size, &o->layout_budget, &map->value))
			return error_set(o->err, ENOMEM, "no memory for __kconfig variables");
	}
	return 0;
}

int object_kconfig_find(
        struct object *o, const char *name, bool is_weak, bool *found, uint32_t *offset)
{
	const struct btf_type *section = btf_type(&o->btf, o->kconfig_type);
	uint64_t value;
	uint32_t at = 0;
	*found = false;
	for (uint32_t i = 0; i < btf_count(section) && o->kconfig != IMAGE_NONE; i++) {
		uint32_t id = btf_vars(section)[i].type;
		uint64_t bytes = btf_size(&o->btf, btf_type(&o->btf, id)->type);
		at = kconfig_align(at, bytes);
		if (!strncmp(btf_name(&o->btf, id), name, IMAGE_NAME_MAX)) {
			if (!is_weak && !kconfig_value(name, &value))
				return error_set(o->err, ENOTSUP,
				        "'%.64s' is a variable of the kernel's configuration, "
				        "which cards do not "
				        "have: declare it __kconfig __weak (it is then 0), or "
				        "define a constant",
				        name);
			*found = true;
			*offset = at;
			return 0;
		}
		at += (uint32_t)bytes;
	}
	return 0;
}
