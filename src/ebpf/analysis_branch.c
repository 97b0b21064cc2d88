// SPDX-License-Identifier: Apache-2.0
// What a conditional jump tells of the values it compares. Three tests tell something: a look-up's
// result against 0, which makes it the address of a value in all its copies; a packet pointer
// against data_end, which proves bytes of every pointer with the same unknown part; two numbers,
// whose bounds narrow.
//
// A pointer at or below data_end does not lie below address 0: it would have wrapped to a number
// beyond 2^32, which no end is.
#include <stddef.h>

#include "ebpf/analysis_parts.h"
#include "ebpf/opcode.h"

enum relation { LT, LE, EQ, NE, GE, GT, SLT, SLE, SGE, SGT, UNKNOWN };

static enum relation relation_of(const struct bpf_insn *insn, bool taken)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return taken ? EQ : NE;
	case BPF_JNE:
		return taken ? NE : EQ;
	case BPF_JGT:
		return taken ? GT : LE;
	case BPF_JGE:
		return taken ? GE : LT;
	case BPF_JLT:
		return taken ? LT : GE;
	case BPF_JLE:
		return taken ? LE : GT;
	case BPF_JSGT:
		return taken ? SGT : SLE;
	case BPF_JSGE:
		return taken ? SGE : SLT;
	case BPF_JSLT:
		return taken ? SLT : SGE;
	case BPF_JSLE:
		return taken ? SLE : SGT;
	default:
		return UNKNOWN;
	}
}

// a R b is b mirrored(R) a.
static enum relation mirrored(enum relation relation)
{
	static const enum relation mirror[] = {[LT] = GT,
	        [LE] = GE,
	        [EQ] = EQ,
	        [NE] = NE,
	        [GE] = LE,
	        [GT] = LT,
	        [SLT] = SGT,
	        [SLE] = SGE,
	        [SGE] = SLE,
	        [SGT] = SLT};
	return mirror[relation];
}

int32_t extent_of(const struct state *state, uint32_t id)
{
	for (uint32_t i = 0; i < state->extent_count; i++) {
		if (state->extents[i].id == id)
			return state->extents[i].bytes;
	}
	return INT32_MIN;
}

// Where there is no room, the oldest but the plain packet's makes some.
void extent_set(struct state *state, uint32_t id, int64_t bytes)
{
	if (bytes < -PACKET_BYTES || bytes > PACKET_BYTES)
		return;
	for (uint32_t i = 0; i < state->extent_count; i++) {
		struct extent *extent = &state->extents[i];
		if (extent->id == id) {
			if (bytes > extent->bytes)
				extent->bytes = (int32_t)bytes;
			return;
		}
	}
	if (state->extent_count == EXTENTS) {
		uint32_t victim = state->extents[0].id == 0;
		for (uint32_t i = victim; i + 1 < EXTENTS; i++)
			state->extents[i] = state->extents[i + 1];
		state->extent_count--;
	}
	state->extents[state->extent_count++] = (struct extent){id, (int32_t)bytes};
}

// Applies to every register and slot that holds the same unknown as `value` does.
static void each_copy(struct state *state, const struct value *like,
        void (*change)(struct value *value, const void *context), const void *context)
{
	struct value key = *like; // which is changed under way
	for (uint32_t i = 0; i < SAVED; i++) {
		if (state->regs[i].id == key.id && state->regs[i].kind == key.kind)
			change(&state->regs[i], context);
	}
	for (uint64_t left = state->known; left; left &= left - 1) {
		struct value *slot = &state->slots[__builtin_ctzll(left)];
		if (slot->id == key.id && slot->kind == key.kind)
			change(slot, context);
	}
}

static void become_null(struct value *value, const void *context)
{
	(void)context;
	*value = value->min >= 0 ? value_scalar((uint64_t)value->min, (uint64_t)value->max, true)
	                         : value_any(MARK_NONE);
}

static void become_value(struct value *value, const void *context)
{
	(void)context;
	value->kind = VALUE_MAP_VALUE;
	value->id = 0;
}

