// SPDX-License-Identifier: Apache-2.0
// Steps, helper calls and the budget without counting at every instruction. What a path has taken
// since memory was last brought up to date is a constant at each instruction (`pending`), because
// paths that meet are made to agree: a way that falls through costs nothing, and a jump to a place
// where another number is expected adds the difference, behind the function. Memory is brought up
// to date where a function ends and where somebody looks. In the burst's loop the differences go to
// a word of the packet's own, steps below and helper calls above, which its end adds up: a chain of
// additions to one place in memory, from packet to packet, would be what the loop waits for.
//
// The budget is checked where a way begins that may spend it: at a function's entry, behind jumps
// back, and behind calls that charge what is not known here. From there `need` is the most that any
// way takes until it is checked again. What may not last is left to the interpreter, which stops at
// the right instruction.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/opcode.h"
#include "engine/helpers.h"
#include "engine/native/compile.h"

static bool is_helper(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg != BPF_PSEUDO_CALL;
}

static bool is_function_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

uint32_t helper_cost(const struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *call = &compiler->insns[insn];
	uint32_t more;
	if (!compile_update_inlines(compiler, insn, &more))
		more = 0;
	return compile_helper_code(call)->cost + more;
}

static struct pending pending_behind_call(const struct compiler *compiler, uint32_t at)
{
	struct pending behind = compiler->pending[at];
	if (is_function_call(&compiler->insns[at]))
		return (struct pending){0};
	behind.steps++;
	behind.helpers++;
	behind.budget += (int32_t)helper_cost(compiler, at);
	if (helper_is_dynamic(compiler, at))
		behind.budget = 0;
	return behind;
}

// Memory as the ways from here expect it, behind instruction `at`.
static inline struct pending pending_behind(const struct compiler *compiler, uint32_t at)
{
	if (compiler->insns[at].code == (BPF_JMP | BPF_CALL))
		return pending_behind_call(compiler, at);
	struct pending behind = compiler->pending[at];
	behind.steps++;
	return behind;
}

static void plan_pending(struct compiler *compiler, bool *proposed)
{
	struct pending now = {0};
	bool falls = false;
	uint32_t next_function = 0;
	for (uint32_t i = 0; i < compiler->insn_count; i++) {
		if (next_function < compiler->analysis->function_count &&
		        compiler->analysis->functions[next_function].insn == i) {
			now = (struct pending){0};
			falls = true;
			next_function++;
		}
		if (!compiler->facts[i].reached) {
			falls = false;
			i += insn_is_lddw(&compiler->insns[i]);
			continue;
		}
		if (!falls)
			now = proposed[i] ? compiler->pending[i] : (struct pending){0};
		compiler->pending[i] = now;
		enum opcode_kind kind = opcode_of(&compiler->insns[i])->kind;
		if (kind < KIND_JUMP) {
			now.steps++;
			falls = true;
			i += kind == KIND_LDDW;
			continue;
		}
		now = pending_behind(compiler, i);
		falls = kind != KIND_JUMP_ALWAYS && kind != KIND_EXIT;
		if (kind == KIND_JUMP || kind == KIND_JUMP_ALWAYS) {
			uint32_t target = (uint32_t)insn_jump_to(&compiler->insns[i], i);
			falls |= target == i + 1; // no jump is made of it
			if (target > i && !proposed[target]) {
				proposed[target] = true;
				compiler->pending[target] = now;
			}
		}
	}
}

// Jumps back are checked where they are: only what lies ahead counts.
static uint32_t need_at(const struct compiler *compiler, uint32_t at)
{
	const struct bpf_insn *insn = &compiler->insns[at];
	enum opcode_kind kind = opcode_of(insn)->kind;
	uint32_t next = at + 1 + insn_is_lddw(insn), target, need = 0, ahead;
	if (kind < KIND_JUMP) // and so nothing but a step
		return next < compiler->insn_count ? compiler->need[next] : 0;
	if (kind == KIND_EXIT)
		return 0;
	if (kind == KIND_JUMP || kind == KIND_JUMP_ALWAYS) {
		target = (uint32_t)insn_jump_to(insn, at);
		if (target > at)
			need = compiler->need[target];
		if (kind == KIND_JUMP_ALWAYS)
			return need;
	}
	ahead = next < compiler->insn_count ? compiler->need[next] : 0;
	if (is_function_call(insn))
		return (uint16_t)insn->off;
	if (is_helper(insn)) {
		uint32_t cost = helper_cost(compiler, at);
		return helper_is_dynamic(compiler, at) ? cost : cost + ahead;
	}
	return need > ahead ? need : ahead;
}

