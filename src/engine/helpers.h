// SPDX-License-Identifier: Apache-2.0
// What engines do for helpers and kfuncs: one table, indexed by number, whose rows live in one file
// a theme. src/ebpf/helper.c says which are offered; a test holds the two together.
//
// A helper gets R1 to R5 as they stand in registers: every pointer, size and handle in them is a
// stranger's. It reaches memory through helper_in() and helper_out() only. Where an argument is
// none that a helper could mean, it faults (helper_fault()) and the packet is aborted; what the
// kernel answers with an error code is answered with the same code.
#pragma once

#include "engine/access.h"

typedef uint64_t helper_fn(struct engine *engine, const uint64_t args[5]);

enum helper_trait {
	HELPER_FIXED = 1, // charges its cost and no more, and calls nothing back
	HELPER_APART = 2, // looks at neither packet nor context
	HELPER_HOLDS = 4, // may leave a lock or a record with the packet
};

struct helper_code {
	helper_fn *run;
	uint16_t cost;   // instructions that a call is charged, besides its own
	uint16_t traits; // enum helper_trait, for the compiler
};

#define HELPER_CODE_COUNT 212u
extern const struct helper_code helper_codes[HELPER_CODE_COUNT]; // run is NULL where not offered
extern const struct helper_code kfunc_codes[];                   // by id in kfunc_table
extern const uint32_t kfunc_code_count;

static inline uint64_t helper_fault(struct engine *engine, uint64_t argument)
{
	engine->fault = FAULT_HELPER;
	engine->fault_address = argument;
	return 0;
}

// Charges work that grows with its arguments. False: the budget is spent and the helper must
// return.
static inline bool helper_charge(struct engine *engine, uint64_t cost)
{
	engine->budget -= (int64_t)cost;
	if (engine->budget >= 0)
		return true;
	engine->fault = FAULT_BUDGET;
	return false;
}

#define STEPS_COST 8u // places that a walk over a map passes for one instruction
// map_follow() as far as the budget reaches; charges what it took. False: nothing follows, or the
// budget is spent.
bool helper_follow(struct engine *engine, struct linked_map *map, const void *key, void *next);

// Host address of memory that a helper reads or writes, or NULL with the fault set. Size 0 gives an
// address that must not be read.
uint8_t *helper_in(struct engine *engine, uint64_t address, uint64_t size);
uint8_t *helper_out(struct engine *engine, uint64_t address, uint64_t size);
// A map that programs may read (write), or NULL with the fault set.
struct linked_map *helper_map(struct engine *engine, uint64_t handle);
// R1 must be the context. False: fault set.
bool helper_context(struct engine *engine, uint64_t address);
// Writes xdp_md and the windows from the packet's descriptor, after that has moved.
void helper_refresh_packet(struct engine *engine);

// The verdict of a packet whose program returned r0, or faulted.
void engine_verdict(
        struct engine *engine, struct packet *packet, struct verdict *verdict, uint64_t r0);

// Runs a function of the program from within a helper. `function` is a handle; false: it is none,
// or the function faulted.
bool helper_call(
        struct engine *engine, uint64_t function, const uint64_t args[5], uint64_t *result);

// What bpf_get_ktime_*() read; fixed in tests.
uint64_t helper_time(const struct engine *engine, int clock);

// After the program, however it ended: unlocks, gives back records that were never submitted.
void helper_release(struct engine *engine);
// Port mask and action of a program that returned XDP_REDIRECT.
void helper_redirect_verdict(struct engine *engine, struct verdict *verdict);

helper_fn helper_map_lookup, helper_map_update, helper_map_delete, helper_map_lookup_percpu,
        helper_for_each;
helper_fn helper_ktime, helper_ktime_boot, helper_ktime_coarse, helper_ktime_tai, helper_jiffies,
        helper_random, helper_cpu;
helper_fn helper_redirect, helper_redirect_map;
helper_fn helper_adjust_head, helper_adjust_meta, helper_adjust_tail, helper_buff_len,
        helper_load_bytes, helper_store_bytes, helper_csum_diff, helper_check_mtu, helper_fib;
helper_fn helper_perf_output, helper_ring_output, helper_ring_reserve, helper_ring_submit,
        helper_ring_discard, helper_ring_query;
helper_fn helper_dynptr_from_mem, helper_dynptr_reserve, helper_dynptr_submit,
        helper_dynptr_discard, helper_dynptr_read, helper_dynptr_write, helper_dynptr_data;
helper_fn helper_trace, helper_trace_v, helper_snprintf, helper_strncmp, helper_strtol,
        helper_strtoul;
// Sockets and connections: look-ups find none; what takes one found faults.
helper_fn helper_socket_lookup, helper_socket_none, kfunc_ct_lookup, kfunc_ct_alloc,
        kfunc_flow_lookup;
helper_fn helper_cookie_make_ipv4, helper_cookie_make_ipv6, helper_cookie_check_ipv4,
        helper_cookie_check_ipv6;
helper_fn helper_lock, helper_unlock, helper_probe_read, helper_loop;
helper_fn kfunc_dynptr_from_xdp, kfunc_dynptr_slice, kfunc_dynptr_slice_rdwr, kfunc_rx_timestamp,
        kfunc_rx_hash, kfunc_rx_vlan;
