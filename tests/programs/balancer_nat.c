// SPDX-License-Identifier: Apache-2.0
// A balancer that rewrites addresses, with incremental checksums (RFC 1624) by bpf_csum_diff.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __be32);
	__type(value, __be32);
	__uint(max_entries, 16);
} translate SEC(".maps");

static __always_inline void patch(__u16 *check, __be32 from, __be32 to)
{
	__s64 sum = bpf_csum_diff(&from, sizeof(from), &to, sizeof(to), (__u16) ~*check);
	*check = fold((__u32)sum);
}

SEC("xdp")
int nat(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	__be32 from = ip->daddr;
	__be32 *to = bpf_map_lookup_elem(&translate, &from);
	if (!to)
		return XDP_PASS;
	__be32 address = *to;
	patch(&ip->check, from, address);
	ip->daddr = address;
	if (ip->frag_off & bpf_htons(0x1fff))
		return XDP_TX;
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = TAKE(&cursor, tcphdr);
		if (!tcp)
			return XDP_DROP;
		patch(&tcp->check, from, address);
	} else if (ip->protocol == IPPROTO_UDP) {
		struct udphdr *udp = TAKE(&cursor, udphdr);
		if (!udp)
			return XDP_DROP;
		if (udp->check)
			patch(&udp->check, from, address);
	}
	__u8 mac[ETH_ALEN];
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}
