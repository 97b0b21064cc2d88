// SPDX-License-Identifier: Apache-2.0
// What helpers, kfuncs and functions do to the state. A helper or function leaves R1 to R5 zero
// and its answer in R0. Of memory a helper touches what its row in the helper table says, if it
// stands in the table below, and else, for all that the pass knows, anything.
#include <stddef.h>

#include "base/cleanup.h"
#include "ebpf/analysis_parts.h"
#include "ebpf/helper.h"
#include "ebpf/maptype.h"

enum effect {
	EXACT = 1,   // reads ARG_KEY, ARG_VALUE and ARG_MEM_IN, writes ARG_MEM_OUT, and no more
	MOVES = 2,   // the packet's ends
	READS = 4,   // ARG_MEM_OUT too
	MAP = 8,     // ARG_OBJECT is no memory of the program's, or lies in a map
	NUMBER = 16, // answers with less than 2^32
	ALL = 32     // reads through numbers that other arguments, or memory, hold
};

// What engines do: src/engine/helper_*.c.
static const struct {
	uint32_t id;
	uint8_t effects;
} effects[] = {
        {BPF_FUNC_map_lookup_elem, EXACT},
        {BPF_FUNC_map_update_elem, EXACT},
        {BPF_FUNC_map_delete_elem, EXACT},
        {BPF_FUNC_ktime_get_ns, EXACT},
        {BPF_FUNC_trace_printk, EXACT | ALL},
        {BPF_FUNC_get_prandom_u32, EXACT | NUMBER},
        {BPF_FUNC_get_smp_processor_id, EXACT | NUMBER},
        {BPF_FUNC_tail_call, EXACT},
        {BPF_FUNC_redirect, EXACT | NUMBER},
        {BPF_FUNC_perf_event_output, EXACT},
        {BPF_FUNC_csum_diff, EXACT | NUMBER},
        {BPF_FUNC_xdp_adjust_head, EXACT | MOVES},
        {BPF_FUNC_redirect_map, EXACT | NUMBER},
        {BPF_FUNC_xdp_adjust_meta, EXACT | MOVES},
        {BPF_FUNC_xdp_adjust_tail, EXACT | MOVES},
        {BPF_FUNC_fib_lookup, EXACT | READS},
        {BPF_FUNC_sk_lookup_tcp, EXACT},
        {BPF_FUNC_sk_lookup_udp, EXACT},
        {BPF_FUNC_sk_release, EXACT | MAP},
        {BPF_FUNC_spin_lock, EXACT | MAP},
        {BPF_FUNC_spin_unlock, EXACT | MAP},
        {BPF_FUNC_skc_lookup_tcp, EXACT},
        {BPF_FUNC_probe_read_kernel, EXACT | ALL},
        {BPF_FUNC_jiffies64, EXACT},
        {BPF_FUNC_ktime_get_boot_ns, EXACT},
        {BPF_FUNC_ringbuf_output, EXACT},
        {BPF_FUNC_ringbuf_reserve, EXACT},
        {BPF_FUNC_ringbuf_submit, EXACT | MAP},
        {BPF_FUNC_ringbuf_discard, EXACT | MAP},
        {BPF_FUNC_ringbuf_query, EXACT},
        {BPF_FUNC_ktime_get_coarse_ns, EXACT},
        {BPF_FUNC_for_each_map_elem, EXACT},
        {BPF_FUNC_snprintf, EXACT | ALL},
        {BPF_FUNC_trace_vprintk, EXACT | ALL},
        {BPF_FUNC_loop, EXACT},
        {BPF_FUNC_strncmp, EXACT | ALL},
        {BPF_FUNC_xdp_get_buff_len, EXACT | NUMBER},
        {BPF_FUNC_xdp_load_bytes, EXACT},
        {BPF_FUNC_xdp_store_bytes, EXACT},
        {BPF_FUNC_map_lookup_percpu_elem, EXACT},
        {BPF_FUNC_ktime_get_tai_ns, EXACT},
};

