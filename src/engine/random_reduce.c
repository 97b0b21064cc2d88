// SPDX-License-Identifier: Apache-2.0
// Reduction of a program: leave out a stretch of instructions, from long ones down to single ones,
// for as long as anything can go; then let registers and numbers that do not matter be 0.
#include <string.h>

#include "ebpf/opcode.h"
#include "engine/random_program.h"

struct reduction {
	struct random_program *program;
	bool (*matters)(void *context, const struct random_program *program);
	void *context;
};

// Whether it names a function of the program; where that begins, image_callee() says.
static bool is_call(const struct bpf_insn *insn)
{
	return (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL) ||
	       (insn_is_lddw(insn) && insn->src_reg == BPF_PSEUDO_FUNC);
}

static bool try(struct reduction *reduction, const struct random_program *smaller)
{
	if (!reduction->matters(reduction->context, smaller))
		return false;
	*reduction->program = *smaller;
	return true;
}

// Copies the program without the slots that `out` names. What jumped to one of them now jumps to
// the first that is left behind it.
static void leave_out(
        const struct random_program *from, const bool out[], struct random_program *to)
{
	int32_t place[RANDOM_INSNS_MAX + 1];
	int32_t count = 0;
	for (uint32_t i = 0; i <= from->count; i++) {
		place[i] = count;
		count += i < from->count && !out[i];
	}
	memset(to, 0, sizeof(*to));
	to->count = (uint32_t)count;
	to->large = from->large;
	to->second = (uint32_t)place[from->second];
	for (uint32_t i = 0; i < from->count; i++) {
		const struct bpf_insn *insn = &from->insns[i];
		enum opcode_kind kind = opcode_of(insn)->kind;
		uint32_t slots = insn_is_lddw(insn) ? 2 : 1;
		for (uint32_t slot = 0; slot < slots && !out[i]; slot++)
			to->insns[place[i] + (int32_t)slot] = insn[slot];
		if (!out[i]) {
			struct bpf_insn *copy = &to->insns[place[i]];
			to->kept[place[i]] = from->kept[i];
			if (kind == KIND_JUMP || insn->code == (BPF_JMP | BPF_JA))
				copy->off =
				        (int16_t)(place[(int32_t)i + 1 + insn->off] - place[i] - 1);
			else if (is_call(insn))
				copy->imm = place[image_callee(insn, i)] - place[i] - 1;
		}
		i += slots - 1;
	}
}

// Leaves out `length` instructions from slot `at` on, but those that are kept.
static bool try_without(struct reduction *reduction, uint32_t at, uint32_t length)
{
	const struct random_program *program = reduction->program;
	bool out[RANDOM_INSNS_MAX] = {0};
	struct random_program smaller;
	bool any = false;
	for (uint32_t i = at; i < program->count && length; i++, length--) {
		out[i] = !program->kept[i];
		any |= out[i];
		if (insn_is_lddw(&program->insns[i])) {
			out[i + 1] = out[i];
			i++;
		}
	}
	if (!any)
		return false;
	leave_out(program, out, &smaller);
	return try(reduction, &smaller);
}

// The function that begins at `callee` goes only together with all calls of it.
static bool try_without_function(struct reduction *reduction, uint32_t callee)
{
	const struct random_program *program = reduction->program;
	bool out[RANDOM_INSNS_MAX] = {0};
	struct random_program smaller;
	uint32_t end = program->second > callee ? program->second : program->count;
	for (uint32_t i = 0; i < program->count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		uint32_t slots = insn_is_lddw(insn) ? 2 : 1;
		uint32_t other = is_call(insn) ? (uint32_t)image_callee(insn, i) : 0;
		if (other > callee && other < end)
			end = other;
		for (uint32_t slot = 0; slot < slots && other && other == callee; slot++)
			out[i + slot] = true;
		i += slots - 1;
	}
	for (uint32_t i = callee; i < end; i++)
		out[i] = true;
	leave_out(program, out, &smaller);
	return try(reduction, &smaller);
}

static bool try_without_functions(struct reduction *reduction)
{
	const struct random_program *program = reduction->program;
	bool smaller = false;
	for (uint32_t i = 0; i < program->count; i++) {
		int64_t callee =
		        is_call(&program->insns[i]) ? image_callee(&program->insns[i], i) : 0;
		if (callee > 0 && callee < program->count)
			smaller |= try_without_function(reduction, (uint32_t)callee);
		i += insn_is_lddw(&program->insns[i]);
	}
	return smaller;
}

// The second program goes as a whole; calls that led there find nothing.
static bool try_without_second(struct reduction *reduction)
{
	struct random_program smaller = *reduction->program;
	if (!smaller.second)
		return false;
	smaller.count = smaller.second;
	smaller.second = 0;
	return try(reduction, &smaller);
}

// A store of a register becomes one of zeros, so that what made the register can go.
static bool try_simpler(struct reduction *reduction, uint32_t at)
{
	struct random_program simpler = *reduction->program;
	struct bpf_insn *insn = &simpler.insns[at];
	if (insn->code != (BPF_STX | BPF_MEM | BPF_DW))
		return false;
	insn->code = BPF_ST | BPF_MEM | BPF_DW;
	insn->src_reg = 0;
	insn->imm = 0;
	return try(reduction, &simpler);
}

static bool reduce_once(struct reduction *reduction)
{
	struct random_program *program = reduction->program;
	bool smaller = try_without_second(reduction);
	smaller |= try_without_functions(reduction);
	for (uint32_t length = program->count / 2; length; length /= 2) {
		for (uint32_t at = 0; at < program->count; at++) {
			bool inside = at && insn_is_lddw(&program->insns[at - 1]);
			while (!inside && try_without(reduction, at, length))
				smaller = true;
		}
	}
	for (uint32_t at = 0; at < program->count; at++) {
		bool inside = at && insn_is_lddw(&program->insns[at - 1]);
		smaller |= !inside && try_simpler(reduction, at);
	}
	return smaller;
}

void random_program_reduce(struct random_program *program,
        bool (*matters)(void *context, const struct random_program *program), void *context)
{
	struct reduction reduction = {.program = program, .matters = matters, .context = context};
	while (reduce_once(&reduction))
		continue;
}
