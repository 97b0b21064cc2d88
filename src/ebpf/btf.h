// SPDX-License-Identifier: Apache-2.0
// A bounded view of BTF (kernel: Documentation/bpf/btf.rst) and of .BTF.ext. Opening checks all of
// it: every record lies inside, every type that is referred to exists, every string ends. The view
// may be of a stranger's bytes; types may still refer to each other in circles, so walks are
// bounded.
#pragma once

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define BTF_SIZE_UNKNOWN UINT64_MAX

struct btf {
	const uint8_t *types; // 4-byte aligned
	const char *strings;
	uint32_t strings_size;
	uint32_t *offsets; // of each type
	uint32_t count;    // type ids are below it; 0 is void
	void *copy;
};

// `data` stays borrowed until btf_close(). Errors: EINVAL, ENOTSUP kind unknown, ENOMEM.
int btf_open(const void *data, size_t size, struct btf *btf, struct error *err);
void btf_close(struct btf *btf);

// The type with this id; void (kind BTF_KIND_UNKN) where there is none.
const struct btf_type *btf_type(const struct btf *btf, uint32_t id);
const char *btf_string(const struct btf *btf, uint32_t offset); // "" where there is none
static inline const char *btf_name(const struct btf *btf, uint32_t id)
{
	return btf_string(btf, btf_type(btf, id)->name_off);
}
static inline uint32_t btf_kind(const struct btf_type *type)
{
	return BTF_INFO_KIND(type->info);
}
static inline uint32_t btf_count(const struct btf_type *type)
{
	return BTF_INFO_VLEN(type->info);
}
static inline bool btf_flag(const struct btf_type *type)
{
	return BTF_INFO_KFLAG(type->info);
}
static inline bool btf_is_composite(const struct btf_type *type)
{
	return btf_kind(type) == BTF_KIND_STRUCT || btf_kind(type) == BTF_KIND_UNION;
}
static inline bool btf_is_enum(const struct btf_type *type)
{
	return btf_kind(type) == BTF_KIND_ENUM || btf_kind(type) == BTF_KIND_ENUM64;
}

// What stands behind a type, by kind.
static inline const struct btf_member *btf_members(const struct btf_type *type)
{
	return (const struct btf_member *)(type + 1);
}
static inline const struct btf_array *btf_array(const struct btf_type *type)
{
	return (const struct btf_array *)(type + 1);
}
static inline const struct btf_param *btf_params(const struct btf_type *type)
{
	return (const struct btf_param *)(type + 1);
}
static inline const struct btf_var_secinfo *btf_vars(const struct btf_type *type)
{
	return (const struct btf_var_secinfo *)(type + 1);
}
static inline uint32_t btf_int_data(const struct btf_type *type)
{
	return *(const uint32_t *)(type + 1);
}
static inline uint32_t btf_linkage(const struct btf_type *var)
{
	return *(const uint32_t *)(var + 1);
}
// Bits from the start of a struct to member `index`, and the member's width if it is a bit field,
// else 0.
uint32_t btf_member_offset(const struct btf_type *type, uint32_t index);
uint32_t btf_member_bits(const struct btf_type *type, uint32_t index);
// Name and value of entry `index` of an enum of either width.
const char *btf_enum_name(const struct btf *btf, const struct btf_type *type, uint32_t index);
int64_t btf_enum_value(const struct btf_type *type, uint32_t index);

// The type behind typedefs, const, volatile, restrict and tags; void where they form a circle.
uint32_t btf_skip(const struct btf *btf, uint32_t id);
// Bytes, or BTF_SIZE_UNKNOWN for void, functions, forward declarations and absurd arrays.
uint64_t btf_size(const struct btf *btf, uint32_t id);
// The DATASEC of this name, or 0.
uint32_t btf_datasec(const struct btf *btf, const char *name);

// .BTF.ext: records about instructions, grouped by section.
struct btf_info {
	const uint8_t *data;
	uint32_t size;
};
struct btf_ext {
	struct btf_info lines, relocations;
};
struct btf_ext_walk {
	const char *section; // name of the section that the current record is about
	const uint8_t *record;
	// the walk's own
	const struct btf *btf;
	struct btf_info info;
	uint32_t at, left, record_size, groups;
	bool failed;
};
int btf_ext_open(const void *data, size_t size, struct btf_ext *ext, struct error *err);
// Records are `size` bytes or more. Each btf_ext_next() moves to the next record; false at the end,
// or with `failed` where the rest is malformed.
struct btf_ext_walk btf_ext_walk(const struct btf *btf, const struct btf_info *info, uint32_t size);
bool btf_ext_next(struct btf_ext_walk *walk);
