// SPDX-License-Identifier: Apache-2.0
// The algorithm is that of libbpf's relo_core.c: a "spec" is the path that clang wrote down
// ("0:1:2": the first element, its second member, that one's third), resolved to a place in a type.
// The same path is looked up by names in each type of the target that has the same name.
#include "ebpf/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/btf.h"
#include "ebpf/opcode.h"

#define PATH_MAX_STEPS 64
#define DEPTH_MAX      32
#define NAME_MAX_BYTES 256        // compared
#define STEPS_MAX      (4u << 20) // of all walks for one object

// A step of a path: a member by its name, or an element by its index.
struct step {
	const char *name; // NULL for an element
	uint32_t index;
	uint32_t type; // of what stands there
};

struct spec {
	const struct btf *btf;
	uint32_t root; // what the path begins at, without qualifiers
	uint32_t numbers[PATH_MAX_STEPS];
	uint32_t number_count;
	struct step steps[PATH_MAX_STEPS];
	uint32_t step_count;
	uint64_t bit_offset;
	uint32_t bits; // of a bit field, else 0
	int64_t enum_value;
};

// A name up to the "___flavour" that libbpf lets authors add.
static size_t essential_length(const char *name)
{
	size_t length = strnlen(name, NAME_MAX_BYTES);
	for (size_t i = length > 4 ? length - 4 : 0; i > 0; i--)
		if (!strncmp(name + i, "___", 3) && name[i - 1] != '_' && name[i + 3] != '_')
			return i;
	return length;
}

static bool same_name(const char *left, const char *right)
{
	size_t length = essential_length(left);
	return length == essential_length(right) && !strncmp(left, right, length);
}

static uint32_t name_hash(const char *name)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0, length = essential_length(name); i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	return hash;
}

int core_open(const struct btf *local, const struct btf *target, struct core *core)
{
	*core = (struct core){.local = local, .target = target, .budget = STEPS_MAX};
	if (!target)
		return 0;
	uint32_t slots = 64;
	while (slots < target->count && slots < 1u << 22)
		slots *= 2;
	core->heads = calloc(slots, sizeof(*core->heads));
	core->next = calloc(target->count, sizeof(*core->next));
	if (!core->heads || !core->next) {
		core_close(core);
		return -ENOMEM;
	}
	core->head_mask = slots - 1;
	for (uint32_t id = target->count; id-- > 1;) {
		uint32_t *head = &core->heads[name_hash(btf_name(target, id)) & core->head_mask];
		core->next[id] = *head;
		*head = id;
	}
	return 0;
}

void core_close(struct core *core)
{
	free(core->heads);
	free(core->next);
	*core = (struct core){0};
}

static bool is_type_kind(uint32_t kind)
{
	return kind >= BPF_CORE_TYPE_ID_LOCAL && kind <= BPF_CORE_TYPE_SIZE
	               ? true
	               : kind == BPF_CORE_TYPE_MATCHES;
}

static bool is_enum_kind(uint32_t kind)
{
	return kind == BPF_CORE_ENUMVAL_EXISTS || kind == BPF_CORE_ENUMVAL_VALUE;
}

// "0:1:2" into numbers.
static bool path_parse(const char *text, struct spec *spec)
{
	while (*text) {
		uint64_t number = 0;
		if (spec->number_count == PATH_MAX_STEPS || *text < '0' || *text > '9')
			return false;
		for (; *text >= '0' && *text <= '9'; text++) {
			number = number * 10 + (uint64_t)(*text - '0');
			if (number > INT32_MAX)
				return false;
		}
		spec->numbers[spec->number_count++] = (uint32_t)number;
		if (*text == ':' && text[1])
			text++;
		else if (*text)
			return false;
	}
	return spec->number_count > 0;
}

static bool spec_element(struct spec *spec, uint32_t *id, uint32_t index)
{
	const struct btf_type *type = btf_type(spec->btf, *id);
	if (btf_kind(type) != BTF_KIND_ARRAY)
		return false;
	uint64_t size = btf_size(spec->btf, btf_array(type)->type);
	if (size == BTF_SIZE_UNKNOWN)
		return false;
	*id = btf_skip(spec->btf, btf_array(type)->type);
	spec->bit_offset += index * size * 8;
	spec->steps[spec->step_count++] = (struct step){NULL, index, *id};
	return true;
}

