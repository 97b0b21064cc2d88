// SPDX-License-Identifier: Apache-2.0
// Operations one behind the other, with jumps over some of them and calls between, held against a
// model: what an assembler remembers from one operation to the next must be true whichever way led
// there.
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/native/asm_kit.h"
#include "engine/native/code.h"

#define STEPS       48u
#define AT_ONCE     50u  // sequences in one piece of code
#define ROUNDS      120u // pieces of code
#define INDEX_MAX   31   // so that index + displacement + size are within the area
#define DISP_MAX    24
#define ALL_SAVED   0x3c0u
#define FIRST_INDEX REG_R6 // R6 to R9 are indices, R0 to R5 and T0 hold any value

enum kind {
	STEP_MOVE,
	STEP_ALU,
	STEP_ALU_CONSTANT,
	STEP_LOAD,
	STEP_STORE,
	STEP_MATCH,
	STEP_LEA,       // the distance from the area, masked, becomes an index
	STEP_INDEX,     // an index becomes another
	STEP_INDEX_ADD, // or moves
	STEP_BRANCH,    // over `value` steps where the condition holds
	STEP_CALL,      // code that works on memory
	STEP_CALL_HOST,
	STEP_KINDS,
};

struct step {
	uint8_t kind, op, size;
	bool wide;
	enum reg dst, src, base, index;
	int32_t disp, value;
};

struct sequence {
	struct step steps[STEPS];
	uint32_t label;
};

struct model {
	uint64_t reg[KIT_REGISTERS];
	uint8_t area[KIT_AREA];
};

static const uint8_t operations[] = {
        BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH};
static const enum reg values[] = {REG_R0, REG_R1, REG_R2, REG_R3, REG_R4, REG_R5, REG_T0};

static uint32_t pick(uint64_t *seed, uint32_t count)
{
	return (uint32_t)(kit_random(seed) % count);
}

// Few registers are in use at a time, so that neighbours meet.
static struct step make_step(uint64_t *seed)
{
	struct step step = {
	        .kind = (uint8_t)pick(seed, STEP_KINDS),
	        .op = operations[pick(seed, sizeof(operations))],
	        .size = (uint8_t)(1 << pick(seed, 4)),
	        .wide = pick(seed, 2),
	        .dst = values[pick(seed, 3) + pick(seed, 5)],
	        .src = pick(seed, 4) ? values[pick(seed, 3) + pick(seed, 5)]
	                             : FIRST_INDEX + pick(seed, 4),
	        .base = pick(seed, 4) ? REG_BASE : REG_FRAME,
	        .index = pick(seed, 8) ? FIRST_INDEX + pick(seed, 2) : REG_NONE,
	        .disp = (int32_t)pick(seed, DISP_MAX + 1),
	        .value = (int32_t)kit_operand(seed),
	};
	if (step.kind == STEP_INDEX || step.kind == STEP_INDEX_ADD || step.kind == STEP_LEA) {
		step.dst = FIRST_INDEX + pick(seed, 2);
		step.src = FIRST_INDEX + pick(seed, 4);
	}
	if (step.kind == STEP_MATCH) { // of 32 bytes
		step.disp %= 2;
		step.src = step.dst == REG_R0 ? REG_R1 : REG_R0;
	}
	if (step.kind == STEP_BRANCH)
		step.op = kit_jumps[pick(seed, KIT_JUMPS)];
	return step;
}

static struct mem mem_of(const struct step *step)
{
	return (struct mem){step->base, step->index, step->disp};
}

// Called: goes through memory by other sums, and leaves nothing but R0 and what functions keep.
static void emit_callee(struct code *code, uint32_t label)
{
	asm_bind(code, label);
	asm_function_begin(code, ALL_SAVED);
	asm_constant(code, REG_R6, 40);
	asm_load(code, REG_R0, (struct mem){REG_BASE, REG_R6, 8}, 8, false);
	asm_constant(code, REG_R7, 16);
	asm_load(code, REG_R1, (struct mem){REG_FRAME, REG_R7, 3}, 4, false);
	asm_alu(code, BPF_XOR, REG_R0, REG_R1, true);
	asm_function_end(code, ALL_SAVED);
}

static uint64_t model_callee(const struct model *model)
{
	uint64_t a;
	uint32_t b;
	memcpy(&a, model->area + 48, sizeof(a));
	memcpy(&b, model->area + 19, sizeof(b));
	return a ^ b;
}

