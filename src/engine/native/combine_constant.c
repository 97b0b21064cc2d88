// SPDX-License-Identifier: Apache-2.0
// Registers that are known numbers, in one pass over the program: loads from frozen globals become
// numbers, jumps on numbers are decided, operands that are numbers become immediates. What
// registers hold flows along jumps that go forward; where one comes back, nothing is known.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/native/combine_parts.h"
#include "engine/state.h"

#define CALL_CLOBBERS 0x3fu // R0 to R5

// The registers that are known, and what they hold.
struct known {
	uint64_t values[ANALYSIS_REGISTERS];
	uint16_t mask;
};

// A global that nobody can change any more, at card addresses [start, end).
struct frozen {
	uint64_t start, end;
	const uint8_t *data;
};

struct constants {
	struct bpf_insn *insns;
	struct fact *facts;
	uint32_t count;
	struct frozen frozen[IMAGE_MAPS_MAX];
	uint32_t frozen_count;
	struct known now;
	bool is_reached;
	struct known *states; // at targets of jumps forward
	uint32_t state_count;
	uint32_t *state_of; // by instruction: index into states, plus 1; 0: none
	bool *entered;      // by instruction: from behind or outside
	bool *changed;      // by instruction: was rewritten
	bool decided;       // a jump was
};

static bool is_jump(const struct bpf_insn *insn)
{
	uint8_t class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);
	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT;
}

static bool compare(uint8_t op, uint64_t a, uint64_t b, bool is_64)
{
	if (!is_64) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	int64_t x = is_64 ? (int64_t)a : (int32_t)(uint32_t)a;
	int64_t y = is_64 ? (int64_t)b : (int32_t)(uint32_t)b;
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSGT:
		return x > y;
	case BPF_JSGE:
		return x >= y;
	case BPF_JSLT:
		return x < y;
	case BPF_JSLE:
		return x <= y;
	default:
		return a & b;
	}
}

// Of the operations that clang leaves with constant operands; false for others.
static bool compute(const struct bpf_insn *insn, uint64_t a, uint64_t b, uint64_t *result)
{
	bool is_64 = opcode_of(insn)->is_64;
	uint32_t shift = (uint32_t)b & (is_64 ? 63 : 31);
	if (!is_64)
		a = (uint32_t)a;
	switch (BPF_OP(insn->code)) {
	case BPF_MOV:
		*result = b;
		break;
	case BPF_ADD:
		*result = a + b;
		break;
	case BPF_SUB:
		*result = a - b;
		break;
	case BPF_MUL:
		*result = a * b;
		break;
	case BPF_AND:
		*result = a & b;
		break;
	case BPF_OR:
		*result = a | b;
		break;
	case BPF_XOR:
		*result = a ^ b;
		break;
	case BPF_LSH:
		*result = a << shift;
		break;
	case BPF_RSH:
		*result = a >> shift;
		break;
	default:
		return false;
	}
	if (!is_64)
		*result = (uint32_t)*result;
	return insn->off == 0;
}

static void set_known(struct known *now, uint8_t reg, uint64_t value)
{
	now->values[reg] = value;
	now->mask |= (uint16_t)(1u << reg);
}

static void forget(struct known *now, uint32_t mask)
{
	now->mask &= (uint16_t)~mask;
}

