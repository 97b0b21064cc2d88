// SPDX-License-Identifier: Apache-2.0
// Answers ICMP echo requests.
#include "parse.h"

SEC("xdp")
int echo(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->protocol != IPPROTO_ICMP || ip->frag_off & bpf_htons(0x3fff))
		return XDP_PASS;
	struct icmphdr *icmp = TAKE(&cursor, icmphdr);
	if (!icmp || icmp->type != ICMP_ECHO)
		return XDP_PASS;
	struct icmphdr old = *icmp;
	icmp->type = ICMP_ECHOREPLY;
	icmp->checksum = 0;
	old.checksum = 0;
	__u32 sum = (__u16) ~((struct icmphdr *)icmp)->checksum;
	sum = (__u32)bpf_csum_diff((__be32 *)&old, sizeof(old), (__be32 *)icmp, sizeof(*icmp), sum);
	icmp->checksum = fold(sum);
	__be32 address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	__u8 mac[ETH_ALEN];
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}
