// SPDX-License-Identifier: Apache-2.0
// Branches near and far, functions, calls of C and back, leaving them all at once, and what the
// buffer tells at the end.
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "ebpf/opcode.h"
#include "engine/native/asm_kit.h"
#include "engine/native/code_memory.h"

#define ALL_SAVED 0x3c0u // R6 to R9

// Instructions that do nothing. On machines whose instructions differ in length `more` gives every
// length in all, so that labels come to stand just within the reach of short forms and just out of
// it.
static void emit_padding(struct code *code, int32_t count, unsigned more)
{
	for (int32_t i = 0; i < count; i++)
		asm_alu(code, BPF_AND, REG_R1, REG_R1, true);
	for (unsigned i = 0; i < more; i++)
		asm_prefetch(code, mem_at(REG_ENGINE, 8));
}

static void emit_one_branch(struct code *code, const struct piece *piece, uint32_t label)
{
	if (piece->op == BPF_JA)
		asm_jump(code, label);
	else if (piece->src == REG_NONE)
		asm_branch_constant(code, piece->op, piece->dst, piece->value, piece->wide, label);
	else
		asm_branch(code, piece->op, piece->dst, piece->src, piece->wide, label);
}

// The registers are compared as they stand; dst is not changed.
static void emit_branch(struct code *code, const struct piece *piece)
{
	uint32_t taken = asm_label(code), done = asm_label(code), start = asm_label(code);
	bool back = piece->padding < 0;
	if (back)
		asm_jump(code, start);
	else
		emit_one_branch(code, piece, taken);
	if (!back) {
		asm_jump(code, done);
		emit_padding(code, piece->padding, piece->slot);
	}
	asm_bind(code, taken);
	asm_store_constant(code, mem_at(REG_ENGINE, offsetof(struct machine, taken)), 1, 8);
	asm_jump(code, done);
	if (back) {
		emit_padding(code, -piece->padding, piece->slot);
		asm_bind(code, start);
		emit_one_branch(code, piece, taken);
	}
	asm_bind(code, done);
}
static void model_branch(struct expected *expected, const struct piece *piece)
{
	uint64_t b = piece->src == REG_NONE ? (uint64_t)(int64_t)piece->value
	                                    : expected->reg[piece->src];
	expected->taken = piece->op == BPF_JA ||
	                  kit_compare(piece->op, expected->reg[piece->dst], b, piece->wide);
}

static void branches_of_registers(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned i = 0; i < KIT_JUMPS; i++)
		for (unsigned dst = 0; dst <= REG_T1; dst++)
			for (unsigned src = 0; src <= REG_T1; src++)
				for (int wide = 0; wide <= 1; wide++)
					kit_add(&list, (struct piece){.op = kit_jumps[i],
					                       .wide = wide,
					                       .dst = dst,
					                       .src = src,
					                       .padding = 1,
					                       .mem = KIT_NO_MEM,
					                       .may_change = KIT_BIT(REG_T1)});
	kit_run(&list, emit_branch, model_branch, state, 15);
}

static void branches_on_constants(void **state)
{
	static const int32_t constants[] = {0, 1, -1, 2, 127, 128, 129, -127, -128, -129, 255, 256,
	        0x7fff, 0x8000, 0xffff, 0x10000, -0x8000, 0x12345678, INT32_MAX, INT32_MIN, 4095,
	        4096, -4096, 0xfff000, 0xff00ff};
	struct kit_list list = kit_list_new();
	for (unsigned i = 0; i < KIT_JUMPS; i++)
		for (unsigned dst = 0; dst <= REG_T1; dst++)
			for (unsigned c = 0; c < sizeof(constants) / sizeof(constants[0]); c++)
				for (int wide = 0; wide <= 1; wide++)
					kit_add(&list, (struct piece){.op = kit_jumps[i],
					                       .wide = wide,
					                       .dst = dst,
					                       .src = REG_NONE,
					                       .value = constants[c],
					                       .padding = c % 2 ? 1 : -1,
					                       .mem = KIT_NO_MEM,
					                       .may_change = KIT_BIT(REG_T1)});
	kit_run(&list, emit_branch, model_branch, state, 10);
}

