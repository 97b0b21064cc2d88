// SPDX-License-Identifier: Apache-2.0
// A function that calls itself: the kernel refuses it, a card stops it by call depth.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

__noinline int down(int a)
{
	return a > 0 ? down(a - 1) + a : 0;
}

SEC("xdp") int dive(struct xdp_md *ctx)
{
	return down(ctx->ingress_ifindex & 3) ? XDP_PASS : XDP_TX;
}
