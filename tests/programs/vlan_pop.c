// SPDX-License-Identifier: Apache-2.0
// Takes the outer VLAN tag away; sorts by its number.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 4096);
} seen SEC(".maps");

SEC("xdp_vlan_pop")
int pop(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	struct vlan *tag = TAKE(&cursor, vlan);
	if (!eth || !tag || eth->h_proto != bpf_htons(ETH_P_8021Q))
		return XDP_PASS;
	__u32 id = bpf_ntohs(tag->tci) & 0xfff;
	__u64 *count = bpf_map_lookup_elem(&seen, &id);
	if (count)
		__sync_fetch_and_add(count, 1);
	__be16 type = tag->type;
	__u8 addresses[2 * ETH_ALEN];
	__builtin_memcpy(addresses, eth, sizeof(addresses));
	if (bpf_xdp_adjust_head(ctx, sizeof(*tag)))
		return XDP_ABORTED;
	cursor = start(ctx);
	eth = TAKE(&cursor, ethhdr);
	if (!eth)
		return XDP_ABORTED;
	__builtin_memcpy(eth, addresses, sizeof(addresses));
	eth->h_proto = type;
	return XDP_TX;
}
