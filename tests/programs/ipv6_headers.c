// SPDX-License-Identifier: Apache-2.0
// Skips IPv6 extension headers; counts what stands behind them.
#include "parse.h"

struct extension {
	__u8 next, length;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 512);
	__type(key, __u8);
	__type(value, __u64);
} protocols SEC(".maps");

SEC("xdp")
int extensions(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IPV6))
		return XDP_PASS;
	struct ipv6hdr *ip = TAKE(&cursor, ipv6hdr);
	if (!ip)
		return XDP_DROP;
	__u8 next = ip->nexthdr;
	for (int i = 0; i < 6; i++) {
		if (next != 0 && next != 43 && next != 44 && next != 60)
			break;
		struct extension *extension = TAKE(&cursor, extension);
		if (!extension)
			return XDP_DROP;
		__u32 more = next == 44 ? 6 : extension->length * 8 + 6;
		if (cursor.at + more > cursor.end)
			return XDP_DROP;
		next = extension->next;
		cursor.at += more;
	}
	__u64 one = 1, *count = bpf_map_lookup_elem(&protocols, &next);
	if (count)
		(*count)++;
	else
		bpf_map_update_elem(&protocols, &next, &one, BPF_ANY);
	return next == IPPROTO_TCP ? XDP_TX : XDP_PASS;
}
