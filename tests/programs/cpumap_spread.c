// SPDX-License-Identifier: Apache-2.0
// Spreads flows over CPUs by a hash of the addresses.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_cpumap_val));
	__uint(max_entries, 4);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4);
} chosen SEC(".maps");

SEC("xdp")
int spread(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	__u32 hash = (ip->saddr ^ ip->daddr) * 0x9e3779b1u, cpu = hash >> 30;
	__u64 *count = bpf_map_lookup_elem(&chosen, &cpu);
	if (count)
		(*count)++;
	return (int)bpf_redirect_map(&cpus, cpu, XDP_DROP);
}
