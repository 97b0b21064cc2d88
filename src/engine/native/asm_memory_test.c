// SPDX-License-Identifier: Apache-2.0
// Loads, stores, comparisons with memory, atomics and slots of the assembler, with every base,
// index and displacement, against a model in C.
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ebpf/opcode.h"
#include "engine/native/asm_kit.h"

static const int32_t displacements[] = {0, 1, -1, 8, 64, 126, 127, 128, 129, -127, -128, -129, 255,
        256, -256, -257, 4095, 4096, 32760, 32768, 65535, -65536, INT32_MAX, INT32_MAX - 7,
        INT32_MIN, INT32_MIN + 1};
#define DISPLACEMENTS (sizeof(displacements) / sizeof(displacements[0]))

// Calls `each` with every way to name `place` bytes into the area but those with a register of
// `without`.
static void each_mem(struct piece piece, uint32_t without,
        void (*each)(struct kit_list *list, struct piece piece), struct kit_list *list)
{
	uint32_t count = 0;
	for (unsigned base = 0; base <= REG_T1; base++)
		for (unsigned index = 0; index <= REG_NONE; index++) {
			if (base == REG_ENGINE || index == REG_SP || (without >> base & 1) ||
			        (without >> index & 1))
				continue;
			for (unsigned i = 0; i < DISPLACEMENTS; i++) {
				// With an index, each pair has a few of them in turn.
				if (index != REG_NONE && (i + ++count) % 7 != 0)
					continue;
				piece.mem = (struct mem){base, index, displacements[i]};
				if (base == index && (piece.place ^ (unsigned)displacements[i]) & 1)
					piece.mem.disp ^= 1;
				each(list, piece);
			}
		}
	if (without >> REG_ENGINE & 1)
		return;
	piece.mem = mem_at(REG_ENGINE, (int32_t)(offsetof(struct machine, area) + piece.place));
	each(list, piece);
}