// Distances around 127 and 128 bytes, 32 KiB and 1 MiB, both ways.
static void branches_of_every_distance(void **state)
{
	struct kit_list list = kit_list_new();
	struct piece piece = {.mem = KIT_NO_MEM,
	        .dst = REG_R7,
	        .src = REG_R8,
	        .may_change = KIT_BIT(REG_T1),
	        .wide = true};
	for (piece.padding = -60; piece.padding <= 60; piece.padding++)
		for (piece.slot = 0; piece.slot < 3; piece.slot++) {
			piece.op = BPF_JA;
			kit_add(&list, piece);
			piece.op = kit_jumps[list.count % KIT_JUMPS];
			kit_add(&list, piece);
			piece.src = piece.src == REG_NONE ? REG_R8 : REG_NONE;
		}
	static const int32_t far[] = {10000, -10000, 11000, 280000, -280000, 360000};
	for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		piece.op = BPF_JSLT;
		piece.padding = far[i];
		kit_add(&list, piece);
		piece.op = BPF_JA;
		kit_add(&list, piece);
	}
	kit_run(&list, emit_branch, model_branch, state, 4);
}

// Calls.

struct calls {
	struct machine machine; // first: what ENGINE points at
	struct kit_code *kit;
	uint32_t label, depth, misaligned;
	uint64_t seen[5];
};

static __attribute__((noinline)) uint64_t sum(
        uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	return a + 3 * b + 5 * c + 7 * d + 11 * e;
}

// More arguments than R1 to R5, for which machines take other registers.
static __attribute__((noinline)) uint64_t sum_of_eight(uint64_t a, uint64_t b, uint64_t c,
        uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
	__asm__ volatile("" : "+r"(f), "+r"(g), "+r"(h));
	return sum(a, b, c, d, e) + f + g + h;
}

// C spoils whatever it may.
static __attribute__((noinline)) uint64_t spoil(
        struct calls *calls, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	_Alignas(16) volatile uint8_t place[16];
	uintptr_t address = (uintptr_t)place;
	__asm__ volatile("" : "+r"(address));
	calls->misaligned |= address & 15;
	calls->seen[1] = b;
	calls->seen[2] = c;
	calls->seen[3] = d;
	calls->seen[4] = e;
	volatile double x = (double)b;
	for (int i = 0; i < 8; i++)
		x = x * 1.5 + (double)c;
	calls->depth++;
	x += (double)sum_of_eight(b, c, d, e, b, c + 1, d + 2, e + 3);
	return b * 0x10001 + (uint64_t)(x > 1e300);
}

// Sets R6 to R9 to values, calls C twice, and returns their mixture and C's results.
static void emit_caller(struct code *code, uint32_t saved)
{
	asm_function_begin(code, saved);
	for (unsigned i = 0; i < 4; i++)
		if (saved >> (6 + i) & 1)
			asm_constant(code, REG_R6 + i, 0x1111111111111111 * (i + 1));
	for (unsigned i = 0; i < ASM_SCRATCH; i += 8)
		asm_store_constant(code, mem_at(REG_SP, (int32_t)i), (int32_t)i, 8);
	for (unsigned call = 0; call < 2; call++) {
		asm_move(code, REG_R1, REG_ENGINE, true);
		for (unsigned i = 2; i <= 5; i++)
			asm_constant(code, REG_R0 + i, i * 100 + call);
		asm_call_host(code, (const void *)(uintptr_t)spoil);
	}
	for (unsigned i = 0; i < ASM_SCRATCH; i += 8) {
		asm_load(code, REG_R1, mem_at(REG_SP, (int32_t)i), 8, false);
		asm_alu(code, BPF_ADD, REG_R0, REG_R1, true);
	}
	for (unsigned i = 0; i < 4; i++)
		if (saved >> (6 + i) & 1)
			asm_alu(code, BPF_ADD, REG_R0, REG_R6 + i, true);
	asm_load(code, REG_R1, mem_at(REG_ENGINE, offsetof(struct machine, taken)), 8, false);
	asm_alu(code, BPF_ADD, REG_R0, REG_R1, true);
	asm_function_end(code, saved);
}

static uint64_t enter(struct calls *calls, uint32_t label)
{
	static const uint64_t args[5] = {11, 22, 33, 44, 55};
	return kit_code_call(calls->kit, &calls->machine, label, args);
}

