// SPDX-License-Identifier: Apache-2.0
// References into the middle of global arrays and structs.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct pair {
	__u32 left, right;
};

static volatile struct pair pairs[4] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};
volatile __u32 numbers[8] = {1, 1, 2, 3, 5, 8, 13, 21};

SEC("xdp") int picks(struct xdp_md *ctx)
{
	pairs[ctx->ingress_ifindex & 3].left++;
	return numbers[6] + pairs[2].right + numbers[ctx->rx_queue_index & 7] > 19 ? XDP_PASS
	                                                                           : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
