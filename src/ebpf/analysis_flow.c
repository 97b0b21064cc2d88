// SPDX-License-Identifier: Apache-2.0
// What one instruction does to the state, and what is noted of it. A block's facts are written anew
// at each visit: the state at its start only ever says less, so that the last visit's stand for all
// runs.
//
// A store that is not proven may hit any window, the stack's frame among them, and then nothing is
// known of the slots; a read that is not proven may read any byte of the frames in use.
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "ebpf/analysis_parts.h"
#include "ebpf/maptype.h"
#include "ebpf/opcode.h"

const struct image_map *map_of(const struct pass *pass, const struct value *value)
{
	return &pass->image->maps[value->map & ~MAP_MIXED];
}

// As the engine's windows: program_access() of the generation.
bool map_allows(const struct image_map *map, bool is_write)
{
	if (!is_write)
		return !(map->flags & BPF_F_WRONLY_PROG);
	switch (map->type) {
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_CPUMAP:
	case BPF_MAP_TYPE_XSKMAP:
		return false;
	default:
		return !(map->flags & BPF_F_RDONLY_PROG) && !map->is_readonly;
	}
}

static enum access_reason judge_packet(
        const struct state *state, const struct value *base, int64_t offset, int64_t size)
{
	int64_t first = base->min + offset;
	if (first < 0)
		return base->min == base->max ? REASON_NOT_TESTED : REASON_UNBOUNDED;
	if (base->kind == VALUE_PACKET_META)
		return base->max + offset + size <= extent_of(state, ID_META) ? REASON_PROVEN
		                                                              : REASON_NOT_TESTED;
	if (first + size <= extent_of(state, base->id) ||
	        base->max + offset + size <= extent_of(state, 0))
		return REASON_PROVEN;
	return REASON_NOT_TESTED;
}

// Bytes [low, high) that an access may reach, counted from the base, within [from, to)?
static enum access_reason judge_bounds(
        const struct value *base, int64_t offset, int64_t size, int64_t from, int64_t to)
{
	int64_t low = base->min + offset, high = base->max + offset + size;
	if (low >= from && high <= to)
		return REASON_PROVEN;
	bool always = base->max + offset < from || base->min + offset + size > to;
	return always ? REASON_BEYOND : REASON_UNBOUNDED;
}

enum access_reason access_judge(const struct pass *pass, const struct state *state,
        const struct value *base, int64_t offset, int64_t size, bool is_write)
{
	switch (base->kind) {
	case VALUE_CONTEXT:
		if (is_write)
			return REASON_READ_ONLY;
		return judge_bounds(base, offset, size, 0, CONTEXT_BYTES);
	case VALUE_PACKET:
	case VALUE_PACKET_META:
		return judge_packet(state, base, offset, size);
	case VALUE_PACKET_END:
		return REASON_NOT_TESTED;
	case VALUE_STACK:
		return judge_bounds(base, offset, size, -STACK_BYTES, 0);
	case VALUE_MAP_VALUE:
		if (!map_allows(map_of(pass, base), is_write))
			return REASON_READ_ONLY;
		return judge_bounds(base, offset, size, 0, map_of(pass, base)->value_size);
	case VALUE_MAP_VALUE_NULL:
	case VALUE_PACKET_NULL:
		return REASON_NULL;
	case VALUE_ANY:
		return base->map == MARK_MOVED       ? REASON_MOVED
		       : base->map == MARK_UNBOUNDED ? REASON_UNBOUNDED
		                                     : REASON_UNTYPED;
	default:
		return REASON_UNTYPED;
	}
}

// The base is a multiple of 8 for these.
static bool is_aligned(const struct value *base, int64_t offset, int64_t size)
{
	if (size == 1)
		return true;
	return (base->kind == VALUE_STACK || base->kind == VALUE_MAP_VALUE) &&
	       base->min == base->max && (base->min + offset) % size == 0;
}

