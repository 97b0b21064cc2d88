// SPDX-License-Identifier: Apache-2.0
// Private to the compiler: what it knows while it goes through one program. compile.c goes through
// the instructions; counts.c says what is counted where; compile_access.c, compile_call.c,
// compile_map.c and compile_update.c write loads and stores, calls, and operations of maps; slots.c
// chooses the stack slots that live in registers; runtime.c is the C that emitted code calls.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "ebpf/analysis.h"
#include "engine/native/asm.h"
#include "engine/state.h"

// What the interpreter would have counted and charged by now that memory does not say yet.
struct pending {
	uint32_t steps, helpers;
	int32_t budget;
};

// Registers whose values are known and not yet in them.
struct lazy {
	uint16_t known, stack; // masks; `stack`: those of them that are places on the stack
	int64_t values[ANALYSIS_REGISTERS]; // constants, or bytes above r10
};
static inline void lazy_forget(struct lazy *lazy, uint32_t mask)
{
	lazy->known &= (uint16_t)~mask;
	lazy->stack &= (uint16_t)~mask;
}
static inline void lazy_set(struct lazy *lazy, unsigned reg, bool is_stack, int64_t value)
{
	lazy_forget(lazy, 1u << reg);
	lazy->known |= (uint16_t)(1u << reg);
	lazy->stack |= (uint16_t)(is_stack << reg);
	lazy->values[reg] = value;
}
static inline bool lazy_is_constant(const struct lazy *lazy, unsigned reg)
{
	return (lazy->known & ~lazy->stack) >> reg & 1;
}

// A stack slot that lives in a machine register: bytes [offset, offset + size) of the frame, as
// seen from r10.
struct slot {
	int32_t offset;
	uint32_t size; // at most 8
};

#define AHEAD_ROUNDS  4u // the place of a look-up, then its value; the same for a second look-up
#define AHEAD_MAPS    4u
#define AHEAD_ENTRIES 16384u // of a map that is worth it

// What a generation's programs want set for each packet.
struct uses {
	uint32_t context;    // fields of xdp_md by offset / 4; UINT32_MAX: all
	uint32_t entry_live; // registers that the entry reads before it writes them
	bool budget;         // what is left of it, in memory
	bool windows;        // packet_start and packet_end, for checked accesses
	bool holds;          // locks or records that must be let go
	// The large maps that compile_ahead() comes to first, and second.
	struct {
		const struct map *maps[AHEAD_MAPS];
		uint32_t count;
	} large[AHEAD_ROUNDS / 2];
	bool needs_clean; // the entry wants a clean frame
};

struct compiler;
struct helper_code;

// Code that is seldom run and stands behind its function.
struct stub {
	void (*emit)(struct compiler *compiler, const struct stub *stub);
	uint32_t label, back; // where it begins; where it goes on
	uint32_t insn, target;
	uint32_t address, what; // of a checked access; or what else the code is to know
	struct lazy lazy;
};

struct compiler {
	struct generation *generation;
	struct code *code;
	const struct analysis *analysis;
	struct bpf_insn *insns; // rewritten by combine(); the interpreter keeps its own
	struct fact *facts;     // the analysis's own, which nobody else reads behind it
	uint32_t program, insn_count;
	bool verify, look_ahead;
	bool tail_calls;       // some program of the generation makes them
	uint64_t blind;        // the key of constants
	uint32_t *functions;   // labels of the program's functions
	uint32_t thunk_access; // labels of what all programs share
	uint32_t thunk_clean, thunk_release;

	uint32_t burst, loop; // labels of the burst's way in and of its loop
	bool in_loop;         // the program's first function stands in it
	uint32_t end;         // label: where that function ends
	bool keeps_loop;      // the program leaves R6 to R8, where the loop is, alone
	bool in_word;         // the function that is compiled counts in SCRATCH_COUNT

	struct pending *pending; // before each instruction
	uint32_t *need;          // budget that a way from here may take before it is checked again
	uint32_t *labels;        // of leaders, by instruction

