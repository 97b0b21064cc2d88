// SPDX-License-Identifier: Apache-2.0
// Maps: those that BTF defines (section .maps, as in libbpf's bpf_helpers.h), legacy ones (section
// maps, struct bpf_map_def of any of its sizes), and the globals' sections, a map of one entry
// each.
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/layout.h"
#include "ebpf/maptype.h"
#include "ebpf/object.h"
#include "ebpf/object_parts.h"

#define OPEN_ENTRIES 64 // as many as a card may have ports, and so engines

// Appends a map to the image and its place to o->maps; *map is valid until the next one.
int object_map_add(struct object *o, const char *name, struct object_map place, uint32_t *index)
{
	struct image *image = o->image;
	if (image->map_count == IMAGE_MAPS_MAX)
		return error_set(o->err, E2BIG, "the object has over %u maps", IMAGE_MAPS_MAX);
	if (array_grow((void **)&o->maps, image->map_count, sizeof(*o->maps)) ||
	        array_grow((void **)&image->maps, image->map_count, sizeof(*image->maps)))
		return error_set(o->err, ENOMEM, "no memory for maps");
	*index = image->map_count++;
	o->maps[*index] = place;
	image->maps[*index] = (struct image_map){.inner = IMAGE_NONE};
	object_name(image->maps[*index].name, name);
	return 0;
}

uint32_t object_map_at(const struct object *o, uint32_t section, uint64_t offset)
{
	for (uint32_t i = 0; i < o->image->map_count; i++)
		if (o->maps[i].section == section && o->maps[i].offset == offset)
			return i;
	return IMAGE_NONE;
}

static int symbol_compare(const struct elf *elf, uint32_t l, uint32_t section, const char *name)
{
	const struct elf_symbol *left = &elf->symbols[l];
	if (left->section != section)
		return left->section < section ? -1 : 1;
	return strncmp(left->name, name, IMAGE_NAME_MAX);
}

static int symbol_order(const void *a, const void *b, void *elf)
{
	const struct elf_symbol *right = &((const struct elf *)elf)->symbols[*(const uint32_t *)b];
	return symbol_compare(elf, *(const uint32_t *)a, right->section, right->name);
}

static int sort_symbols(struct object *o)
{
	o->by_name = malloc((size_t)o->elf.symbol_count * sizeof(*o->by_name));
	if (!o->by_name)
		return error_set(o->err, ENOMEM, "no memory for symbols");
	for (uint32_t i = 0; i < o->elf.symbol_count; i++)
		o->by_name[i] = i;
	qsort_r(o->by_name, o->elf.symbol_count, sizeof(*o->by_name), symbol_order, &o->elf);
	return 0;
}

// The symbol `name` of a section, or NULL.
static const struct elf_symbol *symbol_find(
        const struct object *o, uint32_t section, const char *name)
{
	uint32_t low = 0, high = o->elf.symbol_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (symbol_compare(&o->elf, o->by_name[middle], section, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == o->elf.symbol_count || symbol_compare(&o->elf, o->by_name[low], section, name))
		return NULL;
	return &o->elf.symbols[o->by_name[low]];
}

struct variable {
	uint32_t type, offset;
	const char *name;
};

static int variable_compare(const void *a, const void *b)
{
	const struct variable *l = a, *r = b;
	return l->offset < r->offset ? -1 : l->offset > r->offset;
}

// One field a variable, in order of offset.
static int global_layout(struct object *o, uint32_t section, struct image_map *map)
{
	const struct btf_type *datasec =
	        btf_type(&o->btf, btf_datasec(&o->btf, o->elf.sections[section].name));
	uint32_t count =
	        btf_count(datasec) < IMAGE_FIELDS_MAX ? btf_count(datasec) : IMAGE_FIELDS_MAX;
	if (!count)
		return 0;
	struct variable *variables = calloc(count, sizeof(*variables));
	if (!variables)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		// clang leaves a global's offset to the linker: its symbol knows.
		const struct btf_var_secinfo *at = &btf_vars(datasec)[i];
		const char *name = btf_name(&o->btf, at->type);
		const struct elf_symbol *symbol = symbol_find(o, section, name);
		variables[i] =
		        (struct variable){btf_type(&o->btf, at->type)->type, at->offset, name};
		if (symbol && symbol->value <= UINT32_MAX)
			variables[i].offset = (uint32_t)symbol->value;
	}
	qsort(variables, count, sizeof(*variables), variable_compare);
	int rc = 0;
	for (uint32_t i = 0; i < count && !rc; i++)
		rc = layout_append(&o->btf, variables[i].type, variables[i].name,
		        variables[i].offset, map->value_size, &o->layout_budget, &map->value);
	free(variables);
	return rc;
}

