// SPDX-License-Identifier: Apache-2.0
// Refused: a function that nobody defines.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

int elsewhere(int a);

SEC("xdp") int calls(struct xdp_md *ctx)
{
	return elsewhere(ctx->ingress_ifindex);
}

char _license[] SEC("license") = "GPL";
