// SPDX-License-Identifier: Apache-2.0
// Types with preserve_access_index: fields are found by name when it is loaded.
#include "parse.h"

struct net_device___mine {
	int ifindex;
	unsigned mtu;
} __attribute__((preserve_access_index));

struct iphdr___mine {
	__u8 ttl, protocol;
	__be32 saddr;
} __attribute__((preserve_access_index));

__u64 sizes[4];

SEC("xdp")
int relocated(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	sizes[0] = __builtin_preserve_field_info(((struct iphdr___mine *)0)->ttl, 0);
	sizes[1] = __builtin_preserve_field_info(((struct iphdr___mine *)0)->saddr, 0);
	sizes[2] = __builtin_preserve_field_info(((struct net_device___mine *)0)->mtu, 2);
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	struct iphdr___mine *mine = (void *)ip;
	sizes[3] += mine->ttl;
	return mine->protocol == IPPROTO_TCP ? XDP_TX : XDP_PASS;
}
