// SPDX-License-Identifier: Apache-2.0
// gobpf's definitions: a section a map, 280 bytes.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct bpf_map_def_long {
	unsigned type, key_size, value_size, max_entries, map_flags, pinning;
	char namespace[256];
};

struct bpf_map_def_long SEC("maps/first") first = {BPF_MAP_TYPE_HASH, 4, 8, 16, 0, 0, "a"};
struct bpf_map_def_long SEC("maps/second") second = {BPF_MAP_TYPE_ARRAY, 4, 8, 16, 0, 0, "b"};

SEC("xdp") int both(struct xdp_md *ctx)
{
	__u32 key = 1;
	return bpf_map_lookup_elem(&first, &key) && bpf_map_lookup_elem(&second, &key) ? XDP_DROP
	                                                                               : XDP_PASS;
}
