// SPDX-License-Identifier: Apache-2.0
// Private to combine*.c: a stretch of instructions, and where every byte in its registers comes
// from.
//
// A stretch is what runs from its first to its last instruction whenever it runs at all: within a
// block, without calls, atomics and accesses that are not proven. Each of its slots is a step; a
// step's number counts from the stretch's start.
//
// A register is a word of eight bytes, each told by one number: a constant byte (0 to 255), or byte
// k of value v as v * 8 + k. Values are what registers held when the stretch began
// (VALUE_OF_REGISTER), and what steps made that nothing more is known of (VALUE_OF_STEP). Equal
// numbers, equal bytes.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "ebpf/analysis.h"
#include "ebpf/opcode.h"

#define STEPS_MAX         2048u
#define NO_STEP           UINT16_MAX
#define VALUE_OF_REGISTER 32u // + register
#define VALUE_GONE        47u // in a register that nobody reads again
#define VALUE_OF_STEP     48u // + step
#define ROOT_NUMBER       31u // a place's root where its address is a known number

//
// A word is two numbers, four bytes in each, the lowest first: built and compared in registers,
// since eight small stores and a wide load would cost more than all the rest.
struct word {
	uint64_t low, high;
};
#define LANES 0x0001000100010001ull // one in each of a number's four

static inline uint16_t word_byte(struct word word, uint32_t i)
{
	return (uint16_t)((i < 4 ? word.low : word.high) >> (i & 3) * 16);
}
static inline struct word word_with(struct word word, uint32_t i, uint16_t byte)
{
	uint64_t *half = i < 4 ? &word.low : &word.high;
	*half = (*half & ~(0xffffull << (i & 3) * 16)) | (uint64_t)byte << (i & 3) * 16;
	return word;
}
static inline bool word_same(struct word a, struct word b)
{
	return ((a.low ^ b.low) | (a.high ^ b.high)) == 0;
}
// The low `size` bytes (1, 2, 4 or 8), zeros above.
static inline struct word word_cut(struct word word, uint32_t size)
{
	if (size < 8)
		word.high = 0;
	if (size < 4)
		word.low &= UINT64_MAX >> (64 - 16 * size);
	return word;
}
// All bytes up by `bytes` (0 to 7), zeros below.
static inline struct word word_shift(struct word word, uint32_t bytes)
{
	uint32_t by = bytes * 16;
	if (by == 0)
		return word;
	if (by >= 64)
		return (struct word){0, word.low << (by - 64)};
	return (struct word){word.low << by, word.high << by | word.low >> (64 - by)};
}
static inline struct word word_of_value(uint32_t value)
{
	return (struct word){LANES * (value << 3) + 0x0003000200010000ull,
	        LANES * (value << 3) + 0x0007000600050004ull};
}
static inline struct word word_of_constant(int64_t value)
{
	uint64_t v = (uint64_t)value;
	uint64_t low = (v & 0xffff) | (v & 0xffff0000) << 16, high = v >> 32;
	high = (high & 0xffff) | (high & 0xffff0000) << 16;
	return (struct word){(low & 0x000000ff000000ffull) | (low & 0x0000ff000000ff00ull) << 8,
	        (high & 0x000000ff000000ffull) | (high & 0x0000ff000000ff00ull) << 8};
}

// Bytes of memory, or the value of a pointer (size 0): `offset` from `root`, which is a value, the
// kind of an exact base (enum value_kind, below 32) or ROOT_NUMBER.
struct place {
	int64_t offset;
	uint16_t root;
	uint8_t size;
	bool is_store;
};

struct step {
	struct word word;    // what its register holds behind it; of a store: what it stores
	struct place origin; // of a load: as the program had it; of other values: as pointers
	struct place access; // what it touches now; a load that is gone still counts as a reader
	uint16_t dst, src;   // the steps that made what it reads from dst_reg and src_reg
	uint16_t uses;       // how often its result is read, leaving the stretch counted as well
	uint16_t memory;     // the step before it that touches memory
	uint16_t holder;     // of a load: the step that loads its bytes now
	uint16_t base_maker; // of a load's address, as the program had it: the step that made
	int16_t off;         // register `base`, and insn->off
	uint8_t base;
	int32_t offset; // the fact's, as the program had it
	bool is_load;   // the program's
	bool is_gone;
};

struct combiner {
	const struct generation *generation;
	struct bpf_insn *insns; // of the stretch, from its first slot
	struct fact *facts;     // likewise
	uint32_t count;
	struct step *steps;
	uint32_t room;   // for them
	uint16_t memory; // the last step that touches memory
	struct word registers[ANALYSIS_REGISTERS];
	uint16_t makers[ANALYSIS_REGISTERS]; // the steps that made them
};

uint8_t size_code(uint32_t size); // BPF_B, BPF_H, BPF_W, BPF_DW
static inline bool insn_is_nothing(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA) && insn->off == 0;
}

// Whether the bytes of two places, whose regions the facts tell, may be the same ones.
bool may_overlap(const struct combiner *it, const struct place *a, const struct fact *of_a,
        const struct place *b, const struct fact *of_b);
// Whether no store between the steps `first` and `last` may reach the place.
bool is_unchanged(const struct combiner *it, const struct place *place, const struct fact *fact,
        uint16_t first, uint16_t last);

// The step's result is read once less. Where that was the last time, the step goes, and with it
// what only it read.
void drop_use(struct combiner *it, uint16_t step);
static inline void add_use(struct combiner *it, uint16_t step)
{
	if (step != NO_STEP)
		it->steps[step].uses++;
}
void remove_step(struct combiner *it, uint16_t step); // and what only it read
// Puts a step that has come to touch memory among the others that do.
void chain_memory(struct combiner *it, uint16_t step);

// Bytes of memory that loads of the program brought, in one piece.
struct run {
	uint16_t loads[8]; // by byte of the word
	uint32_t size;
	int64_t offset; // of the lowest
	bool reversed;  // the word's first byte is the last in memory
	bool by_branch;
	uint16_t first, last; // of the loads
};
// Whether the low `size` bytes of `word` are such a run.
bool find_run(const struct combiner *it, struct word word, uint32_t size, struct run *run);
// Whether, where the results of steps `readers` (each read once) go, no byte of the run is loaded
// twice, but for memory that nobody else writes.
bool run_moves(const struct combiner *it, const struct run *run, const uint16_t *readers,
        uint32_t count, uint16_t except);
// Makes step `at` load the run into `reg`. False, and nothing is changed, where no register has its
// address there or the memory has changed.
bool load_run(struct combiner *it, const struct run *run, uint16_t at, uint8_t reg);

// What the step's instruction leaves in its register.
struct word word_of(const struct combiner *it, uint16_t step);
// The place that register `reg` and `offset` make: its offset and root.
void find_place(
        const struct combiner *it, uint8_t reg, int64_t offset, uint16_t step, struct place *place);

// Where step `at`, which has made a word of bytes, can load it at once instead.
void combine_word(struct combiner *it, uint16_t at);
// Where step `at`, a store, can do the work of stores before it.
void combine_store(struct combiner *it, uint16_t at);

// Where the jump behind the stretch only asks whether bytes that were ored together are zero.
void combine_zero_test(struct combiner *it, const struct bpf_insn *jump, const struct fact *fact);

// Over the whole program, before all that: what is known to be constant. `changed`: by instruction,
// whether it was rewritten.
int combine_constants(const struct generation *generation, const struct analysis *analysis,
        struct bpf_insn *insns, struct fact *facts, bool *changed);
