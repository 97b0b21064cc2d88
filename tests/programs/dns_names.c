// SPDX-License-Identifier: Apache-2.0
// Reads the name of a DNS question byte by byte and blocks by name.
#include "parse.h"

struct dns {
	__be16 id, flags, questions, answers, authority, additional;
};

struct name {
	char text[32];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct name);
	__type(value, __u64);
} names SEC(".maps");

SEC("xdp")
int dns_filter(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	struct udphdr *udp = TAKE(&cursor, udphdr);
	if (!udp || udp->dest != bpf_htons(53))
		return XDP_PASS;
	struct dns *dns = TAKE(&cursor, dns);
	if (!dns)
		return XDP_DROP;
	struct name name = {{0}};
	for (int i = 0; i < 31; i++) {
		char *byte = cursor.at;
		if ((void *)(byte + 1) > cursor.end || !*byte)
			break;
		name.text[i] = *byte;
		cursor.at = byte + 1;
	}
	__u64 one = 1, *count = bpf_map_lookup_elem(&names, &name);
	if (!count) {
		bpf_map_update_elem(&names, &name, &one, BPF_NOEXIST);
		return XDP_PASS;
	}
	return ++*count > 2 ? XDP_DROP : XDP_PASS;
}
