// SPDX-License-Identifier: Apache-2.0
// Every operation of the assembler, with every register that may stand in it, against a model in C.
// Each test runs twice: with what this machine has, and with what all of its kind have.
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ebpf/opcode.h"
#include "engine/native/asm_kit.h"

static const uint8_t alu_ops[] = {
        BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH};
static bool is_shift(uint8_t op)
{
	return op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
}

static void emit_alu(struct code *code, const struct piece *piece)
{
	asm_alu(code, piece->op, piece->dst, piece->src, piece->wide);
}
static void model_alu(struct expected *expected, const struct piece *piece)
{
	expected->reg[piece->dst] = kit_alu(
	        piece->op, expected->reg[piece->dst], expected->reg[piece->src], piece->wide);
}

static void alu_of_registers(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned i = 0; i < sizeof(alu_ops); i++)
		for (unsigned dst = 0; dst <= REG_T1; dst++)
			for (unsigned src = 0; src <= REG_T1; src++)
				for (int wide = 0; wide <= 1; wide++) {
					bool shift = is_shift(alu_ops[i]);
					if (!kit_is_target(dst) ||
					        (shift && (dst == REG_T1 || src == REG_T1)))
						continue;
					kit_add(&list,
					        (struct piece){.op = alu_ops[i],
					                .wide = wide,
					                .dst = dst,
					                .src = src,
					                .mem = KIT_NO_MEM,
					                .may_change = shift ? KIT_BIT(REG_T1) : 0});
				}
	kit_run(&list, emit_alu, model_alu, state, 12);
}

static const int32_t constants[] = {0, 1, -1, 2, 3, 5, 8, 9, 10, 31, 32, 33, 63, 64, 65, 100, 126,
        127, 128, 129, -127, -128, -129, 254, 255, 256, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x10000,
        -0x8000, 4095, 4096, 0xff0, 0xfff000, -4095, -4096, 0x12345678, -0x12345678, INT32_MAX,
        INT32_MIN, INT32_MIN + 1};
#define CONSTANTS (sizeof(constants) / sizeof(constants[0]))

static void emit_alu_constant(struct code *code, const struct piece *piece)
{
	asm_alu_constant(code, piece->op, piece->dst, piece->value, piece->wide);
}
static void model_alu_constant(struct expected *expected, const struct piece *piece)
{
	expected->reg[piece->dst] = kit_alu(
	        piece->op, expected->reg[piece->dst], (uint64_t)(int64_t)piece->value, piece->wide);
}

static void alu_with_constants(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned i = 0; i < sizeof(alu_ops); i++)
		for (unsigned dst = 0; dst <= REG_T1; dst++)
			for (unsigned c = 0; c < CONSTANTS; c++)
				for (int wide = 0; wide <= 1 && kit_is_target(dst); wide++)
					kit_add(&list, (struct piece){.op = alu_ops[i],
					                       .wide = wide,
					                       .dst = dst,
					                       .value = constants[c],
					                       .mem = KIT_NO_MEM});
	kit_run(&list, emit_alu_constant, model_alu_constant, state, 6);
}

// Moves and sign extensions: `size` is the number of bits, 0 for a move.
static void emit_move(struct code *code, const struct piece *piece)
{
	if (piece->size)
		asm_sign_extend(code, piece->dst, piece->src, piece->size, piece->wide);
	else
		asm_move(code, piece->dst, piece->src, piece->wide);
}
static void model_move(struct expected *expected, const struct piece *piece)
{
	uint64_t value = expected->reg[piece->src];
	expected->reg[piece->dst] =
	        kit_narrow(piece->size ? kit_sign_extend(value, piece->size) : value, piece->wide);
}

static void moves(void **state)
{
	static const unsigned bits[] = {0, 8, 16, 32};
	struct kit_list list = kit_list_new();
	for (unsigned i = 0; i < 4; i++)
		for (unsigned dst = 0; dst <= REG_T1; dst++)
			for (unsigned src = 0; src <= REG_T1; src++)
				for (int wide = 0; wide <= 1 && kit_is_target(dst); wide++)
					kit_add(&list, (struct piece){.size = bits[i],
					                       .wide = wide,
					                       .dst = dst,
					                       .src = src,
					                       .mem = KIT_NO_MEM});
	kit_run(&list, emit_move, model_move, state, 12);
}

// One register: `op` is BPF_NEG or BPF_END, which swaps where `wide`.
static void emit_unary(struct code *code, const struct piece *piece)
{
	if (piece->op == BPF_NEG)
		asm_negate(code, piece->dst, piece->wide);
	else
		asm_swap(code, piece->dst, piece->size, piece->wide);
}
static void model_unary(struct expected *expected, const struct piece *piece)
{
	uint64_t *reg = &expected->reg[piece->dst];
	if (piece->op == BPF_NEG)
		*reg = kit_narrow(-*reg, piece->wide);
	else if (piece->size == 16)
		*reg = piece->wide ? __builtin_bswap16((uint16_t)*reg) : (uint16_t)*reg;
	else if (piece->size == 32)
		*reg = piece->wide ? __builtin_bswap32((uint32_t)*reg) : (uint32_t)*reg;
	else
		*reg = piece->wide ? __builtin_bswap64(*reg) : *reg;
}

static void negations_and_byte_orders(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned dst = 0; dst <= REG_T1; dst++)
		for (int wide = 0; wide <= 1 && kit_is_target(dst); wide++) {
			struct piece piece = {
			        .op = BPF_NEG, .wide = wide, .dst = dst, .mem = KIT_NO_MEM};
			kit_add(&list, piece);
			piece.op = BPF_END;
			for (piece.size = 16; piece.size <= 64; piece.size *= 2)
				kit_add(&list, piece);
		}
	kit_run(&list, emit_unary, model_unary, state, 30);
}