static uint64_t get(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static void put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

// A register to go with a piece, another one each time.
static enum reg in_turn(const struct kit_list *list)
{
	enum reg reg = list->count % KIT_REGISTERS;
	return reg == REG_ENGINE ? REG_R0 : reg;
}

static void emit_load(struct code *code, const struct piece *piece)
{
	asm_load(code, piece->dst, piece->mem, piece->size, piece->is_signed);
}
static void model_load(struct expected *expected, const struct piece *piece)
{
	uint64_t value = get(expected->at, piece->size);
	expected->reg[piece->dst] =
	        piece->is_signed ? kit_sign_extend(value, 8 * piece->size) : value;
}
static void add_load(struct kit_list *list, struct piece piece)
{
	piece.dst = in_turn(list);
	kit_add(list, piece);
	piece.dst = piece.mem.base;
	if (piece.dst != REG_ENGINE)
		kit_add(list, piece);
}

static void loads(void **state)
{
	struct kit_list list = kit_list_new();
	struct piece piece = {.place = 5};
	for (piece.size = 1; piece.size <= 8; piece.size *= 2)
		for (int is_signed = 0; is_signed <= 1; is_signed++) {
			piece.is_signed = is_signed;
			each_mem(piece, 0, add_load, &list);
		}
	kit_run(&list, emit_load, model_load, state, 2);
}

static void emit_store(struct code *code, const struct piece *piece)
{
	asm_store(code, piece->mem, piece->src, piece->size);
}
static void model_store(struct expected *expected, const struct piece *piece)
{
	put(expected->at, expected->reg[piece->src], piece->size);
}
static void add_store(struct kit_list *list, struct piece piece)
{
	piece.src = list->count % KIT_REGISTERS; // also ENGINE
	kit_add(list, piece);
}

static void stores(void **state)
{
	struct kit_list list = kit_list_new();
	struct piece piece = {.place = 11};
	for (piece.size = 1; piece.size <= 8; piece.size *= 2)
		each_mem(piece, 0, add_store, &list);
	kit_run(&list, emit_store, model_store, state, 2);
}

static void emit_lea(struct code *code, const struct piece *piece)
{
	asm_lea(code, piece->dst, piece->mem);
	asm_store_constant(code, mem_at(piece->dst, 0), 1, 1);
	asm_move(code, piece->dst, piece->src, true);
}
static void model_lea(struct expected *expected, const struct piece *piece)
{
	expected->at[0] = 1;
	expected->reg[piece->dst] = expected->reg[piece->src];
}
static void add_lea(struct kit_list *list, struct piece piece)
{
	piece.dst = in_turn(list);
	if (piece.dst == REG_T1)
		piece.dst = REG_T0;
	piece.src = piece.dst == REG_R0 ? REG_R1 : REG_R0;
	kit_add(list, piece);
}

static void addresses(void **state)
{
	struct kit_list list = kit_list_new();
	each_mem((struct piece){.place = 3, .may_change = KIT_BIT(REG_T1)}, 0, add_lea, &list);
	kit_run(&list, emit_lea, model_lea, state, 2);
}

// Constants in memory. `op` is BPF_ADD to add to it, BPF_MOV to store.
static const int64_t constants[] = {0, 1, -1, 127, 128, -128, -129, 255, 256, 0x7fff, 0x8000,
        0xffff, -0x8000, 0x12345678, INT32_MAX, INT32_MIN, 0x80000000, 0x123456789abcdef, INT64_MIN,
        -0x100000000};

static void emit_constant(struct code *code, const struct piece *piece)
{
	if (piece->op == BPF_ADD)
		asm_memory_add(code, piece->mem, (int64_t)piece->constant);
	else
		asm_store_constant(code, piece->mem, (int32_t)piece->constant, piece->size);
}
static void model_constant(struct expected *expected, const struct piece *piece)
{
	uint64_t value = (uint64_t)(int64_t)(int32_t)piece->constant;
	if (piece->op == BPF_ADD)
		value = get(expected->at, 8) + piece->constant;
	put(expected->at, value, piece->size);
}
static void add_constant(struct kit_list *list, struct piece piece)
{
	for (unsigned i = 0; i < 3; i++) {
		unsigned which = (list->count * 3 + i) % (sizeof(constants) / sizeof(constants[0]));
		piece.constant = (uint64_t)constants[which];
		kit_add(list, piece);
	}
}

static void constants_in_memory(void **state)
{
	struct kit_list list = kit_list_new();
	struct piece piece = {.op = BPF_MOV, .place = 7, .may_change = KIT_BIT(REG_T1)};
	for (piece.size = 1; piece.size <= 8; piece.size *= 2)
		each_mem(piece, KIT_BIT(REG_T1), add_constant, &list);
	piece.op = BPF_ADD;
	piece.size = 8;
	each_mem(piece, KIT_BIT(REG_T1), add_constant, &list);
	kit_run(&list, emit_constant, model_constant, state, 2);
}

static void emit_add_register(struct code *code, const struct piece *piece)
{
	asm_memory_add_register(code, piece->mem, piece->src);
}
static void model_add_register(struct expected *expected, const struct piece *piece)
{
	put(expected->at, get(expected->at, 8) + expected->reg[piece->src], 8);
}

static void registers_added_to_memory(void **state)
{
	struct kit_list list = kit_list_new();
	each_mem((struct piece){.place = 9}, 0, add_store, &list);
	kit_run(&list, emit_add_register, model_add_register, state, 3);
}

static void emit_acquire(struct code *code, const struct piece *piece)
{
	asm_load_acquire(code, piece->dst, piece->mem);
	asm_load_fence(code);
}

static void loads_in_order(void **state)
{
	struct kit_list list = kit_list_new();
	each_mem((struct piece){.place = 20, .size = 4}, 0, add_load, &list);
	kit_run(&list, emit_acquire, model_load, state, 2);
}

// One word of four, the one at 8 * `at`, is made the key where `wide`; of others chance decides.
static void emit_match(struct code *code, const struct piece *piece)
{
	struct mem word = piece->mem;
	word.disp += (int32_t)(8 * piece->at);
	if (piece->wide)
		asm_store(code, word, piece->src, 8);
	asm_match(code, piece->dst, piece->src, piece->mem);
}
static void model_match(struct expected *expected, const struct piece *piece)
{
	uint64_t key = expected->reg[piece->src], bits = 0;
	if (piece->wide)
		put(expected->at + 8 * piece->at, key, 8);
	for (unsigned i = 0; i < 4; i++)
		bits |= (uint64_t)(get(expected->at + 8 * i, 8) == key) << i;
	expected->reg[piece->dst] = bits;
}
static void add_match(struct kit_list *list, struct piece piece)
{
	if (piece.mem.disp > INT32_MAX - 32)
		return;
	piece.src = list->count % REG_T1;
	for (piece.dst = list->count % KIT_REGISTERS;
	        !kit_is_target(piece.dst) || piece.dst == piece.src ||
	        piece.dst == piece.mem.base || piece.dst == piece.mem.index;)
		piece.dst = (piece.dst + 1) % KIT_REGISTERS;
	piece.may_change &= ~KIT_BIT(piece.dst);
	piece.at = list->count / 2 % 4;
	piece.wide = list->count % 9;
	kit_add(list, piece);
}

static void words_that_match(void **state)
{
	struct kit_list list = kit_list_new();
	struct piece piece = {.place = 16, .may_change = KIT_BIT(REG_T1)};
	each_mem(piece, KIT_BIT(REG_T1), add_match, &list);
	piece.place = 17;
	each_mem(piece, KIT_BIT(REG_T1), add_match, &list);
	kit_run(&list, emit_match, model_match, state, 12);
}

// A branch on memory: of a register, or, where src is NONE, with `value`.
static void emit_branch(struct code *code, const struct piece *piece)
{
	uint32_t taken = asm_label(code), done = asm_label(code);
	if (piece->src == REG_NONE)
		asm_branch_memory_constant(
		        code, piece->op, piece->mem, piece->value, piece->size, taken);
	else
		asm_branch_memory(code, piece->op, piece->src, piece->mem, piece->size, taken);
	asm_jump(code, done);
	asm_bind(code, taken);
	asm_store_constant(code, mem_at(REG_ENGINE, offsetof(struct machine, taken)), 1, 8);
	asm_bind(code, done);
}
static void model_branch(struct expected *expected, const struct piece *piece)
{
	uint64_t memory = get(expected->at, piece->size);
	if (piece->src == REG_NONE)
		expected->taken = kit_compare(
		        piece->op, memory, (uint64_t)(int64_t)piece->value, piece->size == 8);
	else
		expected->taken =
		        kit_compare(piece->op, expected->reg[piece->src], memory, piece->size == 8);
}
static void add_branch(struct kit_list *list, struct piece piece)
{
	piece.op = kit_jumps[list->count % KIT_JUMPS];
	piece.src = in_turn(list);
	if (piece.src == REG_T1)
		piece.src = REG_ENGINE;
	kit_add(list, piece);
	piece.src = REG_NONE;
	for (unsigned i = 0; i < 4; i++) {
		unsigned which = (list->count * 7 + i) % (sizeof(constants) / sizeof(constants[0]));
		piece.op = kit_jumps[list->count % KIT_JUMPS];
		piece.value = (int32_t)constants[which];
		kit_add(list, piece);
	}
}

static void branches_on_memory(void **state)
{
	struct kit_list list = kit_list_new();
	struct piece piece = {.place = 16, .may_change = KIT_BIT(REG_T1)};
	for (piece.size = 4; piece.size <= 8; piece.size *= 2)
		each_mem(piece, KIT_BIT(REG_T1), add_branch, &list);
	kit_run(&list, emit_branch, model_branch, state, 12);
}

// Atomics: `value` is the operation.
static const int32_t atomics[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
        BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG,
        BPF_LOAD_ACQ, BPF_STORE_REL};

static void emit_atomic(struct code *code, const struct piece *piece)
{
	asm_atomic(code, piece->value, piece->size, piece->mem, piece->src);
}
// As interpreter.c says.
static void model_atomic(struct expected *expected, const struct piece *piece)
{
	bool wide = piece->size == 8;
	uint64_t *src = &expected->reg[piece->src], *r0 = &expected->reg[REG_R0];
	uint64_t value = *src, old = get(expected->at, piece->size), new = value;
	switch (piece->value & ~BPF_FETCH) {
	case BPF_ADD:
		new = old + value;
		break;
	case BPF_OR:
		new = old | value;
		break;
	case BPF_AND:
		new = old &value;
		break;
	case BPF_XOR:
		new = old ^ value;
		break;
	}
	if (piece->value == BPF_LOAD_ACQ) {
		*src = old;
		return;
	}
	if (piece->value == BPF_CMPXCHG) {
		bool equal = old == kit_narrow(*r0, wide);
		*r0 = old;
		if (!equal)
			return;
	} else if (piece->value != BPF_STORE_REL && piece->value & BPF_FETCH) {
		*src = old;
	}
	put(expected->at, new, piece->size);
}
static void add_atomic(struct kit_list *list, struct piece piece)
{
	for (unsigned src = 0; src <= REG_R9; src++) {
		piece.src = src;
		if (piece.mem.index == REG_NONE || (src + list->count) % 5 == 0)
			kit_add(list, piece);
	}
}

static void atomics_alone(void **state)
{
	for (unsigned i = 0; i < sizeof(atomics) / sizeof(atomics[0]); i++) {
		struct kit_list list = kit_list_new();
		bool plain = atomics[i] == BPF_LOAD_ACQ || atomics[i] == BPF_STORE_REL;
		struct piece piece = {
		        .value = atomics[i], .place = 24, .may_change = KIT_BIT(REG_T1)};
		uint32_t without =
		        KIT_BIT(REG_T1) | (atomics[i] == BPF_CMPXCHG ? KIT_BIT(REG_R0) : 0);
		for (piece.size = plain ? 1 : 4; piece.size <= 8; piece.size *= 2)
			each_mem(piece, without, add_atomic, &list);
		kit_run(&list, emit_atomic, model_atomic, state, 2);
	}
}

// The values of both meet often enough here.
static void emit_exchange(struct code *code, const struct piece *piece)
{
	asm_load(code, REG_R0, piece->mem, piece->size, piece->is_signed);
	asm_atomic(code, BPF_CMPXCHG, piece->size, piece->mem, piece->src);
}
static void model_exchange(struct expected *expected, const struct piece *piece)
{
	uint64_t old = get(expected->at, piece->size);
	put(expected->at, piece->src == REG_R0 ? old : expected->reg[piece->src], piece->size);
	expected->reg[REG_R0] = old;
}

static void an_exchange_of_equal_values_zero_extends(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned src = 0; src <= REG_R9; src++)
		for (unsigned size = 4; size <= 8; size *= 2)
			kit_add(&list, (struct piece){.src = src,
			                       .size = size,
			                       .is_signed = true,
			                       .place = 8,
			                       .mem = mem_at(REG_FRAME, -8),
			                       .may_change = KIT_BIT(REG_T1)});
	kit_run(&list, emit_exchange, model_exchange, state, 40);
}