// Calls into another library, whose stubs have registers of their own.
static uint64_t host(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	unsigned seed = (unsigned)a;
	return (uint64_t)rand_r(&seed) ^ a ^ b << 8 ^ c << 16 ^ d << 24 ^ e << 32;
}

// What a call leaves undefined.
static const enum reg gone[] = {REG_R1, REG_R2, REG_R3, REG_R4, REG_R5, REG_T0};
#define GONE (sizeof(gone) / sizeof(gone[0]))

static void emit_step(struct code *code, const struct step *step, uint32_t callee, uint32_t label)
{
	switch (step->kind) {
	case STEP_MOVE:
		asm_move(code, step->dst, step->src, step->wide);
		break;
	case STEP_ALU:
		asm_alu(code, step->op, step->dst, step->src, step->wide);
		break;
	case STEP_ALU_CONSTANT:
		asm_alu_constant(code, step->op, step->dst, step->value, step->wide);
		break;
	case STEP_LOAD:
		asm_load(code, step->dst, mem_of(step), step->size, step->wide);
		break;
	case STEP_STORE:
		asm_store(code, mem_of(step), step->src, step->size);
		break;
	case STEP_MATCH:
		asm_match(code, step->dst, step->src, mem_of(step));
		break;
	case STEP_LEA:
		asm_lea(code, step->dst, mem_of(step));
		asm_alu(code, BPF_SUB, step->dst, REG_BASE, true);
		asm_alu_constant(code, BPF_AND, step->dst, INDEX_MAX, true);
		break;
	case STEP_INDEX:
		asm_move(code, step->dst, step->src, true);
		break;
	case STEP_INDEX_ADD:
		asm_move(code, step->dst, step->src, true);
		asm_alu_constant(code, BPF_ADD, step->dst, step->disp, true);
		asm_alu_constant(code, BPF_AND, step->dst, INDEX_MAX, true);
		break;
	case STEP_BRANCH:
		asm_branch_constant(code, step->op, step->src, step->value, step->wide, label);
		break;
	default:
		if (step->kind == STEP_CALL)
			asm_call(code, callee);
		else
			asm_call_host(code, (const void *)host);
		for (uint32_t i = 0; i < GONE; i++)
			asm_constant(code, gone[i], i);
	}
}

// True: a branch is taken.
static bool model_step(struct model *model, const struct step *step)
{
	uint64_t *dst = &model->reg[step->dst], src = model->reg[step->src];
	uint64_t value = (uint64_t)(int64_t)step->value;
	uint64_t offset =
	        (step->index == REG_NONE ? 0 : model->reg[step->index]) + (uint64_t)step->disp;
	switch (step->kind) {
	case STEP_MOVE:
		*dst = kit_narrow(src, step->wide);
		break;
	case STEP_ALU:
		*dst = kit_alu(step->op, *dst, src, step->wide);
		break;
	case STEP_ALU_CONSTANT:
		*dst = kit_alu(step->op, *dst, value, step->wide);
		break;
	case STEP_LOAD:
		*dst = 0;
		memcpy(dst, model->area + offset, step->size);
		if (step->wide) // signed
			*dst = kit_sign_extend(*dst, 8u * step->size);
		break;
	case STEP_STORE:
		memcpy(model->area + offset, &src, step->size);
		break;
	case STEP_MATCH:
		*dst = 0;
		for (uint32_t i = 0; i < 4; i++)
			*dst |= (uint64_t)!memcmp(model->area + offset + 8 * i, &src, 8) << i;
		break;
	case STEP_LEA:
		*dst = offset & INDEX_MAX;
		break;
	case STEP_INDEX:
		*dst = src;
		break;
	case STEP_INDEX_ADD:
		*dst = (src + (uint64_t)step->disp) & INDEX_MAX;
		break;
	case STEP_BRANCH:
		return kit_compare(step->op, src, value, step->wide);
	default:
		model->reg[REG_R0] =
		        step->kind == STEP_CALL
		                ? model_callee(model)
		                : host(model->reg[REG_R1], model->reg[REG_R2], model->reg[REG_R3],
		                          model->reg[REG_R4], model->reg[REG_R5]);
		for (uint32_t i = 0; i < GONE; i++)
			model->reg[gone[i]] = i;
	}
	return false;
}

