// SPDX-License-Identifier: Apache-2.0
// Sums the copies of a per-CPU value that other CPUs wrote.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

__u64 sum;

SEC("xdp")
int percpu(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *mine = bpf_map_lookup_elem(&packets, &zero);
	if (mine)
		*mine += 1;
	sum = 0;
	for (__u32 cpu = 0; cpu < 64; cpu++) {
		__u64 *count = bpf_map_lookup_percpu_elem(&packets, &zero, cpu);
		if (!count)
			break;
		sum += *count;
	}
	return sum & 1 ? XDP_PASS : XDP_TX;
}
