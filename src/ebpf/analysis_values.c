// SPDX-License-Identifier: Apache-2.0
// Arithmetic on values. Numbers are intervals of unsigned 64-bit integers: where both ends of a
// result wrap alike it is kept, where only one does nothing is known. A 32-bit operation works on
// the low halves and leaves [0, 2^32). A pointer plus a bounded number stays one; whatever else is
// done to it makes a number of it.
#include <endian.h>
#include <stddef.h>

#include "ebpf/analysis_parts.h"
#include "ebpf/opcode.h"

struct range {
	uint64_t min, max;
	bool by_branch;
};

struct value value_any(enum mark mark)
{
	return (struct value){.kind = VALUE_ANY, .map = (uint16_t)mark};
}

struct value value_scalar(uint64_t min, uint64_t max, bool by_branch)
{
	if (min == 0 && max == UINT64_MAX)
		return value_any(MARK_NONE);
	return (struct value){.kind = VALUE_SCALAR,
	        .by_branch = by_branch,
	        .min = (int64_t)min,
	        .max = (int64_t)max};
}

static struct range range_of(const struct value *value)
{
	return (struct range){value_min(value), value_max(value), value->by_branch};
}

static struct range exactly(uint64_t number)
{
	return (struct range){number, number, false};
}

static struct range low_half(struct range a)
{
	if (a.min >> 32 != a.max >> 32)
		return (struct range){0, UINT32_MAX, false};
	return (struct range){(uint32_t)a.min, (uint32_t)a.max, a.by_branch};
}

static struct range add(struct range a, struct range b, uint64_t top)
{
	uint64_t min, max;
	bool low = __builtin_add_overflow(a.min, b.min, &min) || min > top;
	bool high = __builtin_add_overflow(a.max, b.max, &max) || max > top;
	if (low != high)
		return (struct range){0, top, false};
	return (struct range){min & top, max & top, a.by_branch || b.by_branch};
}

static struct range subtract(struct range a, struct range b, uint64_t top)
{
	bool low = a.min < b.max, high = a.max < b.min;
	if (low != high)
		return (struct range){0, top, false};
	return (struct range){
	        (a.min - b.max) & top, (a.max - b.min) & top, a.by_branch || b.by_branch};
}

static struct range multiply(struct range a, struct range b, uint64_t top)
{
	uint64_t max;
	if (a.min == a.max && b.min == b.max)
		return (struct range){
		        (a.min * b.min) & top, (a.min * b.min) & top, a.by_branch || b.by_branch};
	if (__builtin_mul_overflow(a.max, b.max, &max) || max > top)
		return (struct range){0, top, false};
	return (struct range){a.min * b.min, max, a.by_branch || b.by_branch};
}

// Both operands as they stand: a bound by a mask holds whatever a branch says.
static struct range and_bits(struct range a, struct range b)
{
	if (a.min == a.max && b.min == b.max)
		return (struct range){a.min & b.min, a.min & b.min, a.by_branch || b.by_branch};
	if (b.max < a.max || (b.max == a.max && !b.by_branch))
		return (struct range){0, b.max, b.by_branch};
	return (struct range){0, a.max, a.by_branch};
}

static uint64_t fill(uint64_t number)
{
	return number ? UINT64_MAX >> __builtin_clzll(number) : 0;
}

static struct range or_bits(struct range a, struct range b, bool exclusive)
{
	bool by_branch = a.by_branch || b.by_branch;
	if (a.min == a.max && b.min == b.max) {
		uint64_t bits = exclusive ? a.min ^ b.min : a.min | b.min;
		return (struct range){bits, bits, by_branch};
	}
	uint64_t min = exclusive ? 0 : a.min > b.min ? a.min : b.min;
	return (struct range){min, fill(a.max | b.max), by_branch};
}

static struct range shift_left(struct range a, struct range b, uint64_t top)
{
	uint64_t bits = top == UINT64_MAX ? 63 : 31;
	if (b.min == b.max)
		b.min = b.max = b.min & bits;
	if (b.max > bits || a.max > top >> b.max)
		return (struct range){0, top, false};
	return (struct range){a.min << b.min, a.max << b.max, a.by_branch || b.by_branch};
}