static void become_zero(struct value *value, const void *context)
{
	(void)context;
	*value = value_scalar(0, 0, true);
}

static void become_packet(struct value *value, const void *context)
{
	(void)context;
	value->kind = VALUE_PACKET;
}

// What parses gave a place in the packet, or 0.
static void packet_null_test(
        struct state *state, const struct value *a, const struct value *b, enum relation relation)
{
	if (!value_is_exactly(b, 0) || (relation != EQ && relation != NE))
		return;
	if (relation == EQ) {
		each_copy(state, a, become_zero, NULL);
		return;
	}
	int32_t bytes = extent_of(state, a->id);
	each_copy(state, a, become_packet, NULL);
	if (bytes != INT32_MIN)
		extent_set(state, 0, bytes);
}

static bool null_test(
        struct state *state, const struct value *a, const struct value *b, enum relation relation)
{
	if (relation != EQ && relation != NE)
		return true;
	// Nothing lies at address 0.
	if (a->kind == VALUE_MAP_VALUE)
		return relation == NE || a->min < 0 || !value_is_exactly(b, 0);
	if (a->min == 0 && a->max == 0 && value_is_exactly(b, 0))
		each_copy(state, a, relation == EQ ? become_null : become_value, NULL);
	return true;
}

static void bound_offset(struct value *value, const void *context)
{
	// The part before the known one is at most what the packet has room for.
	int64_t most = value->min + *(const int64_t *)context;
	if (value->max > most && most >= value->min) {
		value->max = most;
		value->by_branch = true;
	}
}

// base + unknown + `bytes` lies at or below the end of its window.
static void packet_proven(struct state *state, const struct value *pointer, int64_t bytes)
{
	if (pointer->kind == VALUE_PACKET_META) {
		if (pointer->min == pointer->max)
			extent_set(state, ID_META, bytes);
		return;
	}
	extent_set(state, pointer->id, bytes);
	if (pointer->id) {
		extent_set(state, 0, bytes);
		int64_t unknown = PACKET_BYTES - bytes;
		each_copy(state, pointer, bound_offset, &unknown);
	}
}

static bool is_window_end(const struct value *pointer, const struct value *end)
{
	if (end->min != end->max || end->min < 0)
		return false;
	if (pointer->kind == VALUE_PACKET)
		return end->kind == VALUE_PACKET_END;
	return pointer->kind == VALUE_PACKET_META && end->kind == VALUE_PACKET && end->id == 0;
}

static void packet_test(struct state *state, const struct value *pointer, const struct value *end,
        enum relation relation)
{
	if (!is_window_end(pointer, end))
		return;
	if (relation == LE || relation == EQ)
		packet_proven(state, pointer, pointer->min - end->min);
	else if (relation == LT)
		packet_proven(state, pointer, pointer->min - end->min + 1);
}

struct bounds {
	uint64_t min, max;
};

// a R b, unsigned. False: it cannot be.
static bool narrow(struct bounds *a, struct bounds *b, enum relation relation)
{
	switch (relation) {
	case LT:
		if (b->max == 0 || a->min == UINT64_MAX)
			return false;
		a->max = a->max < b->max - 1 ? a->max : b->max - 1;
		b->min = b->min > a->min + 1 ? b->min : a->min + 1;
		break;
	case LE:
		a->max = a->max < b->max ? a->max : b->max;
		b->min = b->min > a->min ? b->min : a->min;
		break;
	case GT:
	case GE:
		return narrow(b, a, mirrored(relation));
	case EQ:
		a->min = b->min = a->min > b->min ? a->min : b->min;
		a->max = b->max = a->max < b->max ? a->max : b->max;
		break;
	case NE:
		if (b->min == b->max) {
			if (a->min == a->max && a->min == b->min)
				return false;
			a->min += a->min == b->min;
			a->max -= a->max == b->min;
		} else if (a->min == a->max) {
			return narrow(b, a, NE);
		}
		break;
	default:
		break;
	}
	return a->min <= a->max && b->min <= b->max;
}

