// SPDX-License-Identifier: Apache-2.0
// Legacy maps, seven words, as the kernel's samples had them: with an inner map by its place.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct legacy_map {
	unsigned type, key_size, value_size, max_entries, map_flags, inner_map_idx, numa_node;
};

struct legacy_map SEC("maps") shape = {BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0, 0, 0};
struct legacy_map SEC("maps") outer = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 3, 0, 0, 0};

SEC("xdp") int reads(struct xdp_md *ctx)
{
	__u32 key = 0;
	void *map = bpf_map_lookup_elem(&outer, &key);
	bpf_map_lookup_elem(&shape, &key);
	return map && bpf_map_lookup_elem(map, &key) ? XDP_PASS : XDP_DROP;
}