	const struct function_fact *function;
	uint32_t saved; // mask of registers that the function saves
	uint32_t resume, leave;
	struct slot slots[ASM_SLOTS];
	uint32_t slot_count;
	uint32_t *slots_live; // by instruction: mask of slots whose bytes are read from there on

	uint32_t ahead;                // which round of compile_ahead(); 0: none
	uint32_t rounds[AHEAD_ROUNDS]; // labels
	uint32_t depth;                // large maps that it has come through here, at least
	uint8_t *depths;               // the same at leaders that it jumps to
	uint32_t furthest;             // of those leaders
	struct uses *uses;

	struct lazy lazy;
	bool skip_jump; // the look-up before has taken this jump already
	struct stub *stubs;
	uint32_t stub_count, stub_room;
	bool failed; // no memory
};

#define ENGINE_FIELD(field) mem_at(REG_ENGINE, (int32_t)offsetof(struct engine, field))
#define SCRATCH_REGS        0   // r0 to r10 for the interpreter
#define SCRATCH_ARGS        128 // R1 to R5 for a helper
#define SCRATCH_LOOP        168 // the burst's loop: two words
#define SCRATCH_COUNT       184 // steps and helper calls of the packet

static inline enum reg reg_of(unsigned bpf)
{
	return (enum reg)(REG_R0 + bpf); // r10 has none: see compile_operand()
}

// compile.c
// Adds to *uses what the program uses. -ENOMEM.
int compile_program(struct compiler *compiler, struct uses *uses);
void compiler_clear(struct compiler *compiler); // frees what belongs to one program

// counts.c
int counts_plan(struct compiler *compiler); // -ENOMEM; fills pending and need
bool helper_is_dynamic(const struct compiler *compiler, uint32_t insn); // looks at the budget
uint32_t helper_cost(const struct compiler *compiler, uint32_t insn);
void counts_flush(struct compiler *compiler, struct pending pending);        // all of it
void counts_flush_budget(struct compiler *compiler, struct pending pending); // the budget only
bool counts_differ(const struct compiler *compiler); // compiler->function needs a word for them
void counts_begin(struct compiler *compiler);        // of a packet; where there is a word
void counts_end(struct compiler *compiler);          // from there to the engine; changes T0 and T1
// Writes a jump from `insn` to `target` that is taken: counts and charges. `label` receives where
// it begins, or the target's own label if there is nothing to do.
uint32_t counts_edge(struct compiler *compiler, uint32_t insn, uint32_t target);

uint32_t compile_label(struct compiler *compiler, uint32_t insn);
void compile_zeros(struct compiler *compiler, uint32_t mask); // registers, as programs begin
// Says how far down the function may write its frame: whoever wants a clean one next looks there.
void compile_dirty_frame(struct compiler *compiler);
void compile_insn(struct compiler *compiler, uint32_t at);
void compile_stubs(struct compiler *compiler);
struct stub *compile_stub(struct compiler *compiler, uint32_t insn,
        void (*emit)(struct compiler *, const struct stub *));
// The label of code that hands over to the interpreter at `insn`, which has not run yet.
uint32_t compile_resume(struct compiler *compiler, uint32_t insn);
// The register that holds a source operand; known values are put in it, r10 into T0.
enum reg compile_operand(struct compiler *compiler, unsigned bpf);
void compile_settle(struct compiler *compiler, uint32_t mask); // known values of these into them

void compile_constant(struct compiler *compiler, enum reg dst, uint64_t value); // blinded
#define CONSTANT_PLAIN 0xffffff // constants up to it, either way, may stand in the code as they are

// compile_access.c
void compile_load(struct compiler *compiler, uint32_t insn);
void compile_store(struct compiler *compiler, uint32_t insn);
void compile_atomic(struct compiler *compiler, uint32_t insn);