static void calls_of_c_keep_what_they_must(void **state)
{
	for (uint32_t set = 0; set < 16; set++) {
		struct kit_code kit;
		kit_code_new(&kit, *(bool *)*state);
		struct calls calls = {.kit = &kit, .label = asm_label(kit.code)};
		asm_bind(kit.code, calls.label);
		emit_caller(kit.code, set << 6);
		kit_code_place(&kit);
		calls.machine.taken = 1000000;
		uint64_t expected = 201 * 0x10001 + 1000000;
		for (unsigned i = 0; i < ASM_SCRATCH; i += 8)
			expected += i;
		for (unsigned i = 0; i < 4; i++)
			expected += (set >> i & 1) * 0x1111111111111111 * (i + 1);
		assert_int_equal(enter(&calls, calls.label), expected);
		assert_int_equal(calls.depth, 2);
		assert_int_equal(calls.misaligned, 0);
		for (unsigned i = 1; i < 5; i++)
			assert_int_equal(calls.seen[i], (i + 1) * 100 + 1);
		kit_code_free(&kit);
	}
}

static void the_entry_hands_arguments_on(void **state)
{
	struct kit_code kit;
	kit_code_new(&kit, *(bool *)*state);
	struct calls calls = {.kit = &kit, .label = asm_label(kit.code)};
	uint32_t first = asm_label(kit.code), second = asm_label(kit.code);
	asm_bind(kit.code, calls.label);
	asm_function_begin(kit.code, 0);
	asm_call_host(kit.code, (const void *)(uintptr_t)sum);
	asm_function_end(kit.code, 0);
	asm_bind(kit.code, first); // FRAME - BASE
	asm_function_begin(kit.code, 0);
	asm_move(kit.code, REG_R0, REG_FRAME, true);
	asm_alu(kit.code, BPF_SUB, REG_R0, REG_BASE, true);
	asm_function_end(kit.code, 0);
	asm_bind(kit.code, second); // ENGINE
	asm_function_begin(kit.code, 0);
	asm_move(kit.code, REG_R0, REG_ENGINE, true);
	asm_function_end(kit.code, 0);
	kit_code_place(&kit);
	calls.machine.base = 0x700000000000;
	calls.machine.frame = 0x700000123456;
	assert_int_equal(enter(&calls, calls.label), 11 + 66 + 165 + 308 + 605);
	assert_int_equal(enter(&calls, first), 0x123456);
	assert_int_equal(enter(&calls, second), (uintptr_t)&calls);
	kit_code_free(&kit);
}

// f(n) = n < 2 ? n : f(n - 1) + f(n - 2), which keeps n and a result in R6 and R7; `leaves` goes to
// it in its place.
static void functions_call_themselves(void **state)
{
	struct kit_code kit;
	kit_code_new(&kit, *(bool *)*state);
	struct code *code = kit.code;
	struct calls calls = {.kit = &kit, .label = asm_label(code)};
	uint32_t function = asm_label(code), more = asm_label(code), by_register = asm_label(code);
	asm_bind(code, calls.label);
	asm_function_begin(code, 0x200);
	asm_constant(code, REG_R9, 99);
	asm_constant(code, REG_R1, 15);
	asm_function_leave(code, 0x200);
	asm_jump(code, function);
	asm_bind(code, function);
	asm_function_begin(code, 0xc0);
	asm_branch_constant(code, BPF_JSGE, REG_R1, 2, true, more);
	asm_move(code, REG_R0, REG_R1, true);
	asm_function_end(code, 0xc0);
	asm_bind(code, more);
	asm_move(code, REG_R6, REG_R1, true);
	asm_alu_constant(code, BPF_SUB, REG_R1, 1, true);
	asm_call(code, function);
	asm_move(code, REG_R7, REG_R0, true);
	asm_lea(code, REG_R1, mem_at(REG_R6, -2));
	asm_call(code, function);
	asm_alu(code, BPF_ADD, REG_R0, REG_R7, true);
	asm_function_end(code, 0xc0);
	asm_bind(code, by_register); // R1: where
	asm_function_begin(code, 0);
	asm_move(code, REG_T0, REG_R1, true);
	asm_constant(code, REG_R1, 10);
	asm_call_register(code, REG_T0);
	asm_function_end(code, 0);
	kit_code_place(&kit);
	assert_int_equal(enter(&calls, calls.label), 610);
	uint64_t args[5] = {(uintptr_t)kit.block + asm_position(code, function)};
	assert_int_equal(kit_code_call(&kit, &calls.machine, by_register, args), 55);
	kit_code_free(&kit);
}