// The register becomes a number in one slot, where that can be written so.
static void write_number(struct bpf_insn *insn, uint64_t value)
{
	bool wide = (uint64_t)(int64_t)(int32_t)(uint32_t)value == value;
	if (wide || value <= UINT32_MAX)
		*insn = (struct bpf_insn){
		        .code = (uint8_t)((wide ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_K),
		        .dst_reg = insn->dst_reg,
		        .imm = (int32_t)(uint32_t)value};
}

static void follow_load(struct constants *it, uint32_t at)
{
	struct bpf_insn *insn = &it->insns[at];
	uint32_t size = opcode_of(insn)->size;
	uint64_t value = 0;
	bool is_known = it->now.mask >> insn->src_reg & 1;
	uint64_t address = it->now.values[insn->src_reg] + (uint64_t)(int64_t)insn->off;
	forget(&it->now, 1u << insn->dst_reg);
	for (uint32_t i = 0; is_known && i < it->frozen_count; i++) {
		const struct frozen *frozen = &it->frozen[i];
		if (address < frozen->start || address >= frozen->end ||
		        size > frozen->end - address)
			continue;
		memcpy(&value, frozen->data + (address - frozen->start), size);
		if (opcode_of(insn)->kind == KIND_LOAD_SX)
			value = (uint64_t)((int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size));
		set_known(&it->now, insn->dst_reg, value);
		write_number(insn, value);
		return;
	}
}

// An operand that is a number becomes an immediate, where the check would let it pass.
static void write_operand(const struct constants *it, struct bpf_insn *insn, bool is_64)
{
	if (!(it->now.mask >> insn->src_reg & 1))
		return;
	uint64_t value = it->now.values[insn->src_reg];
	uint8_t op = BPF_OP(insn->code);
	bool is_alu = opcode_of(insn)->kind == KIND_ALU;
	bool is_shift = is_alu && (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH);
	bool is_division = is_alu && (op == BPF_DIV || op == BPF_MOD);
	int32_t imm = (int32_t)(uint32_t)value;
	if ((is_64 && (uint64_t)(int64_t)imm != value) ||
	        (is_shift && value >= (is_64 ? 64 : 32)) || (is_division && !imm) ||
	        (is_alu && op == BPF_MOV && insn->off))
		return;
	insn->code = (uint8_t)((insn->code & ~BPF_X) | BPF_K);
	insn->src_reg = 0;
	insn->imm = imm;
}

static void follow_alu(struct constants *it, struct bpf_insn *insn)
{
	const struct opcode *opcode = opcode_of(insn);
	struct known *now = &it->now;
	uint64_t result;
	if (!(now->mask & (1u << insn->dst_reg | 1u << insn->src_reg)) &&
	        (opcode->has_src || opcode->kind != KIND_ALU || BPF_OP(insn->code) != BPF_MOV))
		return; // nothing known goes in
	bool reads_dst = opcode_of(insn)->operands & READS_DST;
	bool is_known = opcode->kind == KIND_ALU &&
	                (!reads_dst || now->mask >> insn->dst_reg & 1) &&
	                (!opcode->has_src || now->mask >> insn->src_reg & 1);
	uint64_t operand =
	        opcode->has_src ? now->values[insn->src_reg] : (uint64_t)(int64_t)insn->imm;
	if (is_known && compute(insn, now->values[insn->dst_reg], operand, &result)) {
		set_known(now, insn->dst_reg, result);
		if (reads_dst || opcode->has_src)
			write_number(insn, result);
		return;
	}
	if (opcode->kind == KIND_ALU && opcode->has_src)
		write_operand(it, insn, opcode->is_64);
	forget(now, 1u << insn->dst_reg);
}

static void follow_store(struct constants *it, struct bpf_insn *insn)
{
	uint64_t value = it->now.values[insn->src_reg];
	int32_t imm = (int32_t)(uint32_t)value;
	uint32_t size = opcode_of(insn)->size;
	if (!opcode_of(insn)->has_src || !(it->now.mask >> insn->src_reg & 1) ||
	        (size == 8 && (uint64_t)(int64_t)imm != value))
		return;
	insn->code = (uint8_t)(BPF_ST | BPF_MEM | size_code(size));
	insn->src_reg = 0;
	insn->imm = size == 1 ? (uint8_t)imm : size == 2 ? (uint16_t)imm : imm;
}

static void copy_known(struct known *to, const struct known *from)
{
	to->mask = from->mask;
	for (uint32_t mask = from->mask; mask; mask &= mask - 1)
		to->values[__builtin_ctz(mask)] = from->values[__builtin_ctz(mask)];
}

// What is known here also holds at `target`, if nothing else comes there.
static void flow_to(struct constants *it, int64_t target)
{
	uint32_t *index = &it->state_of[target];
	if (!*index) {
		copy_known(&it->states[it->state_count], &it->now);
		*index = ++it->state_count;
		return;
	}
	struct known *known = &it->states[*index - 1];
	known->mask &= it->now.mask;
	for (uint32_t mask = known->mask; mask; mask &= mask - 1) {
		uint32_t reg = (uint32_t)__builtin_ctz(mask);
		if (known->values[reg] != it->now.values[reg])
			forget(known, 1u << reg);
	}
}

static void follow_jump(struct constants *it, uint32_t at)
{
	struct bpf_insn *insn = &it->insns[at];
	const struct opcode *opcode = opcode_of(insn);
	int64_t target = insn_jump_to(insn, at);
	bool always = opcode->kind == KIND_JUMP_ALWAYS;
	if (!always) {
		struct known *now = &it->now;
		if (opcode->has_src)
			write_operand(it, insn, opcode->is_64);
		opcode = opcode_of(insn);
		uint64_t operand =
		        opcode->has_src ? now->values[insn->src_reg] : (uint64_t)(int64_t)insn->imm;
		if (now->mask >> insn->dst_reg & 1 &&
		        (!opcode->has_src || now->mask >> insn->src_reg & 1)) {
			always = compare(BPF_OP(insn->code), now->values[insn->dst_reg], operand,
			        opcode->is_64);
			*insn = (struct bpf_insn){
			        .code = BPF_JMP | BPF_JA, .off = always ? insn->off : 0};
			it->decided = true;
			if (!always)
				return;
		}
	}
	if (target > at && !it->entered[target])
		flow_to(it, target);
	it->is_reached = !always;
}

static void follow(struct constants *it, uint32_t at)
{
	struct bpf_insn *insn = &it->insns[at];
	switch (opcode_of(insn)->kind) {
	case KIND_ALU:
	case KIND_NEG:
	case KIND_SWAP:
		follow_alu(it, insn);
		break;
	case KIND_LDDW:
		set_known(&it->now, insn->dst_reg,
		        (uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn->imm);
		break;
	case KIND_LOAD:
	case KIND_LOAD_SX:
		follow_load(it, at);
		break;
	case KIND_STORE:
		follow_store(it, insn);
		break;
	case KIND_ATOMIC:
		forget(&it->now, 1u | 1u << insn->dst_reg | 1u << insn->src_reg);
		break;
	case KIND_JUMP:
	case KIND_JUMP_ALWAYS:
		follow_jump(it, at);
		break;
	case KIND_CALL:
		forget(&it->now, CALL_CLOBBERS);
		break;
	default:
		it->is_reached = false;
		break;
	}
}

// What is known where a block begins.
static void arrive(struct constants *it, uint32_t at)
{
	uint32_t index = it->state_of[at];
	if (it->entered[at]) {
		it->now.mask = 0;
		it->is_reached = it->facts[at].reached;
	} else if (index && it->is_reached) {
		flow_to(it, at);
		copy_known(&it->now, &it->states[index - 1]);
	} else if (index) {
		copy_known(&it->now, &it->states[index - 1]);
		it->is_reached = true;
	}
}

static void find_frozen(struct constants *it, const struct generation *generation)
{
	for (uint32_t i = 0; i < generation->map_count; i++) {
		const struct image_map *shape = &generation->image->maps[i];
		const struct linked_map *map = generation->maps[i];
		if (!map || !shape->is_global || !shape->is_readonly || !shape->data ||
		        !map->may_read)
			continue;
		it->frozen[it->frozen_count++] = (struct frozen){.start = map->address,
		        .end = (uint64_t)map->address + shape->value_size,
		        .data = shape->data};
	}
}

// Blocks begin only where something still jumps to, or behind what still jumps.
static void find_leaders(struct constants *it)
{
	bool *led = it->entered;
	for (uint32_t i = 0; i < it->count; i++) {
		const struct bpf_insn *insn = &it->insns[i];
		if (it->facts[i].reached && is_jump(insn) && !insn_is_nothing(insn))
			led[insn_jump_to(insn, i)] = true;
	}
	for (uint32_t i = 0; i < it->count; i++) {
		if (!it->facts[i].leader || led[i])
			continue;
		const struct bpf_insn *before = i ? &it->insns[i - 1] : NULL;
		bool follows = !before || opcode_of(before)->kind == KIND_EXIT ||
		               opcode_of(before)->kind == KIND_CALL ||
		               (is_jump(before) && !insn_is_nothing(before));
		it->facts[i].leader = follows;
	}
}

// Whether nothing known goes into the instruction or out of it, as for the most: it stays as it is.
static bool is_apart(const struct constants *it, const struct bpf_insn *insn)
{
	const struct opcode *opcode = opcode_of(insn);
	uint32_t registers = 1u << insn->dst_reg | 1u << insn->src_reg;
	bool makes_number = !(opcode->operands & (READS_DST | READS_SRC));
	return opcode->kind < KIND_ATOMIC && !makes_number && !(it->now.mask & registers);
}

static void walk(struct constants *it)
{
	for (uint32_t i = 0; i < it->count; i++) {
		struct fact *fact = &it->facts[i];
		if (fact->leader || it->entered[i])
			arrive(it, i);
		bool is_lddw = insn_is_lddw(&it->insns[i]);
		if (!it->is_reached || !fact->reached) {
			fact->reached = false;
		} else if (!is_apart(it, &it->insns[i])) {
			struct bpf_insn before = it->insns[i];
			follow(it, i);
			it->changed[i] = memcmp(&before, &it->insns[i], sizeof(before)) != 0;
		}
		if (is_lddw)
			it->facts[++i].reached &= it->is_reached;
	}
	if (it->decided)
		find_leaders(it);
}

int combine_constants(const struct generation *generation, const struct analysis *analysis,
        struct bpf_insn *insns, struct fact *facts, bool *changed)
{
	uint32_t count = analysis->insn_count, jumps = 0;
	struct constants *it = calloc(1, sizeof(*it));
	uint32_t *state_of = calloc(count + 1, sizeof(*state_of));
	bool *entered = calloc(count + 1, sizeof(*entered));
	for (uint32_t i = 0; entered && i < count; i++) {
		if (!is_jump(&insns[i]))
			continue;
		int64_t target = insn_jump_to(&insns[i], i);
		jumps++;
		if (target <= i)
			entered[target] = true;
	}
	for (uint32_t i = 0; entered && i < analysis->function_count; i++)
		entered[analysis->functions[i].insn] = true;
	struct known *states = malloc((jumps + 1) * sizeof(*states));
	int r = it && state_of && entered && states ? 0 : -ENOMEM;
	if (!r) {
		it->insns = insns;
		it->facts = facts;
		it->count = count;
		it->state_of = state_of;
		it->entered = entered;
		it->states = states;
		it->changed = changed;
		find_frozen(it, generation);
		walk(it);
	}
	free(states);
	free(entered);
	free(state_of);
	free(it);
	return r;
}
