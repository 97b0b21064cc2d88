// SPDX-License-Identifier: Apache-2.0
// Cuts what is too long and tells the sender so by ICMP.
#include "parse.h"

#define MAX_PACKET 600
#define KEPT       (ETH_HLEN + 20 + 8)

SEC("xdp_icmp")
int too_big(struct xdp_md *ctx)
{
	int size = (int)(ctx->data_end - ctx->data);
	if (size <= MAX_PACKET)
		return XDP_PASS;
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	struct iphdr *ip = TAKE(&cursor, iphdr);
	if (!eth || !ip || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (bpf_xdp_adjust_tail(ctx, KEPT - size))
		return XDP_PASS;
	int room = (int)(sizeof(struct iphdr) + sizeof(struct icmphdr));
	if (bpf_xdp_adjust_head(ctx, -room))
		return XDP_DROP;
	cursor = start(ctx);
	eth = TAKE(&cursor, ethhdr);
	struct iphdr *outer = TAKE(&cursor, iphdr);
	struct icmphdr *icmp = TAKE(&cursor, icmphdr);
	struct ethhdr *old = (void *)eth + room;
	struct iphdr *inner = (void *)(old + 1);
	if (!eth || !outer || !icmp || (void *)(inner + 1) + 8 > cursor.end)
		return XDP_DROP;
	__builtin_memcpy(eth->h_dest, old->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, old->h_dest, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
	__be32 from = inner->daddr, to = inner->saddr;
	*icmp = (struct icmphdr){.type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED};
	icmp->un.frag.mtu = bpf_htons(MAX_PACKET - ETH_HLEN);
	icmp->checksum = fold((__u32)bpf_csum_diff(0, 0, (__be32 *)icmp, 36, 0));
	*outer = (struct iphdr){.version = 4,
	        .ihl = 5,
	        .tot_len = bpf_htons(20 + 36),
	        .ttl = 64,
	        .protocol = IPPROTO_ICMP,
	        .saddr = from,
	        .daddr = to};
	outer->check = header_checksum(outer);
	return XDP_TX;
}
