// SPDX-License-Identifier: Apache-2.0
#include "engine/native/asm_kit.h"

#include <inttypes.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/native/code.h"
#include "engine/native/code_memory.h"

typedef uint64_t enter_function(struct machine *engine, uint8_t *base, uint8_t *frame,
        const void *function, const uint64_t args[5]);

uint64_t kit_random(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15; // splitmix64
	uint64_t z = *seed;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t kit_operand(uint64_t *seed)
{
	static const uint64_t corners[] = {0, 1, 2, 3, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
	        0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, INT64_MAX, 1ull << 63, UINT64_MAX,
	        UINT64_MAX - 1, 0xffffffff80000000, 0xffffffff00000000, 31, 32, 33, 63, 64};
	uint64_t random = kit_random(seed);
	switch (random % 4) {
	case 0:
	case 1:
		return corners[(random >> 8) % (sizeof(corners) / sizeof(corners[0]))];
	case 2:
		return kit_random(seed) >> (random >> 8) % 64;
	default:
		return kit_random(seed);
	}
}

const uint8_t kit_jumps[KIT_JUMPS] = {BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JGE, BPF_JLT, BPF_JLE,
        BPF_JSET, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};

uint64_t kit_alu(uint8_t op, uint64_t d, uint64_t s, bool wide)
{
	unsigned count = s & (wide ? 63 : 31);
	switch (op) {
	case BPF_ADD:
		return kit_narrow(d + s, wide);
	case BPF_SUB:
		return kit_narrow(d - s, wide);
	case BPF_MUL:
		return kit_narrow(d * s, wide);
	case BPF_OR:
		return kit_narrow(d | s, wide);
	case BPF_AND:
		return kit_narrow(d & s, wide);
	case BPF_XOR:
		return kit_narrow(d ^ s, wide);
	case BPF_LSH:
		return kit_narrow(d << count, wide);
	case BPF_RSH:
		return kit_narrow(d, wide) >> count;
	case BPF_ARSH:
		return wide ? (uint64_t)((int64_t)d >> count)
		            : (uint32_t)((int32_t)(uint32_t)d >> count);
	default:
		fail();
		return 0;
	}
}

bool kit_compare(uint8_t op, uint64_t a, uint64_t b, bool wide)
{
	int64_t c = (int64_t)(wide ? a : kit_sign_extend(a, 32));
	int64_t d = (int64_t)(wide ? b : kit_sign_extend(b, 32));
	a = kit_narrow(a, wide);
	b = kit_narrow(b, wide);
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
	case BPF_JSET:
		return a & b;
	case BPF_JSGT:
		return c > d;
	case BPF_JSGE:
		return c >= d;
	case BPF_JSLT:
		return c < d;
	default: // BPF_JSLE
		return c <= d;
	}
}

void kit_code_new(struct kit_code *kit, bool least)
{
	*kit = (struct kit_code){0};
	assert_int_equal(code_memory_new(&kit->memory), 0);
	assert_int_equal(code_new(&kit->code), 0);
	if (least)
		kit->code->features = 0;
	asm_entry(kit->code, offsetof(struct machine, sp));
}

void kit_code_place(struct kit_code *kit)
{
	assert_int_equal(code_memory_put(kit->memory, kit->code, &kit->block, NULL), 0);
}

uint64_t kit_code_call(
        const struct kit_code *kit, struct machine *machine, uint32_t label, const uint64_t args[5])
{
	enter_function *enter = (enter_function *)(uintptr_t)kit->block;
	return enter(machine, (uint8_t *)(uintptr_t)machine->base,
	        (uint8_t *)(uintptr_t)machine->frame, kit->block + asm_position(kit->code, label),
	        args);
}

void kit_code_free(struct kit_code *kit)
{
	code_free(&kit->code);
	code_memory_free(&kit->memory);
}

static struct mem of_machine(size_t offset, unsigned item)
{
	return mem_at(REG_ENGINE, (int32_t)(offset + 8 * item));
}

// A function that sets everything, does the operation, and keeps everything.
static void emit_piece(struct code *code, struct piece *piece, kit_emit *emit)
{
	piece->label = asm_label(code);
	asm_bind(code, piece->label);
	asm_function_begin(code, 0x3c0);
	for (unsigned i = 0; i < ASM_SLOTS; i++)
		asm_slot_load(code, i, of_machine(offsetof(struct machine, slots_in), i));
	for (unsigned i = 0; i < KIT_REGISTERS; i++)
		if (i != REG_ENGINE)
			asm_load(code, i, of_machine(offsetof(struct machine, in), i), 8, false);
	emit(code, piece);
	for (unsigned i = 0; i < KIT_REGISTERS; i++)
		if (i != REG_ENGINE)
			asm_store(code, of_machine(offsetof(struct machine, out), i), i, 8);
	for (unsigned i = 0; i < ASM_SLOTS; i++)
		asm_slot_store(code, of_machine(offsetof(struct machine, slots_out), i), i);
	asm_load(code, REG_BASE, of_machine(offsetof(struct machine, base), 0), 8, false);
	asm_load(code, REG_FRAME, of_machine(offsetof(struct machine, frame), 0), 8, false);
	asm_function_end(code, 0x3c0);
}

