// SPDX-License-Identifier: Apache-2.0
// Three passes over each program, each linear in its instructions: mark where instructions and
// functions begin; look at each instruction by itself; look at where each one leads.
#include "ebpf/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/helper.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"
#include "ebpf/opcode.h"

#define PLACE_MAX 256

enum mark {
	MARK_SECOND_HALF = 1, // of an LDDW
	MARK_FUNCTION = 2,    // a function begins here
};

struct check {
	const struct image *image;
	const struct image_program *program;
	uint8_t *marks; // of each instruction slot of the program
	struct error *err;
};

// One instruction's place in front of what is wrong with it.
static int reject(struct check *check, uint32_t insn, int code, const char *text)
{
	char place[PLACE_MAX];
	image_place(check->program, insn, place, sizeof(place));
	const struct image_line *line = image_line_of(check->program, insn);
	if (line && line->line)
		return error_set(check->err, code, "%s: %s (%s, instruction %u)", place, text,
		        check->program->name, insn);
	return error_set(check->err, code, "%s: %s (instruction %u)", place, text, insn);
}

static int mark_program(struct check *check)
{
	const struct image_program *program = check->program;
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const char *wrong = opcode_check(&program->insns[i], program->insn_count - i);
		if (wrong) {
			char text[256];
			snprintf(text, sizeof(text), "%s (opcode 0x%02x)", wrong,
			        program->insns[i].code);
			return reject(check, i, EINVAL, text);
		}
		if (insn_is_lddw(&program->insns[i]))
			check->marks[++i] |= MARK_SECOND_HALF;
	}
	for (uint32_t i = 0; i < program->function_count; i++) {
		uint32_t insn = program->functions[i].insn;
		if (check->marks[insn] & MARK_SECOND_HALF)
			return reject(check, insn, EINVAL,
			        "a function begins in the second half of a 64-bit immediate load: "
			        "the object is damaged, compile it again");
		check->marks[insn] |= MARK_FUNCTION;
	}
	return 0;
}

static int check_helper(struct check *check, uint32_t insn, uint32_t id)
{
	if (helper_find(id))
		return 0;
	char text[256];
	snprintf(text, sizeof(text),
	        "helper %s (number %u) is offered by no card: take the call out, or do what it "
	        "does "
	        "in the function itself",
	        helper_name(id), id);
	return reject(check, insn, ENOTSUP, text);
}

static int check_kfunc(struct check *check, uint32_t insn, int32_t index)
{
	if (index < 0 || (uint32_t)index >= check->image->kfunc_count)
		return reject(check, insn, EINVAL, "call of a kfunc that the object does not name");
	const char *name = check->image->kfuncs[index];
	if (kfunc_find(name))
		return 0;
	char text[256];
	snprintf(text, sizeof(text),
	        "kfunc %s is offered by no card: take the call out, or do what it does in the "
	        "function itself",
	        name);
	return reject(check, insn, ENOTSUP, text);
}

static int check_callee(struct check *check, uint32_t insn)
{
	int64_t callee = image_callee(&check->program->insns[insn], insn);
	if (callee < 0 || callee >= check->program->insn_count)
		return reject(check, insn, EINVAL, "call of a function outside the program");
	if (!(check->marks[callee] & MARK_FUNCTION))
		return reject(check, insn, EINVAL,
		        "call into the middle of a function: only its first instruction can be "
		        "called");
	return 0;
}

static int check_map_value(struct check *check, uint32_t insn, const struct image_map *map)
{
	uint32_t offset = (uint32_t)check->program->insns[insn + 1].imm;
	char text[256];
	if (map->type != BPF_MAP_TYPE_ARRAY || map->max_entries != 1) {
		snprintf(text, sizeof(text),
		        "address of a value of map %s, which is not an array of one entry",
		        map->name);
		return reject(check, insn, EINVAL, text);
	}
	if (offset < map->value_size)
		return 0;
	snprintf(text, sizeof(text), "address of byte %u of %s, which has %u bytes", offset,
	        map->name, map->value_size);
	return reject(check, insn, EINVAL, text);
}