static bool spec_member(struct spec *spec, uint32_t *id, uint32_t index)
{
	const struct btf_type *type = btf_type(spec->btf, *id);
	if (!btf_is_composite(type) || index >= btf_count(type))
		return false;
	const char *name = btf_string(spec->btf, btf_members(type)[index].name_off);
	spec->bit_offset += btf_member_offset(type, index);
	spec->bits = btf_member_bits(type, index);
	*id = btf_skip(spec->btf, btf_members(type)[index].type);
	if (name[0]) // anonymous members are looked through
		spec->steps[spec->step_count++] = (struct step){name, index, *id};
	return true;
}

// Resolves the path against the types that clang had.
static bool spec_local(struct spec *spec, uint32_t type, uint32_t kind)
{
	uint32_t id = btf_skip(spec->btf, type);
	spec->root = id;
	if (is_type_kind(kind)) {
		spec->root = type;
		return true;
	}
	const struct btf_type *root = btf_type(spec->btf, id);
	if (is_enum_kind(kind)) {
		uint32_t index = spec->numbers[0];
		if (!btf_is_enum(root) || index >= btf_count(root))
			return false;
		spec->enum_value = btf_enum_value(root, index);
		spec->steps[spec->step_count++] =
		        (struct step){btf_enum_name(spec->btf, root, index), index, id};
		return true;
	}
	uint64_t size = btf_size(spec->btf, id);
	if (size == BTF_SIZE_UNKNOWN)
		return false;
	spec->bit_offset = spec->numbers[0] * size * 8;
	spec->steps[spec->step_count++] = (struct step){NULL, spec->numbers[0], id};
	for (uint32_t i = 1; i < spec->number_count; i++) {
		bool is_member = btf_is_composite(btf_type(spec->btf, id));
		bool found = is_member ? spec_member(spec, &id, spec->numbers[i])
		                       : spec_element(spec, &id, spec->numbers[i]);
		if (!found)
			return false;
	}
	return true;
}

// Could a field of one type stand for one of the other?
static bool fields_agree(const struct btf *a, uint32_t left, const struct btf *b, uint32_t right)
{
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		const struct btf_type *l = btf_type(a, btf_skip(a, left));
		const struct btf_type *r = btf_type(b, btf_skip(b, right));
		if (btf_is_composite(l) && btf_is_composite(r))
			return true;
		if (btf_is_enum(l) && btf_is_enum(r)) {
			const char *ln = btf_string(a, l->name_off),
			           *rn = btf_string(b, r->name_off);
			return !ln[0] || !rn[0] || same_name(ln, rn);
		}
		if (btf_kind(l) != btf_kind(r))
			return false;
		switch (btf_kind(l)) {
		case BTF_KIND_PTR:
		case BTF_KIND_FLOAT:
		case BTF_KIND_INT:
			return true;
		case BTF_KIND_FWD: {
			const char *ln = btf_string(a, l->name_off),
			           *rn = btf_string(b, r->name_off);
			return !ln[0] || !rn[0] || same_name(ln, rn);
		}
		case BTF_KIND_ARRAY:
			left = btf_array(l)->type;
			right = btf_array(r)->type;
			break;
		default:
			return false;
		}
	}
	return false;
}

// Finds member `name` of a composite of the target, through anonymous members. Adds to the spec.
static bool target_member(
        struct spec *spec, uint32_t *id, const char *name, int depth, uint32_t *budget)
{
	const struct btf_type *type = btf_type(spec->btf, *id);
	if (!btf_is_composite(type) || depth > DEPTH_MAX)
		return false;
	for (uint32_t i = 0; i < btf_count(type) && *budget; i++) {
		const struct btf_member *member = &btf_members(type)[i];
		const char *found = btf_string(spec->btf, member->name_off);
		--*budget;
		if (found[0] && strcmp(found, name))
			continue;
		uint32_t inner = btf_skip(spec->btf, member->type);
		uint64_t before = spec->bit_offset;
		spec->bit_offset += btf_member_offset(type, i);
		if (found[0]) {
			spec->bits = btf_member_bits(type, i);
			*id = inner;
			return true;
		}
		if (target_member(spec, &inner, name, depth + 1, budget)) {
			*id = inner;
			return true;
		}
		spec->bit_offset = before;
	}
	return false;
}

