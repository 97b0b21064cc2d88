// SPDX-License-Identifier: Apache-2.0
// What one forward pass over a program proves of it: what each register and stack slot holds where,
// so that an access that cannot miss needs no check. Shared by the report to the author (`raio
// check`) and by the compiler, which elides a check only where `proven` stands here. It rejects
// nothing; its time is bounded for any program that check_image() passes: joins widen after a few
// visits.
//
// Cards' rules, which make the proofs sound (docs/internals.md): pointers are plain numbers, card
// addresses below 2^32; a program may make any number and use it as a pointer; untyped stores may
// hit every window that can be written, the stack among them; maps' values and only those change
// under the program; frames of the stack begin as zeros.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;
struct image;

#define ANALYSIS_REGISTERS 11
#define ANALYSIS_MAPS      UINT16_MAX // in place of a map: of one of several
#define ANALYSIS_SLOTS     64 // of 8 bytes in a stack frame; slot i is [r10 - 8(i + 1), r10 - 8i)

enum value_kind {
	VALUE_UNREACHED,      // no path comes here
	VALUE_ANY,            // any 64 bits
	VALUE_SCALAR,         // a number in [min, max], unsigned
	VALUE_CONTEXT,        // the context's address
	VALUE_PACKET,         // xdp_md.data
	VALUE_PACKET_END,     // xdp_md.data_end
	VALUE_PACKET_META,    // xdp_md.data_meta
	VALUE_STACK,          // r10 of this frame
	VALUE_MAP,            // the handle of `map`
	VALUE_MAP_VALUE,      // the address of some value of `map`
	VALUE_MAP_VALUE_NULL, // that, or 0
};

// A register's value. Pointers are their base plus a number in [min, max], which as 64 bits signed
// is within ±2^31; a scalar is in [min, max] unsigned. min == max: known exactly.
struct value {
	uint8_t kind;
	bool by_branch; // the bounds hold because of a branch: a CPU may run ahead of it
	uint16_t map;   // or ANALYSIS_MAPS
	uint32_t id;    // of what is not known: equal ids of one place, equal parts; 0 = none
	int64_t min, max;
};

enum access_reason {
	REASON_PROVEN,
	REASON_UNTYPED,    // the pointer came from memory, from a helper, or is a number
	REASON_NOT_TESTED, // of the packet: bytes not tested against data_end
	REASON_MOVED,      // of the packet: the pointer was made before a helper moved the packet
	REASON_NULL,       // a pointer that may be 0 was not tested
	REASON_UNBOUNDED,  // the offset has no bound, or its bound is too large
	REASON_BEYOND,     // always outside: of the value, the stack, the context
	REASON_READ_ONLY,  // programs may not write it, or not read it
	REASON_ATOMIC,     // alignment is not known
	REASON_COUNT,
};
const char *access_reason_text(enum access_reason reason); // "not tested against data_end", …

// Of one instruction slot. `region`, `offset` and `map` are of loads, stores and atomics.
struct fact {
	uint8_t region; // enum value_kind of the base; VALUE_ANY where it is not known
	uint8_t reason; // enum access_reason
	bool proven;    // lies in its window whenever it runs: needs no check
	bool exact;     // `offset` is the one offset from the base, insn->off included
	bool by_branch; // proven only because of a branch, at an offset that is not exact
	bool reached;
	bool leader; // a block begins here: an entry, a jump's target, or what follows a jump
	bool loop;   // a path from this leader leads back to it
	uint16_t map;
	uint16_t live; // mask of the registers whose values are still used after it
	int32_t offset;
};

// A call of a helper or kfunc: its arguments R1 to R5 as the pass saw them.
struct call_fact {
	uint32_t insn;
	struct value args[5];
};

struct function_fact {
	uint32_t insn, end;   // [insn, end) of the program
	uint32_t stack_low;   // bytes below r10 that its own exact accesses reach; 0 to 512
	bool reads_unwritten; // may read stack bytes that this call of it did not write: a clean
	                      // frame is needed
	bool untyped_stores;  // it, or what it calls, may store through an untyped pointer
	bool moves_packet;    // it, or what it calls, may call a helper that moves the packet
	bool has_loop, calls; // bpf-to-bpf calls; callbacks
	uint16_t entry_live;  // registers read before they are written
};

struct analysis {
	uint32_t insn_count;
	struct fact *facts;
	struct call_fact *calls; // in order of insn
	uint32_t call_count;
	struct function_fact *functions; // as image_program.functions
	uint32_t function_count;
	uint64_t steps; // instructions looked at, each time: the work that it took
};

// Analyses program `index` of an image that check_image() passed. `is_bare`: R1 and R2 of its first
// function are unknown numbers, not the context. Errors: ENOMEM.
int analysis_new(const struct image *image, uint32_t index, bool is_bare,
        struct analysis **analysis, struct error *err);
void analysis_free(struct analysis **analysis);
// The facts of the call at `insn`; NULL where it is none.
const struct call_fact *analysis_call(const struct analysis *analysis, uint32_t insn);
