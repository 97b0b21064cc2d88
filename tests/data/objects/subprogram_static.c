// SPDX-License-Identifier: Apache-2.0
// Static functions in .text, called through two levels and twice.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static __noinline int leaf(int a)
{
	return a * 3 + 1;
}

static __noinline int middle(int a, int b)
{
	return leaf(a) ^ leaf(b);
}

SEC("xdp") int calls(struct xdp_md *ctx)
{
	return middle(ctx->ingress_ifindex, ctx->rx_queue_index) & 1 ? XDP_PASS : XDP_TX;
}

char _license[] SEC("license") = "GPL";
