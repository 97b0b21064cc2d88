// SPDX-License-Identifier: Apache-2.0
// Filters IPv6 sources by prefix; adds a host route for each that it meets.
#include "parse.h"

struct prefix {
	__u32 length;
	struct in6_addr address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} sources SEC(".maps");

SEC("xdp")
int filter(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IPV6))
		return XDP_PASS;
	struct ipv6hdr *ip = TAKE(&cursor, ipv6hdr);
	if (!ip)
		return XDP_DROP;
	struct prefix key = {128, ip->saddr};
	__u32 zero = 0, *policy = bpf_map_lookup_elem(&sources, &key);
	if (!policy)
		return XDP_DROP;
	if (*policy == 1)
		bpf_map_update_elem(&sources, &key, &zero, BPF_ANY);
	return *policy == 1 ? XDP_TX : XDP_PASS;
}
