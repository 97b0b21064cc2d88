// SPDX-License-Identifier: Apache-2.0
// The tables of opcodes, helpers and map types.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "ebpf/helper.h"
#include "ebpf/maptype.h"
#include "ebpf/opcode.h"

static const char *check_of(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	const struct bpf_insn insns[2] = {
	        {.code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm}};
	return opcode_check(insns, 2);
}

static void counts_the_opcodes_of_the_standard(void **state)
{
	uint32_t kinds[KIND_PACKET + 1] = {0};
	for (uint32_t i = 0; i < 256; i++) {
		kinds[opcode_table[i].kind]++;
		assert_int_equal(!opcode_table[i].name, opcode_table[i].kind == KIND_INVALID);
	}
	assert_int_equal(kinds[KIND_ALU], 12 * 4);
	assert_int_equal(kinds[KIND_NEG], 2);
	assert_int_equal(kinds[KIND_SWAP], 3);
	assert_int_equal(kinds[KIND_LDDW], 1);
	assert_int_equal(kinds[KIND_LOAD], 4);
	assert_int_equal(kinds[KIND_LOAD_SX], 3);
	assert_int_equal(kinds[KIND_STORE], 8);
	assert_int_equal(kinds[KIND_ATOMIC], 4);
	assert_int_equal(kinds[KIND_JUMP], 11 * 4);
	assert_int_equal(kinds[KIND_JUMP_ALWAYS], 2);
	assert_int_equal(kinds[KIND_CALL], 1);
	assert_int_equal(kinds[KIND_EXIT], 1);
	assert_int_equal(kinds[KIND_PACKET], 6);
}

static void says_what_an_opcode_accesses(void **state)
{
	assert_int_equal(opcode_table[0x61].size, 4);
	assert_int_equal(opcode_table[0x7b].size, 8);
	assert_int_equal(opcode_table[0xdb].size, 8);
	assert_true(opcode_table[0x0f].is_64);
	assert_false(opcode_table[0x0c].is_64);
	assert_true(opcode_table[0x0c].has_src);
	assert_false(opcode_table[0x04].has_src);
	assert_int_equal(opcode_table[0x37].group, GROUP_DIVMUL64);
}

// Every row: sound with zero fields (but where the standard wants something), and unsound with the
// reserved fields set.
static void refuses_each_reserved_field_that_is_not_zero(void **state)
{
	for (uint32_t code = 0; code < 256; code++) {
		const struct opcode *op = &opcode_table[code];
		int32_t imm = op->kind == KIND_SWAP                     ? 16
		              : op->kind == KIND_ATOMIC && op->size < 4 ? BPF_STORE_REL
		                                                        : 0;
		if (op->kind == KIND_INVALID || op->kind == KIND_PACKET) {
			assert_non_null(check_of((uint8_t)code, 0, 0, 0, 0));
			continue;
		}
		assert_null(check_of((uint8_t)code, 0, 0, 0, imm));
		bool has_off = op->kind == KIND_LOAD || op->kind == KIND_LOAD_SX ||
		               op->kind == KIND_STORE || op->kind == KIND_ATOMIC ||
		               op->kind == KIND_JUMP || code == (BPF_JMP | BPF_JA);
		assert_int_equal(!check_of((uint8_t)code, 0, 0, 64, imm), has_off);
		bool has_imm = !op->has_src && op->kind != KIND_NEG && op->kind != KIND_SWAP &&
		               op->kind != KIND_EXIT && code != (BPF_JMP | BPF_JA);
		assert_int_equal(!check_of((uint8_t)code, 0, 0, 0, 7), has_imm);
		bool has_src = op->has_src || op->kind == KIND_LDDW || op->kind == KIND_CALL;
		assert_int_equal(!check_of((uint8_t)code, 0, 1, 0, imm), has_src);
		bool has_dst = op->kind != KIND_JUMP_ALWAYS && op->kind != KIND_CALL &&
		               op->kind != KIND_EXIT;
		assert_int_equal(!check_of((uint8_t)code, 1, 0, 0, imm), has_dst);
	}
}

static void takes_the_forms_of_version_4(void **state)
{
	assert_null(check_of(BPF_ALU64 | BPF_DIV | BPF_X, 1, 2, 1, 0));
	assert_null(check_of(BPF_ALU | BPF_MOD | BPF_K, 1, 0, 1, 3));
	assert_non_null(check_of(BPF_ALU64 | BPF_DIV | BPF_X, 1, 2, 2, 0));
	assert_null(check_of(BPF_ALU64 | BPF_MOV | BPF_X, 1, 2, 32, 0));
	assert_null(check_of(BPF_ALU | BPF_MOV | BPF_X, 1, 2, 8, 0));
	assert_non_null(check_of(BPF_ALU | BPF_MOV | BPF_X, 1, 2, 32, 0));
	assert_non_null(check_of(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 8, 0));
	assert_null(check_of(BPF_ALU64 | BPF_END, 1, 0, 0, 64));
	assert_non_null(check_of(BPF_ALU64 | BPF_END, 1, 0, 0, 8));
	assert_null(check_of(BPF_JMP32 | BPF_JA, 0, 0, 0, -70000));
}