// Slots. What an operation is, `op` says.
enum { SLOT_ZERO, SLOT_INSERT, SLOT_CONSTANT, SLOT_MEMORY, SLOT_EXTRACT, SLOT_LOAD, SLOT_STORE };

static void emit_slot(struct code *code, const struct piece *piece)
{
	unsigned slot = piece->slot, at = piece->at, size = piece->size;
	switch (piece->op) {
	case SLOT_ZERO:
		asm_slot_zero(code, slot);
		break;
	case SLOT_INSERT:
		asm_slot_insert(code, slot, at, size, piece->src);
		break;
	case SLOT_CONSTANT:
		asm_slot_insert_constant(code, slot, at, size, piece->value);
		break;
	case SLOT_MEMORY:
		asm_slot_insert_memory(code, slot, at, size, piece->mem);
		break;
	case SLOT_EXTRACT:
		asm_slot_extract(code, piece->dst, slot, at, size, piece->is_signed);
		break;
	case SLOT_LOAD:
		asm_slot_load(code, slot, piece->mem);
		break;
	default: // SLOT_STORE
		asm_slot_store(code, piece->mem, slot);
	}
}
static void model_slot(struct expected *expected, const struct piece *piece)
{
	uint64_t *slot = &expected->slots[piece->slot], value;
	uint8_t bytes[8];
	put(bytes, *slot, 8);
	switch (piece->op) {
	case SLOT_ZERO:
		*slot = 0;
		return;
	case SLOT_INSERT:
		put(bytes + piece->at, expected->reg[piece->src], piece->size);
		break;
	case SLOT_CONSTANT:
		put(bytes + piece->at, (uint64_t)(int64_t)piece->value, piece->size);
		break;
	case SLOT_MEMORY:
		memcpy(bytes + piece->at, expected->at, piece->size);
		break;
	case SLOT_EXTRACT:
		value = get(bytes + piece->at, piece->size);
		expected->reg[piece->dst] =
		        piece->is_signed ? kit_sign_extend(value, 8 * piece->size) : value;
		return;
	case SLOT_LOAD:
		memcpy(bytes, expected->at, 8);
		break;
	default: // SLOT_STORE
		memcpy(expected->at, bytes, 8);
		return;
	}
	*slot = get(bytes, 8);
}