static struct range shift_right(struct range a, struct range b, uint64_t top)
{
	uint64_t bits = top == UINT64_MAX ? 63 : 31;
	if (b.min == b.max)
		b.min = b.max = b.min & bits;
	if (b.max > bits)
		return (struct range){0, a.max, a.by_branch};
	return (struct range){a.min >> b.max, a.max >> b.min, a.by_branch || b.by_branch};
}

// By zero gives zero.
static struct range divide(struct range a, struct range b)
{
	bool by_branch = a.by_branch || b.by_branch;
	if (!b.min)
		return (struct range){0, a.max, by_branch};
	return (struct range){a.min / b.max, a.max / b.min, by_branch};
}

// By zero leaves the dividend.
static struct range modulo(struct range a, struct range b)
{
	bool by_branch = a.by_branch || b.by_branch;
	if (b.min && a.max < b.min)
		return (struct range){a.min, a.max, by_branch};
	if (!b.min || a.max < b.max)
		return (struct range){0, a.max, by_branch};
	return (struct range){0, b.max - 1, b.by_branch};
}

static struct range sign_extended(struct range a, uint64_t bits, uint64_t top)
{
	if (bits >= 64 || a.max < UINT64_C(1) << (bits - 1))
		return a;
	if (a.min == a.max) {
		uint64_t number = (uint64_t)((int64_t)(a.min << (64 - bits)) >> (64 - bits)) & top;
		return (struct range){number, number, a.by_branch};
	}
	return (struct range){0, top, false};
}

static struct range number_compute(
        const struct bpf_insn *insn, struct range a, struct range b, uint64_t top)
{
	uint64_t signed_max = top >> 1;
	bool positive = a.max <= signed_max && b.max <= signed_max;
	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		return add(a, b, top);
	case BPF_SUB:
		return subtract(a, b, top);
	case BPF_MUL:
		return multiply(a, b, top);
	case BPF_AND:
		return and_bits(a, b);
	case BPF_OR:
		return or_bits(a, b, false);
	case BPF_XOR:
		return or_bits(a, b, true);
	case BPF_LSH:
		return shift_left(a, b, top);
	case BPF_RSH:
		return shift_right(a, b, top);
	case BPF_ARSH:
		return a.max <= signed_max ? shift_right(a, b, top) : (struct range){0, top, false};
	case BPF_DIV:
		return insn->off && !positive ? (struct range){0, top, false} : divide(a, b);
	case BPF_MOD:
		return insn->off && !positive ? (struct range){0, top, false} : modulo(a, b);
	case BPF_MOV:
		return insn->off ? sign_extended(b, (uint64_t)insn->off, top) : b;
	default:
		return (struct range){0, top, false};
	}
}

// The number as a signed interval within ±2^31. False: it is none.
static bool signed_bounds(const struct value *number, int64_t *min, int64_t *max)
{
	if (number->kind != VALUE_SCALAR || number->min > number->max)
		return false;
	*min = number->min;
	*max = number->max;
	return *min >= -POINTER_MAX && *max <= POINTER_MAX;
}

static bool is_base(const struct value *value)
{
	switch (value->kind) {
	case VALUE_CONTEXT:
	case VALUE_PACKET:
	case VALUE_PACKET_END:
	case VALUE_PACKET_META:
	case VALUE_STACK:
	case VALUE_MAP_VALUE:
	case VALUE_MAP_VALUE_NULL:
		return true;
	default:
		return false;
	}
}

// pointer + number, or pointer - number.
static struct value pointer_move(
        struct pass *pass, const struct value *pointer, const struct value *number, bool minus)
{
	int64_t min, max;
	if (!signed_bounds(number, &min, &max))
		return value_any(value_is_number(number) ? MARK_UNBOUNDED : MARK_NONE);
	struct value moved = *pointer;
	moved.min += minus ? -max : min;
	moved.max += minus ? -min : max;
	if (moved.min < -POINTER_MAX || moved.max >= POINTER_MAX)
		return value_any(MARK_UNBOUNDED);
	if (min == max)
		return moved;
	moved.by_branch = pointer->by_branch || number->by_branch;
	if (pointer->kind == VALUE_PACKET)
		moved.id = pass->next_id++;
	return moved;
}