int counts_plan(struct compiler *compiler)
{
	uint32_t count = compiler->insn_count;
	bool *proposed = calloc(count, sizeof(*proposed));
	compiler->pending = calloc(count, sizeof(*compiler->pending));
	compiler->need = calloc(count, sizeof(*compiler->need));
	if (!proposed || !compiler->pending || !compiler->need) {
		free(proposed);
		return -ENOMEM;
	}
	plan_pending(compiler, proposed);
	free(proposed);
	for (uint32_t i = count; i-- > 0;) {
		if (compiler->facts[i].reached)
			compiler->need[i] = need_at(compiler, i);
	}
	return 0;
}

static bool agree(struct pending a, struct pending b)
{
	return a.steps == b.steps && a.helpers == b.helpers && a.budget == b.budget;
}

// Whether some way needs more than constants.
bool counts_differ(const struct compiler *compiler)
{
	for (uint32_t i = compiler->function->insn; i < compiler->function->end; i++) {
		const struct bpf_insn *insn = &compiler->insns[i];
		enum opcode_kind kind = opcode_of(insn)->kind;
		bool jump = kind == KIND_JUMP || kind == KIND_JUMP_ALWAYS;
		if (jump && compiler->facts[i].reached) {
			uint32_t target = (uint32_t)insn_jump_to(insn, i);
			if (target <= i ||
			        !agree(pending_behind(compiler, i), compiler->pending[target]))
				return true;
		}
		i += insn_is_lddw(insn);
	}
	return false;
}

void counts_begin(struct compiler *compiler)
{
	if (compiler->in_word)
		asm_store_constant(compiler->code, mem_at(REG_SP, SCRATCH_COUNT), 0, 8);
}

void counts_end(struct compiler *compiler)
{
	struct code *code = compiler->code;
	if (!compiler->in_word)
		return;
	asm_load(code, REG_T0, mem_at(REG_SP, SCRATCH_COUNT), 8, false);
	asm_move(code, REG_T1, REG_T0, false);
	asm_memory_add_register(code, ENGINE_FIELD(stats.instructions), REG_T1);
	asm_alu_constant(code, BPF_RSH, REG_T0, 32, true);
	asm_memory_add_register(code, ENGINE_FIELD(stats.helper_calls), REG_T0);
}

static void add(struct compiler *compiler, int64_t steps, int64_t helpers)
{
	struct code *code = compiler->code;
	if (compiler->in_word) {
		if (steps || helpers)
			asm_memory_add(
			        code, mem_at(REG_SP, SCRATCH_COUNT), steps + helpers * (1ll << 32));
		return;
	}
	if (steps)
		asm_memory_add(code, ENGINE_FIELD(stats.instructions), steps);
	if (helpers)
		asm_memory_add(code, ENGINE_FIELD(stats.helper_calls), helpers);
}

void counts_flush_budget(struct compiler *compiler, struct pending pending)
{
	if (pending.budget)
		asm_memory_add(compiler->code, ENGINE_FIELD(budget), -(int64_t)pending.budget);
}

void counts_flush(struct compiler *compiler, struct pending pending)
{
	add(compiler, pending.steps, pending.helpers);
	counts_flush_budget(compiler, pending);
}

static void emit_edge(struct compiler *compiler, const struct stub *stub)
{
	struct code *code = compiler->code;
	struct pending behind = pending_behind(compiler, stub->insn);
	struct pending there = compiler->pending[stub->target];
	int64_t steps = (int64_t)behind.steps - there.steps;
	int64_t helpers = (int64_t)behind.helpers - there.helpers;
	int64_t budget = (int64_t)behind.budget - there.budget;
	if (stub->target <= stub->insn) {
		int64_t distance = (int64_t)stub->insn + 1 - stub->target;
		int64_t least = behind.budget + distance + compiler->need[stub->target];
		asm_branch_memory_constant(code, BPF_JSLT, ENGINE_FIELD(budget), (int32_t)least, 8,
		        compile_resume(compiler, stub->insn));
		budget += distance;
	}
	add(compiler, steps, helpers);
	if (budget)
		asm_memory_add(code, ENGINE_FIELD(budget), -budget);
	asm_jump(code, compile_label(compiler, stub->target));
}

uint32_t counts_edge(struct compiler *compiler, uint32_t insn, uint32_t target)
{
	if (compiler->ahead) {
		if (target <= insn)
			return compiler->end;
		uint8_t *depth = &compiler->depths[target];
		if (!compiler->labels[target] || *depth > compiler->depth)
			*depth = (uint8_t)compiler->depth;
		if (target > compiler->furthest)
			compiler->furthest = target;
		return compile_label(compiler, target);
	}
	struct pending behind = pending_behind(compiler, insn);
	struct pending there = compiler->pending[target];
	if (target > insn && agree(behind, there))
		return compile_label(compiler, target);
	struct stub *stub = compile_stub(compiler, insn, emit_edge);
	if (!stub)
		return 0;
	stub->target = target;
	return stub->label;
}
