// SPDX-License-Identifier: Apache-2.0
// One way through each function of a program, an instruction at a time: clang has optimised
// already. Every register of the program is one of the machine's. What is left to gain is in
// knowing eBPF: proofs instead of checks (ebpf/analysis.h), operations of maps in place
// (compile_map.c), keys in registers (slots.c), counting nothing (counts.c).
//
// Registers whose value is known (constants, handles of maps, places on the stack) are written only
// when somebody needs them in a register: most are arguments of operations that are done in place.
// Where ways meet, every register holds its value.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/opcode.h"
#include "engine/native/combine.h"
#include "engine/native/compile.h"

uint32_t compile_label(struct compiler *compiler, uint32_t insn)
{
	if (!compiler->labels[insn])
		compiler->labels[insn] = asm_label(compiler->code) + 1;
	return compiler->labels[insn] - 1;
}

struct stub *compile_stub(struct compiler *compiler, uint32_t insn,
        void (*emit)(struct compiler *, const struct stub *))
{
	if (compiler->stub_count == compiler->stub_room) {
		uint32_t room = compiler->stub_room * 2 + 64;
		struct stub *stubs = reallocarray(compiler->stubs, room, sizeof(*stubs));
		if (!stubs) {
			compiler->failed = true;
			return NULL;
		}
		compiler->stubs = stubs;
		compiler->stub_room = room;
	}
	struct stub *stub = &compiler->stubs[compiler->stub_count++];
	*stub = (struct stub){
	        .emit = emit,
	        .label = asm_label(compiler->code),
	        .insn = insn,
	        .lazy = compiler->lazy,
	};
	return stub;
}

void compile_settle(struct compiler *compiler, uint32_t mask)
{
	struct code *code = compiler->code;
	struct lazy *lazy = &compiler->lazy;
	for (mask &= lazy->known; mask; mask &= mask - 1) {
		unsigned r = (unsigned)__builtin_ctz(mask);
		if (lazy->stack >> r & 1) {
			asm_lea(code, reg_of(r), mem_at(REG_FRAME, (int32_t)lazy->values[r]));
			asm_alu(code, BPF_SUB, reg_of(r), REG_BASE, true);
		} else {
			compile_constant(compiler, reg_of(r), (uint64_t)lazy->values[r]);
		}
		lazy_forget(lazy, 1u << r);
	}
}

// A program chooses its constants freely: none stands in the code so that it could be run.
void compile_constant(struct compiler *compiler, enum reg dst, uint64_t value)
{
	if ((int64_t)value >= -CONSTANT_PLAIN && (int64_t)value <= CONSTANT_PLAIN) {
		asm_constant(compiler->code, dst, value);
		return;
	}
	struct code *code = compiler->code;
	uint32_t key = (uint32_t)compiler->blind & 0x7fffffff, low = (uint32_t)value ^ key;
	uint32_t high = (uint32_t)(value >> 32);
	if (!high || (int64_t)value == (int32_t)value) {
		asm_constant(code, dst, value ^ key);
	} else {
		high = (int32_t)low < 0 ? ~high : high; // what the sign of `low` turns over
		asm_constant(code, dst, high ^ key);
		asm_alu_constant(code, BPF_XOR, dst, (int32_t)key, false);
		asm_alu_constant(code, BPF_LSH, dst, 32, true);
		asm_alu_constant(code, BPF_XOR, dst, (int32_t)low, true);
	}
	asm_alu_constant(code, BPF_XOR, dst, (int32_t)key, true);
}

enum reg compile_operand(struct compiler *compiler, unsigned bpf)
{
	if (bpf == BPF_REG_10) {
		asm_move(compiler->code, REG_T0, REG_FRAME, true);
		asm_alu(compiler->code, BPF_SUB, REG_T0, REG_BASE, true);
		return REG_T0;
	}
	compile_settle(compiler, 1u << bpf);
	return reg_of(bpf);
}

// Whether the function is the burst's loop's own: it is entered nowhere else.
static bool is_in_loop(const struct compiler *compiler)
{
	return compiler->in_loop && compiler->function->insn == 0;
}

// The function is over; R0 is its result.
static void compile_end(struct compiler *compiler)
{
	if (is_in_loop(compiler))
		asm_jump(compiler->code, compiler->end);
	else
		asm_function_end(compiler->code, compiler->saved);
}