static void refuses_writes_to_r10(void **state)
{
	assert_non_null(check_of(BPF_ALU64 | BPF_ADD | BPF_K, 10, 0, 0, 8));
	assert_non_null(check_of(BPF_ALU64 | BPF_NEG, 10, 0, 0, 0));
	assert_non_null(check_of(BPF_ALU64 | BPF_END, 10, 0, 0, 16));
	assert_non_null(check_of(BPF_LD | BPF_IMM | BPF_DW, 10, 0, 0, 0));
	assert_non_null(check_of(BPF_LDX | BPF_MEM | BPF_W, 10, 1, 0, 0));
	assert_non_null(check_of(BPF_STX | BPF_ATOMIC | BPF_W, 1, 10, 0, BPF_ADD | BPF_FETCH));
	assert_non_null(check_of(BPF_STX | BPF_ATOMIC | BPF_W, 10, 1, 0, BPF_LOAD_ACQ));
	assert_null(check_of(BPF_STX | BPF_MEM | BPF_W, 10, 1, -4, 0));
	assert_null(check_of(BPF_STX | BPF_ATOMIC | BPF_DW, 10, 1, -8, BPF_ADD));
}

static void knows_the_atomic_operations(void **state)
{
	static const int32_t operations[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
	        BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG,
	        BPF_LOAD_ACQ, BPF_STORE_REL};
	uint32_t known = 0;
	for (int32_t imm = 0; imm < 0x400; imm++)
		known += !check_of(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, imm);
	assert_int_equal(known, ARRAY_SIZE(operations));
	for (uint32_t i = 0; i < ARRAY_SIZE(operations); i++) {
		assert_null(check_of(BPF_STX | BPF_ATOMIC | BPF_W, 1, 2, 0, operations[i]));
		assert_int_equal(!check_of(BPF_STX | BPF_ATOMIC | BPF_B, 1, 2, 0, operations[i]),
		        operations[i] >= 0x100);
	}
}

static void refuses_half_a_64_bit_load(void **state)
{
	struct bpf_insn insns[2] = {{.code = 0x18, .imm = 1}, {.imm = 2}};
	assert_null(opcode_check(insns, 2));
	assert_non_null(opcode_check(insns, 1));
	insns[1].code = 0x95;
	assert_non_null(opcode_check(insns, 2));
}

static void finds_helpers_by_number_and_names_all_of_the_kernel(void **state)
{
	for (uint32_t i = 0; i < helper_count; i++) {
		assert_ptr_equal(helper_find(helper_table[i].id), &helper_table[i]);
		assert_string_equal(helper_name(helper_table[i].id), helper_table[i].name);
	}
	assert_null(helper_find(0));
	assert_null(helper_find(BPF_FUNC_skb_load_bytes));
	assert_null(helper_find(UINT32_MAX));
	for (uint32_t id = 1; id <= 211; id++)
		assert_string_not_equal(helper_name(id), "unknown");
	assert_string_equal(helper_name(84), "bpf_sk_lookup_tcp");
	assert_string_equal(helper_name(211), "bpf_cgrp_storage_delete");
	assert_string_equal(helper_name(0), "unknown");
	assert_string_equal(helper_name(212), "unknown");
	assert_non_null(kfunc_find("bpf_dynptr_slice"));
	assert_null(kfunc_find("bpf_skb_ct_lookup"));
}

// A size stands behind each memory argument, a map before each key and value.
static void gives_helpers_sound_signatures(void **state)
{
	for (uint32_t i = 0; i < helper_count + kfunc_count; i++) {
		const struct helper *helper =
		        i < helper_count ? &helper_table[i] : &kfunc_table[i - helper_count];
		bool has_map = false, ended = false;
		for (uint32_t j = 0; j < 5; j++) {
			enum helper_arg arg = helper->args[j];
			if (arg == ARG_MEM_IN || arg == ARG_MEM_OUT)
				assert_int_equal(j < 4 ? helper->args[j + 1] : ARG_NONE, ARG_SIZE);
			if (arg == ARG_KEY || arg == ARG_VALUE)
				assert_true(has_map);
			assert_false(ended && arg != ARG_NONE);
			has_map |= arg == ARG_MAP;
			ended |= arg == ARG_NONE;
		}
	}
}

static void has_the_row_of_a_map_type_at_its_number(void **state)
{
	for (uint32_t i = 0; i < map_type_count; i++)
		assert_int_equal(map_type_table[i].type, i);
	assert_string_equal(map_type_find(BPF_MAP_TYPE_LPM_TRIE)->name, "lpm_trie");
	assert_true(map_type_find(BPF_MAP_TYPE_LRU_PERCPU_HASH)->is_per_cpu);
	assert_false(map_type_find(BPF_MAP_TYPE_SOCKMAP)->is_offered);
	assert_null(map_type_find(map_type_count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(counts_the_opcodes_of_the_standard),
	        cmocka_unit_test(says_what_an_opcode_accesses),
	        cmocka_unit_test(refuses_each_reserved_field_that_is_not_zero),
	        cmocka_unit_test(takes_the_forms_of_version_4),
	        cmocka_unit_test(refuses_writes_to_r10),
	        cmocka_unit_test(knows_the_atomic_operations),
	        cmocka_unit_test(refuses_half_a_64_bit_load),
	        cmocka_unit_test(finds_helpers_by_number_and_names_all_of_the_kernel),
	        cmocka_unit_test(gives_helpers_sound_signatures),
	        cmocka_unit_test(has_the_row_of_a_map_type_at_its_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
