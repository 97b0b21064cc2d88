// SPDX-License-Identifier: Apache-2.0
// One program in each kind of section that XDP programs are found in; `entry` is the one to enter.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp_devmap/egress") int egress(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("?xdp") int optional(struct xdp_md *ctx)
{
	return XDP_ABORTED;
}

SEC("xdp.frags") int entry(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp/named") int named(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("xdp_underscore") int underscore(struct xdp_md *ctx)
{
	return XDP_REDIRECT;
}

char _license[] SEC("license") = "GPL";
