// SPDX-License-Identifier: Apache-2.0
#include "ebpf/btf.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define CHAIN_MAX  32 // typedefs and qualifiers behind each other
#define GROUPS_MAX 8192

const struct btf_type *btf_type(const struct btf *btf, uint32_t id)
{
	static const struct btf_type nothing[4];
	if (id == 0 || id >= btf->count)
		return nothing;
	return (const struct btf_type *)(btf->types + btf->offsets[id]);
}

const char *btf_string(const struct btf *btf, uint32_t offset)
{
	return offset < btf->strings_size ? btf->strings + offset : "";
}

// Bytes behind a type's header, or -1 for a kind that BTF does not have.
static int64_t trailer_size(const struct btf_type *type)
{
	uint32_t count = btf_count(type);
	switch (btf_kind(type)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return (int64_t)count * (int64_t)sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return (int64_t)count * (int64_t)sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return (int64_t)count * (int64_t)sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return (int64_t)count * (int64_t)sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return (int64_t)count * (int64_t)sizeof(struct btf_var_secinfo);
	default:
		return -1;
	}
}

static bool is_reference(uint32_t kind)
{
	switch (kind) {
	case BTF_KIND_PTR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FUNC_PROTO:
	case BTF_KIND_TYPE_TAG:
	case BTF_KIND_DECL_TAG:
	case BTF_KIND_VAR:
		return true;
	default:
		return false;
	}
}

// Does all that a type refers to exist?
static bool type_is_sound(const struct btf *btf, const struct btf_type *type)
{
	uint32_t kind = btf_kind(type), count = btf_count(type);
	bool sound = type->name_off < btf->strings_size;
	if (is_reference(kind))
		sound = sound && type->type < btf->count;
	switch (kind) {
	case BTF_KIND_ARRAY:
		return sound && btf_array(type)->type < btf->count;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		for (uint32_t i = 0; i < count && sound; i++)
			sound = btf_members(type)[i].type < btf->count &&
			        btf_members(type)[i].name_off < btf->strings_size;
		return sound;
	case BTF_KIND_FUNC_PROTO:
		for (uint32_t i = 0; i < count && sound; i++)
			sound = btf_params(type)[i].type < btf->count &&
			        btf_params(type)[i].name_off < btf->strings_size;
		return sound;
	case BTF_KIND_DATASEC:
		for (uint32_t i = 0; i < count && sound; i++)
			sound = btf_vars(type)[i].type < btf->count;
		return sound;
	default:
		return sound;
	}
}

static int types_index(struct btf *btf, uint32_t size, struct error *err)
{
	// A type has 12 bytes at least, so the file's size bounds their number.
	btf->offsets = malloc(((size_t)size / sizeof(struct btf_type) + 2) * sizeof(uint32_t));
	if (!btf->offsets)
		return error_set(err, ENOMEM, "no memory for the index of BTF types");
	btf->offsets[0] = 0;
	btf->count = 1;
	for (uint32_t at = 0; at < size;) {
		const struct btf_type *type = (const struct btf_type *)(btf->types + at);
		if (size - at < sizeof(*type))
			return error_set(
			        err, EINVAL, "BTF type %u is cut off: file corrupt?", btf->count);
		int64_t trailer = trailer_size(type);
		if (trailer < 0)
			return error_set(err, ENOTSUP,
			        "BTF type %u is of kind %u, which is newer than this reader (or "
			        "the file "
			        "is corrupt): compile with clang 14 to 19",
			        btf->count, btf_kind(type));
		if ((uint64_t)trailer > size - at - sizeof(*type))
			return error_set(
			        err, EINVAL, "BTF type %u is cut off: file corrupt?", btf->count);
		btf->offsets[btf->count++] = at;
		at += (uint32_t)(sizeof(*type) + (uint64_t)trailer);
	}
	for (uint32_t id = 1; id < btf->count; id++)
		if (!type_is_sound(btf, btf_type(btf, id)))
			return error_set(err, EINVAL,
			        "BTF type %u refers to a type or string that does not exist: file "
			        "corrupt?",
			        id);
	return 0;
}

