// SPDX-License-Identifier: Apache-2.0
// Source lines: the numbers are tested.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static __noinline int sum(int a, int b)
{
	return a * 5 + b; // line 9
}

SEC("xdp") int counts(struct xdp_md *ctx)
{
	int a = sum(ctx->ingress_ifindex, 2);
	return a > 4 ? XDP_PASS : XDP_DROP; // line 15
}

char _license[] SEC("license") = "GPL";