// Everything as the interpreter wants it, then over to it.
static void emit_resume(struct compiler *compiler, const struct stub *stub)
{
	compile_settle(compiler, 0x3ff);
	slots_spill(compiler, compiler->slots_live[stub->insn]);
	counts_flush(compiler, compiler->pending[stub->insn]);
	asm_constant(compiler->code, REG_T0, stub->insn);
	asm_jump(compiler->code, compiler->resume);
}

uint32_t compile_resume(struct compiler *compiler, uint32_t insn)
{
	struct stub *stub = compile_stub(compiler, insn, emit_resume);
	return stub ? stub->label : 0;
}

// What all hand-overs of a function share; T0 is the instruction.
static void emit_resume_common(struct compiler *compiler)
{
	struct code *code = compiler->code;
	asm_bind(code, compiler->resume);
	for (int r = 0; r < 10; r++)
		asm_store(code, mem_at(REG_SP, SCRATCH_REGS + 8 * r), reg_of((unsigned)r), 8);
	asm_move(code, REG_R4, REG_T0, true);
	asm_move(code, REG_T1, REG_FRAME, true);
	asm_alu(code, BPF_SUB, REG_T1, REG_BASE, true);
	asm_store(code, mem_at(REG_SP, SCRATCH_REGS + 8 * 10), REG_T1, 8);
	asm_move(code, REG_R1, REG_ENGINE, true);
	asm_lea(code, REG_R2, mem_at(REG_SP, SCRATCH_REGS));
	asm_constant(code, REG_R3, compiler->program);
	asm_call_host(code, (const void *)native_resume);
	asm_branch_constant(code, BPF_JNE, REG_R0, 0, true, compiler->leave);
	asm_load(code, REG_R0, mem_at(REG_SP, SCRATCH_REGS), 8, false);
	compile_end(compiler);
	asm_bind(code, compiler->leave);
	counts_end(compiler);
	asm_unwind(code, offsetof(struct engine, native_sp));
}

static bool is_plain(int64_t value)
{
	return value >= -CONSTANT_PLAIN && value <= CONSTANT_PLAIN;
}

static bool is_small(int64_t value)
{
	return value == (int32_t)value;
}

static void compile_move(struct compiler *compiler, const struct bpf_insn *insn, bool wide)
{
	struct lazy *lazy = &compiler->lazy;
	if (BPF_SRC(insn->code) == BPF_K) {
		int64_t value = wide ? (int64_t)insn->imm : (int64_t)(uint32_t)insn->imm;
		lazy_set(lazy, insn->dst_reg, false, value);
		return;
	}
	if (insn->off) {
		enum reg src = compile_operand(compiler, insn->src_reg);
		asm_sign_extend(
		        compiler->code, reg_of(insn->dst_reg), src, (unsigned)insn->off, wide);
	} else if (wide && insn->src_reg == BPF_REG_10) {
		lazy_set(lazy, insn->dst_reg, true, 0);
		return;
	} else if (wide && lazy->known >> insn->src_reg & 1) {
		lazy_set(lazy, insn->dst_reg, lazy->stack >> insn->src_reg & 1,
		        lazy->values[insn->src_reg]);
		return;
	} else {
		enum reg src = compile_operand(compiler, insn->src_reg);
		asm_move(compiler->code, reg_of(insn->dst_reg), src, wide);
	}
	lazy_forget(lazy, 1u << insn->dst_reg);
}

// A division by a power of two, and by nothing. False: it is another one.
static bool compile_easy_division(
        struct compiler *compiler, const struct bpf_insn *insn, bool wide, uint64_t divisor)
{
	enum reg dst = reg_of(insn->dst_reg);
	bool modulo = BPF_OP(insn->code) == BPF_MOD;
	if (divisor == 0) {
		if (!modulo)
			asm_constant(compiler->code, dst, 0);
		else if (!wide)
			asm_move(compiler->code, dst, dst, false);
		return true;
	}
	if (insn->off || (divisor & (divisor - 1)) || (modulo && divisor > 1u << 30))
		return false;
	if (modulo)
		asm_alu_constant(compiler->code, BPF_AND, dst, (int32_t)(divisor - 1), wide);
	else
		asm_alu_constant(compiler->code, BPF_RSH, dst, __builtin_ctzll(divisor), wide);
	return true;
}

