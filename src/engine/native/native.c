// SPDX-License-Identifier: Apache-2.0
// The machine code of a generation: one block for all of its programs and what they share. Made
// while the generation is loaded, before any packet sees it; the first packet runs it.
#include "engine/native/native.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"
#include "engine/access.h"
#include "engine/native/code_memory.h"
#include "engine/native/compile.h"
#include "map/map.h"
#include "map/mem.h"

#define AHEAD_BURST  4u         // packets; fewer do not overlap
#define AHEAD_TABLES (4u << 20) // bytes; measured: below, a round costs what it gains
#define AHEAD_VALUES (2u << 20)

typedef uint64_t enter_fn(struct engine *engine, uint8_t *base, uint8_t *frame,
        const void *function, const uint64_t args[5]);

struct native_program {
	uint32_t *functions; // by number: position of the function's code
	bool *called_back;   // by number: the program gives its handle to helpers
	uint32_t function_count;
	bool needs_clean; // of the first one
};

struct native {
	struct code_memory *memory;
	const uint8_t *code;
	uint32_t size;
	enter_fn *enter;
	const uint8_t *burst;
	const uint8_t *rounds[AHEAD_ROUNDS];
	bool look_ahead; // always
	bool in_loop;    // the entry program's first function cannot be entered by itself
	struct uses uses;
	struct native_program *programs;
	uint32_t program_count;
};

bool native_offered(void)
{
	return asm_offered();
}

static bool makes_tail_calls(const struct generation *generation)
{
	for (uint32_t i = 0; i < generation->program_count; i++) {
		const struct program *program = &generation->programs[i];
		for (uint32_t at = 0; at < program->insn_count; at++) {
			const struct bpf_insn *insn = &program->insns[at];
			if (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == 0 &&
			        insn->imm == BPF_FUNC_tail_call)
				return true;
			at += insn_is_lddw(insn);
		}
	}
	return false;
}

static int by_insn(const void *insn, const void *function)
{
	uint32_t a = *(const uint32_t *)insn, b = ((const struct image_function *)function)->insn;
	return a < b ? -1 : a > b;
}

static void note_callback(
        struct native_program *native, const struct image_program *source, uint32_t insn)
{
	const struct image_function *function = bsearch(&insn, source->functions,
	        source->function_count, sizeof(source->functions[0]), by_insn);
	if (function)
		native->called_back[function - source->functions] = true;
}

// Which functions the program calls back, and whether it enters its first one again.
static bool find_callbacks(struct native_program *native, const struct image_program *source)
{
	bool enters_first = false;
	for (uint32_t at = 0; at < source->insn_count; at++) {
		const struct bpf_insn *insn = &source->insns[at];
		bool call = insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
		bool handle = insn_is_lddw(insn) && insn->src_reg == BPF_PSEUDO_FUNC;
		if (call || handle)
			enters_first |= image_callee(insn, at) == 0;
		if (handle)
			note_callback(native, source, (uint32_t)image_callee(insn, at));
		at += insn_is_lddw(insn);
	}
	return enters_first;
}

// One program into the code that is made; its labels into native->programs.
static int add_program(struct native *native, const struct compiler *shared, uint32_t index,
        bool is_bare, struct error *err)
{
	struct compiler compiler = *shared;
	struct analysis *analysis = NULL;
	struct native_program *program = &native->programs[index];
	int r = analysis_new(compiler.generation->image, index, is_bare, &analysis, err);
	if (r)
		return r;
	bool is_entry = index == compiler.generation->image->entry;
	compiler.program = index;
	compiler.analysis = analysis;
	program->function_count = analysis->function_count;
	program->called_back = calloc(program->function_count, sizeof(bool));
	if (!program->called_back) {
		analysis_free(&analysis);
		return error_set(err, ENOMEM, "out of memory for machine code");
	}
	bool again = find_callbacks(program, &compiler.generation->image->programs[index]);
	compiler.in_loop = is_entry && !is_bare && !compiler.tail_calls && !again;
	program->needs_clean = analysis->functions[0].reads_unwritten;
	if (is_entry) {
		native->in_loop = compiler.in_loop;
		native->uses.needs_clean = program->needs_clean;
		native->uses.entry_live = analysis->functions[0].entry_live;
	}
	r = compile_program(&compiler, &native->uses);
	if (r) {
		error_set(err, -r, "out of memory for machine code");
	} else {
		program->functions = TAKE_PTR(compiler.functions);
	}
	compiler_clear(&compiler);
	analysis_free(&analysis);
	return r;
}

// Labels become positions; what nothing reaches has none, though a handle of it may be made up.
static void take_positions(struct native *native, const struct code *code)
{
	for (uint32_t i = 0; i < native->program_count; i++) {
		struct native_program *program = &native->programs[i];
		for (uint32_t f = 0; f < program->function_count; f++) {
			uint32_t position = asm_position(code, program->functions[f]);
			program->functions[f] = position;
			program->called_back[f] &= position < code_size(code);
		}
	}
}

static int add_programs(
        struct native *native, struct compiler *compiler, bool is_bare, struct error *err)
{
	struct code *code = compiler->code;
	asm_entry(code, offsetof(struct engine, native_sp));
	compiler->thunk_access = asm_label(code);
	compiler->thunk_clean = asm_label(code);
	compiler->thunk_release = asm_label(code);
	compile_thunks(compiler);
	for (uint32_t i = 0; i < native->program_count; i++) {
		int r = add_program(native, compiler, i, is_bare, err);
		if (r)
			return r;
	}
	if (!native->in_loop) {
		uint32_t entry = compiler->generation->image->entry;
		compiler->keeps_loop = true; // functions do
		compile_burst_head(compiler, &native->uses);
		asm_call(code, native->programs[entry].functions[0]);
		compile_burst_tail(compiler, &native->uses);
	}
	int r = code_error(code);
	return r ? error_set(err, -r, "cannot put the program's machine code together: %s",
	                   r == -ENOMEM ? "out of memory" : "it is too long")
	         : 0;
}