static bool note_access(struct pass *pass, const struct state *state, uint32_t at,
        const struct value *base, bool is_write)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	const struct opcode *op = opcode_of(insn);
	struct fact *fact = &pass->out->facts[at];
	enum access_reason reason = access_judge(pass, state, base, insn->off, op->size, is_write);
	if (reason == REASON_PROVEN && op->kind == KIND_ATOMIC &&
	        !is_aligned(base, insn->off, op->size))
		reason = REASON_ATOMIC;
	int64_t offset = base->min + insn->off;
	bool is_pointer = base->kind >= VALUE_CONTEXT && base->kind <= VALUE_MAP_VALUE_NULL &&
	                  base->kind != VALUE_MAP;
	bool is_map = value_is(base, KINDS_OF_MAP);
	fact->region = is_pointer ? base->kind : VALUE_ANY;
	fact->reason = (uint8_t)reason;
	fact->proven = reason == REASON_PROVEN;
	fact->exact =
	        is_pointer && base->min == base->max && offset >= INT32_MIN && offset <= INT32_MAX;
	fact->offset = fact->exact ? (int32_t)offset : 0;
	fact->map = !is_map ? 0 : base->map & MAP_MIXED ? ANALYSIS_MAPS : base->map;
	fact->by_branch =
	        fact->proven && !fact->exact && (base->by_branch || base->kind == VALUE_PACKET);
	return fact->proven;
}

static uint32_t slot_of(int64_t offset)
{
	return (uint32_t)((-offset - 1) / 8);
}

static void forget_slots(struct state *state, int64_t low, int64_t high)
{
	for (uint32_t i = slot_of(high - 1); i <= slot_of(low); i++)
		state->known &= ~(UINT64_C(1) << i);
}

static void reach_down(struct pass *pass, int64_t low)
{
	struct summary *function = &pass->functions[pass->function];
	if (-low > function->low)
		function->low = (uint32_t)-low;
}

static void mark_written(struct state *state, int64_t low, int64_t high)
{
	for (int64_t i = low + STACK_BYTES; i < high + STACK_BYTES; i++)
		state->written[i / 64] |= UINT64_C(1) << i % 64;
}

static bool is_written(const struct state *state, int64_t low, int64_t high)
{
	for (int64_t i = low + STACK_BYTES; i < high + STACK_BYTES; i++) {
		if (!(state->written[i / 64] >> i % 64 & 1))
			return false;
	}
	return true;
}

static void read_frame(struct pass *pass, struct state *state, const struct value *base,
        int64_t offset, int64_t size)
{
	if (base->kind != VALUE_STACK)
		return;
	int64_t low = base->min + offset;
	reach_down(pass, low);
	if (!is_written(state, low, base->max + offset + size))
		pass->functions[pass->function].unwritten = true;
}

void access_read_frame(struct pass *pass, struct state *state, const struct value *base,
        int64_t offset, int64_t size)
{
	if (access_judge(pass, state, base, offset, size, false) == REASON_PROVEN)
		read_frame(pass, state, base, offset, size);
	else
		pass->functions[pass->function].untyped_reads = true;
}

static void write_frame(struct pass *pass, struct state *state, const struct value *base,
        int64_t offset, int64_t size)
{
	if (base->kind != VALUE_STACK)
		return;
	reach_down(pass, base->min + offset);
	forget_slots(state, base->min + offset, base->max + offset + size);
}

void access_write_frame(struct pass *pass, struct state *state, const struct value *base,
        int64_t offset, int64_t size)
{
	if (access_judge(pass, state, base, offset, size, true) == REASON_PROVEN) {
		write_frame(pass, state, base, offset, size);
		return;
	}
	state->known = 0;
	call_note_untyped_store(pass);
}

// Half of a slot, as a number.
static struct value load_half(const struct value *slot, bool is_high)
{
	if (slot->kind == VALUE_LOW)
		return is_high ? value_scalar(0, UINT32_MAX, false)
		               : value_scalar((uint64_t)slot->min, (uint64_t)slot->min, false);
	uint64_t min = value_min(slot), max = value_max(slot);
	if (is_high)
		return value_scalar(min >> 32, max >> 32, slot->by_branch);
	if (min >> 32 != max >> 32)
		return value_scalar(0, UINT32_MAX, false);
	return value_scalar((uint32_t)min, (uint32_t)max, slot->by_branch);
}

// What a load of so many bytes gives where nothing is known of them.
static struct value load_width(int64_t size, bool extends_sign)
{
	if (extends_sign || size == 8)
		return value_any(MARK_NONE);
	return value_scalar(0, (UINT64_C(1) << 8 * size) - 1, false);
}