static void compile_divide(struct compiler *compiler, const struct bpf_insn *insn, bool wide)
{
	uint8_t op = BPF_OP(insn->code);
	enum reg src = REG_T0;
	compile_settle(compiler, 1u << insn->dst_reg);
	if (BPF_SRC(insn->code) == BPF_K) {
		uint64_t divisor = wide ? (uint64_t)(int64_t)insn->imm : (uint32_t)insn->imm;
		if (compile_easy_division(compiler, insn, wide, divisor))
			return;
		compile_constant(compiler, REG_T0, divisor);
	} else {
		src = compile_operand(compiler, insn->src_reg);
	}
	asm_divide(compiler->code, op, insn->off != 0, reg_of(insn->dst_reg), src, wide);
}

static void compile_alu(struct compiler *compiler, const struct bpf_insn *insn)
{
	bool wide = BPF_CLASS(insn->code) == BPF_ALU64;
	uint8_t op = BPF_OP(insn->code);
	struct lazy *lazy = &compiler->lazy;
	if (op == BPF_MOV) {
		compile_move(compiler, insn, wide);
		return;
	}
	if (op == BPF_DIV || op == BPF_MOD) {
		compile_divide(compiler, insn, wide);
		return;
	}
	bool constant = BPF_SRC(insn->code) == BPF_K;
	int64_t value = insn->imm;
	if (!constant && insn->src_reg != BPF_REG_10 && insn->src_reg != insn->dst_reg) {
		constant = lazy_is_constant(lazy, insn->src_reg) &&
		           is_small(lazy->values[insn->src_reg]);
		if (constant)
			value = lazy->values[insn->src_reg];
	}
	if (constant && op == BPF_ADD && wide && lazy->stack >> insn->dst_reg & 1 &&
	        is_plain(lazy->values[insn->dst_reg] + value)) {
		lazy->values[insn->dst_reg] += value;
		return;
	}
	compile_settle(compiler, 1u << insn->dst_reg);
	enum reg dst = reg_of(insn->dst_reg);
	if (!constant) {
		asm_alu(compiler->code, op, dst, compile_operand(compiler, insn->src_reg), wide);
	} else if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH || is_plain(value)) {
		asm_alu_constant(compiler->code, op, dst, (int32_t)value, wide);
	} else {
		compile_constant(compiler, REG_T0, (uint64_t)value);
		asm_alu(compiler->code, op, dst, REG_T0, wide);
	}
}

static void compile_swap(struct compiler *compiler, const struct bpf_insn *insn)
{
	bool swap = BPF_CLASS(insn->code) == BPF_ALU64 || BPF_SRC(insn->code) == BPF_TO_BE;
	compile_settle(compiler, 1u << insn->dst_reg);
	asm_swap(compiler->code, reg_of(insn->dst_reg), (unsigned)insn->imm, swap);
}

// The next instruction that any way comes to.
static uint32_t next_reached(const struct compiler *compiler, uint32_t at)
{
	do
		at++;
	while (at < compiler->function->end && !compiler->facts[at].reached);
	return at;
}

// A jump that is always taken; to what comes next anyway, and is expected so, there is none.
static void compile_always(struct compiler *compiler, uint32_t at, uint32_t target)
{
	compile_settle(compiler, compiler->facts[at].live);
	uint32_t label = counts_edge(compiler, at, target);
	if (target > at && target == next_reached(compiler, at) &&
	        label == compile_label(compiler, target))
		return;
	asm_jump(compiler->code, label);
}

static void compile_jump(struct compiler *compiler, uint32_t at)
{
	const struct bpf_insn *insn = &compiler->insns[at];
	uint32_t target = (uint32_t)insn_jump_to(insn, at);
	uint16_t live = compiler->facts[at].live;
	if (opcode_of(insn)->kind == KIND_JUMP_ALWAYS) {
		compile_always(compiler, at, target);
		return;
	}
	if (compiler->skip_jump) {
		compiler->skip_jump = false;
		return;
	}
	// The pass may have shown that one way is never taken.
	if (!compiler->facts[target].reached)
		return;
	if (!compiler->facts[at + 1].reached) {
		compile_always(compiler, at, target);
		return;
	}
	bool wide = BPF_CLASS(insn->code) == BPF_JMP;
	uint8_t op = BPF_OP(insn->code);
	bool constant = BPF_SRC(insn->code) == BPF_K;
	int64_t value = insn->imm;
	if (!constant && insn->src_reg != insn->dst_reg) {
		constant = lazy_is_constant(&compiler->lazy, insn->src_reg);
		value = compiler->lazy.values[insn->src_reg];
	}
	constant &= is_plain(value);
	compile_settle(compiler, live | (1u << insn->dst_reg & 0x3ff));
	enum reg dst = compile_operand(compiler, insn->dst_reg);
	if (constant) {
		asm_branch_constant(compiler->code, op, dst, (int32_t)value, wide,
		        counts_edge(compiler, at, target));
		return;
	}
	enum reg src = dst == REG_T0 ? REG_T1 : REG_T0;
	if (BPF_SRC(insn->code) == BPF_K)
		compile_constant(compiler, src, (uint64_t)value);
	else
		src = compile_operand(compiler, insn->src_reg);
	asm_branch(compiler->code, op, dst, src, wide, counts_edge(compiler, at, target));
}