// compile_filter.c: in front of a chain of compares that begins at `insn`; where it ends, or `insn`
uint32_t compile_filter(struct compiler *compiler, uint32_t insn);

// compile_call.c
void compile_call(struct compiler *compiler, uint32_t insn);
const struct helper_code *compile_helper_code(const struct bpf_insn *call);
// A helper out of line: spills, tells memory that `charged` of the budget is spent, calls, and
// looks whether it faulted. R0 is its result; R1 to R5 are not cleared yet.
void compile_helper(struct compiler *compiler, uint32_t insn, int32_t charged);
void compile_fault_check(struct compiler *compiler, uint32_t insn);
void compile_clear_arguments(struct compiler *compiler, uint32_t insn);
void compile_clean_frame(struct compiler *compiler); // FRAME's, if it is not clean
void compile_release(struct compiler *compiler);     // what the packet holds
void compile_thunks(struct compiler *compiler);

// Compares what is left of the budget with what the ways from `next` may take.
void compile_check_budget(struct compiler *compiler, uint32_t next);

// Of a call's arguments: the map, if it is known; whether `size` bytes at a known place of this
// frame's stack are meant.
struct linked_map *compile_known_map(const struct compiler *compiler, const struct value *value);
bool value_on_stack(const struct value *value, uint32_t size);

// compile_map.c: operations that are done in place, at the helper's fixed cost
// Whether it never comes to a helper either, which would look at the budget.
bool compile_map_in_place(const struct compiler *compiler, uint32_t insn);
bool compile_map_inlines(const struct compiler *compiler, uint32_t insn);
bool compile_map(struct compiler *compiler, uint32_t insn);             // false: it is none
bool compile_map_ahead(struct compiler *compiler, uint32_t insn);       // false: stop behind it
bool compile_map_large(const struct compiler *compiler, uint32_t insn); // a look-up to ask for
// Bytes of the key of a map operation with a known map and a key at a known place of the stack; 0
// for any other call.
uint32_t compile_map_key(const struct compiler *compiler, uint32_t insn);

// compile_update.c: the same for changes; *cost: what they are charged besides the helper's cost
bool compile_update_inlines(const struct compiler *compiler, uint32_t insn, uint32_t *cost);
bool compile_update(struct compiler *compiler, uint32_t insn);

// slots.c
void slots_plan(struct compiler *compiler); // for compiler->function
// The slot that holds [offset, offset + size), or NULL; *at is where in it.
const struct slot *slot_of(
        const struct compiler *compiler, int32_t offset, uint32_t size, uint32_t *at);
uint32_t slots_overlapping(const struct compiler *compiler, int64_t offset, uint32_t size);
void slots_spill(struct compiler *compiler, uint32_t mask);
void slots_fill(struct compiler *compiler, uint32_t mask);

// compile_ahead.c: behind the first function, where that stands in the loop. -ENOMEM.
int compile_ahead(struct compiler *compiler);

// compile_burst.c
void compile_uses(const struct compiler *compiler, struct uses *uses);       // adds one program's
void compile_burst_head(struct compiler *compiler, const struct uses *uses); // up to the program
void compile_burst_tail(struct compiler *compiler, const struct uses *uses); // R0 is its result
// Whether the helper called looks at windows and context: native_refresh() comes before it.
bool compile_needs_refresh(const struct compiler *compiler, uint32_t insn);

// runtime.c: called by emitted code.
void native_refresh(struct engine *engine);
void native_release(struct engine *engine);
uint8_t *native_access(struct engine *engine, uint64_t address, uint64_t what);
uint64_t native_resume(struct engine *engine, uint64_t *r, uint64_t program, uint64_t insn);
void native_fault(struct engine *engine, uint64_t program, uint64_t insn);
void native_clean(struct engine *engine);
const void *native_tail(struct engine *engine);
#define ACCESS_WRITE  0x100u // with the size, in `what`
#define ACCESS_VERIFY 0x200u // was proven: stop the process if it misses