static unsigned effects_of(const struct bpf_insn *insn)
{
	if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL)
		return 0;
	for (uint32_t i = 0; i < ARRAY_SIZE(effects); i++) {
		if (effects[i].id == (uint32_t)insn->imm)
			return effects[i].effects;
	}
	return 0;
}

const struct helper *call_helper(const struct image *image, const struct bpf_insn *insn)
{
	if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL)
		return kfunc_find(image->kfuncs[insn->imm]);
	return helper_find((uint32_t)insn->imm);
}

bool call_goes_back(const struct helper *helper)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(helper->args); i++) {
		if (helper->args[i] == ARG_FUNC)
			return true;
	}
	return false;
}

bool call_is_tail(const struct bpf_insn *insn)
{
	return insn->src_reg == 0 && insn->imm == BPF_FUNC_tail_call;
}

bool call_moves(const struct bpf_insn *insn)
{
	return effects_of(insn) & MOVES;
}

// The summaries' flags that callers take over are bools: one walk from callees to callers serves
// each. `offset` is the flag's.
static bool *flag_of(struct pass *pass, uint32_t function, size_t offset)
{
	return (bool *)((uint8_t *)&pass->functions[function] + offset);
}

static void push_flag(struct pass *pass, uint32_t function, size_t offset)
{
	uint32_t callbacks = pass->program->function_count;
	*flag_of(pass, function, offset) = true;
	pass->spread[pass->spread_count++] = function;
	if (function != callbacks && pass->functions[function].is_callback &&
	        !*flag_of(pass, callbacks, offset))
		push_flag(pass, callbacks, offset);
}

static void set_pending(struct pass *pass, const struct block *block)
{
	if (block->saved)
		pass->pending[block->order / 64] |= UINT64_C(1) << block->order % 64;
}

// True: a block was told more often than it may be visited.
static bool walk_callers(struct pass *pass, size_t offset, bool revisit)
{
	bool too_often = false;
	while (pass->spread_count) {
		uint32_t callee = pass->spread[--pass->spread_count];
		for (uint32_t i = pass->functions[callee].first_call; i != NONE;
		        i = pass->calls[i].next) {
			const struct block *block = &pass->blocks[pass->calls[i].block];
			if (revisit)
				set_pending(pass, block);
			too_often |= revisit && block->visits >= VISITS_MAX;
			if (!*flag_of(pass, block->function, offset))
				push_flag(pass, block->function, offset);
		}
	}
	return too_often;
}

void call_spread(struct pass *pass, size_t offset)
{
	for (uint32_t i = 0; i < pass->program->function_count; i++) {
		if (*flag_of(pass, i, offset))
			push_flag(pass, i, offset);
		walk_callers(pass, offset, false);
	}
}

void call_note_untyped_store(struct pass *pass)
{
	size_t offset = offsetof(struct summary, untyped_stores);
	if (*flag_of(pass, pass->function, offset))
		return;
	push_flag(pass, pass->function, offset);
	if (!walk_callers(pass, offset, true) || pass->all_store)
		return;
	// Each function could be found out after the one before, and all be visited again each
	// time.
	pass->all_store = true;
	for (uint32_t i = 0; i < pass->program->function_count; i++) {
		if (!*flag_of(pass, i, offset))
			push_flag(pass, i, offset);
		walk_callers(pass, offset, true);
	}
}

static void forget_packet(struct state *state)
{
	for (uint32_t i = 0; i < SAVED; i++) {
		if (value_is(&state->regs[i], KINDS_OF_PACKET))
			state->regs[i] = value_any(MARK_MOVED);
	}
	for (uint64_t left = state->known; left; left &= left - 1) {
		struct value *slot = &state->slots[__builtin_ctzll(left)];
		if (value_is(slot, KINDS_OF_PACKET))
			*slot = value_any(MARK_MOVED);
	}
	state->extent_count = 0;
}

