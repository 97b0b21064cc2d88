// SPDX-License-Identifier: Apache-2.0
// A count-min sketch with four rows, and the largest sources in a small table that entries leave.
#include "parse.h"

struct row {
	__u32 cells[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct row);
} sketch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __be32);
	__type(value, __u32);
} hitters SEC(".maps");

SEC("xdp")
int hitter(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	__be32 source = ip->saddr;
	__u32 least = ~0u;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u32 key = (__u32)i;
		struct row *row = bpf_map_lookup_elem(&sketch, &key);
		if (!row)
			return XDP_ABORTED;
		__u32 hash = (source ^ key * 0x85ebca6b) * 0xc2b2ae35, count;
		count = ++row->cells[hash >> 24];
		least = count < least ? count : least;
	}
	if (least < 4)
		return XDP_PASS;
	if (bpf_map_update_elem(&hitters, &source, &least, BPF_ANY))
		return XDP_TX;
	if (least > 12)
		bpf_map_delete_elem(&hitters, &source);
	return XDP_DROP;
}