static struct value load_slot(const struct state *state, int64_t offset, int64_t size)
{
	uint32_t index = slot_of(offset);
	const struct value *slot = &state->slots[index];
	if (!(state->known >> index & 1))
		return load_width(size, false);
	if (size == 8 && offset % 8 == 0)
		return slot->kind == VALUE_LOW ? value_any(MARK_NONE) : *slot;
	if (BYTE_ORDER == LITTLE_ENDIAN && size == 4 && offset % 4 == 0)
		return load_half(slot, offset % 8 != 0);
	return load_width(size, false);
}

struct value frame_word(const struct state *state, int64_t offset)
{
	bool is_inside = offset >= -STACK_BYTES && offset <= -4;
	return is_inside ? load_slot(state, offset, 4) : load_width(4, false);
}

static struct value load_context(int64_t offset, int64_t size)
{
	static const uint8_t pointers[] = {[offsetof(struct xdp_md, data)] = VALUE_PACKET,
	        [offsetof(struct xdp_md, data_end)] = VALUE_PACKET_END,
	        [offsetof(struct xdp_md, data_meta)] = VALUE_PACKET_META};
	if (size == 4 && offset >= 0 && offset < (int64_t)sizeof(pointers) && pointers[offset])
		return (struct value){.kind = pointers[offset]};
	return load_width(size, false);
}

static void run_load(struct pass *pass, struct state *state, uint32_t at)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	const struct opcode *op = opcode_of(insn);
	const struct value base = state->regs[insn->src_reg];
	bool extends_sign = op->kind == KIND_LOAD_SX;
	struct value *dst = &state->regs[insn->dst_reg];
	bool proven = note_access(pass, state, at, &base, false);
	const struct fact *fact = &pass->out->facts[at];
	if (proven)
		read_frame(pass, state, &base, insn->off, op->size);
	else
		pass->functions[pass->function].untyped_reads = true;
	*dst = load_width(op->size, extends_sign);
	if (!proven || !fact->exact || extends_sign)
		return;
	if (base.kind == VALUE_STACK)
		*dst = load_slot(state, fact->offset, op->size);
	else if (base.kind == VALUE_CONTEXT)
		*dst = load_context(fact->offset, op->size);
}

// A slot of which one half is written. Bounds can hold a high half; a low one must be exact.
static struct value with_half(const struct value *old, const struct value *from, bool is_high)
{
	const struct value half = load_half(from, false), other = load_half(old, !is_high);
	const struct value *low = is_high ? &other : &half, *high = is_high ? &half : &other;
	bool is_low_exact = low->min == low->max;
	if (is_low_exact && high->min == 0 && high->max == UINT32_MAX)
		return (struct value){.kind = VALUE_LOW, .min = low->min, .max = low->max};
	uint64_t min = (uint64_t)high->min << 32, max = (uint64_t)high->max << 32;
	if (high->min == high->max)
		return value_scalar(min | (uint64_t)low->min, max | (uint64_t)low->max,
		        half.by_branch || other.by_branch);
	return value_scalar(min, max | UINT32_MAX, high->by_branch);
}

static void store_stack(struct pass *pass, struct state *state, const struct value *base,
        int64_t offset, int64_t size, const struct value *from)
{
	uint32_t index = slot_of(offset);
	struct value now = value_any(MARK_NONE);
	if (size == 8 && offset % 8 == 0) {
		now = *from;
	} else if (BYTE_ORDER == LITTLE_ENDIAN && size == 4 && offset % 4 == 0) {
		bool was_known = state->known >> index & 1;
		const struct value old = was_known ? state->slots[index] : now;
		now = with_half(&old, from, offset % 8 != 0);
	}
	write_frame(pass, state, base, offset - base->min, size);
	mark_written(state, offset, offset + size);
	if (now.kind == VALUE_ANY)
		return;
	state->slots[index] = now;
	state->known |= UINT64_C(1) << index;
}

static void run_store(struct pass *pass, struct state *state, uint32_t at)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	const struct opcode *op = opcode_of(insn);
	const struct value base = state->regs[insn->dst_reg];
	const struct value from = op->has_src ? state->regs[insn->src_reg]
	                                      : value_scalar((uint64_t)(int64_t)insn->imm,
	                                                (uint64_t)(int64_t)insn->imm, false);
	if (!note_access(pass, state, at, &base, true)) {
		state->known = 0;
		call_note_untyped_store(pass);
		return;
	}
	const struct fact *fact = &pass->out->facts[at];
	if (base.kind == VALUE_STACK && fact->exact)
		store_stack(pass, state, &base, fact->offset, op->size, &from);
	else
		write_frame(pass, state, &base, insn->off, op->size);
}

