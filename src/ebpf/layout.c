// SPDX-License-Identifier: Apache-2.0
#include "ebpf/layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/btf.h"
#include "ebpf/image.h"
#include "ebpf/object_parts.h"

#define DEPTH_MAX    16
#define CHAIN_MAX    64
#define ELEMENTS_MAX 64 // an array of more structs than this is shown as bytes
#define NAMED_MAX    64

struct builder {
	const struct btf *btf;
	struct image_layout *layout;
	uint64_t size_bits;
	uint32_t *budget;
	char name[IMAGE_NAME_MAX];
};

// Pays for visiting `count` types; false where nothing is left.
static bool layout_step(struct builder *b, uint32_t count)
{
	*b->budget -= *b->budget > count ? count : *b->budget;
	return *b->budget;
}

// Adds a field, or nothing where it has no room or is not behind the one before. Where the width is
// not the kind's own (a bit field of a __be16), it is a plain number.
static int field_add(
        struct builder *b, enum image_kind kind, uint64_t bit_offset, uint32_t bits, uint64_t count)
{
	struct image_layout *layout = b->layout;
	uint32_t size = (uint32_t)(b->size_bits / 8);
	struct image_field field = {.kind = kind, .bits = bits};
	if (count > UINT32_MAX || bit_offset > UINT32_MAX ||
	        layout->field_count == IMAGE_FIELDS_MAX)
		return 0;
	field.bit_offset = (uint32_t)bit_offset;
	field.count = (uint32_t)count;
	object_name(field.name, b->name);
	if (!image_field_fits(&field, size))
		field.kind = IMAGE_UINT;
	const struct image_field *last =
	        layout->field_count ? &layout->fields[layout->field_count - 1] : NULL;
	bool overlaps = last && bit_offset < last->bit_offset + (uint64_t)last->bits * last->count;
	if (overlaps || !image_field_fits(&field, size))
		return 0;
	int rc = array_grow((void **)&layout->fields, layout->field_count, sizeof(field));
	if (!rc)
		layout->fields[layout->field_count++] = field;
	return rc;
}

// What the names on the way to a type say of it.
static const struct {
	const char *name;
	enum image_kind kind;
} typedef_kinds[] = {
        {"__be16", IMAGE_BE},
        {"__be32", IMAGE_IPV4},
        {"__be64", IMAGE_BE},
        {"in_addr_t", IMAGE_IPV4},
        {"in_port_t", IMAGE_BE},
        {"bool", IMAGE_BOOL},
        {"_Bool", IMAGE_BOOL},
};

// The kind that typedefs between `id` and its type tell; IMAGE_BYTES where they tell none.
static enum image_kind typedef_kind(const struct btf *btf, uint32_t id)
{
	for (int i = 0; i < CHAIN_MAX; i++) {
		const struct btf_type *type = btf_type(btf, id);
		uint32_t kind = btf_kind(type);
		if (kind == BTF_KIND_TYPEDEF)
			for (size_t k = 0; k < sizeof(typedef_kinds) / sizeof(typedef_kinds[0]);
			        k++)
				if (!strcmp(btf_string(btf, type->name_off), typedef_kinds[k].name))
					return typedef_kinds[k].kind;
		if (kind != BTF_KIND_TYPEDEF && kind != BTF_KIND_CONST &&
		        kind != BTF_KIND_VOLATILE && kind != BTF_KIND_RESTRICT &&
		        kind != BTF_KIND_TYPE_TAG)
			break;
		id = type->type;
	}
	return IMAGE_BYTES;
}

static bool is_char(const struct btf *btf, const struct btf_type *type)
{
	return btf_kind(type) == BTF_KIND_INT && type->size == 1 &&
	       !strcmp(btf_string(btf, type->name_off), "char");
}

// A scalar's kind and width in bits; width 0 for what is none.
static enum image_kind scalar_kind(const struct btf *btf, uint32_t id, uint32_t *bits)
{
	const struct btf_type *type = btf_type(btf, btf_skip(btf, id));
	enum image_kind named = typedef_kind(btf, id);
	*bits = type->size <= 8 ? type->size * 8 : 0;
	switch (btf_kind(type)) {
	case BTF_KIND_INT:
		if (type->size > 8) {
			*bits = type->size * 8;
			return IMAGE_BYTES;
		}
		if (named == IMAGE_IPV4 && type->size != 4)
			named = IMAGE_BE;
		if (named != IMAGE_BYTES)
			return named;
		if (BTF_INT_ENCODING(btf_int_data(type)) & BTF_INT_BOOL)
			return IMAGE_BOOL;
		if (BTF_INT_ENCODING(btf_int_data(type)) & BTF_INT_SIGNED && !is_char(btf, type))
			return IMAGE_INT;
		return IMAGE_UINT;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return IMAGE_UINT;
	case BTF_KIND_FLOAT:
		return IMAGE_BYTES;
	case BTF_KIND_PTR:
		*bits = 64;
		return IMAGE_UINT;
	default:
		*bits = 0;
		return IMAGE_BYTES;
	}
}