// Every register and some constants at one place of a slot.
static void add_part(struct kit_list *list, struct piece piece)
{
	for (unsigned reg = 0; reg < KIT_REGISTERS; reg++) {
		piece.op = SLOT_INSERT;
		piece.src = reg;
		if (reg != REG_T1)
			kit_add(list, piece);
		piece.op = SLOT_EXTRACT;
		piece.dst = reg;
		for (int is_signed = 0; is_signed <= 1 && kit_is_target(reg); is_signed++) {
			piece.is_signed = is_signed;
			piece.may_change = KIT_BIT(REG_T1) & ~KIT_BIT(reg);
			kit_add(list, piece);
		}
		piece.may_change = KIT_BIT(REG_T1);
	}
	piece.op = SLOT_CONSTANT;
	for (unsigned i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		piece.value = (int32_t)constants[i];
		kit_add(list, piece);
	}
}
static void add_slot_memory(struct kit_list *list, struct piece piece)
{
	piece.slot = list->count % ASM_SLOTS;
	kit_add(list, piece);
}

static void slots(void **state)
{
	struct kit_list list = kit_list_new();
	struct piece piece = {.place = 19, .may_change = KIT_BIT(REG_T1)};
	for (piece.size = 1; piece.size <= 8; piece.size *= 2)
		for (piece.at = 0; piece.at < 8; piece.at += piece.size) {
			piece.mem.base = REG_NONE;
			for (piece.slot = 0; piece.slot < ASM_SLOTS; piece.slot++)
				add_part(&list, piece);
			piece.op = SLOT_MEMORY;
			each_mem(piece, KIT_BIT(REG_T1), add_slot_memory, &list);
		}
	piece.at = 0;
	for (piece.op = SLOT_LOAD; piece.op <= SLOT_STORE; piece.op++)
		each_mem(piece, KIT_BIT(REG_T1), add_slot_memory, &list);
	piece.op = SLOT_ZERO;
	piece.mem.base = REG_NONE;
	for (piece.slot = 0; piece.slot < ASM_SLOTS; piece.slot++)
		kit_add(&list, piece);
	kit_run(&list, emit_slot, model_slot, state, 2);
}