// How many steps a branch leaves out.
static uint32_t skipped(const struct step *step)
{
	return (uint32_t)step->disp % 6;
}

static void emit_sequence(struct code *code, struct sequence *sequence, uint32_t callee)
{
	uint32_t labels[2 * STEPS] = {0};
	bool is_bound_here[2 * STEPS] = {false};
	sequence->label = asm_label(code);
	asm_bind(code, sequence->label);
	asm_function_begin(code, ALL_SAVED);
	for (enum reg reg = REG_R0; reg <= REG_T0; reg++) {
		int32_t at = (int32_t)(offsetof(struct machine, in) + 8 * reg);
		if (reg <= REG_R9 || reg == REG_T0)
			asm_load(code, reg, mem_at(REG_ENGINE, at), 8, false);
	}
	for (uint32_t i = 0; i < 2 * STEPS; i++) {
		if (is_bound_here[i])
			asm_bind(code, labels[i]);
		if (i >= STEPS)
			continue;
		const struct step *step = &sequence->steps[i];
		uint32_t to = i + 1 + skipped(step);
		if (step->kind == STEP_BRANCH && !is_bound_here[to]) {
			labels[to] = asm_label(code);
			is_bound_here[to] = true;
		}
		emit_step(code, step, callee, labels[to]);
	}
	for (enum reg reg = REG_R0; reg <= REG_T0; reg++) {
		int32_t at = (int32_t)(offsetof(struct machine, out) + 8 * reg);
		if (reg <= REG_R9 || reg == REG_T0)
			asm_store(code, mem_at(REG_ENGINE, at), reg, 8);
	}
	asm_function_end(code, ALL_SAVED);
}

static void run_sequence(const struct kit_code *kit, const struct sequence *sequence,
        uint64_t *seed, uint32_t number)
{
	struct machine machine = {0};
	struct model model = {0};
	const uint64_t args[5] = {0};
	for (enum reg reg = REG_R0; reg <= REG_T0; reg++) {
		bool is_index = reg >= FIRST_INDEX && reg <= REG_R9;
		model.reg[reg] = is_index ? pick(seed, INDEX_MAX + 1) : kit_operand(seed);
	}
	for (uint32_t i = 0; i < KIT_AREA; i++)
		model.area[i] = (uint8_t)kit_random(seed);
	memcpy(machine.in, model.reg, sizeof(machine.in));
	memcpy(machine.area, model.area, sizeof(machine.area));
	machine.base = machine.frame = (uintptr_t)machine.area;
	for (uint32_t i = 0; i < STEPS; i++)
		if (model_step(&model, &sequence->steps[i]))
			i += skipped(&sequence->steps[i]);
	kit_code_call(kit, &machine, sequence->label, args);
	for (enum reg reg = REG_R0; reg <= REG_T0; reg++)
		if ((reg <= REG_R9 || reg == REG_T0) && machine.out[reg] != model.reg[reg])
			fail_msg("sequence %u: register %u is %#llx, should be %#llx", number, reg,
			        (unsigned long long)machine.out[reg],
			        (unsigned long long)model.reg[reg]);
	assert_memory_equal(machine.area, model.area, sizeof(model.area));
}

static void what_goes_before_changes_nothing(void **state)
{
	static struct sequence sequences[AT_ONCE];
	uint64_t seed = 1;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct kit_code kit;
		kit_code_new(&kit, *(bool *)*state);
		uint32_t callee = asm_label(kit.code);
		emit_callee(kit.code, callee);
		for (uint32_t i = 0; i < AT_ONCE; i++) {
			for (uint32_t j = 0; j < STEPS; j++)
				sequences[i].steps[j] = make_step(&seed);
			emit_sequence(kit.code, &sequences[i], callee);
		}
		kit_code_place(&kit);
		for (uint32_t i = 0; i < 4 * AT_ONCE; i++)
			run_sequence(&kit, &sequences[i % AT_ONCE], &seed,
			        round * AT_ONCE + i % AT_ONCE);
		kit_code_free(&kit);
	}
}

int main(void)
{
	static bool all = false, least = true;
	if (!asm_offered())
		return 77;
	const struct CMUnitTest tests[] = {
	        KIT_BOTH(what_goes_before_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