static void jumps_to_an_address(void **state)
{
	for (unsigned reg = 0; reg < KIT_REGISTERS; reg++) {
		if (!kit_is_target(reg) || reg == REG_BASE || reg == REG_FRAME)
			continue;
		struct kit_code kit;
		kit_code_new(&kit, *(bool *)*state);
		struct code *code = kit.code;
		struct calls calls = {.kit = &kit, .label = asm_label(code)};
		uint32_t there = asm_label(code);
		asm_bind(code, calls.label);
		asm_function_begin(code, ALL_SAVED);
		asm_move(code, reg, REG_R1, true);
		asm_jump_register(code, reg);
		asm_constant(code, REG_R0, 1);
		asm_function_end(code, ALL_SAVED);
		asm_bind(code, there);
		asm_constant(code, REG_R0, 2);
		asm_function_end(code, ALL_SAVED);
		kit_code_place(&kit);
		uint64_t args[5] = {(uintptr_t)kit.block + asm_position(code, there)};
		assert_int_equal(kit_code_call(&kit, &calls.machine, calls.label, args), 2);
		kit_code_free(&kit);
	}
}

// Called back from emitted code: enters it again until it is deep enough, which then leaves.
static uint64_t deeper(struct calls *calls)
{
	uint64_t before = calls->machine.sp;
	if (++calls->depth > 5)
		return 1;
	uint64_t result = enter(calls, calls->label);
	assert_int_equal(calls->machine.sp, before);
	// What was entered innermost left at once; the others went on.
	assert_int_equal(result, calls->depth == 6 ? 0 : 1000 + calls->depth);
	calls->depth--;
	return 2;
}

// Keeps values across it as any function of C does.
static __attribute__((noinline)) uint64_t around(struct calls *calls, volatile uint64_t *v)
{
	uint64_t a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5], g = v[6];
	uint64_t result = enter(calls, calls->label);
	v[0] = a ^ 1;
	v[1] = b ^ 1;
	v[2] = c ^ 1;
	v[3] = d ^ 1;
	v[4] = e ^ 1;
	v[5] = f ^ 1;
	v[6] = g ^ 1;
	return result;
}

// A function three deep in others, all of which spoil R6 to R9, calls C; where C says 1 it leaves.
static void emit_leaver(struct code *code, uint32_t label)
{
	uint32_t inner = asm_label(code), innermost = asm_label(code), stay = asm_label(code);
	asm_bind(code, label);
	asm_function_begin(code, ALL_SAVED);
	for (unsigned i = 6; i <= 9; i++)
		asm_constant(code, REG_R0 + i, i);
	asm_call(code, inner);
	asm_constant(code, REG_R0, 1000);
	asm_load(code, REG_R1, mem_at(REG_ENGINE, offsetof(struct calls, depth)), 4, false);
	asm_alu(code, BPF_ADD, REG_R0, REG_R1, true);
	asm_function_end(code, ALL_SAVED);
	asm_bind(code, inner);
	asm_function_begin(code, 0x40);
	asm_constant(code, REG_R6, 0);
	asm_call(code, innermost);
	asm_function_end(code, 0x40);
	asm_bind(code, innermost);
	asm_function_begin(code, ALL_SAVED);
	for (unsigned i = 6; i <= 9; i++)
		asm_constant(code, REG_R0 + i, 100 * i);
	asm_move(code, REG_R1, REG_ENGINE, true);
	asm_call_host(code, (const void *)(uintptr_t)deeper);
	asm_branch_constant(code, BPF_JNE, REG_R0, 1, true, stay);
	asm_unwind(code, offsetof(struct machine, sp));
	asm_bind(code, stay);
	asm_function_end(code, ALL_SAVED);
}

