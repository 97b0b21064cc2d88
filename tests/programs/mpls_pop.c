// SPDX-License-Identifier: Apache-2.0
// Takes a stack of MPLS labels off, byte loops over the headers that move.
#include "parse.h"

#define DEPTH 4

SEC("xdp")
int labels(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr), copy;
	if (!eth || eth->h_proto != bpf_htons(ETH_P_MPLS_UC))
		return XDP_PASS;
	copy = *eth;
	int depth = 0, found = 0;
	for (int i = 0; i < DEPTH; i++) {
		__be32 *label = cursor.at;
		if ((void *)(label + 1) > cursor.end)
			return XDP_DROP;
		cursor.at = label + 1;
		depth++;
		if (*label & bpf_htonl(1 << 8)) {
			found = 1;
			break;
		}
	}
	__u8 *version = cursor.at;
	if (!found || (void *)(version + 1) > cursor.end)
		return XDP_DROP;
	copy.h_proto = *version >> 4 == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (bpf_xdp_adjust_head(ctx, depth * 4))
		return XDP_DROP;
	cursor = start(ctx);
	eth = TAKE(&cursor, ethhdr);
	if (!eth)
		return XDP_DROP;
	*eth = copy;
	return XDP_TX;
}