static bool match_enum(const struct spec *local, struct spec *target)
{
	const struct btf_type *type = btf_type(target->btf, target->root);
	for (uint32_t i = 0; i < btf_count(type); i++) {
		if (!same_name(btf_enum_name(target->btf, type, i), local->steps[0].name))
			continue;
		target->enum_value = btf_enum_value(type, i);
		target->steps[target->step_count++] =
		        (struct step){local->steps[0].name, i, target->root};
		return true;
	}
	return false;
}

// Looks the path of `local` up in type target->root.
static bool match_fields(const struct spec *local, struct spec *target, uint32_t *budget)
{
	uint32_t id = target->root;
	uint64_t size = btf_size(target->btf, id);
	if (size == BTF_SIZE_UNKNOWN)
		return false;
	target->bit_offset = local->steps[0].index * size * 8;
	target->steps[target->step_count++] = (struct step){NULL, local->steps[0].index, id};
	for (uint32_t i = 1; i < local->step_count; i++) {
		const struct step *step = &local->steps[i];
		if (step->name) {
			if (!target_member(target, &id, step->name, 0, budget))
				return false;
			target->steps[target->step_count++] =
			        (struct step){step->name, step->index, id};
			if (!fields_agree(local->btf, step->type, target->btf, id))
				return false;
			continue;
		}
		const struct btf_type *type = btf_type(target->btf, id);
		if (btf_kind(type) != BTF_KIND_ARRAY)
			return false;
		bool is_flexible = !btf_array(type)->nelems;
		if ((!is_flexible && step->index >= btf_array(type)->nelems) ||
		        !spec_element(target, &id, step->index))
			return false;
	}
	return true;
}

// libbpf's bpf_core_types_are_compat(): the same kind all the way; names below the root do not
// count.
static bool types_agree(const struct btf *a, uint32_t left, const struct btf *b, uint32_t right,
        int depth, uint32_t *budget)
{
	for (; depth < DEPTH_MAX && *budget; depth++) {
		const struct btf_type *l = btf_type(a, left = btf_skip(a, left));
		const struct btf_type *r = btf_type(b, right = btf_skip(b, right));
		--*budget;
		if (btf_is_enum(l) && btf_is_enum(r))
			return true;
		if (btf_kind(l) != btf_kind(r))
			return false;
		switch (btf_kind(l)) {
		case BTF_KIND_UNKN:
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
		case BTF_KIND_FWD:
		case BTF_KIND_INT:
			return true;
		case BTF_KIND_PTR:
			left = l->type;
			right = r->type;
			break;
		case BTF_KIND_ARRAY:
			left = btf_array(l)->type;
			right = btf_array(r)->type;
			break;
		case BTF_KIND_FUNC_PROTO:
			if (btf_count(l) != btf_count(r))
				return false;
			for (uint32_t i = 0; i < btf_count(l); i++)
				if (!types_agree(a, btf_params(l)[i].type, b, btf_params(r)[i].type,
				            depth + 1, budget))
					return false;
			left = l->type;
			right = r->type;
			break;
		default:
			return false;
		}
	}
	return false;
}

static bool types_match(const struct btf *a, uint32_t left, const struct btf *b, uint32_t right,
        bool behind_pointer, int depth, uint32_t *budget);

static bool enums_match(const struct btf *a, const struct btf_type *l, const struct btf *b,
        const struct btf_type *r, uint32_t *budget)
{
	for (uint32_t i = 0; i < btf_count(l); i++) {
		bool found = false;
		for (uint32_t k = 0; k < btf_count(r) && !found && *budget; k++, --*budget)
			found = same_name(btf_enum_name(a, l, i), btf_enum_name(b, r, k));
		if (!found)
			return false;
	}
	return true;
}

