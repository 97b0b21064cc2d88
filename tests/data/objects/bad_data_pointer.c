// SPDX-License-Identifier: Apache-2.0
// Refused: an address in global data, which nobody would fill.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static int one = 1, two = 2;
int *const volatile numbers[] = {&one, &two};

SEC("xdp") int follows(struct xdp_md *ctx)
{
	return *numbers[ctx->ingress_ifindex & 1];
}

char _license[] SEC("license") = "GPL";