int native_new(struct generation *generation, const struct generation_options *options,
        struct native **native, struct error *err)
{
	*native = NULL;
	struct space *space = generation->space;
	struct error refused;
	if (!asm_offered() || code_memory_offered(space_code(space), &refused))
		return 0;
	cleanup(code_free) struct code *code = NULL;
	cleanup(native_free) struct native *new = calloc(1, sizeof(*new));
	if (!new || code_new(&code))
		return error_set(err, ENOMEM, "out of memory for machine code");
	new->memory = space_code(space);
	new->look_ahead = options->look_ahead;
	new->program_count = generation->program_count;
	new->programs = calloc(new->program_count, sizeof(*new->programs));
	if (!new->programs)
		return error_set(err, ENOMEM, "out of memory for machine code");
	struct compiler compiler = {
	        .generation = generation,
	        .code = code,
	        .verify = options->verify,
	        .look_ahead = options->look_ahead,
	        .tail_calls = makes_tail_calls(generation),
	};
	if (getrandom(&compiler.blind, sizeof(compiler.blind), 0) != sizeof(compiler.blind))
		return error_set(err, errno, "no random numbers for machine code");
	compiler.burst = asm_label(code);
	for (uint32_t i = 0; i < AHEAD_ROUNDS; i++)
		compiler.rounds[i] = asm_label(code);
	compiler.uses = &new->uses;
	int r = add_programs(new, &compiler, options->is_bare, err);
	if (r)
		return r;
	take_positions(new, code);
	new->size = code_size(code);
	if (code_memory_put(new->memory, code, &new->code, &refused)) {
		log_warning("a function runs in the interpreter: %s", refused.text);
		return 0; // others have taken the room for code: no reason to refuse this one
	}
	new->enter = (enter_fn *)(uintptr_t) new->code;
	new->burst = new->code + asm_position(code, compiler.burst);
	for (uint32_t i = 0; i < AHEAD_ROUNDS; i++)
		new->rounds[i] = new->code + asm_position(code, compiler.rounds[i]);
	*native = TAKE_PTR(new);
	return 0;
}

void native_free(struct native **native)
{
	struct native *it = *native;
	if (!it)
		return;
	if (it->code)
		code_memory_drop(it->memory, it->code);
	for (uint32_t i = 0; it->programs && i < it->program_count; i++) {
		free(it->programs[i].functions);
		free(it->programs[i].called_back);
	}
	free(it->programs);
	free(it);
	*native = NULL;
}

const uint8_t *native_code(const struct native *native, uint32_t *size)
{
	*size = native->size;
	return native->code;
}

static bool enter(
        struct engine *engine, const struct native *native, uint32_t position, uint64_t *r)
{
	const uint8_t *code = native->code + position;
	r[0] = native->enter(engine, engine->base, engine->base + r[10], code, &r[1]);
	return engine->fault == FAULT_NONE;
}

bool native_call(struct engine *engine, const struct native *native, uint64_t *r)
{
	uint32_t entry = engine->generation->image->entry;
	return enter(engine, native, native->programs[entry].functions[0], r);
}

bool native_calls_back(const struct native *native, uint32_t program, uint32_t function)
{
	return native->programs[program].called_back[function];
}

bool native_call_back(struct engine *engine, const struct native *native, uint32_t program,
        uint32_t function, uint64_t *r)
{
	return enter(engine, native, native->programs[program].functions[function], r);
}

// Whether what a round asks for is more than a core's own cache holds: the tables that look-ups go
// through, or the values in use.
static bool pays(const struct map *map, bool values)
{
	const struct map_def *def = map_def(map);
	uint64_t entries = map_count(map), value = round_up(def->value_size, 8);
	if (values)
		return entries * value >= AHEAD_VALUES;
	return entries >= AHEAD_ENTRIES &&
	       map_memory(map) - def->max_entries * value >= AHEAD_TABLES;
}

void native_ahead(struct engine *engine, const struct native *native, const struct packet *packets,
        uint32_t count)
{
	const uint64_t args[5] = {(uintptr_t)packets, (uintptr_t)(packets + count)};
	if (count < AHEAD_BURST && !native->look_ahead)
		return;
	for (uint32_t i = 0; i < AHEAD_ROUNDS; i++) {
		bool any = native->look_ahead && native->uses.large[i / 2].count;
		for (uint32_t m = 0; m < native->uses.large[i / 2].count; m++)
			any |= pays(native->uses.large[i / 2].maps[m], i % 2);
		if (any)
			native->enter(engine, engine->base, engine->base + engine->stack_top,
			        native->rounds[i], args);
	}
}

void native_burst(struct engine *engine, const struct native *native, struct packet *packets,
        struct verdict *verdicts, uint32_t count)
{
	const uint64_t args[5] = {
	        (uintptr_t)packets, (uintptr_t)verdicts, (uintptr_t)(packets + count)};
	native->enter(engine, engine->base, engine->base + engine->stack_top, native->burst, args);
}

// A tail call goes through: its target's first function takes this frame.
const void *native_tail(struct engine *engine)
{
	const struct generation *generation = engine->generation;
	const struct native *native = generation->native;
	engine->program = engine->tail_target;
	engine->tail_target = NULL;
	size_t index = (size_t)(engine->program - generation->programs);
	if (native->programs[index].needs_clean)
		access_enter_frame(engine, (uint32_t)engine->depth);
	return native->code + native->programs[index].functions[0];
}
