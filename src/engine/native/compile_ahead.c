// SPDX-License-Identifier: Apache-2.0
// The program's beginning, once more, for what it will touch: it goes through a burst before the
// packets do, up to the first look-up in a large map, computes where that look-up will read, and
// asks for it. A second round makes the look-up and asks for the value; a third and a fourth go on
// to the next large map. So the memory's delay is waited for once a burst, not once a packet. It
// has no effect that anybody could see: it reads packets, proven map values and the stack, writes
// the stack and registers, and stops at everything else: other stores, helpers, jumps back. What it
// computes from stack bytes that were never written may be wrong, and then asks for the wrong
// place.
//
// Whether a round's maps are filled so far that it pays is decided for each burst (native_ahead()).
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/opcode.h"
#include "engine/native/compile.h"

#define CURRENT mem_at(REG_SP, SCRATCH_LOOP) // the packet's descriptor
#define END     mem_at(REG_SP, SCRATCH_LOOP + 8)

static struct mem descriptor(size_t offset)
{
	return mem_at(REG_T0, (int32_t)offset);
}

// A field of the context, which is not made yet, from the descriptor. False: another one.
static bool load_field(struct compiler *compiler, uint32_t insn)
{
	static const struct {
		int32_t field;
		size_t from;
	} ends[] = {
	        {offsetof(struct xdp_md, data), offsetof(struct packet, data)},
	        {offsetof(struct xdp_md, data_end), offsetof(struct packet, end)},
	        {offsetof(struct xdp_md, data_meta), offsetof(struct packet, meta)},
	};
	struct code *code = compiler->code;
	const struct bpf_insn *it = &compiler->insns[insn];
	int32_t field = compiler->facts[insn].offset;
	uint32_t size = opcode_of(it)->size;
	enum reg dst = reg_of(it->dst_reg);
	asm_load(code, REG_T0, CURRENT, 8, false);
	lazy_forget(&compiler->lazy, 1u << it->dst_reg);
	for (unsigned i = 0; size == 4 && i < 3; i++) {
		if (field != ends[i].field)
			continue;
		asm_load(code, dst, descriptor(offsetof(struct packet, frame)), 4, false);
		asm_load(code, REG_T1, descriptor(ends[i].from), 2, false);
		asm_alu(code, BPF_ADD, dst, REG_T1, false);
		return true;
	}
	if (size == 4 && field == offsetof(struct xdp_md, ingress_ifindex)) {
		asm_load(code, dst, descriptor(offsetof(struct packet, port)), 1, false);
		asm_alu_constant(code, BPF_ADD, dst, 1, false);
		return true;
	}
	if (size == 8 && field == sizeof(struct xdp_md)) {
		asm_load(code, dst, descriptor(offsetof(struct packet, arrival_ns)), 8, false);
		return true;
	}
	return false;
}

// Writes one instruction. False: it stops here.
static bool go(struct compiler *compiler, uint32_t insn)
{
	const struct fact *fact = &compiler->facts[insn];
	switch (opcode_of(&compiler->insns[insn])->kind) {
	case KIND_LOAD:
	case KIND_LOAD_SX:
		if (!fact->proven)
			return false;
		if (fact->region == VALUE_CONTEXT)
			return fact->exact && load_field(compiler, insn);
		break;
	case KIND_STORE:
		if (!fact->proven || fact->region != VALUE_STACK || !fact->exact)
			return false;
		break;
	case KIND_CALL:
		return compile_map_ahead(compiler, insn);
	case KIND_ATOMIC:
	case KIND_EXIT:
		return false;
	default:
		break;
	}
	compile_insn(compiler, insn);
	return true;
}

// The first function up to where every way has stopped.
static void go_through(struct compiler *compiler)
{
	bool alive = true;
	uint32_t last = 0, end = compiler->function->end;
	compiler->depth = 0;
	compiler->furthest = 0;
	for (uint32_t i = 0; i < end && (alive || i <= compiler->furthest); i++) {
		const struct fact *fact = &compiler->facts[i];
		if (fact->reached && fact->leader && (alive || compiler->labels[i])) {
			if (alive)
				compile_settle(compiler, compiler->facts[last].live);
			lazy_forget(&compiler->lazy, UINT32_MAX);
			if (compiler->labels[i] &&
			        (!alive || compiler->depths[i] < compiler->depth))
				compiler->depth = compiler->depths[i];
			asm_bind(compiler->code, compile_label(compiler, i));
			alive = true;
		}
		if (fact->reached && alive) {
			enum opcode_kind kind = opcode_of(&compiler->insns[i])->kind;
			alive = go(compiler, i);
			if (!alive)
				asm_jump(compiler->code, compiler->end);
			alive &= kind != KIND_JUMP_ALWAYS || insn_jump_by(&compiler->insns[i]) == 0;
			last = i;
		}
		i += insn_is_lddw(&compiler->insns[i]);
	}
}

// R1 packets, R2 their end; there is at least one.
static void compile_round(struct compiler *compiler)
{
	struct code *code = compiler->code;
	uint32_t again = asm_label(code);
	compiler->end = asm_label(code);
	asm_function_begin(code, 0);
	asm_store(code, CURRENT, REG_R1, 8);
	asm_store(code, END, REG_R2, 8);
	compile_dirty_frame(compiler);
	asm_bind(code, again);
	// What is proven holds for a program that begins like this.
	compile_zeros(compiler, compiler->function->entry_live & ~(1u << BPF_REG_1));
	asm_load(code, REG_R1, ENGINE_FIELD(context), 8, false);
	go_through(compiler);
	compile_stubs(compiler);
	asm_bind(code, compiler->end);
	asm_load(code, REG_T0, CURRENT, 8, false);
	asm_alu_constant(code, BPF_ADD, REG_T0, sizeof(struct packet), true);
	asm_store(code, CURRENT, REG_T0, 8);
	asm_branch_memory(code, BPF_JLT, REG_T0, END, 8, again);
	asm_function_end(code, 0);
}

// How many rounds have something to ask for: two for each large map on the way.
static uint32_t count_rounds(const struct compiler *compiler)
{
	const struct analysis *analysis = compiler->analysis;
	uint32_t rounds = 0;
	for (uint32_t i = 0; i < analysis->call_count && rounds < AHEAD_ROUNDS; i++) {
		uint32_t insn = analysis->calls[i].insn;
		if (insn < compiler->function->end && compile_map_large(compiler, insn))
			rounds += 2;
	}
	return rounds;
}

int compile_ahead(struct compiler *compiler)
{
	uint32_t *labels = compiler->labels;
	uint32_t end = compiler->end, rounds = count_rounds(compiler);
	if (!rounds)
		return 0;
	compiler->labels = calloc(compiler->insn_count, sizeof(*labels));
	compiler->depths = calloc(compiler->insn_count, sizeof(*compiler->depths));
	if (!compiler->labels || !compiler->depths) {
		free(compiler->labels);
		compiler->labels = labels;
		return -ENOMEM;
	}
	for (uint32_t round = 0; round < rounds; round++) {
		memset(compiler->labels, 0, compiler->insn_count * sizeof(*labels));
		compiler->ahead = round + 1;
		asm_bind(compiler->code, compiler->rounds[round]);
		compile_round(compiler);
	}
	compiler->ahead = 0;
	free(compiler->labels);
	compiler->labels = labels;
	compiler->end = end;
	return 0;
}
