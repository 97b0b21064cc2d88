// SPDX-License-Identifier: Apache-2.0
// A machine without an assembler: nothing is offered, and so nothing else is ever called.
#include <stdlib.h>

#include "engine/native/code.h"

#define NEVER(declaration)                                                                         \
	declaration                                                                                \
	{                                                                                          \
		abort();                                                                           \
	}

bool asm_offered(void)
{
	return false;
}

NEVER(void asm_move(struct code *code, enum reg dst, enum reg src, bool wide))
NEVER(void asm_sign_extend(struct code *code, enum reg dst, enum reg src, unsigned bits, bool wide))
NEVER(void asm_constant(struct code *code, enum reg dst, uint64_t value))
NEVER(void asm_lea(struct code *code, enum reg dst, struct mem mem))
NEVER(void asm_alu(struct code *code, uint8_t op, enum reg dst, enum reg src, bool wide))
NEVER(void asm_alu_constant(struct code *code, uint8_t op, enum reg dst, int32_t value, bool wide))
NEVER(void asm_negate(struct code *code, enum reg dst, bool wide))
NEVER(void asm_swap(struct code *code, enum reg dst, unsigned bits, bool swap))
NEVER(void asm_divide(
        struct code *code, uint8_t op, bool is_signed, enum reg dst, enum reg src, bool wide))
NEVER(void asm_multiply_fold(struct code *code, enum reg dst, enum reg a, enum reg b))
NEVER(void asm_load(struct code *code, enum reg dst, struct mem mem, unsigned size, bool is_signed))
NEVER(void asm_store(struct code *code, struct mem mem, enum reg src, unsigned size))
NEVER(void asm_store_constant(struct code *code, struct mem mem, int32_t value, unsigned size))
NEVER(void asm_memory_add(struct code *code, struct mem mem, int64_t value))
NEVER(void asm_prefetch(struct code *code, struct mem mem))
NEVER(void asm_atomic(struct code *code, int32_t op, unsigned size, struct mem mem, enum reg src))
NEVER(void asm_jump(struct code *code, uint32_t label))
NEVER(void asm_branch(
        struct code *code, uint8_t op, enum reg a, enum reg b, bool wide, uint32_t label))
NEVER(void asm_branch_constant(
        struct code *code, uint8_t op, enum reg a, int32_t b, bool wide, uint32_t label))
NEVER(void asm_branch_memory(
        struct code *code, uint8_t op, enum reg a, struct mem b, unsigned size, uint32_t label))
NEVER(void asm_branch_memory_constant(
        struct code *code, uint8_t op, struct mem a, int32_t b, unsigned size, uint32_t label))
NEVER(void asm_jump_register(struct code *code, enum reg target))
NEVER(void asm_call(struct code *code, uint32_t label))
NEVER(void asm_call_register(struct code *code, enum reg target))
NEVER(void asm_call_host(struct code *code, const void *function))
NEVER(void asm_memory_add_register(struct code *code, struct mem mem, enum reg src))
NEVER(void asm_match(struct code *code, enum reg dst, enum reg key, struct mem mem))
NEVER(void asm_lowest_bit(struct code *code, enum reg dst, enum reg src))
NEVER(void asm_load_acquire(struct code *code, enum reg dst, struct mem mem))
NEVER(void asm_load_fence(struct code *code))
NEVER(void asm_slot_zero(struct code *code, unsigned slot))
NEVER(void asm_slot_insert(
        struct code *code, unsigned slot, unsigned at, unsigned size, enum reg src))
NEVER(void asm_slot_insert_constant(
        struct code *code, unsigned slot, unsigned at, unsigned size, int32_t value))
NEVER(void asm_slot_insert_memory(
        struct code *code, unsigned slot, unsigned at, unsigned size, struct mem mem))
NEVER(void asm_slot_extract(
        struct code *code, enum reg dst, unsigned slot, unsigned at, unsigned size, bool is_signed))
NEVER(void asm_slot_load(struct code *code, unsigned slot, struct mem mem))
NEVER(void asm_slot_store(struct code *code, struct mem mem, unsigned slot))
NEVER(void asm_function_begin(struct code *code, uint32_t saved))
NEVER(void asm_function_end(struct code *code, uint32_t saved))
NEVER(void asm_function_leave(struct code *code, uint32_t saved))
NEVER(void asm_entry(struct code *code, uint32_t sp_offset))
NEVER(void asm_unwind(struct code *code, uint32_t sp_offset))
NEVER(uint32_t asm_features(void))
NEVER(bool asm_fix_reaches(uint32_t kind, int64_t distance))
NEVER(void asm_fix(uint8_t *place, uint32_t kind, int64_t distance))
NEVER(void asm_fix_host_call(uint8_t *place, uintptr_t address, const void *function))