static int header_read(const void *data, size_t size, struct btf_header *header, struct error *err)
{
	if (size < sizeof(*header))
		return error_set(err, EINVAL, "the BTF is cut off: %zu bytes", size);
	memcpy(header, data, sizeof(*header));
	if (header->magic != BTF_MAGIC || header->version != BTF_VERSION ||
	        header->hdr_len < sizeof(*header) || header->hdr_len > size)
		return error_set(err, EINVAL, "the BTF has no valid header: file corrupt?");
	size_t rest = size - header->hdr_len;
	if (header->type_off > rest || header->type_len > rest - header->type_off ||
	        header->str_off > rest || header->str_len > rest - header->str_off)
		return error_set(err, EINVAL, "the BTF's parts lie outside of it: file corrupt?");
	if (header->type_off % 4 || header->hdr_len % 4)
		return error_set(err, EINVAL, "the BTF's types are not aligned: file corrupt?");
	return 0;
}

int btf_open(const void *data, size_t size, struct btf *btf, struct error *err)
{
	struct btf_header header;
	struct btf opened = {0};
	int rc = header_read(data, size, &header, err);
	if (rc)
		return rc;
	if ((uintptr_t)data % 4) {
		opened.copy = malloc(size);
		if (!opened.copy)
			return error_set(err, ENOMEM, "no memory for %zu bytes of BTF", size);
		data = memcpy(opened.copy, data, size);
	}
	opened.types = (const uint8_t *)data + header.hdr_len + header.type_off;
	opened.strings = (const char *)data + header.hdr_len + header.str_off;
	opened.strings_size = header.str_len;
	if (!header.str_len || opened.strings[0] || opened.strings[header.str_len - 1])
		rc = error_set(err, EINVAL, "the BTF's strings do not end: file corrupt?");
	else
		rc = types_index(&opened, header.type_len, err);
	if (rc) {
		btf_close(&opened);
		return rc;
	}
	*btf = opened;
	return 0;
}

void btf_close(struct btf *btf)
{
	free(btf->offsets);
	free(btf->copy);
	*btf = (struct btf){0};
}

uint32_t btf_member_offset(const struct btf_type *type, uint32_t index)
{
	uint32_t offset = btf_members(type)[index].offset;
	return btf_flag(type) ? BTF_MEMBER_BIT_OFFSET(offset) : offset;
}

uint32_t btf_member_bits(const struct btf_type *type, uint32_t index)
{
	return btf_flag(type) ? BTF_MEMBER_BITFIELD_SIZE(btf_members(type)[index].offset) : 0;
}

const char *btf_enum_name(const struct btf *btf, const struct btf_type *type, uint32_t index)
{
	if (btf_kind(type) == BTF_KIND_ENUM)
		return btf_string(btf, ((const struct btf_enum *)(type + 1))[index].name_off);
	return btf_string(btf, ((const struct btf_enum64 *)(type + 1))[index].name_off);
}

int64_t btf_enum_value(const struct btf_type *type, uint32_t index)
{
	if (btf_kind(type) == BTF_KIND_ENUM) {
		int32_t value = ((const struct btf_enum *)(type + 1))[index].val;
		return btf_flag(type) ? value : (int64_t)(uint32_t)value;
	}
	const struct btf_enum64 *entry = (const struct btf_enum64 *)(type + 1) + index;
	return (int64_t)((uint64_t)entry->val_hi32 << 32 | entry->val_lo32);
}

uint32_t btf_skip(const struct btf *btf, uint32_t id)
{
	for (int i = 0; i < CHAIN_MAX; i++) {
		const struct btf_type *type = btf_type(btf, id);
		switch (btf_kind(type)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			id = type->type;
			break;
		default:
			return id;
		}
	}
	return 0;
}