// pointer - pointer.
static struct value distance(const struct value *a, const struct value *b)
{
	if (a->kind == VALUE_PACKET_END && b->kind == VALUE_PACKET && a->min == 0 && a->max == 0 &&
	        b->min == 0 && b->max == 0)
		return value_scalar(0, PACKET_BYTES, false);
	bool same = a->kind == b->kind && a->kind != VALUE_MAP_VALUE &&
	            a->kind != VALUE_MAP_VALUE_NULL && a->id == b->id;
	if (!same || (a->kind != VALUE_PACKET && (a->min != a->max || b->min != b->max)))
		return value_any(MARK_NONE);
	uint64_t number = (uint64_t)(a->min - b->min);
	return value_scalar(number, number, false);
}

static bool pointer_compute(struct pass *pass, const struct bpf_insn *insn, const struct value *a,
        const struct value *b, struct value *result)
{
	bool minus = BPF_OP(insn->code) == BPF_SUB;
	if (BPF_CLASS(insn->code) != BPF_ALU64 || (!minus && BPF_OP(insn->code) != BPF_ADD))
		return false;
	if (is_base(a) && is_base(b))
		*result = minus ? distance(a, b) : value_any(MARK_NONE);
	else if (is_base(a))
		*result = pointer_move(pass, a, b, minus);
	else if (is_base(b) && !minus)
		*result = pointer_move(pass, b, a, false);
	else if (a->kind == VALUE_ANY && a->map != MARK_NONE)
		*result = *a; // what it was before it was moved is still the reason
	else
		return false;
	return true;
}

// A copy of a number is narrowed with it: both get one id.
static void move(struct pass *pass, struct state *state, const struct bpf_insn *insn)
{
	struct value *from = &state->regs[insn->src_reg];
	if (from->kind == VALUE_SCALAR && !from->id && from->min != from->max)
		from->id = pass->next_id++;
	state->regs[insn->dst_reg] = *from;
}

static void swap(struct value *value, const struct bpf_insn *insn)
{
	uint64_t max = insn->imm == 64 ? UINT64_MAX : (UINT64_C(1) << insn->imm) - 1;
	bool is_same = BYTE_ORDER == LITTLE_ENDIAN && insn->code == (BPF_ALU | BPF_END | BPF_TO_LE);
	if (!is_same || value->kind != VALUE_SCALAR || (uint64_t)value->max > max)
		*value = value_scalar(0, max, false);
}

void value_compute(struct pass *pass, struct state *state, const struct bpf_insn *insn)
{
	const struct opcode *op = opcode_of(insn);
	struct value *dst = &state->regs[insn->dst_reg];
	if (op->kind == KIND_SWAP) {
		swap(dst, insn);
		return;
	}
	bool is_move = op->kind == KIND_ALU && BPF_OP(insn->code) == BPF_MOV;
	if (is_move && op->is_64 && op->has_src && !insn->off) {
		move(pass, state, insn);
		return;
	}
	struct value operand = op->has_src ? state->regs[insn->src_reg]
	                                   : value_scalar((uint64_t)(int64_t)insn->imm,
	                                             (uint64_t)(int64_t)insn->imm, false);
	struct value result;
	if (op->kind == KIND_ALU && pointer_compute(pass, insn, dst, &operand, &result)) {
		*dst = result;
		return;
	}
	uint64_t top = op->is_64 ? UINT64_MAX : UINT32_MAX;
	struct range a = range_of(dst), b = range_of(&operand), all;
	if (!op->is_64) {
		// The low half of a number that is below 2^32 is that number.
		if (is_move && op->has_src && !insn->off && operand.kind == VALUE_SCALAR &&
		        b.max <= UINT32_MAX) {
			move(pass, state, insn);
			return;
		}
		a = low_half(a);
		b = low_half(b);
	}
	all = op->kind == KIND_NEG ? subtract(exactly(0), a, top) : number_compute(insn, a, b, top);
	bool full = all.min == 0 && all.max == top;
	*dst = value_scalar(all.min, all.max, all.by_branch && !full);
}
