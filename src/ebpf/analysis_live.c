// SPDX-License-Identifier: Apache-2.0
// Which registers are still used, backwards over the blocks until nothing changes. A function of
// the program uses those of R1 to R5 that it reads before it writes them, and R0 at its exit; R6 to
// R9 stay with the caller.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ebpf/analysis_parts.h"
#include "ebpf/helper.h"
#include "ebpf/opcode.h"

#define REG(n)        ((uint16_t)(1u << (n)))
#define ARGUMENTS     0x3eu  // r1 to r5
#define CALLEE_SAVED  0x3c0u // r6 to r9
#define ALL_BUT_FRAME 0x3ffu // r0 to r9

// Edges, backwards: two from each block at most.
struct edges {
	uint32_t *first; // by block: index into the other two, or NONE
	uint32_t *from, *next;
};

static uint16_t helper_uses(const struct helper *helper)
{
	uint16_t uses = 0;
	for (uint32_t i = 0; i < ARRAY_SIZE(helper->args); i++) {
		if (helper->args[i] != ARG_NONE)
			uses |= REG(BPF_REG_1 + i);
	}
	return uses;
}

static uint16_t before_atomic(const struct bpf_insn *insn, uint16_t live)
{
	if (insn->imm == BPF_LOAD_ACQ)
		return (live & ~REG(insn->dst_reg)) | REG(insn->src_reg);
	if (insn->imm == BPF_CMPXCHG)
		return live | REG(BPF_REG_0) | REG(insn->dst_reg) | REG(insn->src_reg);
	return live | REG(insn->dst_reg) | REG(insn->src_reg);
}

static uint16_t before_call(const struct pass *pass, uint32_t at, uint16_t live)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	if (insn->src_reg != BPF_PSEUDO_CALL)
		return (live & CALLEE_SAVED) | helper_uses(call_helper(pass->image, insn));
	uint32_t callee = blocks_function(pass, (uint32_t)image_callee(insn, at));
	return (live & CALLEE_SAVED) |
	       (pass->blocks[pass->functions[callee].entry].live_in & ARGUMENTS);
}

static uint16_t before(const struct pass *pass, uint32_t at, uint16_t live)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	const struct opcode *op = opcode_of(insn);
	if (op->kind == KIND_ATOMIC)
		return before_atomic(insn, live);
	if (op->kind == KIND_CALL)
		return before_call(pass, at, live);
	return opcode_live(op, insn, live);
}

static void set_pending(struct pass *pass, const struct block *block)
{
	if (block->order != NONE)
		pass->pending[block->order / 64] |= UINT64_C(1) << block->order % 64;
}

// True: more is used at the block's start than was known.
static bool walk_block(struct pass *pass, struct block *block)
{
	uint16_t live = 0;
	if (block->next == NONE && block->target == NONE)
		live = REG(BPF_REG_0); // at the exit
	if (block->next != NONE)
		live |= pass->blocks[block->next].live_in;
	if (block->target != NONE)
		live |= pass->blocks[block->target].live_in;
	for (uint32_t at = block->end; at-- > block->start;) {
		const struct bpf_insn *insn = &pass->program->insns[at];
		const struct opcode *op = opcode_of(insn);
		if (op->kind == KIND_INVALID) // the second half of an LDDW
			continue;
		pass->out->facts[at].live = live & ALL_BUT_FRAME;
		live = before(pass, at, live);
	}
	live &= ALL_BUT_FRAME;
	bool more = live != block->live_in;
	block->live_in = live;
	return more;
}

static void add_edge(struct edges *edges, uint32_t index, uint32_t from, uint32_t to)
{
	if (to == NONE)
		return;
	edges->from[index] = from;
	edges->next[index] = edges->first[to];
	edges->first[to] = index;
}

static void walk_all(struct pass *pass, const struct edges *edges)
{
	for (uint32_t i = pass->order_count; i-- > 0;) {
		if (!(pass->pending[i / 64] >> i % 64 & 1))
			continue;
		pass->pending[i / 64] &= ~(UINT64_C(1) << i % 64);
		uint32_t index = pass->order[i];
		if (!walk_block(pass, &pass->blocks[index]))
			continue;
		for (uint32_t edge = edges->first[index]; edge != NONE; edge = edges->next[edge])
			set_pending(pass, &pass->blocks[edges->from[edge]]);
		const struct summary *function = &pass->functions[pass->blocks[index].function];
		if (function->entry != index)
			continue;
		for (uint32_t call = function->first_call; call != NONE;
		        call = pass->calls[call].next)
			set_pending(pass, &pass->blocks[pass->calls[call].block]);
	}
}

static bool is_any_pending(const struct pass *pass)
{
	for (uint32_t i = 0; i <= pass->order_count / 64; i++) {
		if (pass->pending[i])
			return true;
	}
	return false;
}

bool live_find(struct pass *pass)
{
	uint32_t count = pass->block_count;
	autofree uint32_t *memory = malloc((size_t)count * 5 * sizeof(memory[0]));
	if (!memory)
		return false;
	struct edges edges = {memory, memory + count, memory + 3 * (size_t)count};
	memset(edges.first, 0xff, count * sizeof(edges.first[0]));
	for (uint32_t i = 0; i < count; i++) {
		add_edge(&edges, 2 * i, i, pass->blocks[i].next);
		add_edge(&edges, 2 * i + 1, i, pass->blocks[i].target);
		set_pending(pass, &pass->blocks[i]);
	}
	while (is_any_pending(pass))
		walk_all(pass, &edges);
	return true;
}