// Registers in which `piece->mem` means its place in the area.
static void aim(struct machine *machine, const struct piece *piece)
{
	enum reg base = piece->mem.base, index = piece->mem.index;
	uint64_t target = (uintptr_t)machine->area + piece->place - (uint64_t)piece->mem.disp;
	if (base == REG_NONE || base == REG_SP || (base == REG_ENGINE && index == REG_NONE))
		return;
	if (base == index)
		machine->in[base] = target / 2;
	else if (base == REG_ENGINE)
		machine->in[index] = target - machine->in[base];
	else
		machine->in[base] = target - (index == REG_NONE ? 0 : machine->in[index]);
}

static void check(
        const struct machine *machine, const struct expected *expected, const struct piece *piece)
{
	const char *what = NULL;
	uint64_t is = 0, should_be = 0;
	unsigned which = 0;
	for (unsigned i = 0; i < KIT_REGISTERS; i++)
		if (i != REG_ENGINE && !(piece->may_change >> i & 1) &&
		        machine->out[i] != expected->reg[i]) {
			what = "register";
			which = i;
			is = machine->out[i];
			should_be = expected->reg[i];
		}
	for (unsigned i = 0; i < ASM_SLOTS; i++)
		if (machine->slots_out[i] != expected->slots[i]) {
			what = "slot";
			which = i;
			is = machine->slots_out[i];
			should_be = expected->slots[i];
		}
	for (unsigned i = 0; i < KIT_AREA; i++)
		if (machine->area[i] != expected->area[i]) {
			what = "byte of memory";
			which = i;
			is = machine->area[i];
			should_be = expected->area[i];
		}
	if (machine->taken != expected->taken) {
		what = "taken";
		is = machine->taken;
		should_be = expected->taken;
	}
	if (what)
		fail_msg("%s %u is %#" PRIx64 ", should be %#" PRIx64 "; op %#x wide %d signed %d "
		         "dst %d src %d other %d value %d size %u slot %u at %u mem %d + %d + %d "
		         "padding %d; in[dst] %#" PRIx64 " in[src] %#" PRIx64,
		        what, which, is, should_be, piece->op, piece->wide, piece->is_signed,
		        piece->dst, piece->src, piece->other, piece->value, piece->size,
		        piece->slot, piece->at, piece->mem.base, piece->mem.index, piece->mem.disp,
		        piece->padding, machine->in[piece->dst % KIT_REGISTERS],
		        machine->in[piece->src % KIT_REGISTERS]);
}

static void run_once(
        const struct kit_code *kit, const struct piece *piece, kit_model *model, uint64_t *seed)
{
	static const uint64_t args[5];
	struct machine machine;
	struct expected expected = {0};
	uint64_t sp = kit_random(seed);
	memset(&machine, 0xa5, sizeof(machine));
	machine.sp = sp;
	machine.taken = 0;
	for (unsigned i = 0; i < KIT_REGISTERS; i++)
		machine.in[i] = kit_operand(seed);
	machine.in[REG_ENGINE] = (uintptr_t)&machine;
	aim(&machine, piece);
	for (unsigned i = 0; i < ASM_SLOTS; i++)
		machine.slots_in[i] = kit_random(seed);
	for (unsigned i = 0; i < KIT_AREA; i += 8) {
		uint64_t word = kit_operand(seed);
		memcpy(machine.area + i, &word, 8);
	}
	memcpy(expected.reg, machine.in, sizeof(machine.in));
	memcpy(expected.slots, machine.slots_in, sizeof(machine.slots_in));
	memcpy(expected.area, machine.area, KIT_AREA);
	expected.at = expected.area + piece->place;
	model(&expected, piece);
	kit_code_call(kit, &machine, piece->label, args);
	check(&machine, &expected, piece);
	assert_int_equal(machine.sp, sp);
}

struct kit_list kit_list_new(void)
{
	return (struct kit_list){0};
}

void kit_add(struct kit_list *list, struct piece piece)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? 2 * list->capacity : 1024;
		list->pieces = reallocarray(list->pieces, list->capacity, sizeof(piece));
		assert_non_null(list->pieces);
	}
	list->pieces[list->count++] = piece;
}

void kit_run(struct kit_list *list, kit_emit *emit, kit_model *model, void **state, uint32_t rounds)
{
	struct kit_code kit;
	uint64_t seed = 1;
	assert_true(list->count);
	kit_code_new(&kit, *(const bool *)*state);
	for (uint32_t i = 0; i < list->count; i++)
		emit_piece(kit.code, &list->pieces[i], emit);
	kit_code_place(&kit);
	for (uint32_t i = 0; i < list->count; i++)
		for (uint32_t round = 0; round < rounds; round++)
			run_once(&kit, &list->pieces[i], model, &seed);
	kit_code_free(&kit);
	free(list->pieces);
}
