// SPDX-License-Identifier: Apache-2.0
// The table of helpers, and what they share: checked memory, handles, calls back into the program.
// Costs are in instructions, from measured times in the interpreter, rounded up to powers of two.
#include "engine/helpers.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/interpreter.h"
#include "engine/native/native.h"
#include "map/map.h"

#define CALL_COST 8u // of a call back into the program

static helper_fn tail_call;

const struct helper_code helper_codes[HELPER_CODE_COUNT] = {
        [BPF_FUNC_map_lookup_elem] = {helper_map_lookup, 8, 0},
        [BPF_FUNC_map_update_elem] = {helper_map_update, 16, 0},
        [BPF_FUNC_map_delete_elem] = {helper_map_delete, 16, 0},
        [BPF_FUNC_ktime_get_ns] = {helper_ktime, 8, HELPER_FIXED | HELPER_APART},
        [BPF_FUNC_trace_printk] = {helper_trace, 64, 0},
        [BPF_FUNC_get_prandom_u32] = {helper_random, 2, HELPER_FIXED | HELPER_APART},
        [BPF_FUNC_get_smp_processor_id] = {helper_cpu, 1, HELPER_FIXED | HELPER_APART},
        [BPF_FUNC_tail_call] = {tail_call, 2, HELPER_APART},
        [BPF_FUNC_redirect] = {helper_redirect, 1, HELPER_FIXED | HELPER_APART},
        [BPF_FUNC_perf_event_output] = {helper_perf_output, 32, 0},
        [BPF_FUNC_csum_diff] = {helper_csum_diff, 8, 0},
        [BPF_FUNC_xdp_adjust_head] = {helper_adjust_head, 4, HELPER_FIXED},
        [BPF_FUNC_redirect_map] = {helper_redirect_map, 8, HELPER_APART},
        [BPF_FUNC_xdp_adjust_meta] = {helper_adjust_meta, 4, HELPER_FIXED},
        [BPF_FUNC_xdp_adjust_tail] = {helper_adjust_tail, 4, HELPER_FIXED},
        [BPF_FUNC_fib_lookup] = {helper_fib, 64, 0},
        [BPF_FUNC_sk_lookup_tcp] = {helper_socket_lookup, 4, 0},
        [BPF_FUNC_sk_lookup_udp] = {helper_socket_lookup, 4, 0},
        [BPF_FUNC_sk_release] = {helper_socket_none, 1, 0},
        [BPF_FUNC_spin_lock] = {helper_lock, 8, HELPER_FIXED | HELPER_HOLDS},
        [BPF_FUNC_spin_unlock] = {helper_unlock, 8, HELPER_FIXED},
        [BPF_FUNC_skc_lookup_tcp] = {helper_socket_lookup, 4, 0},
        [BPF_FUNC_tcp_check_syncookie] = {helper_socket_none, 1, 0},
        [BPF_FUNC_strtol] = {helper_strtol, 16, 0},
        [BPF_FUNC_strtoul] = {helper_strtoul, 16, 0},
        [BPF_FUNC_tcp_gen_syncookie] = {helper_socket_none, 1, 0},
        [BPF_FUNC_probe_read_kernel] = {helper_probe_read, 8, 0},
        [BPF_FUNC_jiffies64] = {helper_jiffies, 8, HELPER_FIXED | HELPER_APART},
        [BPF_FUNC_ktime_get_boot_ns] = {helper_ktime_boot, 8, HELPER_FIXED | HELPER_APART},
        [BPF_FUNC_ringbuf_output] = {helper_ring_output, 32, 0},
        [BPF_FUNC_ringbuf_reserve] = {helper_ring_reserve, 16, HELPER_HOLDS},
        [BPF_FUNC_ringbuf_submit] = {helper_ring_submit, 16, 0},
        [BPF_FUNC_ringbuf_discard] = {helper_ring_discard, 16, 0},
        [BPF_FUNC_ringbuf_query] = {helper_ring_query, 4, 0},
        [BPF_FUNC_ktime_get_coarse_ns] = {helper_ktime_coarse, 8, HELPER_FIXED | HELPER_APART},
        [BPF_FUNC_check_mtu] = {helper_check_mtu, 4, 0},
        [BPF_FUNC_for_each_map_elem] = {helper_for_each, 16, 0},
        [BPF_FUNC_snprintf] = {helper_snprintf, 64, 0},
        [BPF_FUNC_trace_vprintk] = {helper_trace_v, 64, 0},
        [BPF_FUNC_loop] = {helper_loop, 4, 0},
        [BPF_FUNC_strncmp] = {helper_strncmp, 4, 0},
        [BPF_FUNC_xdp_get_buff_len] = {helper_buff_len, 1, HELPER_FIXED},
        [BPF_FUNC_xdp_load_bytes] = {helper_load_bytes, 4, 0},
        [BPF_FUNC_xdp_store_bytes] = {helper_store_bytes, 4, 0},
        [BPF_FUNC_map_lookup_percpu_elem] = {helper_map_lookup_percpu, 8, 0},
        [BPF_FUNC_dynptr_from_mem] = {helper_dynptr_from_mem, 4, 0},
        [BPF_FUNC_ringbuf_reserve_dynptr] = {helper_dynptr_reserve, 16, HELPER_HOLDS},
        [BPF_FUNC_ringbuf_submit_dynptr] = {helper_dynptr_submit, 16, 0},
        [BPF_FUNC_ringbuf_discard_dynptr] = {helper_dynptr_discard, 16, 0},
        [BPF_FUNC_dynptr_read] = {helper_dynptr_read, 8, 0},
        [BPF_FUNC_dynptr_write] = {helper_dynptr_write, 8, 0},
        [BPF_FUNC_dynptr_data] = {helper_dynptr_data, 4, 0},
        [BPF_FUNC_tcp_raw_gen_syncookie_ipv4] = {helper_cookie_make_ipv4, 64, 0},
        [BPF_FUNC_tcp_raw_gen_syncookie_ipv6] = {helper_cookie_make_ipv6, 64, 0},
        [BPF_FUNC_tcp_raw_check_syncookie_ipv4] = {helper_cookie_check_ipv4, 64, 0},
        [BPF_FUNC_tcp_raw_check_syncookie_ipv6] = {helper_cookie_check_ipv6, 64, 0},
        [BPF_FUNC_ktime_get_tai_ns] = {helper_ktime_tai, 8, HELPER_FIXED | HELPER_APART},
};

