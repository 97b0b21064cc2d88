// SPDX-License-Identifier: Apache-2.0
// A stateful firewall: flows begun from inside are kept in an LRU table and let back in.
#include "parse.h"

struct flow {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 protocol, pad[3];
};

struct state {
	__u64 packets, bytes;
	__u32 flags, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct flow);
	__type(value, struct state);
	__uint(max_entries, 4096);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u16);
	__type(value, __u32);
	__uint(max_entries, 64);
} open_ports SEC(".maps");

struct ports {
	__be16 source, dest;
};

static __always_inline void note(struct flow *flow, __u32 bytes, __u32 flags)
{
	struct state *state = bpf_map_lookup_elem(&flows, flow);
	if (state) {
		state->packets++;
		state->bytes += bytes;
		state->flags |= flags;
		return;
	}
	struct state fresh = {1, bytes, flags, 0};
	bpf_map_update_elem(&flows, flow, &fresh, BPF_NOEXIST);
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->frag_off & bpf_htons(0x3fff))
		return XDP_DROP;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	struct ports *ports = TAKE(&cursor, ports);
	if (!ports)
		return XDP_DROP;
	struct flow flow = {ip->saddr, ip->daddr, ports->source, ports->dest, ip->protocol, {0}};
	__u32 bytes = ctx->data_end - ctx->data, flags = 0;
	if (ip->protocol == IPPROTO_TCP) {
		cursor.at = ports;
		struct tcphdr *tcp = TAKE(&cursor, tcphdr);
		if (!tcp)
			return XDP_DROP;
		flags = tcp->syn | tcp->fin << 1 | tcp->rst << 2;
	}
	if ((bpf_ntohl(ip->saddr) >> 24) == 10) { // from inside
		note(&flow, bytes, flags);
		return XDP_TX;
	}
	struct flow back = {ip->daddr, ip->saddr, ports->dest, ports->source, ip->protocol, {0}};
	if (bpf_map_lookup_elem(&flows, &back))
		return XDP_TX;
	__u16 port = bpf_ntohs(ports->dest);
	__u32 *open = bpf_map_lookup_elem(&open_ports, &port);
	if (!open)
		return XDP_DROP;
	__sync_fetch_and_add(open, 1);
	return XDP_PASS;
}
