// SPDX-License-Identifier: Apache-2.0
// Loads, stores and atomics. This is the one place that leaves a check out, and only where the pass
// says `proven`:
//   proven          one instruction; where only a branch bounds the offset, the address is cut to
//                   32 bits first, so that a CPU that runs ahead stays in the card's space
//   packet, map     a compare with the window; what misses it asks native_access(), since a number
//   value           may lead to any other window
//   anything else   native_access()
// What native_access() refuses goes to the interpreter, which says why.
#include "ebpf/opcode.h"
#include "engine/native/compile.h"

struct access {
	uint32_t insn, size;
	unsigned base; // register of the program
	int32_t offset;
	bool write, atomic;
};

// base + offset into T0.
static void emit_address(struct compiler *compiler, const struct access *access)
{
	enum reg base = compile_operand(compiler, access->base);
	if (access->offset || base != REG_T0)
		asm_lea(compiler->code, REG_T0, mem_at(base, access->offset));
}

// Behind the function: T0 is the address less `offset`; comes back with it as the host's.
static void emit_slow(struct compiler *compiler, const struct stub *stub)
{
	struct code *code = compiler->code;
	uint32_t slots = compiler->slots_live[stub->insn];
	if (stub->address) {
		asm_constant(code, REG_T1, stub->address);
		asm_alu(code, BPF_ADD, REG_T0, REG_T1, true);
	}
	slots_spill(compiler, slots);
	asm_constant(code, REG_T1, stub->what);
	asm_call(code, compiler->thunk_access);
	slots_fill(compiler, slots);
	asm_branch_constant(code, BPF_JEQ, REG_T0, 0, true, compile_resume(compiler, stub->insn));
	asm_jump(code, stub->back);
}

static uint32_t what_of(const struct access *access)
{
	return access->size | (access->write ? ACCESS_WRITE : 0);
}

// The label of emit_slow() for this access. A write that may turn out to hit the stack under slots
// in registers goes to the interpreter.
static uint32_t slow_path(
        struct compiler *compiler, const struct access *access, uint32_t address, uint32_t back)
{
	if (access->write && compiler->slots_live[access->insn])
		return compile_resume(compiler, access->insn);
	struct stub *stub = compile_stub(compiler, access->insn, emit_slow);
	if (!stub)
		return 0;
	stub->back = back;
	stub->address = address;
	stub->what = what_of(access);
	return stub->label;
}

// T0 is the address; leaves the host's in it, cut to the card's space.
static void check_packet(struct compiler *compiler, const struct access *access)
{
	struct code *code = compiler->code;
	uint32_t back = asm_label(code), slow = slow_path(compiler, access, 0, back);
	// Signed, then unsigned: what is not below 2^63 fails at the start, so the sum does not
	// wrap.
	asm_branch_memory(code, BPF_JSLT, REG_T0, ENGINE_FIELD(packet_start), 8, slow);
	asm_lea(code, REG_T1, mem_at(REG_T0, (int32_t)access->size));
	asm_branch_memory(code, BPF_JGT, REG_T1, ENGINE_FIELD(packet_end), 8, slow);
	asm_move(code, REG_T0, REG_T0, false);
	asm_alu(code, BPF_ADD, REG_T0, REG_BASE, true);
	asm_bind(code, back);
}

static void check_map(
        struct compiler *compiler, const struct access *access, const struct linked_map *map)
{
	struct code *code = compiler->code;
	uint32_t back = asm_label(code), slow = slow_path(compiler, access, map->address, back);
	asm_constant(code, REG_T1, map->address);
	asm_alu(code, BPF_SUB, REG_T0, REG_T1, true);
	asm_branch_constant(code, BPF_JGT, REG_T0, (int32_t)(map->size - access->size), true, slow);
	asm_alu(code, BPF_ADD, REG_T0, REG_T1, false);
	asm_alu(code, BPF_ADD, REG_T0, REG_BASE, true);
	asm_bind(code, back);
}

// No window is likely: asks for all of them, or in tests whether the proof was right.
static void ask(struct compiler *compiler, const struct access *access, uint32_t what)
{
	struct code *code = compiler->code;
	uint32_t slots = compiler->slots_live[access->insn];
	slots_spill(compiler, slots);
	asm_constant(code, REG_T1, what);
	asm_call(code, compiler->thunk_access);
	slots_fill(compiler, slots);
	if (!(what & ACCESS_VERIFY))
		asm_branch_constant(
		        code, BPF_JEQ, REG_T0, 0, true, compile_resume(compiler, access->insn));
}

