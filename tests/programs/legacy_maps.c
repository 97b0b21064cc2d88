// SPDX-License-Identifier: Apache-2.0
// Maps as before BTF: struct bpf_map_def in section "maps". (libbpf 1.0 and later refuse it.)
#include "parse.h"

struct bpf_map_definition {
	unsigned type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_definition SEC("maps") rxcnt = {
        .type = BPF_MAP_TYPE_PERCPU_ARRAY,
        .key_size = sizeof(__u32),
        .value_size = sizeof(long),
        .max_entries = 256,
};

struct bpf_map_definition SEC("maps") hosts = {
        .type = BPF_MAP_TYPE_HASH,
        .key_size = sizeof(__be32),
        .value_size = sizeof(__u64),
        .max_entries = 1000,
        .map_flags = BPF_F_NO_PREALLOC,
};

SEC("xdp1")
int xdp_prog1(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	__u32 protocol = 0;
	__be16 type = take_ethernet(&cursor, &eth);
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = take_ipv4(&cursor);
		if (ip) {
			__be32 source = ip->saddr;
			__u64 one = 1, *count = bpf_map_lookup_elem(&hosts, &source);
			protocol = ip->protocol;
			if (count)
				__sync_fetch_and_add(count, 1);
			else
				bpf_map_update_elem(&hosts, &source, &one, BPF_ANY);
		}
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = TAKE(&cursor, ipv6hdr);
		protocol = ip ? ip->nexthdr : 0;
	}
	long *value = bpf_map_lookup_elem(&rxcnt, &protocol);
	if (value)
		*value += 1;
	return protocol == IPPROTO_UDP ? XDP_TX : XDP_DROP;
}
