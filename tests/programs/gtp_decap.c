// SPDX-License-Identifier: Apache-2.0
// Takes GTP-U tunnels off; counts by tunnel.
#include "parse.h"

struct gtp {
	__u8 flags, type;
	__be16 length;
	__be32 teid;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u64);
} tunnels SEC(".maps");

SEC("xdp")
int decapsulate(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr), copy;
	if (!eth || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	struct udphdr *udp = TAKE(&cursor, udphdr);
	struct gtp *gtp = udp ? TAKE(&cursor, gtp) : 0;
	if (!gtp || udp->dest != bpf_htons(2152))
		return XDP_PASS;
	__be32 teid = gtp->teid;
	__u64 one = 1, *count = bpf_map_lookup_elem(&tunnels, &teid);
	if (count)
		(*count)++;
	else if (bpf_map_update_elem(&tunnels, &teid, &one, BPF_NOEXIST))
		return XDP_DROP;
	copy = *eth;
	if (bpf_xdp_adjust_head(ctx, 20 + 8 + 8))
		return XDP_DROP;
	cursor = start(ctx);
	eth = TAKE(&cursor, ethhdr);
	if (!eth)
		return XDP_DROP;
	*eth = copy;
	return XDP_TX;
}
