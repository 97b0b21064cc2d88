// SPDX-License-Identifier: Apache-2.0
// The forward pass: from each function's entry, block by block in reverse postorder, until no
// block's state says less than before. What is known is kept at the starts of blocks only.
//
// Bounded on any program: a block is visited again only when its state says less, and after
// VISITS_MAX visits it says nothing; what one visit costs is bounded by its
// instructions, the registers, the slots and EXTENTS. What is found of a function sends the pass
// back to its callers, at most VISITS_MAX times a block; then all are held for what one was.
// Functions are entered with the join over their calls, so that a function is not analysed once a
// call. States that know slots take at most some megabytes; beyond, slots are forgotten. Then one
// pass backwards, for what is live: the masks of a block grow ten times at most.
#include "ebpf/analysis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/analysis_parts.h"
#include "ebpf/helper.h"
#include "ebpf/opcode.h"

const char *access_reason_text(enum access_reason reason)
{
	static const char *const texts[REASON_COUNT] = {
	        [REASON_PROVEN] = "proven",
	        [REASON_UNTYPED] = "through a pointer from memory or a helper, or a number",
	        [REASON_NOT_TESTED] = "not tested against data_end",
	        [REASON_MOVED] = "through a pointer from before a helper moved the packet",
	        [REASON_NULL] = "may be 0 and is not tested",
	        [REASON_UNBOUNDED] = "offset without a bound that fits",
	        [REASON_BEYOND] = "always outside",
	        [REASON_READ_ONLY] = "programs may not access it so",
	        [REASON_ATOMIC] = "alignment not known",
	};
	return (unsigned)reason < REASON_COUNT ? texts[reason] : "unknown";
}

static void add_threshold(struct pass *pass, uint64_t number)
{
	uint32_t i = pass->threshold_count;
	for (uint32_t k = 0; k < i; k++) {
		if (pass->thresholds[k] == number)
			return;
	}
	if (i == THRESHOLDS)
		return;
	for (; i && pass->thresholds[i - 1] > number; i--)
		pass->thresholds[i] = pass->thresholds[i - 1];
	pass->thresholds[i] = number;
	pass->threshold_count++;
}

// Numbers that loops run up to: those in tests that lead back, then any others.
static void find_thresholds(struct pass *pass)
{
	static const uint64_t widths[] = {
	        UINT8_MAX, UINT16_MAX, 2 * PACKET_BYTES, INT32_MAX, UINT32_MAX, INT64_MAX};
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		add_threshold(pass, widths[i]);
	for (int back = 1; back >= 0; back--) {
		for (uint32_t i = 0; i < pass->block_count; i++) {
			const struct block *block = &pass->blocks[i];
			const struct bpf_insn *insn = &pass->program->insns[block->end - 1];
			const struct opcode *op = opcode_of(insn);
			if (op->kind != KIND_JUMP || op->has_src || insn->imm <= 0 ||
			        (insn->off < 0) != back)
				continue;
			add_threshold(pass, (uint64_t)insn->imm);
			add_threshold(pass, (uint64_t)insn->imm - 1);
		}
	}
}

// What stands for certain before anything runs: which functions a helper may call back, move the
// packet, or leave for another program that may do all of that.
static void seed_summaries(struct pass *pass)
{
	for (uint32_t i = 0; i <= pass->program->function_count; i++) {
		struct summary *function = &pass->functions[i];
		function->is_callback |= pass->all_callbacks;
		bool leaves =
		        function->tail_calls && (function->is_called || function->is_callback);
		function->moves = function->own_moves || leaves;
		function->untyped_stores = function->untyped_reads = leaves;
	}
	call_spread(pass, offsetof(struct summary, moves));
	call_spread(pass, offsetof(struct summary, untyped_stores));
}

static void enter_functions(struct pass *pass, bool is_bare)
{
	struct state *state = &pass->state;
	memset(state, 0, sizeof(*state));
	for (uint32_t i = 0; i < SAVED; i++)
		state->regs[i] = value_scalar(0, 0, false);
	state->regs[BPF_REG_10] = (struct value){.kind = VALUE_STACK};
	state->regs[BPF_REG_1] =
	        is_bare ? value_any(MARK_NONE) : (struct value){.kind = VALUE_CONTEXT};
	if (is_bare)
		state->regs[BPF_REG_2] = value_any(MARK_NONE);
	join_into(pass, pass->functions[0].entry, state);
	for (uint32_t i = BPF_REG_1; i <= BPF_REG_5; i++)
		state->regs[i] = value_any(MARK_NONE);
	for (uint32_t i = 0; i < pass->program->function_count; i++) {
		if (pass->functions[i].is_callback)
			join_into(pass, pass->functions[i].entry, state);
	}
}

// The first pending place from `from` on; NONE where there is none.
static uint32_t next_pending(const struct pass *pass, uint32_t from)
{
	uint32_t words = pass->order_count / 64 + 1;
	for (uint32_t i = from / 64; i < words; i++) {
		uint64_t bits = pass->pending[i];
		if (i == from / 64)
			bits &= UINT64_MAX << from % 64;
		if (bits)
			return i * 64 + (uint32_t)__builtin_ctzll(bits);
	}
	return NONE;
}

