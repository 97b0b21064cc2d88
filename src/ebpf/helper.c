// SPDX-License-Identifier: Apache-2.0
// Numbers, names and signatures: Linux, include/uapi/linux/bpf.h and net/core/{filter,xdp}.c. A row
// here is a promise that every engine implements the helper.
#include "ebpf/helper.h"

#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"

#define HELPER(name, ...)                                                                          \
	{                                                                                          \
		BPF_FUNC_##name, "bpf_" #name,                                                     \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

// In order of number.
const struct helper helper_table[] = {
        HELPER(map_lookup_elem, ARG_MAP, ARG_KEY),
        HELPER(map_update_elem, ARG_MAP, ARG_KEY, ARG_VALUE, ARG_ANY),
        HELPER(map_delete_elem, ARG_MAP, ARG_KEY),
        HELPER(ktime_get_ns, ARG_NONE),
        HELPER(trace_printk, ARG_MEM_IN, ARG_SIZE, ARG_ANY, ARG_ANY, ARG_ANY),
        HELPER(get_prandom_u32, ARG_NONE),
        HELPER(get_smp_processor_id, ARG_NONE),
        HELPER(tail_call, ARG_CTX, ARG_MAP, ARG_ANY),
        HELPER(redirect, ARG_ANY, ARG_ANY),
        HELPER(perf_event_output, ARG_CTX, ARG_MAP, ARG_ANY, ARG_MEM_IN, ARG_SIZE),
        HELPER(csum_diff, ARG_MEM_IN, ARG_SIZE, ARG_MEM_IN, ARG_SIZE, ARG_ANY),
        HELPER(xdp_adjust_head, ARG_CTX, ARG_ANY),
        HELPER(redirect_map, ARG_MAP, ARG_ANY, ARG_ANY),
        HELPER(xdp_adjust_meta, ARG_CTX, ARG_ANY),
        HELPER(xdp_adjust_tail, ARG_CTX, ARG_ANY),
        HELPER(fib_lookup, ARG_CTX, ARG_MEM_OUT, ARG_SIZE, ARG_ANY),
        HELPER(sk_lookup_tcp, ARG_CTX, ARG_MEM_IN, ARG_SIZE, ARG_ANY, ARG_ANY),
        HELPER(sk_lookup_udp, ARG_CTX, ARG_MEM_IN, ARG_SIZE, ARG_ANY, ARG_ANY),
        HELPER(sk_release, ARG_OBJECT),
        HELPER(spin_lock, ARG_OBJECT),
        HELPER(spin_unlock, ARG_OBJECT),
        HELPER(skc_lookup_tcp, ARG_CTX, ARG_MEM_IN, ARG_SIZE, ARG_ANY, ARG_ANY),
        HELPER(tcp_check_syncookie, ARG_OBJECT, ARG_MEM_IN, ARG_SIZE, ARG_MEM_IN, ARG_SIZE),
        HELPER(strtol, ARG_MEM_IN, ARG_SIZE, ARG_ANY, ARG_OBJECT),
        HELPER(strtoul, ARG_MEM_IN, ARG_SIZE, ARG_ANY, ARG_OBJECT),
        HELPER(tcp_gen_syncookie, ARG_OBJECT, ARG_MEM_IN, ARG_SIZE, ARG_MEM_IN, ARG_SIZE),
        HELPER(probe_read_kernel, ARG_MEM_OUT, ARG_SIZE, ARG_ANY),
        HELPER(jiffies64, ARG_NONE),
        HELPER(ktime_get_boot_ns, ARG_NONE),
        HELPER(ringbuf_output, ARG_MAP, ARG_MEM_IN, ARG_SIZE, ARG_ANY),
        HELPER(ringbuf_reserve, ARG_MAP, ARG_ANY, ARG_ANY),
        HELPER(ringbuf_submit, ARG_OBJECT, ARG_ANY),
        HELPER(ringbuf_discard, ARG_OBJECT, ARG_ANY),
        HELPER(ringbuf_query, ARG_MAP, ARG_ANY),
        HELPER(ktime_get_coarse_ns, ARG_NONE),
        HELPER(check_mtu, ARG_CTX, ARG_ANY, ARG_OBJECT, ARG_ANY, ARG_ANY),
        HELPER(for_each_map_elem, ARG_MAP, ARG_FUNC, ARG_ANY, ARG_ANY),
        HELPER(snprintf, ARG_MEM_OUT, ARG_SIZE, ARG_ANY, ARG_MEM_IN, ARG_SIZE),
        HELPER(trace_vprintk, ARG_MEM_IN, ARG_SIZE, ARG_MEM_IN, ARG_SIZE),
        HELPER(loop, ARG_ANY, ARG_FUNC, ARG_ANY, ARG_ANY),
        HELPER(strncmp, ARG_MEM_IN, ARG_SIZE, ARG_ANY),
        HELPER(xdp_get_buff_len, ARG_CTX),
        HELPER(xdp_load_bytes, ARG_CTX, ARG_ANY, ARG_MEM_OUT, ARG_SIZE),
        HELPER(xdp_store_bytes, ARG_CTX, ARG_ANY, ARG_MEM_IN, ARG_SIZE),
        HELPER(map_lookup_percpu_elem, ARG_MAP, ARG_KEY, ARG_ANY),
        HELPER(dynptr_from_mem, ARG_MEM_OUT, ARG_SIZE, ARG_ANY, ARG_OBJECT),
        HELPER(ringbuf_reserve_dynptr, ARG_MAP, ARG_ANY, ARG_ANY, ARG_OBJECT),
        HELPER(ringbuf_submit_dynptr, ARG_OBJECT, ARG_ANY),
        HELPER(ringbuf_discard_dynptr, ARG_OBJECT, ARG_ANY),
        HELPER(dynptr_read, ARG_MEM_OUT, ARG_SIZE, ARG_OBJECT, ARG_ANY, ARG_ANY),
        HELPER(dynptr_write, ARG_OBJECT, ARG_ANY, ARG_MEM_IN, ARG_SIZE, ARG_ANY),
        HELPER(dynptr_data, ARG_OBJECT, ARG_ANY, ARG_ANY),
        HELPER(tcp_raw_gen_syncookie_ipv4, ARG_OBJECT, ARG_MEM_IN, ARG_SIZE),
        HELPER(tcp_raw_gen_syncookie_ipv6, ARG_OBJECT, ARG_MEM_IN, ARG_SIZE),
        HELPER(tcp_raw_check_syncookie_ipv4, ARG_OBJECT, ARG_OBJECT),
        HELPER(tcp_raw_check_syncookie_ipv6, ARG_OBJECT, ARG_OBJECT),
        HELPER(ktime_get_tai_ns, ARG_NONE),
};
const uint32_t helper_count = ARRAY_SIZE(helper_table);

// The buffer of a slice may be NULL. No port driver here has metadata but the arrival stamp: hash
// and VLAN tag answer -EOPNOTSUPP, as a kernel driver without them does.
const struct helper kfunc_table[] = {
        {0, "bpf_dynptr_from_xdp", {ARG_CTX, ARG_ANY, ARG_OBJECT}},
        {1, "bpf_dynptr_slice", {ARG_OBJECT, ARG_ANY, ARG_MEM_OUT, ARG_SIZE}},
        {2, "bpf_dynptr_slice_rdwr", {ARG_OBJECT, ARG_ANY, ARG_MEM_OUT, ARG_SIZE}},
        {3, "bpf_xdp_metadata_rx_timestamp", {ARG_CTX, ARG_OBJECT}},
        {4, "bpf_xdp_metadata_rx_hash", {ARG_CTX, ARG_OBJECT, ARG_OBJECT}},
        {5, "bpf_xdp_metadata_rx_vlan_tag", {ARG_CTX, ARG_OBJECT, ARG_OBJECT}},
        {6, "bpf_xdp_ct_lookup", {ARG_CTX, ARG_MEM_IN, ARG_SIZE, ARG_MEM_OUT, ARG_SIZE}},
        {7, "bpf_xdp_ct_alloc", {ARG_CTX, ARG_MEM_IN, ARG_SIZE, ARG_MEM_OUT, ARG_SIZE}},
        {8, "bpf_xdp_flow_lookup", {ARG_CTX, ARG_OBJECT, ARG_MEM_OUT, ARG_SIZE}},
        {9, "bpf_ct_release", {ARG_OBJECT}},
        {10, "bpf_ct_insert_entry", {ARG_OBJECT}},
        {11, "bpf_ct_set_timeout", {ARG_OBJECT, ARG_ANY}},
        {12, "bpf_ct_change_timeout", {ARG_OBJECT, ARG_ANY}},
        {13, "bpf_ct_set_status", {ARG_OBJECT, ARG_ANY}},
        {14, "bpf_ct_change_status", {ARG_OBJECT, ARG_ANY}},
        {15, "bpf_ct_set_nat_info", {ARG_OBJECT, ARG_OBJECT, ARG_ANY, ARG_ANY}},
};
const uint32_t kfunc_count = ARRAY_SIZE(kfunc_table);

// The kernel's own list, which ends with number 211; those behind the build machine's header by
// hand.
#define NAME(x, ...) [BPF_FUNC_##x] = "bpf_" #x
static const char *const names[] = {
        __BPF_FUNC_MAPPER(NAME)[210] = "bpf_cgrp_storage_get",
        [211] = "bpf_cgrp_storage_delete",
};

const struct helper *helper_find(uint32_t id)
{
	uint32_t low = 0, high = helper_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (helper_table[middle].id == id)
			return &helper_table[middle];
		if (helper_table[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const char *helper_name(uint32_t id)
{
	return id && id < ARRAY_SIZE(names) && names[id] ? names[id] : "unknown";
}

const struct helper *kfunc_find(const char *name)
{
	for (uint32_t i = 0; i < kfunc_count; i++) {
		if (!strcmp(kfunc_table[i].name, name))
			return &kfunc_table[i];
	}
	return NULL;
}
