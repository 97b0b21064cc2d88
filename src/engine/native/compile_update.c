// SPDX-License-Identifier: Apache-2.0
// Updates and deletes of maps where map, key, value and flags are known when compiling: a call of
// the map's own function for its type and key size, without the helper's questions, which are
// answered here: the map may be written by programs, key and value stand on the stack, no lock is
// asked for, and what is charged does not depend on the key.
#include "ebpf/maptype.h"
#include "engine/helpers.h"
#include "engine/native/compile.h"
#include "map/inline.h"

struct change {
	struct linked_map *map;
	int32_t key, value; // from r10
	uint64_t flags;
	bool is_delete;
};

// What a trie's change costs depends on its key.
static bool changes_evenly(uint32_t type)
{
	return (map_type_find(type)->operations & MAP_UPDATE) && type != BPF_MAP_TYPE_LPM_TRIE;
}

static bool find_change(const struct compiler *compiler, uint32_t insn, struct change *change)
{
	const struct bpf_insn *call = &compiler->insns[insn];
	bool helper = call->code == (BPF_JMP | BPF_CALL) && call->src_reg == 0;
	change->is_delete = call->imm == BPF_FUNC_map_delete_elem;
	if (!helper || (!change->is_delete && call->imm != BPF_FUNC_map_update_elem))
		return false;
	const struct call_fact *fact = analysis_call(compiler->analysis, insn);
	change->map = fact ? compile_known_map(compiler, &fact->args[0]) : NULL;
	if (!change->map || !change->map->may_write || !changes_evenly(change->map->type) ||
	        !value_on_stack(&fact->args[1], change->map->key_size))
		return false;
	change->key = (int32_t)fact->args[1].min;
	if (change->is_delete)
		return true;
	const struct value *flags = &fact->args[3];
	change->value = (int32_t)fact->args[2].min;
	change->flags = (uint64_t)flags->min;
	return value_on_stack(&fact->args[2], change->map->value_size) &&
	       flags->kind == VALUE_SCALAR && flags->min == flags->max &&
	       !(change->flags & BPF_F_LOCK);
}

bool compile_update_inlines(const struct compiler *compiler, uint32_t insn, uint32_t *cost)
{
	struct change change;
	if (!find_change(compiler, insn, &change))
		return false;
	*cost = change.is_delete ? 0 : change.map->value_size / 32; // as helper_map_update()
	return true;
}

bool compile_update(struct compiler *compiler, uint32_t insn)
{
	struct code *code = compiler->code;
	struct change change;
	if (compiler->ahead || !find_change(compiler, insn, &change))
		return false;
	slots_spill(compiler, compiler->slots_live[insn]);
	asm_constant(code, REG_R1, (uintptr_t)change.map->map);
	asm_lea(code, REG_R2, mem_at(REG_FRAME, change.key));
	if (change.is_delete) {
		asm_call_host(code, (const void *)map_delete_function(change.map->map));
	} else {
		asm_lea(code, REG_R3, mem_at(REG_FRAME, change.value));
		asm_constant(code, REG_R4, change.flags);
		asm_load(code, REG_R5, ENGINE_FIELD(options.number), 4, false);
		asm_call_host(code, (const void *)map_update_function(change.map->map));
	}
	asm_sign_extend(code, REG_R0, REG_R0, 32, true);
	slots_fill(compiler, compiler->slots_live[insn + 1]);
	compile_clear_arguments(compiler, insn);
	return true;
}
