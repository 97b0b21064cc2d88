// SPDX-License-Identifier: Apache-2.0
// Routes IPv4 by longest prefix.
#include "parse.h"

struct prefix {
	__u32 length;
	__be32 address;
};

struct hop {
	__u8 mac[6];
	__u16 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, struct hop);
} routes SEC(".maps");

SEC("xdp")
int route(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->ttl <= 1)
		return XDP_DROP;
	struct prefix key = {32, ip->daddr};
	struct hop *hop = bpf_map_lookup_elem(&routes, &key);
	if (!hop)
		return XDP_PASS;
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, hop->mac, ETH_ALEN);
	__u32 sum = ip->check + bpf_htons(0x0100);
	ip->check = (__u16)(sum + (sum >= 0xffff));
	ip->ttl--;
	return hop->port ? XDP_TX : XDP_DROP;
}
