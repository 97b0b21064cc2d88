// SPDX-License-Identifier: Apache-2.0
// A kfunc that cards offer.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;

SEC("xdp") int stamps(struct xdp_md *ctx)
{
	__u64 stamp = 0;
	return bpf_xdp_metadata_rx_timestamp(ctx, &stamp) ? XDP_PASS : XDP_TX;
}

char _license[] SEC("license") = "GPL";