static void run_atomic(struct pass *pass, struct state *state, uint32_t at)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	int64_t size = opcode_of(insn)->size;
	bool is_load = insn->imm == BPF_LOAD_ACQ, is_store = insn->imm == BPF_STORE_REL;
	const struct value base = state->regs[is_load ? insn->src_reg : insn->dst_reg];
	// One that is not aligned faults: it touches nothing else.
	bool inside = note_access(pass, state, at, &base, !is_load) ||
	              pass->out->facts[at].reason == REASON_ATOMIC;
	if (!is_store) {
		if (inside)
			read_frame(pass, state, &base, insn->off, size);
		else
			pass->functions[pass->function].untyped_reads = true;
	}
	if (!is_load && inside) {
		write_frame(pass, state, &base, insn->off, size);
		if (base.kind == VALUE_STACK && base.min == base.max)
			mark_written(state, base.min + insn->off, base.min + insn->off + size);
	} else if (!is_load) {
		state->known = 0;
		call_note_untyped_store(pass);
	}
	if (is_load)
		state->regs[insn->dst_reg] = load_width(size, false);
	else if (insn->imm == BPF_CMPXCHG)
		state->regs[BPF_REG_0] = load_width(size, false);
	else if (!is_store && (insn->imm & BPF_FETCH))
		state->regs[insn->src_reg] = load_width(size, false);
}

static void run_lddw(struct pass *pass, struct state *state, uint32_t at)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	struct value *dst = &state->regs[insn->dst_reg];
	uint64_t number = (uint32_t)insn->imm | (uint64_t)(uint32_t)insn[1].imm << 32;
	switch (insn->src_reg) {
	case BPF_PSEUDO_MAP_FD:
		*dst = (struct value){.kind = VALUE_MAP, .map = (uint16_t)insn->imm};
		break;
	case BPF_PSEUDO_MAP_VALUE:
		*dst = (struct value){.kind = VALUE_MAP_VALUE,
		        .map = (uint16_t)insn->imm,
		        .min = (uint32_t)insn[1].imm,
		        .max = (uint32_t)insn[1].imm};
		break;
	case BPF_PSEUDO_FUNC:
		*dst = (struct value){.kind = VALUE_FUNCTION,
		        .min = image_callee(insn, at),
		        .max = image_callee(insn, at)};
		break;
	default:
		*dst = value_scalar(number, number, false);
	}
}

static void run_jump(struct pass *pass, struct state *state, const struct block *block, uint32_t at)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	struct state *taken = &pass->other;
	state_copy(taken, state);
	if (branch_refine(taken, insn, true))
		join_into(pass, block->target, taken);
	if (branch_refine(state, insn, false))
		join_into(pass, block->next, state);
}

void flow_block(struct pass *pass, uint32_t index)
{
	struct block *block = &pass->blocks[index];
	struct state *state = &pass->state;
	block->visits++;
	pass->out->steps += block->end - block->start;
	pass->function = block->function;
	state_load(state, block->saved);
	for (uint32_t at = block->start; at < block->end; at++) {
		const struct bpf_insn *insn = &pass->program->insns[at];
		const struct opcode *op = opcode_of(insn);
		pass->out->facts[at].reached = true;
		if (pass->watch)
			pass->watch(pass->watch_context, at, state);
		switch (op->kind) {
		case KIND_ALU:
		case KIND_NEG:
		case KIND_SWAP:
			value_compute(pass, state, insn);
			break;
		case KIND_LDDW:
			run_lddw(pass, state, at++);
			break;
		case KIND_LOAD:
		case KIND_LOAD_SX:
			run_load(pass, state, at);
			break;
		case KIND_STORE:
			run_store(pass, state, at);
			break;
		case KIND_ATOMIC:
			run_atomic(pass, state, at);
			break;
		case KIND_CALL:
			call_run(pass, state, at);
			break;
		case KIND_JUMP:
			run_jump(pass, state, block, at);
			return;
		case KIND_JUMP_ALWAYS:
			join_into(pass, block->target, state);
			return;
		default: // exit
			return;
		}
	}
	join_into(pass, block->next, state);
}