// What a function that was called, or called back, may have done.
static void suffer(struct pass *pass, struct state *state, uint32_t callee)
{
	const struct summary *summary = &pass->functions[callee];
	if (summary->untyped_stores)
		state->known = 0;
	if (summary->moves)
		forget_packet(state);
}

static void clear_arguments(struct state *state)
{
	for (uint32_t i = BPF_REG_1; i <= BPF_REG_5; i++)
		state->regs[i] = value_scalar(0, 0, false);
}

// The callee sees R1 to R5 as they stand, but no pointer to this frame, which it cannot tell from
// another's; its other registers begin as zeros.
static void enter_function(struct pass *pass, const struct state *state, uint32_t callee)
{
	struct state *entry = &pass->other;
	state_copy(entry, state);
	for (uint32_t i = 0; i < SAVED; i++) {
		if (i < BPF_REG_1 || i > BPF_REG_5)
			entry->regs[i] = value_scalar(0, 0, false);
		else if (entry->regs[i].kind == VALUE_STACK)
			entry->regs[i] = value_any(MARK_NONE);
	}
	entry->known = 0;
	for (uint32_t i = 0; i < ARRAY_SIZE(entry->written); i++)
		entry->written[i] = 0;
	join_into(pass, pass->functions[callee].entry, entry);
}

static void call_function(struct pass *pass, struct state *state, uint32_t at)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	uint32_t callee = blocks_function(pass, (uint32_t)image_callee(insn, at));
	enter_function(pass, state, callee);
	suffer(pass, state, callee);
	state->regs[BPF_REG_0] = value_any(MARK_NONE);
	clear_arguments(state);
}

static void note_call(struct pass *pass, const struct state *state, uint32_t at)
{
	struct call_fact *call = (struct call_fact *)analysis_call(pass->out, at);
	for (uint32_t i = 0; i < ARRAY_SIZE(call->args); i++) {
		struct value *arg = &call->args[i];
		*arg = state->regs[BPF_REG_1 + i];
		if (arg->kind > VALUE_MAP_VALUE_NULL || arg->kind == VALUE_ANY)
			*arg = value_any(MARK_NONE);
		else if (arg->map & MAP_MIXED)
			arg->map = ANALYSIS_MAPS;
	}
}

static const struct image_map *map_argument(const struct pass *pass, const struct state *state,
        const struct helper *helper, uint32_t arg)
{
	while (arg-- > 0) {
		const struct value *value = &state->regs[BPF_REG_1 + arg];
		if (helper->args[arg] == ARG_MAP)
			return value->kind == VALUE_MAP ? map_of(pass, value) : NULL;
	}
	return NULL;
}

// How many bytes argument `arg` names: at most *most, and whether just so many. False: not known.
static bool argument_size(const struct pass *pass, const struct state *state,
        const struct helper *helper, uint32_t arg, int64_t *most, bool *exact)
{
	*exact = true;
	if (helper->args[arg] == ARG_KEY || helper->args[arg] == ARG_VALUE) {
		const struct image_map *map = map_argument(pass, state, helper, arg);
		if (!map)
			return false;
		*most = helper->args[arg] == ARG_KEY ? map->key_size : map->value_size;
		return true;
	}
	const struct value *size = &state->regs[BPF_REG_1 + arg + 1];
	uint64_t max = value_max(size);
	*most = (int64_t)max;
	*exact = value_min(size) == max;
	return value_is_number(size) && max < POINTER_MAX;
}

static void touch_memory(struct pass *pass, struct state *state, const struct helper *helper,
        uint32_t arg, unsigned effect)
{
	const struct value pointer = state->regs[BPF_REG_1 + arg];
	bool is_out = helper->args[arg] == ARG_MEM_OUT, exact;
	int64_t size;
	if (!argument_size(pass, state, helper, arg, &size, &exact)) {
		size = POINTER_MAX; // lies in no window for sure
	} else if (size == 0) {
		return;
	}
	if (!is_out || (effect & READS))
		access_read_frame(pass, state, &pointer, 0, size);
	if (is_out)
		access_write_frame(pass, state, &pointer, 0, size);
}