// A map whose window a checked access may be compared with.
static const struct linked_map *plain_map(
        const struct compiler *compiler, const struct access *access)
{
	const struct fact *fact = &compiler->facts[access->insn];
	const struct generation *generation = compiler->generation;
	if ((fact->region != VALUE_MAP_VALUE && fact->region != VALUE_MAP_VALUE_NULL) ||
	        fact->map >= generation->map_count)
		return NULL;
	const struct linked_map *map = generation->maps[fact->map];
	bool plain = map && map->address && map->size >= access->size && map->size <= INT32_MAX &&
	             map->type != BPF_MAP_TYPE_RINGBUF &&
	             map->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY && !map_holds_places(map->type) &&
	             (access->write ? map->may_write : map->may_read);
	return plain ? map : NULL;
}

static struct mem checked(struct compiler *compiler, const struct access *access)
{
	const struct fact *fact = &compiler->facts[access->insn];
	emit_address(compiler, access);
	if (access->atomic && access->size > 1) // misaligned, the interpreter faults
		asm_branch_constant(compiler->code, BPF_JSET, REG_T0, (int32_t)access->size - 1,
		        true, compile_resume(compiler, access->insn));
	const struct linked_map *map = plain_map(compiler, access);
	if (fact->region == VALUE_PACKET)
		check_packet(compiler, access);
	else if (map)
		check_map(compiler, access, map);
	else
		ask(compiler, access, what_of(access));
	return mem_at(REG_T0, 0);
}

static struct mem proven(struct compiler *compiler, const struct access *access)
{
	const struct fact *fact = &compiler->facts[access->insn];
	if (compiler->verify) {
		emit_address(compiler, access);
		ask(compiler, access, what_of(access) | ACCESS_VERIFY);
		return mem_at(REG_T0, 0);
	}
	if (fact->region == VALUE_STACK && fact->exact)
		return mem_at(REG_FRAME, fact->offset);
	enum reg base = compile_operand(compiler, access->base);
	if (fact->by_branch) {
		asm_move(compiler->code, REG_T0, base, false);
		base = REG_T0;
	}
	return mem_card(base, access->offset);
}

static struct mem place_of(struct compiler *compiler, const struct access *access)
{
	return compiler->facts[access->insn].proven ? proven(compiler, access)
	                                            : checked(compiler, access);
}

// Behind a write that may have hit the stack: what is in registers is read again.
static void refill(struct compiler *compiler, const struct access *access)
{
	const struct fact *fact = &compiler->facts[access->insn];
	if (!fact->proven && fact->region != VALUE_PACKET && !plain_map(compiler, access))
		slots_fill(compiler, compiler->slots_live[access->insn]);
}

// The slot that an access is in, if any.
static const struct slot *slot_at(
        const struct compiler *compiler, uint32_t insn, uint32_t size, uint32_t *at)
{
	const struct fact *fact = &compiler->facts[insn];
	if (fact->region != VALUE_STACK || !fact->proven || !fact->exact)
		return NULL;
	return slot_of(compiler, fact->offset, size, at);
}

void compile_load(struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *it = &compiler->insns[insn];
	const struct opcode *opcode = opcode_of(it);
	enum reg dst = reg_of(it->dst_reg);
	uint32_t at;
	const struct slot *slot = slot_at(compiler, insn, opcode->size, &at);
	bool is_signed = opcode->kind == KIND_LOAD_SX;
	if (slot) {
		asm_slot_extract(compiler->code, dst, (unsigned)(slot - compiler->slots), at,
		        opcode->size, is_signed);
	} else {
		const struct access access = {
		        .insn = insn, .size = opcode->size, .base = it->src_reg, .offset = it->off};
		struct mem mem = place_of(compiler, &access);
		asm_load(compiler->code, dst, mem, opcode->size, is_signed);
	}
	lazy_forget(&compiler->lazy, 1u << it->dst_reg);
}

