// SPDX-License-Identifier: Apache-2.0
// A table a tenant: hash of maps by VLAN number, inner hashes by address.
#include "parse.h"

struct table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __be32);
	__type(value, __u64);
} red SEC(".maps"), green SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 16);
	__type(key, __u32);
	__array(values, struct table);
} tenants SEC(".maps") = {.values = {[5] = &red, [7] = &green}};

SEC("xdp")
int tenant(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	struct vlan *tag = TAKE(&cursor, vlan);
	if (!eth || !tag || eth->h_proto != bpf_htons(ETH_P_8021Q))
		return XDP_PASS;
	__u32 id = bpf_ntohs(tag->tci) & 0xfff;
	void *table = bpf_map_lookup_elem(&tenants, &id);
	if (!table)
		return XDP_DROP;
	struct iphdr *ip = tag->type == bpf_htons(ETH_P_IP) ? take_ipv4(&cursor) : 0;
	if (!ip)
		return XDP_PASS;
	__be32 source = ip->saddr;
	__u64 one = 1, *count = bpf_map_lookup_elem(table, &source);
	if (count)
		*count += 1;
	else
		bpf_map_update_elem(table, &source, &one, BPF_ANY);
	return XDP_TX;
}
