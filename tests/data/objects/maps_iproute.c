// SPDX-License-Identifier: Apache-2.0
// iproute2's map definitions: nine words, entries of prog arrays by section name.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
	__u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct bpf_elf_map SEC("maps") jumps = {
        .type = BPF_MAP_TYPE_PROG_ARRAY,
        .size_key = 4,
        .size_value = 4,
        .max_elem = 8,
        .id = 2,
        .pinning = 1,
};

SEC("2/7") int seventh(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("prog") int entry(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 7);
	return XDP_DROP;
}
