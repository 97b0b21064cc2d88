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
#include "ebpf/image.h"
#include "ebpf/opcode.h"
#include "engine/access.h"
#include "engine/native/code_memory.h"
#include "engine/native/compile.h"

typedef uint64_t enter_fn(struct engine *engine, uint8_t *base, uint8_t *frame,
        const void *function, const uint64_t args[5]);

struct native_program {
	uint32_t *functions; // by number: position of the function's code, or 0
	bool needs_clean;    // of the first one
};

struct native {
	struct code_memory *memory;
	const uint8_t *code;
	uint32_t size;
	enter_fn *enter;
	const uint8_t *burst;
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
	compiler.program = index;
	compiler.analysis = analysis;
	r = compile_program(&compiler);
	if (r) {
		error_set(err, -r, "out of memory for machine code");
	} else {
		program->needs_clean = analysis->functions[0].reads_unwritten;
		if (index == compiler.generation->image->entry) {
			native->uses.needs_clean = program->needs_clean;
			native->uses.entry_live = analysis->functions[0].entry_live;
		}
		compile_uses(&compiler, &native->uses);
		program->functions = TAKE_PTR(compiler.functions);
	}
	compiler_clear(&compiler);
	analysis_free(&analysis);
	return r;
}

// Labels become positions; functions that nothing reaches have none.
static void take_positions(struct native *native, struct generation *generation, struct code *code)
{
	for (uint32_t i = 0; i < native->program_count; i++) {
		uint32_t count = generation->image->programs[i].function_count;
		for (uint32_t f = 0; f < count; f++) {
			uint32_t *function = &native->programs[i].functions[f];
			*function = asm_position(code, *function);
		}
	}
}

static int add_programs(struct native *native, struct compiler *compiler, uint32_t burst,
        bool is_bare, struct error *err)
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
	uint32_t entry = compiler->generation->image->entry;
	asm_bind(code, burst);
	compile_burst(compiler, &native->uses, native->programs[entry].functions[0]);
	int r = code_error(code);
	return r ? error_set(err, -r, "cannot put the program's machine code together: %s",
	                   r == -ENOMEM ? "out of memory" : "it is too long")
	         : 0;
}

int native_new(struct generation *generation, bool is_bare, bool verify, struct native **native,
        struct error *err)
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
	new->program_count = generation->program_count;
	new->programs = calloc(new->program_count, sizeof(*new->programs));
	if (!new->programs)
		return error_set(err, ENOMEM, "out of memory for machine code");
	struct compiler compiler = {
	        .generation = generation,
	        .code = code,
	        .verify = verify,
	        .tail_calls = makes_tail_calls(generation),
	};
	if (getrandom(&compiler.blind, sizeof(compiler.blind), 0) != sizeof(compiler.blind))
		return error_set(err, errno, "no random numbers for machine code");
	uint32_t burst = asm_label(code);
	int r = add_programs(new, &compiler, burst, is_bare, err);
	if (r)
		return r;
	take_positions(new, generation, code);
	new->size = code_size(code);
	r = code_memory_put(new->memory, code, &new->code, err);
	if (r)
		return r;
	new->enter = (enter_fn *)(uintptr_t) new->code;
	new->burst = new->code + asm_position(code, burst);
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
	for (uint32_t i = 0; it->programs && i < it->program_count; i++)
		free(it->programs[i].functions);
	free(it->programs);
	free(it);
	*native = NULL;
}

const uint8_t *native_code(const struct native *native, uint32_t *size)
{
	*size = native->size;
	return native->code;
}

bool native_run(struct engine *engine, const struct native *native, uint32_t program,
        uint32_t function, uint64_t *r)
{
	const void *code = native->code + native->programs[program].functions[function];
	r[0] = native->enter(engine, engine->base, engine->base + r[10], code, &r[1]);
	return engine->fault == FAULT_NONE;
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