static bool composites_match(const struct btf *a, const struct btf_type *l, const struct btf *b,
        const struct btf_type *r, int depth, uint32_t *budget)
{
	for (uint32_t i = 0; i < btf_count(l); i++) {
		const struct btf_member *member = &btf_members(l)[i];
		bool found = false;
		for (uint32_t k = 0; k < btf_count(r) && !found && *budget; k++) {
			const struct btf_member *other = &btf_members(r)[k];
			--*budget;
			found = !strcmp(btf_string(a, member->name_off),
			                btf_string(b, other->name_off)) &&
			        types_match(
			                a, member->type, b, other->type, false, depth + 1, budget);
		}
		if (!found)
			return false;
	}
	return true;
}

// libbpf's __bpf_core_types_match(): all that the left type has, the right one has as well.
static bool types_match(const struct btf *a, uint32_t left, const struct btf *b, uint32_t right,
        bool behind_pointer, int depth, uint32_t *budget)
{
	const struct btf_type *l = btf_type(a, left = btf_skip(a, left));
	const struct btf_type *r = btf_type(b, right = btf_skip(b, right));
	if (depth >= DEPTH_MAX || !*budget)
		return false;
	--*budget;
	if (!same_name(btf_string(a, l->name_off), btf_string(b, r->name_off)))
		return false;
	uint32_t kind = btf_kind(l);
	if (btf_is_enum(l) && btf_is_enum(r))
		return enums_match(a, l, b, r, budget);
	if (kind != btf_kind(r)) // behind a pointer a declaration stands for its definition
		return behind_pointer &&
		       ((kind == BTF_KIND_FWD && btf_is_composite(r)) ||
		               (btf_is_composite(l) && btf_kind(r) == BTF_KIND_FWD));
	switch (kind) {
	case BTF_KIND_UNKN:
	case BTF_KIND_FWD:
		return true;
	case BTF_KIND_INT:
		return l->size == r->size &&
		       (BTF_INT_ENCODING(btf_int_data(l)) & BTF_INT_SIGNED) ==
		               (BTF_INT_ENCODING(btf_int_data(r)) & BTF_INT_SIGNED);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return behind_pointer || composites_match(a, l, b, r, depth, budget);
	case BTF_KIND_PTR:
		return types_match(a, l->type, b, r->type, true, depth + 1, budget);
	case BTF_KIND_ARRAY:
		return btf_array(l)->nelems == btf_array(r)->nelems &&
		       types_match(a, btf_array(l)->type, b, btf_array(r)->type, false, depth + 1,
		               budget);
	case BTF_KIND_FUNC_PROTO:
		if (btf_count(l) != btf_count(r))
			return false;
		for (uint32_t i = 0; i < btf_count(l); i++)
			if (!types_match(a, btf_params(l)[i].type, b, btf_params(r)[i].type, false,
			            depth + 1, budget))
				return false;
		return types_match(a, l->type, b, r->type, false, depth + 1, budget);
	default:
		return false;
	}
}

static bool spec_match(
        const struct spec *local, struct spec *target, uint32_t kind, uint32_t *budget)
{
	if (kind == BPF_CORE_TYPE_MATCHES)
		return types_match(
		        local->btf, local->root, target->btf, target->root, false, 0, budget);
	if (is_type_kind(kind))
		return types_agree(local->btf, local->root, target->btf, target->root, 0, budget);
	return is_enum_kind(kind) ? match_enum(local, target) : match_fields(local, target, budget);
}

// A field's load: where it is, how wide it is, and the shifts that leave its bits alone.
struct field {
	uint64_t byte_offset, byte_size, left_shift, right_shift;
	bool is_signed, is_integer;
};

static bool field_of(const struct spec *spec, struct field *field)
{
	const struct step *last = &spec->steps[spec->step_count - 1];
	const struct btf_type *type = btf_type(spec->btf, last->type);
	uint64_t size = btf_size(spec->btf, last->type);
	*field = (struct field){.byte_offset = spec->bit_offset / 8, .byte_size = size};
	if (btf_kind(type) == BTF_KIND_INT)
		field->is_signed = BTF_INT_ENCODING(btf_int_data(type)) & BTF_INT_SIGNED;
	else if (btf_is_enum(type))
		field->is_signed = btf_flag(type);
	field->is_integer = btf_kind(type) == BTF_KIND_INT || btf_is_enum(type) ||
	                    btf_kind(type) == BTF_KIND_PTR;
	uint64_t bits = spec->bits ? spec->bits : size <= 8 ? size * 8 : 64;
	if (spec->bits) {
		// The narrowest aligned word that the bit field fits into.
		if (size == BTF_SIZE_UNKNOWN || !size || size > 8 || size & (size - 1))
			return false;
		uint64_t start = spec->bit_offset / 8 / size * size;
		while (spec->bit_offset + bits - start * 8 > size * 8) {
			size *= 2;
			if (size > 8)
				return false;
			start = spec->bit_offset / 8 / size * size;
		}
		field->byte_offset = start;
		field->byte_size = size;
	}
	field->left_shift = 64 - (spec->bit_offset + bits - field->byte_offset * 8);
	field->right_shift = 64 - bits;
	return field->byte_offset <= INT32_MAX;
}

