// SPDX-License-Identifier: Apache-2.0
// What the tests of the assembler share: pieces of code, each one operation, are emitted together,
// run with registers, slots and memory of chance, and compared with what a model in C says.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/native/asm.h"

#define KIT_REGISTERS 15u // R0 to T1
#define KIT_AREA      64u

// What ENGINE points at. An operation works on `area`.
struct machine {
	uint64_t sp, base, frame; // the last two as code must leave them
	uint64_t in[KIT_REGISTERS], out[KIT_REGISTERS];
	uint64_t slots_in[ASM_SLOTS], slots_out[ASM_SLOTS];
	uint64_t taken; // by a branch
	uint8_t area[KIT_AREA] __attribute__((aligned(16)));
};

// One operation with its operands; which of them it has is the test's affair.
struct piece {
	uint8_t op;
	bool wide, is_signed;
	enum reg dst, src, other;
	int32_t value;
	uint64_t constant;
	unsigned size, slot, at;
	struct mem mem; // where mem.base is not REG_NONE, it is made to mean `area` + place
	unsigned place;
	int32_t padding;     // instructions between a branch and its label; negative: backwards
	uint32_t may_change; // registers that the model says nothing about
	uint32_t label;
};

// What the model works on: as `struct machine`, before and then after.
struct expected {
	uint64_t reg[KIT_REGISTERS];
	uint64_t slots[ASM_SLOTS];
	uint8_t area[KIT_AREA] __attribute__((aligned(16)));
	uint8_t *at; // mem
	uint64_t taken;
};

typedef void kit_emit(struct code *code, const struct piece *piece);
typedef void kit_model(struct expected *expected, const struct piece *piece);

// The pieces of a test; kit_run() runs each of them `rounds` times and frees the list. **state is
// whether to do without what only some machines have: a test stands in its table as KIT_BOTH().
struct kit_list {
	struct piece *pieces;
	uint32_t count, capacity;
};
struct kit_list kit_list_new(void);
void kit_add(struct kit_list *list, struct piece piece);
void kit_run(
        struct kit_list *list, kit_emit *emit, kit_model *model, void **state, uint32_t rounds);

#define KIT_NO_MEM                                                                                 \
	{                                                                                          \
		REG_NONE, REG_NONE, 0                                                              \
	}
#define KIT_BIT(reg) (1u << (reg))
#define KIT_BOTH(function)                                                                         \
	{#function, function, NULL, NULL, &all},                                                   \
	{                                                                                          \
#function " (least)", function, NULL, NULL, &least                                 \
	}

// Every register that an operation may change; as a source ENGINE may stand, too.
static inline bool kit_is_target(enum reg reg)
{
	return reg != REG_ENGINE && reg <= REG_T1;
}
static inline uint64_t kit_narrow(uint64_t value, bool wide)
{
	return wide ? value : (uint32_t)value;
}
static inline uint64_t kit_sign_extend(uint64_t value, unsigned bits)
{
	return (uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits));
}

// Code that can be run. It begins with asm_entry().
struct kit_code {
	struct code *code;
	struct code_memory *memory;
	const uint8_t *block;
};
void kit_code_new(struct kit_code *kit, bool least);
void kit_code_place(struct kit_code *kit); // when it is finished
uint64_t kit_code_call(const struct kit_code *kit, struct machine *machine, uint32_t label,
        const uint64_t args[5]);
void kit_code_free(struct kit_code *kit);

// What an operation of asm_alu() gives.
uint64_t kit_alu(uint8_t op, uint64_t d, uint64_t s, bool wide);

// The conditions of branches, and what they say.
#define KIT_JUMPS 11u
extern const uint8_t kit_jumps[KIT_JUMPS];
bool kit_compare(uint8_t op, uint64_t a, uint64_t b, bool wide);

uint64_t kit_random(uint64_t *seed);
uint64_t kit_operand(uint64_t *seed); // often at a corner
