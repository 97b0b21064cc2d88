// SPDX-License-Identifier: Apache-2.0
// A dispatcher by protocol whose prog array the object file fills.
#include "parse.h"

int handle_tcp(struct xdp_md *ctx), handle_udp(struct xdp_md *ctx), handle_icmp(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 256);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} handlers SEC(".maps") = {
        .values = {[IPPROTO_TCP] = (void *)&handle_tcp,
                [IPPROTO_UDP] = (void *)&handle_udp,
                [IPPROTO_ICMP] = (void *)&handle_icmp},
};

__u64 counts[4];

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	bpf_tail_call(ctx, &handlers, ip->protocol);
	counts[0]++;
	return XDP_PASS;
}

SEC("xdp")
int handle_tcp(struct xdp_md *ctx)
{
	counts[1]++;
	return XDP_TX;
}

SEC("xdp")
int handle_udp(struct xdp_md *ctx)
{
	counts[2] += ctx->data_end - ctx->data;
	return XDP_DROP;
}

SEC("xdp")
int handle_icmp(struct xdp_md *ctx)
{
	counts[3]++;
	bpf_tail_call(ctx, &handlers, IPPROTO_TCP);
	return XDP_ABORTED;
}