static int check_lddw(struct check *check, uint32_t insn)
{
	const struct bpf_insn *at = &check->program->insns[insn];
	switch (at->src_reg) {
	case 0:
		return 0;
	case BPF_PSEUDO_FUNC:
		return check_callee(check, insn);
	case BPF_PSEUDO_MAP_FD:
	case BPF_PSEUDO_MAP_VALUE:
		break;
	case BPF_PSEUDO_BTF_ID:
		return reject(check, insn, ENOTSUP,
		        "address of a kernel variable (__ksym), which no card offers: take it out");
	default:
		return reject(check, insn, ENOTSUP, "map reference by index, which no card offers");
	}
	if (at->imm < 0 || (uint32_t)at->imm >= check->image->map_count)
		return reject(
		        check, insn, EINVAL, "reference to a map that the object does not have");
	const struct image_map *map = &check->image->maps[at->imm];
	if (map->is_template) {
		char text[256];
		snprintf(text, sizeof(text),
		        "map %s only gives the shape of inner maps: look one up in its outer map",
		        map->name);
		return reject(check, insn, EINVAL, text);
	}
	return at->src_reg == BPF_PSEUDO_MAP_VALUE ? check_map_value(check, insn, map) : 0;
}

// A jump, in the function in [first, end).
static int check_jump(struct check *check, uint32_t insn, uint32_t first, uint32_t end)
{
	int64_t to = insn_jump_to(&check->program->insns[insn], insn);
	if (to < 0 || to >= check->program->insn_count)
		return reject(check, insn, EINVAL, "jump out of the program");
	if (to < first || to >= end)
		return reject(check, insn, EINVAL, "jump out of its function");
	if (check->marks[to] & MARK_SECOND_HALF)
		return reject(check, insn, EINVAL,
		        "jump into the second half of a 64-bit immediate load");
	return 0;
}

static int check_call(struct check *check, uint32_t insn)
{
	const struct bpf_insn *at = &check->program->insns[insn];
	if (at->src_reg == BPF_PSEUDO_CALL)
		return check_callee(check, insn);
	if (at->src_reg == BPF_PSEUDO_KFUNC_CALL)
		return check_kfunc(check, insn, at->imm);
	return check_helper(check, insn, (uint32_t)at->imm);
}

// What the instructions of the function in [first, end) refer to: maps, helpers, functions, places
// to jump to. And that the last one does not fall off it.
static int check_function(struct check *check, uint32_t first, uint32_t end)
{
	enum opcode_kind last = KIND_INVALID;
	uint32_t last_insn = first;
	int rc = 0;
	for (uint32_t i = first; !rc && i < end; i++) {
		last = opcode_of(&check->program->insns[i])->kind;
		last_insn = i;
		if (last < KIND_JUMP && last != KIND_LDDW) // refers to nothing
			continue;
		if (last == KIND_JUMP || last == KIND_JUMP_ALWAYS)
			rc = check_jump(check, i, first, end);
		else if (last == KIND_CALL)
			rc = check_call(check, i);
		else if (last == KIND_LDDW)
			rc = check_lddw(check, i++);
	}
	if (rc || last == KIND_EXIT || last == KIND_JUMP_ALWAYS)
		return rc;
	return reject(check, last_insn, EINVAL,
	        "execution falls off the end of the function: end every path with a return "
	        "(clang leaves it out behind what it holds to be unreachable or undefined)");
}

