// SPDX-License-Identifier: Apache-2.0
// Puts a VLAN tag in front of what has none.
#include "parse.h"

SEC("xdp_vlan_push")
int push(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr), copy;
	if (!eth)
		return XDP_ABORTED;
	if (eth->h_proto == bpf_htons(ETH_P_8021Q))
		return XDP_PASS;
	__builtin_memcpy(&copy, eth, sizeof(copy));
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct vlan)))
		return XDP_ABORTED;
	cursor = start(ctx);
	eth = TAKE(&cursor, ethhdr);
	struct vlan *tag = TAKE(&cursor, vlan);
	if (!eth || !tag)
		return XDP_ABORTED;
	__builtin_memcpy(eth, &copy, sizeof(copy));
	tag->type = eth->h_proto;
	tag->tci = bpf_htons(100);
	eth->h_proto = bpf_htons(ETH_P_8021Q);
	return XDP_TX;
}