// A constant that a store may carry in itself.
static bool stored_constant(
        const struct compiler *compiler, const struct bpf_insn *insn, int32_t *value)
{
	int64_t all = insn->imm;
	if (BPF_CLASS(insn->code) == BPF_STX) {
		if (!lazy_is_constant(&compiler->lazy, insn->src_reg))
			return false;
		all = compiler->lazy.values[insn->src_reg];
	}
	*value = (int32_t)all;
	return all >= -CONSTANT_PLAIN && all <= CONSTANT_PLAIN;
}

static void store_in_slot(struct compiler *compiler, const struct bpf_insn *insn,
        const struct slot *slot, uint32_t at, uint32_t size)
{
	struct code *code = compiler->code;
	unsigned number = (unsigned)(slot - compiler->slots);
	int32_t value;
	if (stored_constant(compiler, insn, &value)) {
		if (!value && size == slot->size)
			asm_slot_zero(code, number);
		else
			asm_slot_insert_constant(code, number, at, size, value);
		return;
	}
	enum reg src = REG_T0;
	if (BPF_CLASS(insn->code) == BPF_ST)
		compile_constant(compiler, REG_T0, (uint64_t)(int64_t)insn->imm);
	else
		src = compile_operand(compiler, insn->src_reg);
	asm_slot_insert(code, number, at, size, src);
}

void compile_store(struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *it = &compiler->insns[insn];
	uint32_t size = opcode_of(it)->size, at;
	const struct slot *slot = slot_at(compiler, insn, size, &at);
	if (slot) {
		store_in_slot(compiler, it, slot, at, size);
		return;
	}
	int32_t value;
	bool constant = stored_constant(compiler, it, &value);
	enum reg src = REG_T1;
	if (!constant && BPF_CLASS(it->code) == BPF_STX && it->src_reg != BPF_REG_10)
		src = compile_operand(compiler, it->src_reg);
	const struct access access = {
	        .insn = insn, .size = size, .base = it->dst_reg, .offset = it->off, .write = true};
	struct mem mem = place_of(compiler, &access);
	if (constant) {
		asm_store_constant(compiler->code, mem, value, size);
		refill(compiler, &access);
		return;
	}
	if (BPF_CLASS(it->code) == BPF_ST) {
		compile_constant(compiler, REG_T1, (uint64_t)(int64_t)it->imm);
	} else if (it->src_reg == BPF_REG_10) {
		asm_move(compiler->code, REG_T1, REG_FRAME, true);
		asm_alu(compiler->code, BPF_SUB, REG_T1, REG_BASE, true);
	}
	asm_store(compiler->code, mem, src, size);
	refill(compiler, &access);
}

// r10 has no register of its own: R5 lends it one. No fetching operation names r10.
static void atomic_with_r10(struct compiler *compiler, int32_t op, unsigned size, struct mem mem)
{
	struct code *code = compiler->code;
	struct mem kept = mem_at(REG_SP, SCRATCH_REGS);
	asm_store(code, kept, REG_R5, 8);
	asm_move(code, REG_R5, REG_FRAME, true);
	asm_alu(code, BPF_SUB, REG_R5, REG_BASE, true);
	asm_atomic(code, op, size, mem, REG_R5);
	asm_load(code, REG_R5, kept, 8, false);
}

// Fetching operations change src_reg (a load-acquire dst_reg), CMPXCHG r0 too.
void compile_atomic(struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *it = &compiler->insns[insn];
	bool load = it->imm == BPF_LOAD_ACQ;
	unsigned other = load ? it->dst_reg : it->src_reg;
	const struct access access = {.insn = insn,
	        .size = opcode_of(it)->size,
	        .base = load ? it->src_reg : it->dst_reg,
	        .offset = it->off,
	        .write = !load,
	        .atomic = true};
	compile_settle(compiler, 1u << BPF_REG_0 | (1u << other & 0x3ff));
	struct mem mem = place_of(compiler, &access);
	// The machine's operation wants its operands elsewhere than in the address.
	asm_lea(compiler->code, REG_T0, mem);
	mem = mem_at(REG_T0, 0);
	if (other == BPF_REG_10)
		atomic_with_r10(compiler, it->imm, access.size, mem);
	else
		asm_atomic(compiler->code, it->imm, access.size, mem, reg_of(other));
	if (access.write)
		refill(compiler, &access);
}
