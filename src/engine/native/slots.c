// SPDX-License-Identifier: Apache-2.0
// Keys of maps are put together on the stack from parts; a look-up that reads the whole at once
// would then wait until all parts are in the cache, since a CPU forwards a load only from one store
// that covers it (12 ns, measured). Such slots live in vector registers instead, and go to memory
// only before something that may look there.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/opcode.h"
#include "engine/native/compile.h"

#define NO_WINDOW_BELOW 0x10000u // engine/space.h
#define SWEEPS_MAX      16       // over a function; more only loops in loops in loops need

static bool overlap(const struct slot *slot, int32_t offset, uint32_t size)
{
	return offset < slot->offset + (int32_t)slot->size && slot->offset < offset + (int32_t)size;
}

static bool holds(const struct slot *slot, int32_t offset, uint32_t size)
{
	return offset >= slot->offset &&
	       offset + (int32_t)size <= slot->offset + (int32_t)slot->size;
}

static bool is_exact_stack(const struct fact *fact)
{
	return fact->region == VALUE_STACK && fact->proven && fact->exact;
}

static uint32_t access_size(const struct compiler *compiler, uint32_t insn)
{
	enum opcode_kind kind = opcode_of(&compiler->insns[insn])->kind;
	bool access = kind == KIND_LOAD || kind == KIND_LOAD_SX || kind == KIND_STORE ||
	              kind == KIND_ATOMIC;
	return access ? opcode_of(&compiler->insns[insn])->size : 0;
}

static void propose(struct compiler *compiler, int32_t offset, uint32_t size)
{
	for (uint32_t at = 0; at < size; at += 8) {
		uint32_t part = size - at < 8 ? size - at : 8;
		struct slot slot = {offset + (int32_t)at, part};
		bool taken = compiler->slot_count == ASM_SLOTS || (part & (part - 1));
		for (uint32_t i = 0; i < compiler->slot_count; i++)
			taken |= overlap(&compiler->slots[i], slot.offset, slot.size);
		if (!taken)
			compiler->slots[compiler->slot_count++] = slot;
	}
}

uint32_t slots_overlapping(const struct compiler *compiler, int64_t offset, uint32_t size)
{
	uint32_t mask = 0;
	for (uint32_t i = 0; i < compiler->slot_count; i++) {
		if (overlap(&compiler->slots[i], (int32_t)offset, size))
			mask |= 1u << i;
	}
	return mask;
}

// The slots that are worth it: every access in the function is apart from one or inside it, at a
// place that an insertion can have, and one of them stores a part.
static uint32_t find_worthy(const struct compiler *compiler)
{
	uint32_t parts = 0, spoilt = 0;
	for (uint32_t i = compiler->function->insn; i < compiler->function->end; i++) {
		const struct fact *fact = &compiler->facts[i];
		if (!fact->reached || fact->region != VALUE_STACK || !fact->proven)
			continue;
		uint32_t size = access_size(compiler, i);
		// Somewhere in the frame: proven, so that nothing is spilled before it.
		if (size && !fact->exact)
			return 0;
		uint32_t mask = size ? slots_overlapping(compiler, fact->offset, size) : 0;
		for (; mask; mask &= mask - 1) {
			const struct slot *slot = &compiler->slots[__builtin_ctz(mask)];
			enum opcode_kind kind = opcode_of(&compiler->insns[i])->kind;
			if (!holds(slot, fact->offset, size) || kind == KIND_ATOMIC ||
			        (uint32_t)(fact->offset - slot->offset) % size)
				spoilt |= mask & -mask;
			else if (kind == KIND_STORE && size < slot->size)
				parts |= mask & -mask;
		}
	}
	return parts & ~spoilt;
}

static void choose(struct compiler *compiler)
{
	const struct analysis *analysis = compiler->analysis;
	compiler->slot_count = 0;
	for (uint32_t i = 0; i < analysis->call_count; i++) {
		const struct call_fact *call = &analysis->calls[i];
		if (call->insn < compiler->function->insn || call->insn >= compiler->function->end)
			continue;
		uint32_t size = compile_map_key(compiler, call->insn);
		if (size > 4)
			propose(compiler, (int32_t)call->args[1].min, size);
	}
	uint32_t worthy = compiler->slot_count ? find_worthy(compiler) : 0;
	compiler->slot_count = 0;
	for (; worthy; worthy &= worthy - 1)
		compiler->slots[compiler->slot_count++] = compiler->slots[__builtin_ctz(worthy)];
}

const struct slot *slot_of(
        const struct compiler *compiler, int32_t offset, uint32_t size, uint32_t *at)
{
	for (uint32_t i = 0; i < compiler->slot_count; i++) {
		const struct slot *slot = &compiler->slots[i];
		if (!holds(slot, offset, size))
			continue;
		*at = (uint32_t)(offset - slot->offset);
		return slot;
	}
	return NULL;
}

