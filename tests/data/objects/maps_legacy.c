// SPDX-License-Identifier: Apache-2.0
// Legacy maps, five words; static and global.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct legacy_map {
	unsigned type, key_size, value_size, max_entries, map_flags;
};

struct legacy_map SEC("maps") blocked = {
        .type = BPF_MAP_TYPE_PERCPU_HASH,
        .key_size = 4,
        .value_size = 8,
        .max_entries = 1000,
        .map_flags = BPF_F_NO_PREALLOC,
};

struct legacy_map SEC("maps") verdicts = {
        .type = BPF_MAP_TYPE_ARRAY,
        .key_size = 4,
        .value_size = 4,
        .max_entries = 5,
};

SEC("xdp_prog1") int looks_up(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	if (bpf_map_lookup_elem(&blocked, &key))
		return XDP_DROP;
	return bpf_map_lookup_elem(&verdicts, &key) ? XDP_PASS : XDP_TX;
}

char _license[] SEC("license") = "GPL";
unsigned _version SEC("version") = 0x40a00;