// The answer to a question about a place that exists.
static bool spec_value(const struct spec *spec, uint32_t kind, uint64_t *value)
{
	struct field field;
	switch (kind) {
	case BPF_CORE_FIELD_EXISTS:
	case BPF_CORE_TYPE_EXISTS:
	case BPF_CORE_TYPE_MATCHES:
	case BPF_CORE_ENUMVAL_EXISTS:
		*value = 1;
		return true;
	case BPF_CORE_TYPE_ID_LOCAL:
	case BPF_CORE_TYPE_ID_TARGET:
		*value = spec->root;
		return true;
	case BPF_CORE_TYPE_SIZE:
		*value = btf_size(spec->btf, spec->root);
		return *value != BTF_SIZE_UNKNOWN;
	case BPF_CORE_ENUMVAL_VALUE:
		*value = (uint64_t)spec->enum_value;
		return true;
	default:
		break;
	}
	if (!field_of(spec, &field))
		return false;
	switch (kind) {
	case BPF_CORE_FIELD_BYTE_OFFSET:
		*value = field.byte_offset;
		return true;
	case BPF_CORE_FIELD_BYTE_SIZE:
		*value = field.byte_size;
		return field.byte_size != BTF_SIZE_UNKNOWN;
	case BPF_CORE_FIELD_SIGNED:
		*value = field.is_signed;
		return true;
	case BPF_CORE_FIELD_LSHIFT_U64:
		*value = field.left_shift;
		return true;
	case BPF_CORE_FIELD_RSHIFT_U64:
		*value = field.right_shift;
		return true;
	default:
		return false;
	}
}

static bool is_exists_kind(uint32_t kind)
{
	return kind == BPF_CORE_FIELD_EXISTS || kind == BPF_CORE_TYPE_EXISTS ||
	       kind == BPF_CORE_TYPE_MATCHES || kind == BPF_CORE_ENUMVAL_EXISTS;
}

static bool kinds_agree(const struct btf_type *l, const struct btf_type *r)
{
	return btf_kind(l) == btf_kind(r) || (btf_is_enum(l) && btf_is_enum(r));
}

// Looks for the local path in the target. Returns 1 found, 0 not there, -EINVAL there in ways that
// disagree.
static int find_target(
        struct core *core, const struct spec *local, uint32_t kind, struct spec *found)
{
	const struct btf_type *root = btf_type(core->local, local->root);
	const char *name = btf_string(core->local, root->name_off);
	uint64_t value = 0;
	int count = 0;
	if (!name[0])
		return 0;
	for (uint32_t id = core->heads[name_hash(name) & core->head_mask]; id && core->budget;
	        id = core->next[id], core->budget--) {
		if (!kinds_agree(root, btf_type(core->target, id)) ||
		        !same_name(name, btf_name(core->target, id)))
			continue;
		struct spec spec = {.btf = core->target, .root = id};
		uint64_t other;
		if (!spec_match(local, &spec, kind, &core->budget) ||
		        !spec_value(&spec, kind, &other))
			continue;
		if (count++ && (other != value || spec.bit_offset != found->bit_offset))
			return -EINVAL;
		value = other;
		*found = spec;
	}
	return count > 0;
}

static uint32_t access_size(const struct bpf_insn *insn)
{
	static const uint8_t sizes[] = {
	        [BPF_W >> 3] = 4, [BPF_H >> 3] = 2, [BPF_B >> 3] = 1, [BPF_DW >> 3] = 8};
	return sizes[BPF_SIZE(insn->code) >> 3];
}

