// SPDX-License-Identifier: Apache-2.0
// Asks the driver for what the hardware knows of the packet, and does without.
#include "parse.h"

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash, __u32 *rss_type) __ksym;

__u64 varies_with, no_hash;

SEC("xdp")
int metadata(struct xdp_md *ctx)
{
	__u64 stamp = 0;
	__u32 hash = 0, type = 0;
	if (bpf_xdp_metadata_rx_timestamp(ctx, &stamp) == 0)
		varies_with++;
	if (bpf_xdp_metadata_rx_hash(ctx, &hash, &type))
		no_hash++;
	return XDP_PASS;
}