// Does a field's name say that its 16 bytes are an IPv6 address?
static bool names_address(const char *name)
{
	static const char *const hints[] = {"addr", "ip6", "ipv6", "v6"};
	const char *dot = strrchr(name, '.');
	const char *last = dot ? dot + 1 : name;
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strstr(last, hints[i]))
			return true;
	size_t length = strlen(last);
	return !strcmp(last, "ip") || (length > 3 && !strcmp(last + length - 3, "_ip"));
}

static int scalars_add(struct builder *b, uint32_t id, uint64_t bit_offset, uint32_t bit_width,
        uint64_t count, bool is_array)
{
	const struct btf_type *type = btf_type(b->btf, btf_skip(b->btf, id));
	uint32_t bits;
	enum image_kind kind = scalar_kind(b->btf, id, &bits);
	if (!bits || count > UINT32_MAX)
		return 0;
	if (bit_width && bit_width <= 64)
		bits = bit_width;
	else if (btf_kind(type) == BTF_KIND_INT && kind != IMAGE_BYTES &&
	         BTF_INT_BITS(btf_int_data(type)) && BTF_INT_BITS(btf_int_data(type)) < bits &&
	         kind != IMAGE_BOOL) {
		bit_offset += BTF_INT_OFFSET(btf_int_data(type));
		bits = BTF_INT_BITS(btf_int_data(type));
	}
	if (kind == IMAGE_BYTES)
		return field_add(b, kind, bit_offset, 8, count * (bits / 8));
	if (!is_array)
		return field_add(b, kind, bit_offset, bits, 1);
	if (bits == 8 && is_char(b->btf, type))
		return field_add(b, IMAGE_CHAR, bit_offset, 8, count);
	if (bits == 8 && kind == IMAGE_UINT && count == 6)
		return field_add(b, IMAGE_MAC, bit_offset, 48, 1);
	if (bits == 8 && kind == IMAGE_UINT && count == 16 && names_address(b->name))
		return field_add(b, IMAGE_IPV6, bit_offset, 128, 1);
	if (bits == 8 && kind == IMAGE_UINT)
		return field_add(b, IMAGE_BYTES, bit_offset, 8, count);
	if (bits == 32 && count == 4 &&
	        (kind == IMAGE_IPV4 || (kind == IMAGE_UINT && names_address(b->name))))
		return field_add(b, IMAGE_IPV6, bit_offset, 128, 1);
	return field_add(b, kind, bit_offset, bits, count);
}

static int type_add(
        struct builder *b, uint32_t id, uint64_t bit_offset, uint32_t bit_width, int depth);

// Appends ".member" or "[3]" to the name; the caller cuts it off again at `length`.
static void name_append(struct builder *b, size_t length, const char *separator, const char *text)
{
	snprintf(b->name + length, sizeof(b->name) - length, "%s%.*s", length ? separator : "",
	        NAMED_MAX, text);
}

static int member_add(struct builder *b, const struct btf_type *type, uint32_t index,
        uint64_t bit_offset, int depth)
{
	const struct btf_member *member = &btf_members(type)[index];
	const char *name = btf_string(b->btf, member->name_off);
	size_t length = strlen(b->name);
	if (name[0])
		name_append(b, length, ".", name);
	int rc = type_add(b, member->type, bit_offset + btf_member_offset(type, index),
	        btf_member_bits(type, index), depth + 1);
	b->name[length] = '\0';
	return rc;
}

// A union is shown by its widest member, the first of them.
static int union_add(struct builder *b, const struct btf_type *type, uint64_t bit_offset, int depth)
{
	uint32_t widest = 0;
	if (!layout_step(b, btf_count(type)))
		return 0;
	uint64_t width = 0;
	for (uint32_t i = 0; i < btf_count(type); i++) {
		uint64_t size = btf_size(b->btf, btf_members(type)[i].type);
		if (size != BTF_SIZE_UNKNOWN && size > width) {
			width = size;
			widest = i;
		}
	}
	return btf_count(type) ? member_add(b, type, widest, bit_offset, depth) : 0;
}

