// SPDX-License-Identifier: Apache-2.0
// Private to the generator of random programs (random_program.h): what is being written, and the
// pieces that it is put together from. For tests only.
//
// Registers: r0 holds a number between pieces, r6 to r9 a number or a pointer, as `kind` says; r1
// to r5 serve for addresses and arguments. The stack: numbers at -64 to -1, then the places below.
#pragma once

#include "engine/random_program.h"

enum { CONTEXT_AT = -72, KEY_AT = -104, VALUE_AT = -144, SPILL_AT = -176, STACK_LOW = -176 };

enum held {
	HELD_NUMBER,
	HELD_COUNTER, // a number that the piece around needs
	HELD_PACKET,
	HELD_VALUE,
};

enum callee { CALLEE_NUMBERS, CALLEE_POINTER, CALLEE_LOOP, CALLEE_EACH, CALLEE_COUNT };

#define OUTS_MAX 64u

struct writer {
	struct random_program *program;
	struct random *random;
	bool is_free;
	uint8_t held[10];
	uint8_t extent[10]; // bytes behind a held pointer that may be touched
	uint8_t spilled[4], spilled_extent[4];
	uint32_t callees[CALLEE_COUNT]; // the last call of each: a chain through imm, 0 = none
	uint32_t outs[OUTS_MAX];        // jumps to the end
	uint32_t out_count;
};

// random_writer.c
uint32_t pick(struct writer *w, uint32_t below);
bool one_in(struct writer *w, uint32_t n);
void put(struct writer *w, int code, unsigned dst, unsigned src, int off, int32_t imm);
void put_kept(struct writer *w, int code, unsigned dst, unsigned src, int off, int32_t imm);
void put_move(struct writer *w, unsigned dst, unsigned src);
void put_number(struct writer *w, unsigned dst, int32_t value);
void put_add(struct writer *w, unsigned dst, int32_t value);
void put_load(struct writer *w, int size, unsigned dst, unsigned base, int off);
void put_store(struct writer *w, int size, unsigned base, int off, unsigned src);
void put_helper_call(struct writer *w, int32_t helper);
void put_wide(struct writer *w, unsigned dst, unsigned kind, int32_t low, int32_t high);
void put_jump(struct writer *w, int code, unsigned a, unsigned b, int32_t imm, int slots);
void put_jump_out(struct writer *w, int code, unsigned a, unsigned b, int32_t imm);
void put_outs(struct writer *w);                // they lead here
void patch_jump(struct writer *w, uint32_t at); // it leads here
unsigned any_register(struct writer *w);        // with a number
int32_t any_number(struct writer *w);
int any_size(struct writer *w, int *bytes);
// A free r6 to r9, or 0 where too few numbers would be left.
unsigned take_register(struct writer *w);
void hold(struct writer *w, unsigned reg, enum held kind, uint32_t extent);
// Those of r6 to r9 that hold what `kind` says, one by chance; 0: none.
unsigned held_register(struct writer *w, enum held kind);

// random_simple.c: numbers only, no jump out, nothing but r0, r6 to r9 and the stack's numbers.
void put_simple(struct writer *w);
void put_branch(struct writer *w);
void put_loop(struct writer *w);
// A load or store at base + `at`, `room` bytes long.
void put_access(struct writer *w, unsigned base, int at, int room, bool aligned);
void put_atomic(struct writer *w, unsigned base, int at, int room);

// random_packet.c
void put_packet(struct writer *w);
void put_held_packet(struct writer *w);
void put_variable_offset(struct writer *w);
void put_move_packet(struct writer *w);
void forget_packet(struct writer *w); // no pointer to it holds any more

void put_ends(struct writer *w);     // r2 = data, r3 = data_end
uint32_t put_test(struct writer *w); // jumps where r4 is beyond r3; returns where, to be patched

// random_bytes.c
void put_copy(struct writer *w);
void put_gather(struct writer *w);
void put_scatter(struct writer *w);
void put_compare(struct writer *w);

// random_map.c
void put_map(struct writer *w);
void put_held_value(struct writer *w);
void put_global(struct writer *w);
void put_spill(struct writer *w);
void put_inner(struct writer *w);
void put_constants(struct writer *w);

// random_call.c
void put_helper(struct writer *w);
void put_call(struct writer *w);
void put_callback(struct writer *w);
void put_tail_call(struct writer *w);
void put_redirect(struct writer *w);
void put_callees(struct writer *w);
void put_prologue(struct writer *w, unsigned from);

// random_wild.c: what no verifier would pass.
void put_wild(struct writer *w);
void put_stack_alias(struct writer *w); // needs no context
void mutate(struct writer *w);