static void leaving_at_once_ends_the_innermost_entry_only(void **state)
{
	struct kit_code kit;
	kit_code_new(&kit, *(bool *)*state);
	struct calls calls = {.kit = &kit, .label = asm_label(kit.code)};
	emit_leaver(kit.code, calls.label);
	kit_code_place(&kit);
	calls.machine.sp = 0x1234567;
	uint64_t kept[7] = {10, 20, 30, 40, 50, 60, 70};
	assert_int_equal(around(&calls, kept), 1001);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(kept[i], (10 * (i + 1)) ^ 1);
	assert_int_equal(calls.machine.sp, 0x1234567);
	calls.depth = 5; // the first one leaves
	assert_int_equal(around(&calls, kept), 0);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(kept[i], 10 * (i + 1));
	assert_int_equal(calls.machine.sp, 0x1234567);
	kit_code_free(&kit);
}

// C that is near and C that is out of the reach of a direct call.
static void calls_reach_c_wherever_it_is(void **state)
{
	struct kit_code kit;
	kit_code_new(&kit, *(bool *)*state);
	struct calls calls = {.kit = &kit, .label = asm_label(kit.code)};
	uint32_t near = asm_label(kit.code);
	asm_bind(kit.code, calls.label);
	asm_function_begin(kit.code, 0);
	asm_load(kit.code, REG_R1, mem_at(REG_ENGINE, offsetof(struct machine, base)), 8, false);
	asm_load(kit.code, REG_R2, mem_at(REG_ENGINE, offsetof(struct machine, frame)), 8, false);
	asm_constant(kit.code, REG_R3, 8);
	asm_call_host(kit.code, (const void *)(uintptr_t)memcmp); // of a shared library
	asm_function_end(kit.code, 0);
	asm_bind(kit.code, near);
	asm_function_begin(kit.code, 0);
	asm_call_host(kit.code, (const void *)(uintptr_t)sum);
	asm_function_end(kit.code, 0);
	kit_code_place(&kit);
	calls.machine.base = (uintptr_t) "12345678";
	calls.machine.frame = (uintptr_t) "12345679";
	assert_true((int32_t)enter(&calls, calls.label) < 0);
	calls.machine.frame = calls.machine.base;
	assert_int_equal((int32_t)enter(&calls, calls.label), 0);
	assert_int_equal(enter(&calls, near), 1155);
	kit_code_free(&kit);
}

// Two threads on one word each: what an operation that is not atomic loses would be missed.
struct race {
	struct calls calls;
	pthread_barrier_t *start;
	uint64_t *words;
	uint64_t bit;
};
#define TURNS 500000

static void *run_race(void *context)
{
	struct race *race = context;
	uint64_t args[5] = {(uintptr_t)race->words, race->bit, TURNS};
	pthread_barrier_wait(race->start);
	kit_code_call(race->calls.kit, &race->calls.machine, race->calls.label, args);
	return NULL;
}

// Sets the bit in R2 and clears it; the bit is as it was left each time, or R7 counts it.
static void emit_bit_turn(struct code *code)
{
	struct mem word = mem_at(REG_R1, 32);
	asm_move(code, REG_R6, REG_R2, true);
	asm_atomic(code, BPF_OR | BPF_FETCH, 8, word, REG_R6);
	asm_alu(code, BPF_AND, REG_R6, REG_R2, true);
	asm_alu(code, BPF_ADD, REG_R7, REG_R6, true);
	asm_move(code, REG_R6, REG_R2, true);
	asm_alu_constant(code, BPF_XOR, REG_R6, -1, true);
	asm_atomic(code, BPF_AND | BPF_FETCH, 8, word, REG_R6);
	asm_alu(code, BPF_AND, REG_R6, REG_R2, true);
	asm_alu(code, BPF_XOR, REG_R6, REG_R2, true);
	asm_alu(code, BPF_ADD, REG_R7, REG_R6, true);
}

