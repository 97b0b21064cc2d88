// SPDX-License-Identifier: Apache-2.0
// Exports a record of each TCP SYN through a ring buffer.
#include "parse.h"

struct event {
	__be32 source, dest;
	__be16 source_port, dest_port;
	__u32 size;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

__u64 lost;

SEC("xdp")
int exporter(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	struct tcphdr *tcp = TAKE(&cursor, tcphdr);
	if (!tcp)
		return XDP_DROP;
	struct event event = {
	        ip->saddr, ip->daddr, tcp->source, tcp->dest, ctx->data_end - ctx->data};
	if (tcp->syn && bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		lost++;
	return XDP_PASS;
}