static int struct_add(struct builder *b, uint32_t id, uint64_t bit_offset, int depth)
{
	const struct btf_type *type = btf_type(b->btf, id);
	if (!layout_step(b, 1))
		return 0;
	if (type->size == 16 && !strcmp(btf_string(b->btf, type->name_off), "in6_addr"))
		return field_add(b, IMAGE_IPV6, bit_offset, 128, 1);
	// The kernel allows one, and neither shows nor sets it.
	if (type->size == 4 && !strcmp(btf_string(b->btf, type->name_off), "bpf_spin_lock")) {
		if (!b->layout->lock && bit_offset % 32 == 0 && bit_offset + 32 <= b->size_bits)
			b->layout->lock = (uint32_t)(bit_offset / 8) + 1;
		return 0;
	}
	if (btf_kind(type) == BTF_KIND_UNION)
		return union_add(b, type, bit_offset, depth);
	if (!btf_count(type)) // opaque: bpf_timer and its kin have unnamed bit fields only
		return field_add(b, IMAGE_BYTES, bit_offset, 8, type->size);
	int rc = 0;
	for (uint32_t i = 0; i < btf_count(type) && !rc; i++) {
		if (!*b->budget || b->layout->field_count == IMAGE_FIELDS_MAX)
			break;
		rc = member_add(b, type, i, bit_offset, depth);
	}
	return rc;
}

static int array_add(struct builder *b, uint32_t id, uint64_t bit_offset, int depth)
{
	const struct btf_type *type = btf_type(b->btf, id);
	uint64_t count = 1;
	uint32_t element = id;
	for (int i = 0; i < CHAIN_MAX && btf_kind(type) == BTF_KIND_ARRAY; i++) {
		count *= btf_array(type)->nelems;
		if (count > UINT32_MAX)
			return 0;
		element = btf_array(type)->type;
		type = btf_type(b->btf, btf_skip(b->btf, element));
	}
	if (!btf_is_composite(type))
		return scalars_add(b, element, bit_offset, 0, count, true);
	if (type->size == 16 && !strcmp(btf_string(b->btf, type->name_off), "in6_addr"))
		return field_add(b, IMAGE_IPV6, bit_offset, 128, count);
	uint64_t size = count * type->size;
	if (count > ELEMENTS_MAX)
		return field_add(b, IMAGE_BYTES, bit_offset, 8, size);
	size_t length = strlen(b->name);
	int rc = 0;
	for (uint64_t i = 0; i < count && !rc && *b->budget; i++) {
		snprintf(b->name + length, sizeof(b->name) - length, "[%u]", (unsigned)i);
		rc = struct_add(
		        b, btf_skip(b->btf, element), bit_offset + i * type->size * 8, depth + 1);
	}
	b->name[length] = '\0';
	return rc;
}

static int type_add(
        struct builder *b, uint32_t id, uint64_t bit_offset, uint32_t bit_width, int depth)
{
	uint32_t bare = btf_skip(b->btf, id);
	if (!layout_step(b, 1) || depth > DEPTH_MAX || bit_offset >= b->size_bits)
		return 0;
	switch (btf_kind(btf_type(b->btf, bare))) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return struct_add(b, bare, bit_offset, depth);
	case BTF_KIND_ARRAY:
		return array_add(b, bare, bit_offset, depth);
	default:
		return scalars_add(b, id, bit_offset, bit_width, 1, false);
	}
}

int layout_append(const struct btf *btf, uint32_t type, const char *name, uint32_t offset,
        uint32_t size, uint32_t *budget, struct image_layout *layout)
{
	struct builder b = {
	        .budget = budget, .btf = btf, .layout = layout, .size_bits = (uint64_t)size * 8};
	if (b.size_bits > UINT32_MAX)
		b.size_bits = UINT32_MAX;
	snprintf(b.name, sizeof(b.name), "%.*s", NAMED_MAX, name);
	return type_add(&b, type, (uint64_t)offset * 8, 0, 0);
}

int layout_lpm(uint32_t key_size, struct image_layout *layout)
{
	uint32_t width = key_size - 4;
	if (!layout->field_count || layout->fields[0].bit_offset || layout->fields[0].bits != 32 ||
	        layout->field_count > 2 || (width != 4 && width != 16))
		return 0;
	if (layout->field_count ==
	        2) { // __u8 data[4], __u32 data: network order, or prefixes mean nothing
		struct image_field *data = &layout->fields[1];
		bool is_plain = data->kind == IMAGE_BYTES || data->kind == IMAGE_UINT ||
		                data->kind == IMAGE_INT;
		if (data->bit_offset != 32 || data->bits * data->count != width * 8 || !is_plain)
			return 0;
		data->kind = width == 4 ? IMAGE_IPV4 : IMAGE_IPV6;
		data->bits = width * 8;
		data->count = 1;
		return 0;
	}
	// struct bpf_lpm_trie_key has no data of its own.
	int rc = array_grow((void **)&layout->fields, layout->field_count, sizeof(*layout->fields));
	if (rc)
		return rc;
	layout->fields[layout->field_count++] = (struct image_field){
	        .name = "data",
	        .kind = width == 4 ? IMAGE_IPV4 : IMAGE_IPV6,
	        .bit_offset = 32,
	        .bits = width * 8,
	        .count = 1,
	};
	return 0;
}
