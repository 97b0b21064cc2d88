// SPDX-License-Identifier: Apache-2.0
// Blocks of instructions that are entered only at their start, the edges between them, and their
// order: reverse postorder a function, in which a path leads back only along a loop.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ebpf/analysis_parts.h"
#include "ebpf/helper.h"
#include "ebpf/opcode.h"

static bool ends_block(const struct opcode *op)
{
	return op->kind == KIND_JUMP || op->kind == KIND_JUMP_ALWAYS || op->kind == KIND_EXIT;
}

uint32_t blocks_function(const struct pass *pass, uint32_t insn)
{
	return pass->blocks[pass->block_at[insn]].function;
}

// What a call, or the address of a function, says of the function that it stands in. What it says
// of others waits until they are numbered.
static void note_site(struct pass *pass, uint32_t at, uint32_t function)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	struct summary *summary = &pass->functions[function];
	bool is_call = insn->code == (BPF_JMP | BPF_CALL);
	if (is_call && insn->src_reg != BPF_PSEUDO_CALL) {
		pass->helper_calls++;
		summary->own_moves |= call_moves(insn);
		summary->tail_calls |= call_is_tail(insn);
		if (!call_goes_back(call_helper(pass->image, insn)))
			return;
	}
	pass->sites[pass->site_count++] = at;
}

// How many have become leaders by that: 1 or 0.
static uint32_t mark_leader(struct fact *fact)
{
	uint32_t more = !fact->leader;
	fact->leader = true;
	return more;
}

// The one look at each instruction: where blocks begin, and what leads to functions.
static uint32_t mark_leaders(struct pass *pass)
{
	const struct image_program *program = pass->program;
	struct fact *facts = pass->out->facts;
	uint32_t count = 0, function = 0;
	for (uint32_t i = 0; i < program->function_count; i++)
		count += mark_leader(&facts[program->functions[i].insn]);
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		const struct opcode *op = opcode_of(insn);
		if (op->kind < KIND_JUMP && op->kind != KIND_LDDW) // the most
			continue;
		while (function + 1 < program->function_count &&
		        program->functions[function + 1].insn <= i)
			function++;
		if (op->kind == KIND_CALL ||
		        (op->kind == KIND_LDDW && insn->src_reg == BPF_PSEUDO_FUNC))
			note_site(pass, i, function);
		else if (op->kind == KIND_JUMP || op->kind == KIND_JUMP_ALWAYS)
			count += mark_leader(&facts[insn_jump_to(insn, i)]);
		i += op->kind == KIND_LDDW;
		if (ends_block(op) && i + 1 < program->insn_count)
			count += mark_leader(&facts[i + 1]);
	}
	return count;
}

static void number_blocks(struct pass *pass)
{
	const struct image_program *program = pass->program;
	uint32_t function = 0, n = 0;
	for (uint32_t i = 0; i < program->insn_count; i++) {
		if (pass->out->facts[i].leader) {
			if (function + 1 < program->function_count &&
			        program->functions[function + 1].insn == i)
				function++;
			if (program->functions[function].insn == i)
				pass->functions[function].entry = n;
			pass->blocks[n++] = (struct block){.start = i,
			        .function = function,
			        .order = NONE,
			        .next = NONE,
			        .target = NONE};
		}
		pass->block_at[i] = n - 1;
	}
}

static void find_edges(struct pass *pass)
{
	for (uint32_t i = 0; i < pass->block_count; i++) {
		struct block *block = &pass->blocks[i];
		bool is_last = i + 1 == pass->block_count;
		block->end = is_last ? pass->program->insn_count : block[1].start;
		// The second half of an LDDW is no opcode: it falls through, as all others do.
		const struct bpf_insn *last = &pass->program->insns[block->end - 1];
		const struct opcode *op = opcode_of(last);
		if (op->kind == KIND_JUMP || op->kind == KIND_JUMP_ALWAYS)
			block->target = pass->block_at[insn_jump_to(last, block->end - 1)];
		if (op->kind != KIND_JUMP_ALWAYS && op->kind != KIND_EXIT)
			block->next = i + 1;
	}
}

static void add_call(struct pass *pass, uint32_t function, uint32_t block)
{
	struct summary *summary = &pass->functions[function];
	pass->calls[pass->call_count] = (struct call){block, summary->first_call};
	summary->first_call = pass->call_count++;
	pass->functions[pass->blocks[block].function].calls = true;
}

static void find_calls(struct pass *pass)
{
	for (uint32_t i = 0; i < pass->site_count; i++) {
		uint32_t at = pass->sites[i], block = pass->block_at[at];
		const struct bpf_insn *insn = &pass->program->insns[at];
		if (insn_is_lddw(insn)) {
			uint32_t callee = (uint32_t)image_callee(insn, at);
			pass->functions[blocks_function(pass, callee)].is_callback = true;
		} else if (insn->src_reg == BPF_PSEUDO_CALL) {
			uint32_t callee = (uint32_t)image_callee(insn, at);
			pass->functions[blocks_function(pass, callee)].is_called = true;
			add_call(pass, blocks_function(pass, callee), block);
		} else {
			add_call(pass, pass->program->function_count, block);
		}
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
	pass->out->facts[pass->blocks[to].start].loop = true;
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
	uint32_t functions = pass->program->function_count, insns = pass->program->insn_count;
	pass->functions = calloc(functions + 1, sizeof(pass->functions[0]));
	pass->spread = malloc((functions + 1) * sizeof(pass->spread[0]));
	pass->block_at = malloc(insns * sizeof(pass->block_at[0]));
	pass->sites = malloc(insns * sizeof(pass->sites[0]));
	if (!pass->functions || !pass->spread || !pass->block_at || !pass->sites)
		return false;
	for (uint32_t i = 0; i <= functions; i++)
		pass->functions[i].first_call = NONE;
	pass->block_count = mark_leaders(pass);
	pass->blocks = malloc(pass->block_count * sizeof(pass->blocks[0]));
	pass->order = malloc(pass->block_count * sizeof(pass->order[0]));
	pass->pending = calloc(pass->block_count / 64 + 1, sizeof(pass->pending[0]));
	pass->calls = malloc((pass->site_count + 1) * sizeof(pass->calls[0]));
	if (!pass->blocks || !pass->order || !pass->pending || !pass->calls)
		return false;
	number_blocks(pass);
	find_edges(pass);
	find_calls(pass);
	return find_order(pass);
}