// Slots that a call may read: those of the key where that is known, else all.
static uint32_t call_reads(const struct compiler *compiler, uint32_t insn)
{
	const struct call_fact *call = analysis_call(compiler->analysis, insn);
	uint32_t all = (1u << compiler->slot_count) - 1;
	if (!call)
		return all;
	uint32_t key = compile_map_key(compiler, insn);
	if (compile_map_inlines(compiler, insn) &&
	        compiler->insns[insn].imm != BPF_FUNC_map_update_elem)
		return key ? slots_overlapping(compiler, call->args[1].min, key) : 0;
	for (uint32_t i = 0; i < 5; i++) {
		const struct value *arg = &call->args[i];
		switch (arg->kind) {
		case VALUE_CONTEXT:
		case VALUE_MAP:
		case VALUE_UNREACHED:
			break;
		case VALUE_SCALAR: // any number may be an address, but for those below all windows
			if ((uint64_t)arg->max >= NO_WINDOW_BELOW)
				return all;
			break;
		default:
			return all;
		}
	}
	return compiler->insns[insn].src_reg ? all : 0;
}

// What instruction `insn` reads and writes whole.
static void effects(
        const struct compiler *compiler, uint32_t insn, uint32_t *reads, uint32_t *writes)
{
	const struct fact *fact = &compiler->facts[insn];
	uint32_t size = access_size(compiler, insn), at;
	*reads = *writes = 0;
	if (compiler->insns[insn].code == (BPF_JMP | BPF_CALL)) {
		*reads = call_reads(compiler, insn);
		return;
	}
	if (!size)
		return;
	if (!is_exact_stack(fact)) {
		if (!fact->proven) // may hit the stack, or hand over to the interpreter
			*reads = (1u << compiler->slot_count) - 1;
		return;
	}
	const struct slot *slot = slot_of(compiler, fact->offset, size, &at);
	if (!slot)
		return;
	uint32_t bit = 1u << (slot - compiler->slots);
	if (opcode_of(&compiler->insns[insn])->kind == KIND_STORE && size == slot->size)
		*writes = bit;
	else
		*reads = bit; // a store of a part keeps the rest
}

static bool leads_back(const struct bpf_insn *insn)
{
	enum opcode_kind kind = opcode_of(insn)->kind;
	return (kind == KIND_JUMP || kind == KIND_JUMP_ALWAYS) && insn_jump_by(insn) < 0;
}

// Slots live before `insn`, from those live before what may follow it.
static uint32_t live_before(const struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *it = &compiler->insns[insn];
	enum opcode_kind kind = opcode_of(it)->kind;
	uint32_t live = 0, reads, writes, next = insn + 1 + insn_is_lddw(it);
	if (kind == KIND_JUMP || kind == KIND_JUMP_ALWAYS)
		live |= compiler->slots_live[insn_jump_to(it, insn)];
	if (kind != KIND_JUMP_ALWAYS && kind != KIND_EXIT && next < compiler->function->end)
		live |= compiler->slots_live[next];
	effects(compiler, insn, &reads, &writes);
	return (live & ~writes) | reads;
}

// Whether it touches no slot for certain and leads to the next instruction, as the most do.
static bool is_apart(const struct fact *fact, enum opcode_kind kind)
{
	return kind <= KIND_LDDW ||
	       (kind < KIND_JUMP && fact->proven && fact->region != VALUE_STACK);
}

// Whether another one is needed: a way back leads to what has changed since.
static bool sweep(struct compiler *compiler)
{
	bool changed = false, back = false;
	for (uint32_t i = compiler->function->end; i-- > compiler->function->insn;) {
		const struct fact *fact = &compiler->facts[i];
		const struct bpf_insn *insn = &compiler->insns[i];
		enum opcode_kind kind = opcode_of(insn)->kind;
		if (!fact->reached)
			continue;
		uint32_t live;
		if (is_apart(fact, kind)) {
			live = compiler->slots_live[i + 1 + (kind == KIND_LDDW)];
		} else {
			live = live_before(compiler, i);
			back |= leads_back(insn);
		}
		changed |= fact->leader && live != compiler->slots_live[i];
		compiler->slots_live[i] = live;
	}
	return changed && back;
}

void slots_plan(struct compiler *compiler)
{
	const struct function_fact *function = compiler->function;
	uint32_t *live = compiler->slots_live;
	choose(compiler);
	memset(&live[function->insn], 0, (function->end - function->insn) * sizeof(*live));
	if (!compiler->slot_count)
		return;
	for (uint32_t i = 0; i < SWEEPS_MAX; i++) {
		if (!sweep(compiler))
			return;
	}
	for (uint32_t i = function->insn; i < function->end; i++)
		live[i] = (1u << compiler->slot_count) - 1;
}

void slots_spill(struct compiler *compiler, uint32_t mask)
{
	for (uint32_t i = 0; i < compiler->slot_count; i++) {
		const struct slot *slot = &compiler->slots[i];
		struct mem home = mem_at(REG_FRAME, slot->offset);
		if (!(mask & 1u << i))
			continue;
		if (slot->size == 8) {
			asm_slot_store(compiler->code, home, i);
			continue;
		}
		asm_slot_extract(compiler->code, REG_T1, i, 0, slot->size, false);
		asm_store(compiler->code, home, REG_T1, slot->size);
	}
}

void slots_fill(struct compiler *compiler, uint32_t mask)
{
	for (uint32_t i = 0; i < compiler->slot_count; i++) {
		const struct slot *slot = &compiler->slots[i];
		struct mem home = mem_at(REG_FRAME, slot->offset);
		if (!(mask & 1u << i))
			continue;
		if (slot->size == 8)
			asm_slot_load(compiler->code, i, home);
		else
			asm_slot_insert_memory(compiler->code, i, 0, slot->size, home);
	}
}
