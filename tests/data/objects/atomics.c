// SPDX-License-Identifier: Apache-2.0
// Atomic operations on a global, with and without fetch.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

__u64 total;
__u32 ticket;

SEC("xdp") int adds(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&total, 3);
	return __sync_fetch_and_add(&ticket, 1) & 1 ? XDP_PASS : XDP_TX;
}

char _license[] SEC("license") = "GPL";
