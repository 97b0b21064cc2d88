// SPDX-License-Identifier: Apache-2.0
// Calls itself until the limit of tail calls stops it.
#include "parse.h"

int again(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} self SEC(".maps") = {.values = {[0] = (void *)&again}};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} depth SEC(".maps");

SEC("xdp")
int again(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&depth, &zero);
	if (count)
		*count += 1;
	bpf_tail_call(ctx, &self, 0);
	return XDP_PASS;
}