static void touch_all(struct pass *pass, struct state *state)
{
	state->known = 0;
	pass->functions[pass->function].untyped_reads = true;
	call_note_untyped_store(pass);
}

// Numbers that an argument names are of functions; where it is none that is known, of any.
static void call_back(struct pass *pass, struct state *state, const struct helper *helper)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(helper->args); i++) {
		if (helper->args[i] == ARG_FUNC &&
		        state->regs[BPF_REG_1 + i].kind != VALUE_FUNCTION && !pass->all_callbacks)
			pass->again = pass->all_callbacks = true;
	}
	suffer(pass, state, pass->program->function_count);
}

// Whether a look-up gives a value, not another map.
static bool has_map_values(uint32_t type)
{
	return (map_type_find(type)->operations & MAP_LOOKUP) &&
	       type != BPF_MAP_TYPE_ARRAY_OF_MAPS && type != BPF_MAP_TYPE_HASH_OF_MAPS;
}

// The number that a key of 4 bytes in the frame holds, if it is known.
static bool known_key(const struct state *state, const struct value *pointer, uint64_t *key)
{
	if (pointer->kind != VALUE_STACK || pointer->min != pointer->max)
		return false;
	const struct value value = frame_word(state, pointer->min);
	if (value.min != value.max)
		return false;
	*key = (uint64_t)value.min;
	return true;
}

// What a look-up answers: in an array, the value itself where the key is known to be in range.
static struct value look_up(struct pass *pass, const struct state *state, bool any_cpu)
{
	const struct value *handle = &state->regs[BPF_REG_1];
	if (handle->kind != VALUE_MAP || !has_map_values(map_of(pass, handle)->type))
		return value_any(MARK_NONE);
	const struct image_map *map = map_of(pass, handle);
	const struct map_type *type = map_type_find(map->type);
	struct value result = {.kind = VALUE_MAP_VALUE_NULL, .map = handle->map};
	uint64_t key;
	if (type->no_delete && !any_cpu && known_key(state, &state->regs[BPF_REG_2], &key) &&
	        key < map->max_entries)
		result.kind = VALUE_MAP_VALUE;
	else
		result.id = pass->next_id++;
	return result;
}

static struct value answer(
        struct pass *pass, const struct state *state, const struct bpf_insn *insn, unsigned effect)
{
	if (insn->src_reg == 0 && insn->imm == BPF_FUNC_map_lookup_elem)
		return look_up(pass, state, false);
	if (insn->src_reg == 0 && insn->imm == BPF_FUNC_map_lookup_percpu_elem)
		return look_up(pass, state, true);
	return effect & NUMBER ? value_scalar(0, UINT32_MAX, false) : value_any(MARK_NONE);
}

void call_run(struct pass *pass, struct state *state, uint32_t at)
{
	const struct bpf_insn *insn = &pass->program->insns[at];
	if (insn->src_reg == BPF_PSEUDO_CALL) {
		call_function(pass, state, at);
		return;
	}
	const struct helper *helper = call_helper(pass->image, insn);
	unsigned effect = effects_of(insn);
	note_call(pass, state, at);
	const struct value result = answer(pass, state, insn, effect);
	for (uint32_t i = 0; i < ARRAY_SIZE(helper->args) && (effect & EXACT); i++) {
		switch (helper->args[i]) {
		case ARG_KEY:
		case ARG_VALUE:
		case ARG_MEM_IN:
		case ARG_MEM_OUT:
			touch_memory(pass, state, helper, i, effect);
			break;
		case ARG_OBJECT:
			if (!(effect & MAP))
				touch_all(pass, state);
			break;
		default:
			break;
		}
	}
	if (!(effect & EXACT))
		touch_all(pass, state);
	if (effect & ALL)
		pass->functions[pass->function].untyped_reads = true;
	if (call_goes_back(helper))
		call_back(pass, state, helper);
	if (effect & MOVES)
		forget_packet(state);
	state->regs[BPF_REG_0] = result;
	clear_arguments(state);
}
