// SPDX-License-Identifier: Apache-2.0
// Global functions in .text, shared by two programs; one program does not call the second function.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

__noinline int add(int a, int b)
{
	return a + b;
}

__noinline int multiply(int a, int b)
{
	return add(a, b) * b;
}

SEC("xdp") int uses_both(struct xdp_md *ctx)
{
	return multiply(ctx->ingress_ifindex, 3) & 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int uses_one(struct xdp_md *ctx)
{
	return add(ctx->ingress_ifindex, 3) & 1 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
