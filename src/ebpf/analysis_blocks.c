// SPDX-License-Identifier: Apache-2.0
// Blocks of instructions that are entered only at their start, the edges between them, and their
// order: reverse postorder a function, in which a path leads back only along a loop.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ebpf/analysis_parts.h"
#include "ebpf/helper.h"
#include "ebpf/opcode.h"

static uint32_t jump_target(const struct bpf_insn *insn, uint32_t at)
{
	bool is_long = insn->code == (BPF_JMP32 | BPF_JA);
	return (uint32_t)((int64_t)at + 1 + (is_long ? insn->imm : insn->off));
}

static bool ends_block(const struct opcode *op)
{
	return op->kind == KIND_JUMP || op->kind == KIND_JUMP_ALWAYS || op->kind == KIND_EXIT;
}

uint32_t blocks_function(const struct pass *pass, uint32_t insn)
{
	uint32_t block = pass->block_at[insn];
	return block == NONE ? NONE : pass->blocks[block].function;
}

static uint32_t mark_leaders(struct pass *pass)
{
	const struct image_program *program = pass->program;
	struct fact *facts = pass->out->facts;
	uint32_t count = 0;
	for (uint32_t i = 0; i < program->function_count; i++)
		facts[program->functions[i].insn].leader = true;
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		const struct opcode *op = opcode_of(insn);
		if (op->kind == KIND_JUMP || op->kind == KIND_JUMP_ALWAYS)
			facts[jump_target(insn, i)].leader = true;
		i += op->kind == KIND_LDDW;
		if (ends_block(op) && i + 1 < program->insn_count)
			facts[i + 1].leader = true;
		pass->call_count += op->kind == KIND_CALL;
	}
	for (uint32_t i = 0; i < program->insn_count; i++)
		count += facts[i].leader;
	return count;
}

static void add_call(struct pass *pass, uint32_t function, uint32_t block)
{
	struct summary *summary = &pass->functions[function];
	pass->calls[pass->call_count] = (struct call){block, summary->first_call};
	summary->first_call = pass->call_count++;
	pass->functions[pass->blocks[block].function].calls = true;
}

static void note_call(struct pass *pass, const struct bpf_insn *insn, uint32_t at, uint32_t block)
{
	if (insn->src_reg == BPF_PSEUDO_CALL) {
		uint32_t callee = blocks_function(pass, (uint32_t)image_callee(insn, at));
		pass->functions[callee].is_called = true;
		add_call(pass, callee, block);
	} else if (call_goes_back(call_helper(pass->image, insn))) {
		add_call(pass, pass->program->function_count, block);
	}
}

static void fill_blocks(struct pass *pass)
{
	const struct image_program *program = pass->program;
	uint32_t function = 0, block = 0;
	for (uint32_t i = 0, n = 0; i < program->insn_count; i++) {
		pass->block_at[i] = NONE;
		if (function + 1 < program->function_count &&
		        program->functions[function + 1].insn == i)
			function++;
		if (!pass->out->facts[i].leader)
			continue;
		if (program->functions[function].insn == i)
			pass->functions[function].entry = n;
		pass->blocks[n] = (struct block){.start = i,
		        .end = program->insn_count,
		        .function = function,
		        .order = NONE,
		        .next = NONE,
		        .target = NONE};
		if (n)
			pass->blocks[n - 1].end = i;
		pass->block_at[i] = n++;
	}
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		const struct opcode *op = opcode_of(insn);
		if (pass->block_at[i] != NONE)
			block = pass->block_at[i];
		if (op->kind == KIND_JUMP || op->kind == KIND_JUMP_ALWAYS)
			pass->blocks[block].target = pass->block_at[jump_target(insn, i)];
		if (op->kind == KIND_CALL)
			note_call(pass, insn, i, block);
		if (op->kind == KIND_LDDW && insn->src_reg == BPF_PSEUDO_FUNC)
			pass->functions[blocks_function(pass, (uint32_t)image_callee(insn, i))]
			        .is_callback = true;
		i += op->kind == KIND_LDDW;
		if (i + 1 == pass->blocks[block].end && op->kind != KIND_JUMP_ALWAYS &&
		        op->kind != KIND_EXIT)
			pass->blocks[block].next = block + 1;
	}
}

// Depth first, without recursion: `stack` holds the path, `edge` which edges of a block are done.
static void visit_function(
        struct pass *pass, uint32_t entry, uint32_t *stack, uint8_t *edge, uint32_t *postorder)
{
	uint32_t depth = 0, count = 0;
	stack[depth++] = entry;
	edge[entry] = 1;
	while (depth) {
		const struct block *block = &pass->blocks[stack[depth - 1]];
		uint8_t *done = &edge[stack[depth - 1]];
		if (*done == 3) {
			postorder[count++] = stack[--depth];
			continue;
		}
		// The fall-through last, so that it comes first in the order.
		uint32_t to = *done == 1 ? block->target : block->next;
		(*done)++;
		if (to != NONE && !edge[to]) {
			edge[to] = 1;
			stack[depth++] = to;
		}
	}
	while (count) {
		uint32_t block = postorder[--count];
		pass->blocks[block].order = pass->order_count;
		pass->order[pass->order_count++] = block;
	}
}

static void mark_header(struct pass *pass, const struct block *from, uint32_t to)
{
	if (to == NONE || pass->blocks[to].order > from->order)
		return;
	pass->blocks[to].is_header = true;
	pass->functions[from->function].has_loop = true;
}

static bool find_order(struct pass *pass)
{
	autofree uint32_t *stack = malloc(pass->block_count * sizeof(stack[0]));
	autofree uint32_t *postorder = malloc(pass->block_count * sizeof(postorder[0]));
	autofree uint8_t *edge = calloc(pass->block_count, 1);
	if (!stack || !postorder || !edge)
		return false;
	for (uint32_t i = 0; i < pass->program->function_count; i++) {
		uint32_t entry = pass->functions[i].entry;
		pass->blocks[entry].is_header = true;
		visit_function(pass, entry, stack, edge, postorder);
	}
	for (uint32_t i = 0; i < pass->order_count; i++) {
		const struct block *block = &pass->blocks[pass->order[i]];
		mark_header(pass, block, block->next);
		mark_header(pass, block, block->target);
	}
	return true;
}

bool blocks_find(struct pass *pass)
{
	uint32_t functions = pass->program->function_count;
	pass->block_count = mark_leaders(pass);
	pass->blocks = malloc(pass->block_count * sizeof(pass->blocks[0]));
	pass->block_at = malloc(pass->program->insn_count * sizeof(pass->block_at[0]));
	pass->order = malloc(pass->block_count * sizeof(pass->order[0]));
	pass->pending = calloc(pass->block_count / 64 + 1, sizeof(pass->pending[0]));
	pass->functions = calloc(functions + 1, sizeof(pass->functions[0]));
	pass->calls = malloc((pass->call_count + 1) * sizeof(pass->calls[0]));
	pass->spread = malloc((functions + 1) * sizeof(pass->spread[0]));
	if (!pass->blocks || !pass->block_at || !pass->order || !pass->pending ||
	        !pass->functions || !pass->calls || !pass->spread)
		return false;
	pass->call_count = 0;
	for (uint32_t i = 0; i <= functions; i++)
		pass->functions[i].first_call = NONE;
	fill_blocks(pass);
	return find_order(pass);
}