static bool section_begins(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);
	return !strncmp(name, prefix, length) && (!name[length] || name[length] == '.');
}

static int read_global(struct object *o, uint32_t index)
{
	const struct elf_section *section = &o->elf.sections[index];
	uint32_t m;
	if (section->size > MAP_VALUE_MAX)
		return error_set(o->err, E2BIG,
		        "section '%.64s' has %llu bytes of global data; at most %u are possible: "
		        "use a map",
		        section->name, (unsigned long long)section->size, MAP_VALUE_MAX);
	o->global_bytes += section->size;
	if (o->global_bytes > OBJECT_SIZE_MAX)
		return error_set(o->err, E2BIG, "the object has over %u bytes of global data",
		        OBJECT_SIZE_MAX);
	struct object_map place = {.section = index, .size = section->size};
	int rc = object_map_add(o, section->name, place, &m);
	if (rc)
		return rc;
	struct image_map *map = &o->image->maps[m];
	o->sections[index].map = m;
	map->type = BPF_MAP_TYPE_ARRAY;
	map->key_size = sizeof(uint32_t);
	map->value_size = (uint32_t)section->size;
	map->max_entries = 1;
	map->is_global = true;
	map->is_readonly = section_begins(section->name, ".rodata");
	map->flags = map->is_readonly ? BPF_F_RDONLY_PROG : 0;
	map->data = calloc(1, section->size);
	if (!map->data || global_layout(o, index, map))
		return error_set(o->err, ENOMEM, "no memory for section '%.64s'", section->name);
	if (section->data)
		memcpy(map->data, section->data, section->size);
	return 0;
}

// A number in the definition of a map: __uint() makes a pointer to an array of that many elements,
// __ulong() an enum of that value.
static bool number_read(const struct btf *btf, uint32_t id, uint64_t *number)
{
	const struct btf_type *type = btf_type(btf, btf_skip(btf, id));
	if (btf_is_enum(type) && btf_count(type)) {
		*number = (uint64_t)btf_enum_value(type, 0);
		return true;
	}
	if (btf_kind(type) != BTF_KIND_PTR)
		return false;
	type = btf_type(btf, btf_skip(btf, type->type));
	if (btf_kind(type) != BTF_KIND_ARRAY)
		return false;
	*number = btf_array(type)->nelems;
	return true;
}

// What one definition says, before it is a map.
struct definition {
	uint64_t type, key_size, value_size, max_entries, flags, extra, ignored;
	uint32_t key, value, values; // types; 0 = not given
	uint32_t values_offset;      // bytes
};

static const struct {
	const char *name;
	size_t at; // of the number in struct definition
} attributes[] = {
        {"type", offsetof(struct definition, type)},
        {"key_size", offsetof(struct definition, key_size)},
        {"value_size", offsetof(struct definition, value_size)},
        {"max_entries", offsetof(struct definition, max_entries)},
        {"map_flags", offsetof(struct definition, flags)},
        {"map_extra", offsetof(struct definition, extra)},
        {"numa_node",
                offsetof(struct definition, ignored)}, // where memory stands is the card's affair
        {"pinning", offsetof(struct definition, ignored)}, // cards keep maps by name, not in bpffs
};

// A type that __type() gives: a pointer to it. Its size into *size.
static int type_read(struct object *o, const char *map, const char *what, uint32_t id,
        uint32_t *type, uint64_t *size)
{
	const struct btf_type *pointer = btf_type(&o->btf, btf_skip(&o->btf, id));
	uint64_t bytes = btf_kind(pointer) == BTF_KIND_PTR ? btf_size(&o->btf, pointer->type)
	                                                   : BTF_SIZE_UNKNOWN;
	if (bytes > UINT32_MAX)
		return error_set(o->err, EINVAL,
		        "map '%.64s': the type of its %s has no size; write __type(%s, TYPE) with "
		        "a "
		        "complete type",
		        map, what, what);
	if (*size && *size != bytes)
		return error_set(o->err, EINVAL,
		        "map '%.64s': %s_size is %llu, but the type of its %s has %llu bytes: "
		        "leave one "
		        "of them out",
		        map, what, (unsigned long long)*size, what, (unsigned long long)bytes);
	*type = pointer->type;
	*size = bytes;
	return 0;
}

