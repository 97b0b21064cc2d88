// SPDX-License-Identifier: Apache-2.0
// Maps of maps: an array with initial values, a hash without.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
        .values = {[1] = &inner_a, [3] = &inner_b},
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(
	        values, struct {
		        __uint(type, BPF_MAP_TYPE_HASH);
		        __uint(max_entries, 16);
		        __type(key, __u64);
		        __type(value, __u32);
	        });
} tenants SEC(".maps");

SEC("xdp") int nested(struct xdp_md *ctx)
{
	__u32 one = 1;
	__u64 key = 7;
	void *map = bpf_map_lookup_elem(&outer, &one);
	void *tenant = bpf_map_lookup_elem(&tenants, &one);
	if (tenant)
		bpf_map_lookup_elem(tenant, &key);
	return map && bpf_map_lookup_elem(map, &one) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