static void atomics_of_two_threads_lose_nothing(void **state)
{
	static const int32_t ops[] = {BPF_ADD, BPF_XOR, BPF_ADD | BPF_FETCH, BPF_XOR | BPF_FETCH};
	struct kit_code kit;
	kit_code_new(&kit, *(bool *)*state);
	struct code *code = kit.code;
	uint32_t label = asm_label(code);
	asm_bind(code, label);
	asm_function_begin(code, ALL_SAVED);
	asm_constant(code, REG_R7, 0);
	for (unsigned i = 0; i < 5; i++) {
		uint32_t again = asm_label(code);
		asm_move(code, REG_R8, REG_R3, true);
		asm_bind(code, again);
		if (i == 4) {
			emit_bit_turn(code);
		} else {
			asm_move(code, REG_R6, REG_R2, true);
			asm_atomic(code, ops[i], 8, mem_at(REG_R1, (int32_t)(8 * i)), REG_R6);
		}
		asm_alu_constant(code, BPF_SUB, REG_R8, 1, true);
		asm_branch_constant(code, BPF_JNE, REG_R8, 0, true, again);
	}
	asm_store(code, mem_at(REG_ENGINE, offsetof(struct machine, taken)), REG_R7, 8);
	asm_function_end(code, ALL_SAVED);
	kit_code_place(&kit);
	uint64_t words[5] = {0};
	pthread_barrier_t start;
	struct race races[2] = {{{.kit = &kit, .label = label}, &start, words, 1},
	        {{.kit = &kit, .label = label}, &start, words, 1ull << 40}};
	pthread_barrier_init(&start, NULL, 2);
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_race, &races[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	for (int i = 0; i < 4; i++)
		assert_int_equal(words[i], i % 2 ? 0 : TURNS * ((1ull << 40) + 1));
	assert_int_equal(words[4], 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(races[i].calls.machine.taken, 0);
	kit_code_free(&kit);
}

// The end.

static void an_unbound_label_is_an_error(void **state)
{
	struct code *code;
	assert_int_equal(code_new(&code), 0);
	uint32_t a = asm_label(code), b = asm_label(code);
	asm_branch_constant(code, BPF_JEQ, REG_R1, 5, true, a);
	assert_int_equal(code_error(code), -ERANGE);
	asm_bind(code, a);
	assert_int_equal(code_error(code), 0);
	asm_call(code, b);
	assert_int_equal(code_error(code), -ERANGE);
	asm_bind(code, b);
	assert_int_equal(code_error(code), 0);
	assert_true(asm_position(code, b) == code_size(code) && asm_position(code, a) > 0);
	code_free(&code);
	assert_null(code);
	code_free(&code);
}

// One that grows without end is told at the end; until then everything may be emitted.
static void code_that_is_too_large_is_an_error(void **state)
{
	struct code *code;
	assert_int_equal(code_new(&code), 0);
	uint32_t start = asm_label(code), end = asm_label(code);
	asm_bind(code, start);
	while (!code_error(code) && code_size(code) < 200u << 20)
		for (unsigned i = 0; i < 100000; i++) {
			asm_constant(code, REG_R1, 0x123456789abcdef + i);
			asm_divide(code, BPF_DIV, true, REG_R2, REG_R3, true);
		}
	for (unsigned i = 0; i < 10000; i++) {
		asm_branch_constant(code, BPF_JEQ, REG_R1, 5, true, i % 2 ? start : end);
		asm_call_host(code, (const void *)(uintptr_t)sum);
		asm_bind(code, asm_label(code));
	}
	asm_bind(code, end);
	assert_int_equal(code_error(code), -ENOMEM);
	struct code_memory *memory;
	struct error err;
	const uint8_t *block = (const uint8_t *)1;
	assert_int_equal(code_memory_new(&memory), 0);
	assert_int_equal(code_memory_put(memory, code, &block, &err), -ENOMEM);
	assert_ptr_equal(block, (const uint8_t *)1);
	code_memory_free(&memory);
	code_free(&code);
}

int main(void)
{
	static bool all = false, least = true;
	const struct CMUnitTest tests[] = {
	        KIT_BOTH(branches_of_registers),
	        KIT_BOTH(branches_on_constants),
	        KIT_BOTH(branches_of_every_distance),
	        KIT_BOTH(calls_of_c_keep_what_they_must),
	        KIT_BOTH(the_entry_hands_arguments_on),
	        KIT_BOTH(functions_call_themselves),
	        KIT_BOTH(jumps_to_an_address),
	        KIT_BOTH(leaving_at_once_ends_the_innermost_entry_only),
	        KIT_BOTH(calls_reach_c_wherever_it_is),
	        KIT_BOTH(atomics_of_two_threads_lose_nothing),
	        cmocka_unit_test(an_unbound_label_is_an_error),
	        cmocka_unit_test(code_that_is_too_large_is_an_error),
	};
	if (!asm_offered())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
