// SPDX-License-Identifier: Apache-2.0
// Calls: of helpers and kfuncs (by the table of helpers.h, with R1 to R5 in memory), of the
// program's own functions (R1 to R5 stay where they are), and tail calls (the function's place is
// taken). What operations of maps do in place stands in compile_map.c.
#include <stddef.h>

#include "ebpf/helper.h"
#include "ebpf/opcode.h"
#include "engine/helpers.h"
#include "engine/native/compile.h"

const struct helper_code *compile_helper_code(const struct bpf_insn *call)
{
	return call->src_reg == BPF_PSEUDO_KFUNC_CALL ? &kfunc_codes[call->imm]
	                                              : &helper_codes[call->imm];
}

bool helper_is_dynamic(const struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *call = &compiler->insns[insn];
	uint32_t cost;
	return !(compile_helper_code(call)->traits & HELPER_FIXED) &&
	       !compile_map_inlines(compiler, insn) &&
	       !compile_update_inlines(compiler, insn, &cost);
}

static uint32_t argument_count(const struct compiler *compiler, const struct bpf_insn *call)
{
	const struct helper *helper;
	uint32_t count = 0;
	if (call->src_reg == BPF_PSEUDO_KFUNC_CALL)
		helper = &kfunc_table[call->imm];
	else
		helper = helper_find((uint32_t)call->imm);
	(void)compiler;
	while (helper && count < 5 && helper->args[count] != ARG_NONE)
		count++;
	return count;
}

// A helper has faulted: what it was counted as, the place, and out.
static void emit_fault(struct compiler *compiler, const struct stub *stub)
{
	struct pending behind = compiler->pending[stub->insn];
	behind.steps++;
	behind.helpers++;
	behind.budget = 0;
	counts_flush(compiler, behind);
	asm_move(compiler->code, REG_R1, REG_ENGINE, true);
	asm_constant(compiler->code, REG_R2, compiler->program);
	asm_constant(compiler->code, REG_R3, stub->insn);
	asm_call_host(compiler->code, (const void *)native_fault);
	asm_jump(compiler->code, compiler->leave);
}

void compile_fault_check(struct compiler *compiler, uint32_t insn)
{
	struct stub *stub = compile_stub(compiler, insn, emit_fault);
	if (stub)
		asm_branch_memory_constant(
		        compiler->code, BPF_JNE, ENGINE_FIELD(fault), 0, 4, stub->label);
}

// R1 to R5 read as zeros behind a call.
void compile_clear_arguments(struct compiler *compiler, uint32_t insn)
{
	lazy_forget(&compiler->lazy, 0x3f);
	for (unsigned r = 1; r <= 5; r++) {
		if (compiler->facts[insn].live & 1u << r)
			lazy_set(&compiler->lazy, r, false, 0);
	}
}

// The registers as the helper wants them, the call, and what it may have done. `charged`: how much
// of the budget memory is behind.
void compile_helper(struct compiler *compiler, uint32_t insn, int32_t charged)
{
	struct code *code = compiler->code;
	const struct bpf_insn *call = &compiler->insns[insn];
	uint32_t count = argument_count(compiler, call);
	compile_settle(compiler, ((1u << count) - 1) << 1 | (compiler->facts[insn].live & 0x3c0));
	slots_spill(compiler, compiler->slots_live[insn]);
	counts_flush_budget(compiler, (struct pending){.budget = charged});
	for (uint32_t i = 0; i < count; i++)
		asm_store(code, mem_at(REG_SP, SCRATCH_ARGS + 8 * (int32_t)i), reg_of(1 + i), 8);
	if (compile_needs_refresh(compiler, insn)) {
		asm_move(code, REG_R1, REG_ENGINE, true);
		asm_call_host(code, (const void *)native_refresh);
	}
	asm_move(code, REG_R1, REG_ENGINE, true);
	asm_lea(code, REG_R2, mem_at(REG_SP, SCRATCH_ARGS));
	asm_call_host(code, (const void *)compile_helper_code(call)->run);
	compile_fault_check(compiler, insn);
	slots_fill(compiler, compiler->slots_live[insn + 1]);
}

// The function's frame is taken by the program called, if there is one.
static void compile_tail(struct compiler *compiler, uint32_t insn)
{
	struct code *code = compiler->code;
	uint32_t stays = asm_label(code);
	struct pending behind = compiler->pending[insn];
	behind.steps++;
	behind.helpers++;
	behind.budget = 0; // the helper was told
	asm_branch_memory_constant(code, BPF_JEQ, ENGINE_FIELD(tail_target), 0, 8, stays);
	counts_flush(compiler, behind);
	asm_move(code, REG_R1, REG_ENGINE, true);
	asm_call_host(code, (const void *)native_tail);
	asm_move(code, REG_T0, REG_R0, true);
	asm_load(code, REG_R1, ENGINE_FIELD(context), 8, false);
	for (unsigned r = 2; r <= 5; r++)
		asm_constant(code, reg_of(r), 0);
	asm_function_leave(code, compiler->saved);
	asm_jump_register(code, REG_T0);
	asm_bind(code, stays);
}

void compile_check_budget(struct compiler *compiler, uint32_t next)
{
	int64_t least = (int64_t)compiler->need[next] + compiler->pending[next].budget;
	if (compiler->need[next])
		asm_branch_memory_constant(compiler->code, BPF_JSLT, ENGINE_FIELD(budget),
		        (int32_t)least, 8, compile_resume(compiler, next));
}