static int attribute_read(struct object *o, const char *map, const struct btf_type *type,
        uint32_t index, struct definition *d)
{
	const struct btf_member *member = &btf_members(type)[index];
	const char *name = btf_string(&o->btf, member->name_off);
	if (!strcmp(name, "key"))
		return type_read(o, map, "key", member->type, &d->key, &d->key_size);
	if (!strcmp(name, "value"))
		return type_read(o, map, "value", member->type, &d->value, &d->value_size);
	if (!strcmp(name, "values")) {
		d->values = btf_skip(&o->btf, member->type);
		d->values_offset = btf_member_offset(type, index) / 8;
		return 0;
	}
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		uint64_t number;
		if (strcmp(name, attributes[i].name))
			continue;
		if (!number_read(&o->btf, member->type, &number))
			return error_set(o->err, EINVAL,
			        "map '%.64s': write its %s as __uint(%s, NUMBER)", map, name, name);
		uint64_t *at = (uint64_t *)((char *)d + attributes[i].at);
		bool is_size = !strcmp(name, "key_size") || !strcmp(name, "value_size");
		if (is_size && *at && *at != number)
			return error_set(o->err, EINVAL,
			        "map '%.64s': %s is %llu, but its type has %llu bytes: leave one "
			        "of them out",
			        map, name, (unsigned long long)number, (unsigned long long)*at);
		*at = number;
		return 0;
	}
	return error_set(o->err, ENOTSUP,
	        "map '%.64s': unknown attribute '%.64s'; known are type, key, value, key_size, "
	        "value_size, "
	        "max_entries, map_flags, map_extra, values, pinning, numa_node",
	        map, name);
}