static void reset(struct pass *pass)
{
	join_free(pass);
	pass->memory = 0;
	pass->next_id = 1;
	pass->all_store = false;
	for (uint32_t i = 0; i < pass->block_count; i++) {
		pass->blocks[i].saved = NULL;
		pass->blocks[i].visits = 0;
	}
	for (uint32_t i = 0; pass->again && i < pass->program->insn_count; i++) {
		struct fact *fact = &pass->out->facts[i];
		*fact = (struct fact){.leader = fact->leader, .loop = fact->loop};
	}
	memset(pass->pending, 0, (pass->block_count / 64 + 1) * sizeof(pass->pending[0]));
	pass->again = false;
}

// Sweeps in order, so that a loop's body is done before what follows it sees it again.
static bool run_forward(struct pass *pass, bool is_bare)
{
	do {
		reset(pass);
		seed_summaries(pass);
		enter_functions(pass, is_bare);
		uint32_t at = 0;
		while (!pass->out_of_memory && !pass->again) {
			at = next_pending(pass, at);
			if (at == NONE)
				at = next_pending(pass, 0);
			if (at == NONE)
				break;
			pass->pending[at / 64] &= ~(UINT64_C(1) << at % 64);
			flow_block(pass, pass->order[at++]);
		}
	} while (pass->again);
	return !pass->out_of_memory;
}

static void fill_functions(struct pass *pass)
{
	const struct image_program *program = pass->program;
	call_spread(pass, offsetof(struct summary, untyped_reads));
	for (uint32_t i = 0; i < program->function_count; i++) {
		const struct summary *from = &pass->functions[i];
		bool is_last = i + 1 == program->function_count;
		pass->out->functions[i] = (struct function_fact){.insn = program->functions[i].insn,
		        .end = is_last ? program->insn_count : program->functions[i + 1].insn,
		        .stack_low = from->low,
		        .reads_unwritten = from->unwritten || from->untyped_reads,
		        .untyped_stores = from->untyped_stores,
		        .moves_packet = from->moves,
		        .has_loop = from->has_loop,
		        .calls = from->calls,
		        .entry_live = pass->blocks[from->entry].live_in};
	}
}

static bool make_facts(struct pass *pass)
{
	const struct image_program *program = pass->program;
	struct analysis *out = pass->out;
	out->facts = calloc(program->insn_count, sizeof(out->facts[0]));
	out->functions = calloc(program->function_count, sizeof(out->functions[0]));
	out->insn_count = program->insn_count;
	out->function_count = program->function_count;
	return out->facts && out->functions;
}

static bool make_calls(struct pass *pass)
{
	const struct image_program *program = pass->program;
	struct analysis *out = pass->out;
	out->calls = calloc(pass->helper_calls + 1, sizeof(out->calls[0]));
	if (!out->calls)
		return false;
	for (uint32_t i = 0; i < program->insn_count && out->call_count < pass->helper_calls; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		if (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg != BPF_PSEUDO_CALL)
			out->calls[out->call_count++].insn = i;
	}
	return true;
}

static void pass_free(struct pass *pass)
{
	join_free(pass);
	free(pass->block_at);
	free(pass->sites);
	free(pass->blocks);
	free(pass->order);
	free(pass->pending);
	free(pass->functions);
	free(pass->calls);
	free(pass->spread);
	free(pass);
}

int analysis_new(const struct image *image, uint32_t index, bool is_bare,
        struct analysis **analysis, struct error *err)
{
	return analysis_watched(image, index, is_bare, NULL, NULL, analysis, err);
}

int analysis_watched(const struct image *image, uint32_t index, bool is_bare, analysis_watch *watch,
        void *context, struct analysis **analysis, struct error *err)
{
	struct analysis *new = calloc(1, sizeof(*new));
	struct pass *pass = malloc(sizeof(*pass)); // its states are written before they are read
	bool done = false;
	if (new &&pass) {
		memset(pass, 0, offsetof(struct pass, state));
		pass->image = image;
		pass->program = &image->programs[index];
		pass->out = new;
		pass->watch = watch;
		pass->watch_context = context;
		done = make_facts(pass) && blocks_find(pass) && make_calls(pass);
		if (done)
			find_thresholds(pass);
		done = done && run_forward(pass, is_bare) && live_find(pass);
		if (done)
			fill_functions(pass);
		pass_free(pass);
	} else {
		free(pass);
	}
	if (!done) {
		analysis_free(&new);
		return error_set(err, ENOMEM, "out of memory while analysing program %s",
		        image->programs[index].name);
	}
	*analysis = new;
	return 0;
}

void analysis_free(struct analysis **analysis)
{
	struct analysis *it = *analysis;
	if (!it)
		return;
	free(it->facts);
	free(it->calls);
	free(it->functions);
	free(it);
	*analysis = NULL;
}

const struct call_fact *analysis_call(const struct analysis *analysis, uint32_t insn)
{
	uint32_t low = 0, high = analysis->call_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (analysis->calls[middle].insn == insn)
			return &analysis->calls[middle];
		if (analysis->calls[middle].insn < insn)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
