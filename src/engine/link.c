// SPDX-License-Identifier: Apache-2.0
// What is changed in a linked copy of the instructions:
//   LDDW of a map, map value or function   src = 0, a handle or card address in both halves
//   CALL of a function                     off = what entering the callee is charged
//   CALL of a kfunc                        imm = its id in kfunc_table
#include "engine/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/helper.h"
#include "ebpf/opcode.h"
#include "engine/helpers.h"
#include "engine/state.h"

// A function may be long and left early; entering it is charged a sixteenth of its length, so that
// time stays bounded by the budget and short visits stay cheap.
static uint32_t function_cost(const struct image_program *program, uint32_t insn)
{
	uint32_t end = program->insn_count;
	for (uint32_t i = 0; i < program->function_count; i++) {
		uint32_t start = program->functions[i].insn;
		if (start > insn && start < end)
			end = start;
	}
	return 1 + (end - insn) / 16;
}

static int link_lddw(const struct generation *generation, uint32_t program, uint32_t at,
        struct bpf_insn *insn, struct error *err)
{
	uint64_t value;
	const struct linked_map *map = NULL;
	if (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE)
		map = handle_map(generation, handle_of_map((uint32_t)insn->imm));
	switch (insn->src_reg) {
	case 0:
		return 0;
	case BPF_PSEUDO_MAP_FD:
		if (!map)
			return error_set(err, EINVAL, "instruction %u: no map %d", at, insn->imm);
		value = handle_of_map((uint32_t)insn->imm);
		break;
	case BPF_PSEUDO_MAP_VALUE:
		if (!map || !map->address)
			return error_set(err, EINVAL,
			        "instruction %u: map %d has no value to point to", at, insn->imm);
		value = (uint32_t)(map->address + (uint32_t)insn[1].imm);
		break;
	case BPF_PSEUDO_FUNC:
		value = HANDLE_FUNCTION | (uint64_t)program << 32 |
		        (uint32_t)((int64_t)at + insn->imm + 1);
		break;
	default:
		return error_set(err, EINVAL, "instruction %u: unknown kind of 64-bit immediate %u",
		        at, insn->src_reg);
	}
	insn->src_reg = 0;
	insn->imm = (int32_t)(uint32_t)value;
	insn[1].imm = (int32_t)(uint32_t)(value >> 32);
	return 0;
}

static int link_call(const struct image *image, const struct image_program *program, uint32_t at,
        struct bpf_insn *insn, struct error *err)
{
	if (insn->src_reg == BPF_PSEUDO_CALL) {
		int64_t callee = (int64_t)at + insn->imm + 1;
		if (callee < 0 || callee >= program->insn_count)
			return error_set(
			        err, EINVAL, "instruction %u: calls out of the program", at);
		insn->off = (int16_t)function_cost(program, (uint32_t)callee);
		return 0;
	}
	if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL) {
		const struct helper *kfunc = NULL;
		if ((uint32_t)insn->imm < image->kfunc_count)
			kfunc = kfunc_find(image->kfuncs[insn->imm]);
		if (!kfunc || kfunc->id >= kfunc_code_count)
			return error_set(
			        err, ENOTSUP, "instruction %u: a kfunc that is not offered", at);
		insn->imm = (int32_t)kfunc->id;
		return 0;
	}
	if ((uint32_t)insn->imm >= HELPER_CODE_COUNT || !helper_codes[insn->imm].run)
		return error_set(err, ENOTSUP, "instruction %u: helper %s#%d is not offered", at,
		        helper_name((uint32_t)insn->imm), insn->imm);
	return 0;
}

static int link_program(struct generation *generation, uint32_t index, struct error *err)
{
	const struct image_program *source = &generation->image->programs[index];
	struct program *program = &generation->programs[index];
	program->insns = malloc(source->insn_count * sizeof(program->insns[0]));
	if (!program->insns)
		return error_set(err, ENOMEM, "out of memory for a program");
	memcpy(program->insns, source->insns, source->insn_count * sizeof(program->insns[0]));
	program->insn_count = source->insn_count;
	program->cost = function_cost(source, 0);
	for (uint32_t at = 0; at < source->insn_count; at++) {
		struct bpf_insn *insn = &program->insns[at];
		int r = 0;
		if (insn_is_lddw(insn))
			r = link_lddw(generation, index, at++, insn, err);
		else if (insn->code == (BPF_JMP | BPF_CALL))
			r = link_call(generation->image, source, at, insn, err);
		if (r)
			return error_prefix(err, "%s", source->name);
	}
	return 0;
}

int link_programs(struct generation *generation, struct error *err)
{
	uint32_t count = generation->image->program_count;
	generation->programs = calloc(count, sizeof(generation->programs[0]));
	if (!generation->programs)
		return error_set(err, ENOMEM, "out of memory for programs");
	generation->program_count = count;
	for (uint32_t i = 0; i < count; i++) {
		int r = link_program(generation, i, err);
		if (r)
			return r;
	}
	return 0;
}