static bool access_resize(struct bpf_insn *insn, uint64_t size)
{
	static const uint8_t codes[] = {[1] = BPF_B, [2] = BPF_H, [4] = BPF_W, [8] = BPF_DW};
	if (size > 8 || !size || size & (size - 1))
		return false;
	insn->code = (uint8_t)((insn->code & ~BPF_SIZE(0xff)) | codes[size]);
	return true;
}

// Puts the answer where clang put the local one. A load or store of an integer that has another
// width in the target takes that width.
static int patch(const struct spec *local, const struct spec *target, uint32_t kind, uint64_t value,
        struct bpf_insn *insn, uint32_t left, struct error *err)
{
	struct field from, to;
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		if (BPF_SRC(insn->code) != BPF_K)
			break;
		insn->imm = (int32_t)value;
		return 0;
	case BPF_LDX:
	case BPF_ST:
	case BPF_STX:
		if (value > INT16_MAX)
			return error_set(err, EINVAL,
			        "CO-RE: the field is at offset %llu, over the 32767 that a load "
			        "can reach",
			        (unsigned long long)value);
		insn->off = (int16_t)value;
		if (kind != BPF_CORE_FIELD_BYTE_OFFSET || !field_of(local, &from) ||
		        !field_of(target, &to) || from.byte_size == to.byte_size ||
		        from.byte_size != access_size(insn))
			return 0;
		if (!from.is_integer || !to.is_integer || from.is_signed || to.is_signed ||
		        !access_resize(insn, to.byte_size))
			return error_set(err, EINVAL,
			        "CO-RE: the field has %llu bytes here and %llu in the kernel; read "
			        "it with "
			        "BPF_CORE_READ_BITFIELD or bpf_core_read",
			        (unsigned long long)from.byte_size,
			        (unsigned long long)to.byte_size);
		return 0;
	case BPF_LD:
		if (!insn_is_lddw(insn) || left < 2)
			break;
		insn[0].imm = (int32_t)value;
		insn[1].imm = (int32_t)(value >> 32);
		return 0;
	default:
		break;
	}
	return error_set(err, EINVAL, "CO-RE: instruction 0x%02x cannot be relocated", insn->code);
}

int core_apply(struct core *core, const struct bpf_core_relo *relocation, struct bpf_insn *insn,
        uint32_t left, struct error *err)
{
	uint32_t kind = relocation->kind;
	const char *path = btf_string(core->local, relocation->access_str_off);
	struct spec local = {.btf = core->local}, found;
	uint64_t value;
	core->budget -= core->budget > PATH_MAX_STEPS ? PATH_MAX_STEPS : core->budget;
	if (!core->budget)
		return error_set(
		        err, E2BIG, "the object's CO-RE relocations are too many to resolve");
	if (kind > BPF_CORE_TYPE_MATCHES)
		return error_set(err, ENOTSUP, "CO-RE relocation of unknown kind %u", kind);
	if (!path_parse(path, &local) || !spec_local(&local, relocation->type_id, kind) ||
	        !spec_value(&local, kind, &value))
		return error_set(err, EINVAL,
		        "CO-RE: path '%.64s' into type %u ('%.64s') leads nowhere: file corrupt?",
		        path, relocation->type_id, btf_name(core->local, relocation->type_id));
	if (!core->target || kind == BPF_CORE_TYPE_ID_LOCAL)
		return patch(&local, &local, kind, value, insn, left, err);
	int rc = find_target(core, &local, kind, &found);
	if (!core->budget)
		return error_set(
		        err, E2BIG, "the object's CO-RE relocations are too many to resolve");
	if (rc < 0)
		return error_set(err, EINVAL,
		        "CO-RE: the kernel has several types '%.64s' that disagree about path "
		        "'%.64s'",
		        btf_name(core->local, local.root), path);
	if (!rc) // code that is skipped where "exists" is 0 keeps its own answers
		return patch(
		        &local, &local, kind, is_exists_kind(kind) ? 0 : value, insn, left, err);
	spec_value(&found, kind, &value);
	return patch(&local, &found, kind, value, insn, left, err);
}