static void compile_exit(struct compiler *compiler, uint32_t at)
{
	struct pending behind = compiler->pending[at];
	behind.steps++;
	if (is_in_loop(compiler))
		behind.budget = 0; // the next packet has its own
	compile_settle(compiler, 1u << BPF_REG_0);
	counts_flush(compiler, behind);
	compile_end(compiler);
}

void compile_insn(struct compiler *compiler, uint32_t at)
{
	const struct bpf_insn *insn = &compiler->insns[at];
	switch (opcode_of(insn)->kind) {
	case KIND_ALU:
		compile_alu(compiler, insn);
		break;
	case KIND_NEG:
		compile_settle(compiler, 1u << insn->dst_reg);
		asm_negate(
		        compiler->code, reg_of(insn->dst_reg), BPF_CLASS(insn->code) == BPF_ALU64);
		break;
	case KIND_SWAP:
		compile_swap(compiler, insn);
		break;
	case KIND_LDDW:
		lazy_set(&compiler->lazy, insn->dst_reg, false,
		        (int64_t)((uint32_t)insn->imm | (uint64_t)(uint32_t)insn[1].imm << 32));
		break;
	case KIND_LOAD:
	case KIND_LOAD_SX:
		compile_load(compiler, at);
		break;
	case KIND_STORE:
		compile_store(compiler, at);
		break;
	case KIND_ATOMIC:
		compile_atomic(compiler, at);
		break;
	case KIND_JUMP:
	case KIND_JUMP_ALWAYS:
		compile_jump(compiler, at);
		break;
	case KIND_CALL:
		compile_call(compiler, at);
		break;
	case KIND_EXIT:
		compile_exit(compiler, at);
		break;
	case KIND_PACKET:
	case KIND_INVALID:
		break; // check_image() passes none
	}
}

#define LOOP_REGISTERS (1u << 6 | 1u << 7 | 1u << 8)

// R6 to R9 that the function writes.
static uint32_t saved_registers(const struct compiler *compiler)
{
	uint32_t mask = compiler->function->entry_live, end = compiler->function->end;
	for (uint32_t i = compiler->function->insn; i < end && (mask & 0x3c0) != 0x3c0; i++) {
		const struct bpf_insn *insn = &compiler->insns[i];
		if (BPF_CLASS(insn->code) == BPF_STX) // fetching operations
			mask |= 1u << insn->src_reg;
		mask |= 1u << insn->dst_reg;
		i += insn_is_lddw(insn);
	}
	return mask & 0x3c0;
}

void compile_zeros(struct compiler *compiler, uint32_t mask)
{
	for (unsigned r = 0; r < 10; r++) {
		if (mask & 1u << r)
			asm_constant(compiler->code, reg_of(r), 0);
	}
}

void compile_dirty_frame(struct compiler *compiler)
{
	struct code *code = compiler->code;
	uint32_t low = compiler->function->stack_low, clean = asm_label(code);
	if (!low)
		return;
	asm_lea(code, REG_T0, mem_at(REG_FRAME, -(int32_t)low));
	asm_alu(code, BPF_SUB, REG_T0, REG_BASE, true);
	asm_branch_memory(code, BPF_JGE, REG_T0, ENGINE_FIELD(stack_dirty), 8, clean);
	asm_store(code, ENGINE_FIELD(stack_dirty), REG_T0, 8);
	asm_bind(code, clean);
}