static int check_program(
        const struct image *image, const struct image_program *program, struct error *err)
{
	if (!program->insn_count || !program->function_count)
		return error_set(err, EINVAL, "program %s is empty", program->name);
	autofree uint8_t *marks = calloc(program->insn_count, 1);
	if (!marks)
		return error_set(
		        err, ENOMEM, "out of memory while checking program %s", program->name);
	struct check check = {image, program, marks, err};
	int rc = mark_program(&check);
	for (uint32_t i = 0; !rc && i < program->function_count; i++) {
		bool is_last = i + 1 == program->function_count;
		rc = check_function(&check, program->functions[i].insn,
		        is_last ? program->insn_count : program->functions[i + 1].insn);
	}
	return rc;
}

// The place of the first instruction that refers to map `index`, or "".
static const char *map_place(const struct image *image, uint32_t index, char *text, size_t size)
{
	text[0] = '\0';
	for (uint32_t p = 0; p < image->program_count; p++) {
		const struct image_program *program = &image->programs[p];
		for (uint32_t i = 0; i < program->insn_count; i++) {
			const struct bpf_insn *at = &program->insns[i];
			if (!insn_is_lddw(at))
				continue;
			if ((at->src_reg == BPF_PSEUDO_MAP_FD ||
			            at->src_reg == BPF_PSEUDO_MAP_VALUE) &&
			        (uint32_t)at->imm == index && program->function_count) {
				char place[PLACE_MAX];
				snprintf(text, size,
				        "%s: ", image_place(program, i, place, sizeof(place)));
				return text;
			}
			i++;
		}
	}
	return text;
}

// What the type alone says of a definition; map_new() has the rest.
static int check_map(const struct image *image, uint32_t index, struct error *err)
{
	const struct image_map *map = &image->maps[index];
	const struct map_type *type = map_type_find(map->type);
	char place[PLACE_MAX + 2];
	if (type && type->is_offered) {
		if (type->key_size && map->key_size != type->key_size)
			return error_set(err, EINVAL,
			        "%smap %s: a %s's key has %u bytes, this one has %u: make the key "
			        "a __u32",
			        map_place(image, index, place, sizeof(place)), map->name,
			        type->name, type->key_size, map->key_size);
		if (type->value_size && map->value_size != type->value_size)
			return error_set(err, EINVAL,
			        "%smap %s: a %s's value has %u bytes, this one has %u: make the "
			        "value a __u32",
			        map_place(image, index, place, sizeof(place)), map->name,
			        type->name, type->value_size, map->value_size);
		if (map->key_size > MAP_KEY_MAX || map->value_size > MAP_VALUE_MAX)
			return error_set(err, EINVAL,
			        "%smap %s: key of %u and value of %u bytes; at most %u and %u are "
			        "possible",
			        map_place(image, index, place, sizeof(place)), map->name,
			        map->key_size, map->value_size, MAP_KEY_MAX, MAP_VALUE_MAX);
		if (map->flags & ~type->flags)
			return error_set(err, EINVAL,
			        "%smap %s: flags 0x%x are not possible with a %s: leave them out "
			        "of map_flags",
			        map_place(image, index, place, sizeof(place)), map->name,
			        map->flags & ~type->flags, type->name);
		return 0;
	}
	return error_set(err, ENOTSUP,
	        "%smap %s: maps of type %s (number %u) are offered by no card: use another type, "
	        "such as "
	        "hash, array, lpm_trie or ringbuf",
	        map_place(image, index, place, sizeof(place)), map->name,
	        type ? type->name : "unknown", map->type);
}

int check_image(const struct image *image, struct error *err)
{
	if (image->entry >= image->program_count)
		return error_set(
		        err, EINVAL, "the object has no XDP program: mark one with SEC(\"xdp\")");
	for (uint32_t i = 0; i < image->program_count; i++) {
		int rc = check_program(image, &image->programs[i], err);
		if (rc)
			return rc;
	}
	// Only now may map_place() step over LDDW.
	for (uint32_t i = 0; i < image->map_count; i++) {
		int rc = check_map(image, i, err);
		if (rc)
			return rc;
	}
	return 0;
}
