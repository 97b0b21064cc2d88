// SPDX-License-Identifier: Apache-2.0
// Private to the forward pass (analysis.h): its state, and what its files share.
//
//   analysis.c         the order of things: blocks, the fixpoint, what is handed out
//   analysis_blocks.c  leaders, blocks and the order that they are visited in
//   analysis_flow.c    what one instruction does to the state, and the facts of its access
//   analysis_values.c  arithmetic on values
//   analysis_branch.c  what a conditional jump tells
//   analysis_calls.c   what helpers, kfuncs and functions do to the state
//   analysis_join.c    where two paths meet
//   analysis_live.c    which registers are still used, backwards
#pragma once

#include <linux/bpf.h>
#include <stddef.h>

#include "ebpf/analysis.h"
#include "ebpf/image.h"

#define NONE          UINT32_MAX
#define STACK_BYTES   512
#define CONTEXT_BYTES 32
#define PACKET_BYTES  65535 // no packet is longer: its ends count 16 bits
#define POINTER_MAX   (INT64_C(1) << 31)
#define EXTENTS       8
#define VISITS_MAX    32 // of a block; after so many all that it knows is given up
#define THRESHOLDS    32
#define SAVED         (ANALYSIS_REGISTERS - 1) // r10 is the same everywhere

// Kinds that do not leave the pass.
#define VALUE_FUNCTION (VALUE_MAP_VALUE_NULL + 1) // address of the function at instruction min
#define VALUE_LOW      (VALUE_MAP_VALUE_NULL + 2) // a slot whose low 4 bytes are min
#define VALUE_PACKET_NULL                                                                          \
	(VALUE_MAP_VALUE_NULL + 3) // VALUE_PACKET or 0; of its id, extents hold
	                           // where it is not 0

// In a value's `map`: of that map or of others, whose values are not smaller and as accessible.
#define MAP_MIXED       0x8000u
#define KIND_BIT(kind)  (1u << (kind))
#define KINDS_PACKET    (KIND_BIT(VALUE_PACKET) | KIND_BIT(VALUE_PACKET_NULL))
#define KINDS_OF_PACKET (KINDS_PACKET | KIND_BIT(VALUE_PACKET_END) | KIND_BIT(VALUE_PACKET_META))
#define KINDS_OF_MAP    (KIND_BIT(VALUE_MAP_VALUE) | KIND_BIT(VALUE_MAP_VALUE_NULL))
#define KINDS_OF_NUMBER (KIND_BIT(VALUE_ANY) | KIND_BIT(VALUE_SCALAR))

// Why a value is VALUE_ANY, in its `map`; for the reason that the author is told.
enum mark { MARK_NONE, MARK_MOVED, MARK_UNBOUNDED };

// Bytes that a test against the end of its window proved: base + unknown part + bytes <= end.
#define ID_META (UINT32_MAX - 1) // of data_meta, against data
struct extent {
	uint32_t id;
	int32_t bytes;
};

struct state {
	struct value regs[ANALYSIS_REGISTERS];
	uint64_t known; // mask of the slots below that are not VALUE_ANY
	struct value slots[ANALYSIS_SLOTS];
	uint64_t written[STACK_BYTES /
	                 64]; // bytes of the frame that every path wrote; bit 0: r10-512
	uint32_t extent_count;
	struct extent extents[EXTENTS];
};

// A state where it is kept: without what is not known.
struct saved {
	uint64_t known;
	uint64_t written[STACK_BYTES / 64];
	uint32_t extent_count;
	struct extent extents[EXTENTS];
	struct value values[]; // SAVED registers, then the known slots in order
};

struct block {
	uint32_t start, end; // instructions [start, end)
	uint32_t function;
	uint32_t order;  // its place in reverse postorder; NONE where no path leads
	uint32_t next;   // the block that it falls into, or NONE
	uint32_t target; // of its jump, or NONE
	uint32_t visits;
	bool is_header; // a path leads back to it: bounds are widened here
	uint16_t live_in;
	struct saved *saved; // at its start; NULL: not reached
};

// Of a function, for its callers. One more stands for whatever a helper calls back.
struct summary {
	uint32_t entry;       // block
	uint32_t first_call;  // of it: index into calls, or NONE
	bool is_called;       // by bpf-to-bpf call
	bool is_callback;     // its address is taken
	bool calls, has_loop; // itself, like the next two
	bool own_moves, tail_calls;
	bool moves; // the packet: it, or what it calls
	bool untyped_stores, untyped_reads;
	bool unwritten; // it reads of its frame what it has not written
	uint32_t low;   // bytes below r10 that it reaches
};

// A place that a function is called from.
struct call {
	uint32_t block;
	uint32_t next; // of the same function, or NONE
};

struct chunk;
struct helper;