static void emit_constant(struct code *code, const struct piece *piece)
{
	asm_constant(code, piece->dst, piece->constant);
}
static void model_constant(struct expected *expected, const struct piece *piece)
{
	expected->reg[piece->dst] = piece->constant;
}

static void constants_of_64_bits(void **state)
{
	struct kit_list list = kit_list_new();
	uint64_t seed = 7;
	for (unsigned dst = 0; dst <= REG_T1; dst++)
		for (unsigned i = 0; i < 300 && kit_is_target(dst); i++) {
			uint64_t value = kit_operand(&seed);
			if (i < 64)
				value = 1ull << i;
			else if (i < 128)
				value = ~(1ull << (i - 64));
			kit_add(&list,
			        (struct piece){.dst = dst, .constant = value, .mem = KIT_NO_MEM});
		}
	kit_run(&list, emit_constant, model_constant, state, 1);
}

static void emit_divide(struct code *code, const struct piece *piece)
{
	asm_divide(code, piece->op, piece->is_signed, piece->dst, piece->src, piece->wide);
}
// RFC 9669, section 4.1.
static void model_divide(struct expected *expected, const struct piece *piece)
{
	uint64_t d = kit_narrow(expected->reg[piece->dst], piece->wide);
	uint64_t s = kit_narrow(expected->reg[piece->src], piece->wide);
	bool divide = piece->op == BPF_DIV;
	if (piece->is_signed && !piece->wide) {
		d = kit_sign_extend(d, 32);
		s = kit_sign_extend(s, 32);
	}
	uint64_t result;
	if (!s)
		result = divide ? 0 : d;
	else if (piece->is_signed && s == UINT64_MAX)
		result = divide ? -d : 0;
	else if (piece->is_signed)
		result = (uint64_t)(divide ? (int64_t)d / (int64_t)s : (int64_t)d % (int64_t)s);
	else
		result = divide ? d / s : d % s;
	expected->reg[piece->dst] = kit_narrow(result, piece->wide);
}

static void divisions(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned dst = 0; dst < REG_T1; dst++)
		for (unsigned src = 0; src < REG_T1; src++)
			for (unsigned form = 0; form < 8 && kit_is_target(dst); form++)
				kit_add(&list, (struct piece){.op = form & 1 ? BPF_DIV : BPF_MOD,
				                       .wide = form & 2,
				                       .is_signed = form & 4,
				                       .dst = dst,
				                       .src = src,
				                       .mem = KIT_NO_MEM,
				                       .may_change = KIT_BIT(REG_T1)});
	kit_run(&list, emit_divide, model_divide, state, 40);
}

static void emit_fold(struct code *code, const struct piece *piece)
{
	asm_multiply_fold(code, piece->dst, piece->src, piece->other);
}
static void model_fold(struct expected *expected, const struct piece *piece)
{
	unsigned __int128 product =
	        (unsigned __int128)expected->reg[piece->src] * expected->reg[piece->other];
	expected->reg[piece->dst] = (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void folded_products(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned dst = 0; dst <= REG_T1; dst++)
		for (unsigned a = 0; a <= REG_T1; a++)
			for (unsigned b = 0; b <= REG_T1; b++) {
				uint32_t changes =
				        KIT_BIT(REG_R0) | KIT_BIT(REG_R3) | KIT_BIT(REG_T1);
				if (kit_is_target(dst))
					kit_add(&list,
					        (struct piece){.dst = dst,
					                .src = a,
					                .other = b,
					                .mem = KIT_NO_MEM,
					                .may_change = changes & ~KIT_BIT(dst)});
			}
	kit_run(&list, emit_fold, model_fold, state, 6);
}

// Of which a bit is set: `value` says which, unless a lower one is.
static void emit_lowest(struct code *code, const struct piece *piece)
{
	asm_constant(code, REG_T1, 1ull << piece->value);
	asm_alu(code, BPF_OR, piece->src, REG_T1, true);
	asm_constant(code, REG_T1, 0);
	asm_lowest_bit(code, piece->dst, piece->src);
}
static void model_lowest(struct expected *expected, const struct piece *piece)
{
	expected->reg[REG_T1] = 0;
	expected->reg[piece->src] |= 1ull << piece->value;
	expected->reg[piece->dst] = (unsigned)__builtin_ctzll(expected->reg[piece->src]);
}

static void lowest_bits(void **state)
{
	struct kit_list list = kit_list_new();
	for (unsigned dst = 0; dst <= REG_T1; dst++)
		for (unsigned src = 0; src < REG_T1; src++)
			for (int32_t bit = 0; bit < 64; bit += 7)
				if (kit_is_target(dst) && kit_is_target(src))
					kit_add(&list, (struct piece){.dst = dst,
					                       .src = src,
					                       .value = bit,
					                       .mem = KIT_NO_MEM});
	kit_run(&list, emit_lowest, model_lowest, state, 8);
}

int main(void)
{
	static bool all = false, least = true;
	const struct CMUnitTest tests[] = {
	        KIT_BOTH(alu_of_registers),
	        KIT_BOTH(alu_with_constants),
	        KIT_BOTH(moves),
	        KIT_BOTH(negations_and_byte_orders),
	        KIT_BOTH(constants_of_64_bits),
	        KIT_BOTH(divisions),
	        KIT_BOTH(folded_products),
	        KIT_BOTH(lowest_bits),
	};
	if (!asm_offered())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