uint64_t btf_size(const struct btf *btf, uint32_t id)
{
	uint64_t count = 1;
	for (int i = 0; i < CHAIN_MAX; i++) {
		const struct btf_type *type = btf_type(btf, btf_skip(btf, id));
		switch (btf_kind(type)) {
		case BTF_KIND_INT:
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
		case BTF_KIND_FLOAT:
		case BTF_KIND_DATASEC:
			return count * type->size;
		case BTF_KIND_PTR:
			return count * 8;
		case BTF_KIND_VAR:
			id = type->type;
			break;
		case BTF_KIND_ARRAY:
			count *= btf_array(type)->nelems;
			if (count > UINT32_MAX)
				return BTF_SIZE_UNKNOWN;
			id = btf_array(type)->type;
			break;
		default:
			return BTF_SIZE_UNKNOWN;
		}
	}
	return BTF_SIZE_UNKNOWN;
}

uint32_t btf_datasec(const struct btf *btf, const char *name)
{
	for (uint32_t id = 1; id < btf->count; id++)
		if (btf_kind(btf_type(btf, id)) == BTF_KIND_DATASEC &&
		        !strcmp(btf_name(btf, id), name))
			return id;
	return 0;
}

// The header of .BTF.ext, which <linux/btf.h> does not have. The last two came later.
struct ext_header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t hdr_len;
	uint32_t func_info_off, func_info_len, line_info_off, line_info_len;
	uint32_t core_relo_off, core_relo_len;
};

int btf_ext_open(const void *data, size_t size, struct btf_ext *ext, struct error *err)
{
	struct ext_header header = {0};
	uint32_t least = offsetof(struct ext_header, core_relo_off);
	if (size < least)
		return error_set(err, EINVAL, "section '.BTF.ext' is cut off: %zu bytes", size);
	memcpy(&header, data, least);
	if (header.magic != BTF_MAGIC || header.version != BTF_VERSION || header.hdr_len < least ||
	        header.hdr_len > size)
		return error_set(
		        err, EINVAL, "section '.BTF.ext' has no valid header: file corrupt?");
	if (header.hdr_len >= sizeof(header))
		memcpy(&header, data, sizeof(header));
	size_t rest = size - header.hdr_len;
	if (header.line_info_off > rest || header.line_info_len > rest - header.line_info_off ||
	        header.core_relo_off > rest || header.core_relo_len > rest - header.core_relo_off)
		return error_set(err, EINVAL,
		        "the parts of section '.BTF.ext' lie outside of it: file "
		        "corrupt?");
	const uint8_t *body = (const uint8_t *)data + header.hdr_len;
	ext->lines = (struct btf_info){body + header.line_info_off, header.line_info_len};
	ext->relocations = (struct btf_info){body + header.core_relo_off, header.core_relo_len};
	return 0;
}

static uint32_t info_u32(struct btf_ext_walk *walk)
{
	uint32_t value = 0;
	if (walk->info.size - walk->at < sizeof(value)) {
		walk->failed = true;
		return 0;
	}
	memcpy(&value, walk->info.data + walk->at, sizeof(value));
	walk->at += sizeof(value);
	return le32toh(value);
}

struct btf_ext_walk btf_ext_walk(const struct btf *btf, const struct btf_info *info, uint32_t size)
{
	struct btf_ext_walk walk = {.section = "", .btf = btf, .info = *info};
	if (!info->size)
		return walk;
	walk.record_size = info_u32(&walk);
	if (walk.record_size < size || walk.record_size % 4)
		walk.failed = true;
	return walk;
}

bool btf_ext_next(struct btf_ext_walk *walk)
{
	while (!walk->failed && !walk->left) {
		if (walk->at == walk->info.size)
			return false;
		walk->section = btf_string(walk->btf, info_u32(walk));
		walk->left = info_u32(walk);
		walk->failed = walk->failed || ++walk->groups > GROUPS_MAX;
	}
	if (walk->failed || walk->record_size > walk->info.size - walk->at) {
		walk->failed = true;
		return false;
	}
	walk->record = walk->info.data + walk->at;
	walk->at += walk->record_size;
	walk->left--;
	return true;
}