// In the order of kfunc_table.
const struct helper_code kfunc_codes[] = {
        {kfunc_dynptr_from_xdp, 4, 0},
        {kfunc_dynptr_slice, 4, 0},
        {kfunc_dynptr_slice_rdwr, 4, 0},
        {kfunc_rx_timestamp, 2, 0},
        {kfunc_rx_hash, 2, 0},
        {kfunc_rx_vlan, 2, 0},
        {kfunc_ct_lookup, 8, 0},
        {kfunc_ct_alloc, 8, 0},
        {kfunc_flow_lookup, 8, 0},
        {helper_socket_none, 1, 0},
        {helper_socket_none, 1, 0},
        {helper_socket_none, 1, 0},
        {helper_socket_none, 1, 0},
        {helper_socket_none, 1, 0},
        {helper_socket_none, 1, 0},
        {helper_socket_none, 1, 0},
};
const uint32_t kfunc_code_count = ARRAY_SIZE(kfunc_codes);

uint8_t *helper_in(struct engine *engine, uint64_t address, uint64_t size)
{
	if (!size)
		return engine->base;
	uint8_t *host = access_read(engine, address, size);
	if (!host)
		helper_fault(engine, address);
	return host;
}

uint8_t *helper_out(struct engine *engine, uint64_t address, uint64_t size)
{
	if (!size)
		return engine->base;
	uint8_t *host = access_write(engine, address, size);
	if (!host)
		helper_fault(engine, address);
	return host;
}

struct linked_map *helper_map(struct engine *engine, uint64_t handle)
{
	struct linked_map *map = handle_map(engine->generation, handle);
	if (!map)
		helper_fault(engine, handle);
	return map;
}

bool helper_context(struct engine *engine, uint64_t address)
{
	if (address == engine->context && engine->packet)
		return true;
	helper_fault(engine, address);
	return false;
}

// Which function of the running program begins at `insn`; `function_count` where none does.
static uint32_t function_index(const struct image_program *program, uint32_t insn)
{
	uint32_t low = 0, high = program->function_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (program->functions[middle].insn < insn)
			low = middle + 1;
		else
			high = middle;
	}
	bool found = low < program->function_count && program->functions[low].insn == insn;
	return found ? low : program->function_count;
}

static uint32_t function_length(const struct image_program *program, uint32_t index)
{
	uint32_t end = index + 1 < program->function_count ? program->functions[index + 1].insn
	                                                   : program->insn_count;
	return end - program->functions[index].insn;
}

bool helper_call(struct engine *engine, uint64_t function, const uint64_t args[5], uint64_t *result)
{
	const struct program *program = engine->program;
	const struct generation *generation = engine->generation;
	uint32_t number = (uint32_t)(program - generation->programs);
	const struct image_program *source = &generation->image->programs[number];
	uint32_t index = function_index(source, (uint32_t)function);
	if (function >> 32 != (HANDLE_FUNCTION >> 32 | number) || index == source->function_count) {
		helper_fault(engine, function);
		return false;
	}
	if (engine->depth + 1 >= FRAMES_MAX) {
		engine->fault = FAULT_CALL_DEPTH;
		return false;
	}
	if (!helper_charge(engine, CALL_COST + function_length(source, index) / 16))
		return false;
	uint32_t depth = (uint32_t)engine->depth;
	access_enter_frame(engine, depth + 1);
	uint64_t r[REGISTERS] = {[10] = engine->stack_top - (depth + 1) * STACK_FRAME};
	memcpy(&r[1], args, 5 * sizeof(args[0]));
	bool native = engine->is_native && generation->native &&
	              native_calls_back(generation->native, number, index);
	uint32_t insn = source->functions[index].insn;
	if (native ? !native_call_back(engine, generation->native, number, index, r)
	           : !interpret(engine, &program->insns[insn], r))
		return false;
	access_leave_frame(engine, depth);
	engine->program = program;
	*result = r[0];
	return true;
}

// R1 context, R2 prog array, R3 index. Comes back only where there is nothing to go to.
static uint64_t tail_call(struct engine *engine, const uint64_t args[5])
{
	// Not helper_context(): a program over a raw block may call others, though it has no
	// packet.
	if (args[0] != engine->context)
		return helper_fault(engine, args[0]);
	struct linked_map *map = helper_map(engine, args[1]);
	if (!map || map->type != BPF_MAP_TYPE_PROG_ARRAY)
		return helper_fault(engine, args[1]);
	uint32_t index = (uint32_t)args[2];
	uint32_t program = map_slot(map->map, &index);
	if (program >= engine->generation->program_count || engine->tail_calls >= TAIL_CALLS_MAX)
		return (uint64_t)-ENOENT;
	engine->tail_calls++;
	const struct program *target = &engine->generation->programs[program];
	if (helper_charge(engine, target->cost))
		engine->tail_target = target;
	return 0;
}
