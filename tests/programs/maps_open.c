// SPDX-License-Identifier: Apache-2.0
// Maps whose size a loader of its own would set, by CPUs and interfaces. (The kernel refuses them.)
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} rx_cnt SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_cpumap_val));
} cpus SEC(".maps");

SEC("xdp")
int counted(struct xdp_md *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 *count = bpf_map_lookup_elem(&rx_cnt, &cpu);
	if (!count)
		return XDP_ABORTED;
	(*count)++;
	return (int)bpf_redirect_map(&cpus, 63, XDP_PASS);
}