static void compile_helper_call(struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *call = &compiler->insns[insn];
	bool dynamic = helper_is_dynamic(compiler, insn);
	int32_t charged = compiler->pending[insn].budget + (int32_t)helper_cost(compiler, insn);
	compile_helper(compiler, insn, dynamic ? charged : 0);
	if (call->src_reg == 0 && call->imm == BPF_FUNC_tail_call)
		compile_tail(compiler, insn);
	compile_clear_arguments(compiler, insn);
	if (dynamic)
		compile_check_budget(compiler, insn + 1);
}

static uint32_t function_at(const struct compiler *compiler, uint32_t insn)
{
	const struct analysis *analysis = compiler->analysis;
	uint32_t low = 0, high = analysis->function_count;
	while (low + 1 < high) {
		uint32_t middle = (low + high) / 2;
		if (analysis->functions[middle].insn <= insn)
			low = middle;
		else
			high = middle;
	}
	return low;
}

// The window of frames in use, and the depth, move by one frame.
static void move_frame(struct compiler *compiler, int frames)
{
	struct code *code = compiler->code;
	asm_alu_constant(code, BPF_SUB, REG_FRAME, frames * (int32_t)STACK_FRAME, true);
	asm_memory_add(code, ENGINE_FIELD(stack_start), -frames * (int64_t)STACK_FRAME);
	asm_memory_add(code, ENGINE_FIELD(stack_size), frames * (int64_t)STACK_FRAME);
	asm_memory_add(code, ENGINE_FIELD(depth), frames);
}

void compile_clean_frame(struct compiler *compiler)
{
	struct code *code = compiler->code;
	uint32_t clean = asm_label(code);
	asm_move(code, REG_T0, REG_FRAME, true);
	asm_alu(code, BPF_SUB, REG_T0, REG_BASE, true);
	asm_branch_memory(code, BPF_JLE, REG_T0, ENGINE_FIELD(stack_dirty), 8, clean);
	asm_call(code, compiler->thunk_clean);
	asm_bind(code, clean);
}

// Seldom: a program that ends while it holds a lock or a record.
void compile_release(struct compiler *compiler)
{
	struct code *code = compiler->code;
	uint32_t release = asm_label(code), free = asm_label(code);
	asm_branch_memory_constant(code, BPF_JNE, ENGINE_FIELD(lock), 0, 8, release);
	asm_branch_memory_constant(code, BPF_JEQ, ENGINE_FIELD(reserved_count), 0, 4, free);
	asm_bind(code, release);
	asm_call(code, compiler->thunk_release);
	asm_bind(code, free);
}

static void compile_function_call(struct compiler *compiler, uint32_t insn)
{
	struct code *code = compiler->code;
	const struct bpf_insn *call = &compiler->insns[insn];
	uint32_t callee = function_at(compiler, (uint32_t)((int64_t)insn + 1 + call->imm));
	struct pending taken = compiler->pending[insn];
	taken.steps++;
	taken.budget += (uint16_t)call->off;
	compile_settle(compiler, 0x3fe); // R0 is the callee's
	asm_branch_memory_constant(code, BPF_JSGE, ENGINE_FIELD(depth), FRAMES_MAX - 1, 8,
	        compile_resume(compiler, insn));
	counts_flush(compiler, taken);
	counts_end(compiler); // the callee may leave all functions at once
	counts_begin(compiler);
	slots_spill(compiler, compiler->slots_live[insn]);
	move_frame(compiler, 1);
	if (compiler->analysis->functions[callee].reads_unwritten)
		compile_clean_frame(compiler);
	asm_call(code, compiler->functions[callee]);
	move_frame(compiler, -1);
	if (compiler->tail_calls) {
		asm_constant(code, REG_T0,
		        (uintptr_t)&compiler->generation->programs[compiler->program]);
		asm_store(code, ENGINE_FIELD(program), REG_T0, 8);
	}
	slots_fill(compiler, compiler->slots_live[insn + 1]);
	compile_clear_arguments(compiler, insn);
	compile_check_budget(compiler, insn + 1);
}

void compile_call(struct compiler *compiler, uint32_t insn)
{
	if (compiler->insns[insn].src_reg == BPF_PSEUDO_CALL)
		compile_function_call(compiler, insn);
	else if (!compile_map(compiler, insn) && !compile_update(compiler, insn))
		compile_helper_call(compiler, insn);
}

// A call of C in the middle of code that uses all registers.
static void emit_thunk(struct compiler *compiler, uint32_t label, const void *function)
{
	struct code *code = compiler->code;
	asm_bind(code, label);
	asm_function_begin(code, 0);
	for (int r = 0; r <= 5; r++)
		asm_store(code, mem_at(REG_SP, 8 * r), reg_of((unsigned)r), 8);
	asm_move(code, REG_R1, REG_ENGINE, true);
	asm_move(code, REG_R2, REG_T0, true);
	asm_move(code, REG_R3, REG_T1, true);
	asm_call_host(code, function);
	asm_move(code, REG_T0, REG_R0, true);
	for (int r = 0; r <= 5; r++)
		asm_load(code, reg_of((unsigned)r), mem_at(REG_SP, 8 * r), 8, false);
	asm_function_end(code, 0);
}

void compile_thunks(struct compiler *compiler)
{
	emit_thunk(compiler, compiler->thunk_access, (const void *)native_access);
	emit_thunk(compiler, compiler->thunk_clean, (const void *)native_clean);
	emit_thunk(compiler, compiler->thunk_release, (const void *)native_release);
}