static void compile_prologue(struct compiler *compiler)
{
	struct code *code = compiler->code;
	const struct function_fact *function = compiler->function;
	if (!is_in_loop(compiler))
		asm_function_begin(code, compiler->saved);
	compile_zeros(compiler, function->entry_live & 0x3c1); // arguments stand in R1 to R5
	compile_dirty_frame(compiler);
	slots_fill(compiler, compiler->slots_live[function->insn]);
	bool whole = is_in_loop(compiler) &&
	             compiler->need[function->insn] <= compiler->generation->budget;
	if (compiler->need[function->insn] && !whole)
		asm_branch_memory_constant(code, BPF_JSLT, ENGINE_FIELD(budget),
		        (int32_t)compiler->need[function->insn], 8,
		        compile_resume(compiler, function->insn));
}

void compile_stubs(struct compiler *compiler)
{
	for (uint32_t i = 0; i < compiler->stub_count; i++) {
		struct stub stub = compiler->stubs[i]; // the table may move
		asm_bind(compiler->code, stub.label);
		compiler->lazy = stub.lazy;
		stub.emit(compiler, &stub);
	}
	compiler->stub_count = 0;
	lazy_forget(&compiler->lazy, UINT32_MAX);
}

static void compile_function(struct compiler *compiler, uint32_t index)
{
	struct code *code = compiler->code;
	const struct function_fact *function = &compiler->analysis->functions[index];
	if (!compiler->facts[function->insn].reached)
		return;
	compiler->function = function;
	compiler->saved = saved_registers(compiler);
	compiler->in_word = is_in_loop(compiler) && counts_differ(compiler);
	counts_begin(compiler);
	compiler->resume = asm_label(code);
	compiler->leave = asm_label(code);
	slots_plan(compiler);
	asm_bind(code, compiler->functions[index]);
	compile_prologue(compiler);
	uint32_t last = function->insn, filtered = last;
	for (uint32_t i = function->insn; i < function->end; i++) {
		const struct fact *fact = &compiler->facts[i];
		if (fact->reached) {
			if (fact->leader) {
				compile_settle(compiler, compiler->facts[last].live);
				lazy_forget(&compiler->lazy, UINT32_MAX);
				asm_bind(code, compile_label(compiler, i));
			}
			if (i >= filtered)
				filtered = compile_filter(compiler, i);
			compile_insn(compiler, i);
			last = i;
		}
		i += insn_is_lddw(&compiler->insns[i]);
	}
	compile_stubs(compiler);
	emit_resume_common(compiler);
}

void compiler_clear(struct compiler *compiler)
{
	free(compiler->insns);
	free(compiler->functions);
	free(compiler->pending);
	free(compiler->need);
	free(compiler->labels);
	free(compiler->slots_live);
	free(compiler->depths);
	free(compiler->stubs);
}

int compile_program(struct compiler *compiler, struct uses *uses)
{
	const struct analysis *analysis = compiler->analysis;
	const struct program *program = &compiler->generation->programs[compiler->program];
	uint32_t count = program->insn_count;
	compiler->insn_count = count;
	compiler->insns = malloc(count * sizeof(*compiler->insns));
	compiler->facts = analysis->facts;
	compiler->functions = calloc(analysis->function_count, sizeof(*compiler->functions));
	compiler->labels = calloc(count, sizeof(*compiler->labels));
	compiler->slots_live = calloc(count, sizeof(*compiler->slots_live));
	int r = -ENOMEM;
	if (compiler->insns && compiler->functions && compiler->labels && compiler->slots_live) {
		memcpy(compiler->insns, program->insns, count * sizeof(*compiler->insns));
		r = combine(compiler->generation, analysis, compiler->insns, compiler->facts);
	}
	if (!r)
		r = counts_plan(compiler);
	for (uint32_t i = 0; !r && i < analysis->function_count; i++)
		compiler->functions[i] = asm_label(compiler->code);
	if (!r)
		compile_uses(compiler, uses);
	if (!r && compiler->in_loop) {
		compiler->end = asm_label(compiler->code);
		compiler->function = &analysis->functions[0];
		compiler->keeps_loop = !(saved_registers(compiler) & LOOP_REGISTERS);
		compile_burst_head(compiler, uses);
	}
	for (uint32_t i = 0; !r && i < analysis->function_count; i++) {
		compile_function(compiler, i);
		if (compiler->in_loop && i == 0) {
			asm_bind(compiler->code, compiler->end);
			compile_burst_tail(compiler, uses);
			if (!compiler->verify)
				r = compile_ahead(compiler);
		}
	}
	if (compiler->failed)
		r = -ENOMEM;
	return r;
}
