// SPDX-License-Identifier: Apache-2.0
// String constants: .rodata.str1.1, merged constants, and the formats of bpf_printk.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp") int says(struct xdp_md *ctx)
{
	const char *words[2];
	words[0] = "hello from the card";
	words[1] = "another string";
	bpf_printk("port %d queue %d", ctx->ingress_ifindex, ctx->rx_queue_index);
	bpf_trace_printk(words[ctx->ingress_ifindex & 1], 10);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