// a R b, signed, in numbers up to `top`. Where both are known not to be negative it is as unsigned;
// else only a constant tells something.
static bool narrow_signed(struct bounds *a, struct bounds *b, enum relation relation, uint64_t top)
{
	static const enum relation plain[] = {[SLT] = LT, [SLE] = LE, [SGE] = GE, [SGT] = GT};
	uint64_t most = top >> 1;
	if (a->max <= most && b->max <= most)
		return narrow(a, b, plain[relation]);
	if (a->min == a->max && b->min != b->max)
		return narrow_signed(b, a, mirrored(relation), top);
	if (b->min != b->max)
		return true;
	uint64_t least = b->min; // as a signed number
	if (relation == SGT || relation == SGE) {
		if (relation == SGT && least == most)
			return false;
		least = (least + (relation == SGT)) & top;
		if (least > most)
			return true; // above a negative number: both signs can be
		a->min = a->min > least ? a->min : least;
		a->max = a->max < most ? a->max : most;
	} else {
		if (relation == SLT && least == most + 1)
			return false;
		least = (least - (relation == SLT)) & top;
		if (least <= most)
			return true; // below a positive number: the same
		a->min = a->min > most + 1 ? a->min : most + 1;
		a->max = a->max < least ? a->max : least;
	}
	return a->min <= a->max;
}

static void set_bounds(struct value *value, const void *context)
{
	const struct bounds *bounds = context;
	uint32_t id = value->kind == VALUE_SCALAR ? value->id : 0;
	if (bounds->min == value_min(value) && bounds->max == value_max(value))
		return;
	*value = value_scalar(bounds->min, bounds->max, true);
	value->id = id;
}

static void set_number(struct state *state, uint32_t reg, const struct bounds *bounds)
{
	struct value *value = &state->regs[reg];
	if (value->kind == VALUE_SCALAR && value->id)
		each_copy(state, value, set_bounds, bounds);
	else
		set_bounds(value, bounds);
}

static bool number_test(struct state *state, const struct bpf_insn *insn, const struct value *a,
        const struct value *b, enum relation relation)
{
	const struct opcode *op = opcode_of(insn);
	uint64_t top = op->is_64 ? UINT64_MAX : UINT32_MAX;
	struct bounds x = {value_min(a), value_max(a)}, y = {value_min(b), value_max(b)};
	if (x.max > top || y.max > top)
		return true; // the half that is not compared may be anything
	bool is_possible =
	        relation >= SLT ? narrow_signed(&x, &y, relation, top) : narrow(&x, &y, relation);
	if (!is_possible)
		return false;
	set_number(state, insn->dst_reg, &x);
	if (op->has_src)
		set_number(state, insn->src_reg, &y);
	return true;
}

bool branch_refine(struct state *state, const struct bpf_insn *insn, bool taken)
{
	const struct opcode *op = opcode_of(insn);
	enum relation relation = relation_of(insn, taken);
	if (relation == UNKNOWN || (op->has_src && insn->src_reg == insn->dst_reg))
		return true;
	const struct value a = state->regs[insn->dst_reg];
	uint64_t constant =
	        op->is_64 ? (uint64_t)(int64_t)insn->imm : (uint64_t)(uint32_t)insn->imm;
	const struct value b =
	        op->has_src ? state->regs[insn->src_reg] : value_scalar(constant, constant, false);
	if (value_is_number(&a) && value_is_number(&b))
		return number_test(state, insn, &a, &b, relation);
	if (!op->is_64)
		return true;
	if (value_is(&a, KINDS_OF_MAP))
		return null_test(state, &a, &b, relation);
	if (value_is(&b, KINDS_OF_MAP))
		return null_test(state, &b, &a, relation);
	if (a.kind == VALUE_PACKET_NULL)
		packet_null_test(state, &a, &b, relation);
	else if (b.kind == VALUE_PACKET_NULL)
		packet_null_test(state, &b, &a, relation);
	packet_test(state, &a, &b, relation);
	packet_test(state, &b, &a, mirrored(relation));
	return true;
}