// For tests: sees the state before each instruction, at each visit; the last one's is what holds.
typedef void analysis_watch(void *context, uint32_t insn, const struct state *state);
int analysis_watched(const struct image *image, uint32_t index, bool is_bare, analysis_watch *watch,
        void *context, struct analysis **analysis, struct error *err);

struct pass {
	const struct image *image;
	const struct image_program *program;
	struct analysis *out;
	uint32_t *block_at; // by instruction
	uint32_t *sites;    // instructions that call functions, or take their addresses
	uint32_t site_count, helper_calls;
	struct block *blocks;
	uint32_t block_count;
	uint32_t *order; // blocks in reverse postorder, functions one after the other
	uint32_t order_count;
	uint64_t *pending;         // a bit for each place in `order`
	struct summary *functions; // function_count and one
	struct call *calls;
	uint32_t call_count;
	uint64_t thresholds[THRESHOLDS]; // where widening stops, ascending
	uint32_t threshold_count;
	uint32_t next_id;
	bool all_callbacks; // a helper may be given the address of any function
	bool again;         // that was found out under way
	bool all_store;     // functions are held to store anywhere: it took too long to find out
	bool out_of_memory;
	struct chunk *chunks;
	size_t memory;    // of all chunks
	uint32_t *spread; // functions whose callers are to be told something
	uint32_t spread_count;
	uint32_t function; // that the pass stands in
	analysis_watch *watch;
	void *watch_context;
	struct state state, other;
};

// analysis_blocks.c. False: out of memory.
bool blocks_find(struct pass *pass);
// The function that `insn` stands in.
uint32_t blocks_function(const struct pass *pass, uint32_t insn);

// analysis_join.c. Brings a state to the start of a block; sets it pending where that says more.
void join_into(struct pass *pass, uint32_t block, const struct state *state);
void state_load(struct state *state, const struct saved *saved);
void state_copy(struct state *to, const struct state *from);
void join_free(struct pass *pass);

// analysis_values.c
static inline bool value_is(const struct value *value, unsigned kinds)
{
	return kinds >> value->kind & 1;
}
struct value value_any(enum mark mark);
struct value value_scalar(uint64_t min, uint64_t max, bool by_branch);
static inline bool value_is_number(const struct value *value)
{
	return value_is(value, KINDS_OF_NUMBER);
}
static inline uint64_t value_min(const struct value *value)
{
	return value->kind == VALUE_SCALAR ? (uint64_t)value->min : 0;
}
static inline uint64_t value_max(const struct value *value)
{
	return value->kind == VALUE_SCALAR ? (uint64_t)value->max : UINT64_MAX;
}
static inline bool value_is_exactly(const struct value *value, uint64_t number)
{
	return value->kind == VALUE_SCALAR && value->min == value->max &&
	       (uint64_t)value->min == number;
}
// KIND_ALU, KIND_NEG, KIND_SWAP.
void value_compute(struct pass *pass, struct state *state, const struct bpf_insn *insn);

// analysis_branch.c. Narrows the state to the paths where the jump is taken, or not. False: none.
bool branch_refine(struct state *state, const struct bpf_insn *insn, bool taken);
int32_t extent_of(const struct state *state, uint32_t id); // INT32_MIN: none
void extent_set(struct state *state, uint32_t id, int64_t bytes);

// analysis_flow.c
void flow_block(struct pass *pass, uint32_t block);
const struct image_map *map_of(const struct pass *pass, const struct value *value);
bool map_allows(const struct image_map *map, bool is_write);
// Whether `size` bytes at the pointer lie in its window whenever this runs.
enum access_reason access_judge(const struct pass *pass, const struct state *state,
        const struct value *base, int64_t offset, int64_t size, bool is_write);
// The number that 4 bytes of the frame hold.
struct value frame_word(const struct state *state, int64_t offset);
// What a read, or a write of unknown bytes, of `size` bytes at a pointer does to the frame.
void access_read_frame(struct pass *pass, struct state *state, const struct value *base,
        int64_t offset, int64_t size);
void access_write_frame(struct pass *pass, struct state *state, const struct value *base,
        int64_t offset, int64_t size);

// analysis_calls.c. CALL in all its forms; `at` is its instruction.
void call_run(struct pass *pass, struct state *state, uint32_t at);
// The signature of the helper or kfunc that a CALL names.
const struct helper *call_helper(const struct image *image, const struct bpf_insn *insn);
bool call_moves(const struct bpf_insn *insn); // the packet
bool call_is_tail(const struct bpf_insn *insn);
bool call_goes_back(const struct helper *helper); // calls functions of the program
// A store through a pointer that is not known, in the function that the pass stands in.
void call_note_untyped_store(struct pass *pass);
// Sets the flag at `offset` in struct summary for all who call one that has it.
void call_spread(struct pass *pass, size_t offset);

// analysis_live.c. False: out of memory.
bool live_find(struct pass *pass);
