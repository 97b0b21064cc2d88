// SPDX-License-Identifier: Apache-2.0
// Static functions that stand in the program's own section, before and behind it.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static __noinline SEC("xdp") int before(int a)
{
	return a + 5;
}

static int behind(int a);

SEC("xdp") int between(struct xdp_md *ctx)
{
	return (before(ctx->ingress_ifindex) ^ behind(ctx->rx_queue_index)) & 1 ? XDP_PASS : XDP_TX;
}

static __noinline SEC("xdp") int behind(int a)
{
	return before(a) * 7;
}
