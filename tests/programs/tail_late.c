// SPDX-License-Identifier: Apache-2.0
// A chain of stages in a prog array that the control plane fills afterwards; stage 2 stays empty.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} stages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} passed SEC(".maps");

static __always_inline void pass(__u32 stage)
{
	__u64 *count = bpf_map_lookup_elem(&passed, &stage);
	if (count)
		(*count)++;
}

SEC("xdp")
int stage_entry(struct xdp_md *ctx)
{
	pass(3);
	bpf_tail_call(ctx, &stages, 0);
	return XDP_PASS;
}

SEC("xdp")
int stage_first(struct xdp_md *ctx)
{
	pass(0);
	if ((ctx->data_end - ctx->data) % 2)
		bpf_tail_call(ctx, &stages, 2);
	bpf_tail_call(ctx, &stages, 1);
	return XDP_DROP;
}

SEC("xdp")
int stage_second(struct xdp_md *ctx)
{
	pass(1);
	bpf_tail_call(ctx, &stages, 77);
	return XDP_TX;
}