bool object_holds_maps(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

// Fills map `m` from the struct type `id`; `d` is for the caller that reads initial values.
static int define(struct object *o, uint32_t m, uint32_t id, struct definition *d)
{
	const char *name = o->image->maps[m].name;
	const struct btf_type *type = btf_type(&o->btf, id);
	if (btf_kind(type) != BTF_KIND_STRUCT)
		return error_set(o->err, EINVAL,
		        "map '%.64s' in section .maps is not a struct; define it as struct { "
		        "__uint(type, …); "
		        "… } %.64s SEC(\".maps\")",
		        name, name);
	for (uint32_t i = 0; i < btf_count(type); i++) {
		int rc = attribute_read(o, name, type, i, d);
		if (rc)
			return rc;
	}
	struct image_map *map = &o->image->maps[m];
	// What libbpf fills in as well.
	if (d->values && !d->key_size)
		d->key_size = sizeof(uint32_t);
	if ((d->values || object_holds_maps((uint32_t)d->type)) && !d->value_size)
		d->value_size = sizeof(uint32_t);
	if (d->type > UINT32_MAX || d->max_entries > UINT32_MAX || d->flags > UINT32_MAX ||
	        d->key_size > UINT32_MAX || d->value_size > UINT32_MAX)
		return error_set(o->err, EINVAL,
		        "map '%.64s': a number of its definition is over 32 bits", name);
	map->type = (uint32_t)d->type;
	map->key_size = (uint32_t)d->key_size;
	map->value_size = (uint32_t)d->value_size;
	map->max_entries = (uint32_t)d->max_entries;
	map->flags = (uint32_t)d->flags;
	map->extra = d->extra;
	if (!map->type)
		return error_set(o->err, EINVAL,
		        "map '%.64s' has no type; add __uint(type, BPF_MAP_TYPE_…)", name);
	if (d->key &&
	        layout_append(&o->btf, d->key, "", 0, map->key_size, &o->layout_budget, &map->key))
		return error_set(o->err, ENOMEM, "no memory for map '%.64s'", name);
	if (map->type == BPF_MAP_TYPE_LPM_TRIE && layout_lpm(map->key_size, &map->key))
		return error_set(o->err, ENOMEM, "no memory for map '%.64s'", name);
	if (d->value && layout_append(&o->btf, d->value, "", 0, map->value_size, &o->layout_budget,
	                        &map->value))
		return error_set(o->err, ENOMEM, "no memory for map '%.64s'", name);
	return 0;
}

// The template that `values` of a map of maps gives.
static int define_inner(struct object *o, uint32_t outer, uint32_t values)
{
	const struct btf_type *array = btf_type(&o->btf, values);
	const struct btf_type *pointer = btf_type(&o->btf, 0);
	if (btf_kind(array) == BTF_KIND_ARRAY)
		pointer = btf_type(&o->btf, btf_skip(&o->btf, btf_array(array)->type));
	uint32_t inner = btf_skip(&o->btf, pointer->type);
	char name[2 * IMAGE_NAME_MAX];
	snprintf(name, sizeof(name), "%s.inner", o->image->maps[outer].name);
	if (btf_kind(pointer) != BTF_KIND_PTR ||
	        btf_kind(btf_type(&o->btf, inner)) != BTF_KIND_STRUCT)
		return error_set(o->err, EINVAL,
		        "map '%.64s': write its values as __array(values, struct INNER), with the "
		        "definition "
		        "of the inner maps",
		        o->image->maps[outer].name);
	struct object_map nowhere = {0};
	struct definition d = {0};
	uint32_t m;
	int rc = object_map_add(o, name, nowhere, &m);
	if (rc)
		return rc;
	o->image->maps[m].is_template = true;
	o->image->maps[outer].inner = m;
	rc = define(o, m, inner, &d);
	if (!rc && object_holds_maps((uint32_t)d.type))
		return error_set(o->err, ENOTSUP,
		        "map '%.64s': maps of maps of maps are not possible",
		        o->image->maps[outer].name);
	return rc;
}

static int read_btf_map(struct object *o, uint32_t section, const struct btf_var_secinfo *at)
{
	const char *name = btf_name(&o->btf, at->type);
	const struct elf_symbol *symbol = symbol_find(o, section, name);
	struct object_map place = {.section = section, .offset = at->offset, .size = at->size};
	if (symbol) {
		place.offset = symbol->value;
		place.size = symbol->size;
	}
	struct definition d = {0};
	uint32_t m;
	int rc = object_map_add(o, name, place, &m);
	if (!rc)
		rc = define(o, m, btf_skip(&o->btf, btf_type(&o->btf, at->type)->type), &d);
	if (rc)
		return rc;
	o->maps[m].values = d.values_offset;
	if (d.values && object_holds_maps((uint32_t)d.type))
		return define_inner(o, m, d.values);
	return 0;
}

static int read_btf_maps(struct object *o, uint32_t section)
{
	uint32_t datasec = btf_datasec(&o->btf, ".maps");
	if (!o->has_btf || !datasec)
		return error_set(o->err, EINVAL,
		        "section .maps needs BTF, which the object does not have: compile with "
		        "clang -O2 -g "
		        "-target bpf -c (and strip with llvm-strip -g only)");
	const struct btf_type *type = btf_type(&o->btf, datasec);
	for (uint32_t i = 0; i < btf_count(type); i++) {
		int rc = read_btf_map(o, section, &btf_vars(type)[i]);
		if (rc)
			return rc;
	}
	return 0;
}

// Legacy definitions: u32 words. libbpf and the kernel's samples have type, key size, value size,
// entries, flags, then inner_map_idx and numa_node; iproute2 (36 bytes and over) has id, pinning,
// inner_id and inner_idx behind flags.
enum legacy_word { TYPE, KEY, VALUE, ENTRIES, FLAGS, INNER, PINNING, INNER_ID, INNER_INDEX, WORDS };
#define LEGACY_LEAST 16

static int legacy_compare(const void *a, const void *b)
{
	const struct elf_symbol *l = *(const struct elf_symbol *const *)a;
	const struct elf_symbol *r = *(const struct elf_symbol *const *)b;
	if (l->value != r->value)
		return l->value < r->value ? -1 : 1;
	return l < r ? -1 : l > r;
}

static int read_legacy_map(struct object *o, uint32_t section, const struct elf_symbol *symbol,
        uint64_t end, uint32_t first)
{
	const struct elf_section *from = &o->elf.sections[section];
	uint64_t size = end - symbol->value;
	if (symbol->size && symbol->size < size)
		size = symbol->size;
	if (size < LEGACY_LEAST)
		return error_set(o->err, EINVAL,
		        "map '%.64s' in section '%.64s' has %llu bytes; struct bpf_map_def has 20 "
		        "or more",
		        symbol->name, from->name, (unsigned long long)size);
	uint32_t words[WORDS] = {0}, m;
	memcpy(words, from->data + symbol->value, size < sizeof(words) ? size : sizeof(words));
	bool is_iproute = size >= 36 && size <= 64;
	struct object_map place = {.section = section, .offset = symbol->value, .size = size};
	if (is_iproute)
		place.id = words[INNER];
	int rc = object_map_add(o, symbol->name, place, &m);
	if (rc)
		return rc;
	struct image_map *map = &o->image->maps[m];
	map->type = words[TYPE];
	map->key_size = words[KEY];
	map->value_size = words[VALUE];
	map->max_entries = words[ENTRIES];
	map->flags = words[FLAGS];
	if (object_holds_maps(map->type) && !is_iproute && size >= 24)
		map->inner = first + words[INNER]; // checked when all are read
	else if (object_holds_maps(map->type) && is_iproute)
		o->maps[m].inner_id = words[INNER_ID];
	return 0;
}

// Inner maps are given by their place in the section, or, by iproute2, by id.
static int legacy_inner(struct object *o, uint32_t first)
{
	for (uint32_t i = first; i < o->image->map_count; i++) {
		struct image_map *map = &o->image->maps[i];
		if (!object_holds_maps(map->type))
			continue;
		for (uint32_t k = first; k < o->image->map_count && o->maps[i].inner_id; k++)
			if (k != i && o->maps[k].id == o->maps[i].inner_id)
				map->inner = k;
		if (map->inner == IMAGE_NONE || map->inner == i ||
		        map->inner >= o->image->map_count || map->inner < first)
			return error_set(o->err, EINVAL,
			        "map '%.64s' holds maps, but its definition names none of this "
			        "section as their "
			        "shape (inner_map_idx)",
			        map->name);
	}
	return 0;
}

static int read_legacy_maps(struct object *o, uint32_t section)
{
	const struct elf_symbol **symbols = calloc(o->elf.symbol_count, sizeof(*symbols));
	uint32_t count = 0, first = o->image->map_count;
	if (!symbols)
		return error_set(o->err, ENOMEM, "no memory for maps");
	for (uint32_t i = 1; i < o->elf.symbol_count; i++) {
		const struct elf_symbol *symbol = &o->elf.symbols[i];
		bool is_map = symbol->section == section && symbol->name[0] &&
		              (symbol->type == STT_OBJECT || symbol->type == STT_NOTYPE);
		if (is_map && symbol->value < o->elf.sections[section].size)
			symbols[count++] = symbol;
	}
	qsort(symbols, count, sizeof(*symbols), legacy_compare);
	int rc = 0;
	for (uint32_t i = 0; i < count && !rc; i++) {
		if (i && symbols[i]->value == symbols[i - 1]->value)
			continue;
		uint32_t next = i + 1;
		while (next < count && symbols[next]->value == symbols[i]->value)
			next++;
		uint64_t end = next < count ? symbols[next]->value : o->elf.sections[section].size;
		rc = read_legacy_map(o, section, symbols[i], end, first);
	}
	free(symbols);
	return rc ? rc : legacy_inner(o, first);
}

// Arrays without max_entries are those that a program's own loader sizes by the machine's CPUs,
// queues or interfaces before it loads them. A card has no such loader: it has room for as many.
static void size_open_maps(struct image *image)
{
	for (uint32_t i = 0; i < image->map_count; i++) {
		struct image_map *map = &image->maps[i];
		switch (map->max_entries ? BPF_MAP_TYPE_UNSPEC : map->type) {
		case BPF_MAP_TYPE_ARRAY:
		case BPF_MAP_TYPE_PERCPU_ARRAY:
		case BPF_MAP_TYPE_DEVMAP:
		case BPF_MAP_TYPE_DEVMAP_HASH:
		case BPF_MAP_TYPE_CPUMAP:
		case BPF_MAP_TYPE_XSKMAP:
			map->max_entries = OPEN_ENTRIES;
			break;
		default:
			break;
		}
	}
}

// A key whose definition gives its size only is a number where the type of the map says so.
static int describe_indexes(struct object *o)
{
	for (uint32_t i = 0; i < o->image->map_count; i++) {
		struct image_map *map = &o->image->maps[i];
		const struct map_type *type = map_type_find(map->type);
		if (map->key.field_count || !type || type->key_size != sizeof(uint32_t) ||
		        map->key_size != sizeof(uint32_t))
			continue;
		free(map->key.fields);
		map->key.fields = calloc(1, sizeof(*map->key.fields));
		if (!map->key.fields)
			return error_set(o->err, ENOMEM, "no memory for map '%.64s'", map->name);
		map->key.fields[0] =
		        (struct image_field){.kind = IMAGE_UINT, .bits = 32, .count = 1};
		map->key.field_count = 1;
	}
	return 0;
}

int object_read_maps(struct object *o)
{
	int rc = sort_symbols(o);
	for (uint32_t i = 1; i < o->elf.section_count && !rc; i++) {
		if (o->sections[i].role == ROLE_GLOBAL)
			rc = read_global(o, i);
		else if (o->sections[i].role == ROLE_MAPS)
			rc = read_btf_maps(o, i);
		else if (o->sections[i].role == ROLE_LEGACY)
			rc = read_legacy_maps(o, i);
	}
	if (!rc)
		size_open_maps(o->image);
	if (!rc)
		rc = describe_indexes(o);
	return rc ? rc : object_read_kconfig(o);
}