// The scratch of a function: written and read through SP, everywhere and at its ends.
static void emit_scratch(struct code *code, const struct piece *piece)
{
	unsigned size = piece->size, far = piece->at - size;
	asm_store(code, mem_at(REG_SP, 0), REG_R6, size);
	asm_store(code, mem_at(REG_SP, (int32_t)far), REG_R7, size);
	asm_lea(code, REG_T0, mem_at(REG_SP, (int32_t)far));
	asm_load(code, REG_R1, mem_at(REG_SP, 0), size, false);
	asm_load(code, REG_R2, mem_at(REG_T0, 0), size, false);
	asm_constant(code, REG_R3, far);
	asm_load(code, REG_R3, (struct mem){REG_SP, REG_R3, 0}, size, false);
	asm_slot_load(code, 3, mem_at(REG_SP, (int32_t)far));
	asm_slot_store(code, mem_at(REG_SP, (int32_t)(far / 2)), 3);
	asm_load(code, REG_R4, mem_at(REG_SP, (int32_t)(far / 2)), 8, false);
	asm_slot_extract(code, REG_R5, 3, 0, 8, false);
	asm_slot_zero(code, 3);
}
static void model_scratch(struct expected *expected, const struct piece *piece)
{
	expected->reg[REG_R1] = expected->reg[REG_R6];
	expected->reg[REG_R2] = expected->reg[REG_R3] = expected->reg[REG_R7];
	expected->reg[REG_R4] = expected->reg[REG_R5] = expected->reg[REG_R7];
	expected->slots[3] = 0;
}

static void scratch_belongs_to_the_function(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned end = 32; end <= ASM_SCRATCH; end += 8)
		kit_add(&list, (struct piece){.at = end,
		                       .size = 8,
		                       .mem = KIT_NO_MEM,
		                       .may_change = KIT_BIT(REG_T0) | KIT_BIT(REG_T1)});
	kit_run(&list, emit_scratch, model_scratch, state, 5);
}

// Nothing to be seen, but it must be there, and may be anywhere.
static void emit_prefetch(struct code *code, const struct piece *piece)
{
	asm_prefetch(code, piece->mem);
	asm_prefetch(code, mem_card(REG_R5, piece->mem.disp));
}
static void model_nothing(struct expected *expected, const struct piece *piece)
{
	(void)expected;
	(void)piece;
}
static void add_as_it_is(struct kit_list *list, struct piece piece)
{
	kit_add(list, piece);
}

static void prefetches(void **state)
{
	struct kit_list list = kit_list_new();
	each_mem((struct piece){.place = 1}, 0, add_as_it_is, &list);
	kit_run(&list, emit_prefetch, model_nothing, state, 1);
}

int main(void)
{
	static bool all = false, least = true;
	const struct CMUnitTest tests[] = {
	        KIT_BOTH(loads),
	        KIT_BOTH(stores),
	        KIT_BOTH(addresses),
	        KIT_BOTH(constants_in_memory),
	        KIT_BOTH(registers_added_to_memory),
	        KIT_BOTH(loads_in_order),
	        KIT_BOTH(words_that_match),
	        KIT_BOTH(branches_on_memory),
	        KIT_BOTH(atomics_alone),
	        KIT_BOTH(an_exchange_of_equal_values_zero_extends),
	        KIT_BOTH(slots),
	        KIT_BOTH(scratch_belongs_to_the_function),
	        KIT_BOTH(prefetches),
	};
	if (!asm_offered())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
