// SPDX-License-Identifier: Apache-2.0
// Stands before a function in the kernel and gives it the next flow's frame: BPF_PROG_TEST_RUN
// repeats one packet, which a function may also have changed. It ends in a tail call, to the
// function or to `empty`, whose time is subtracted.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "flow.h"

#define FLOWS_MAX (1u << 20) // LOAD_FLOWS_MAX

struct flow sequence[FLOWS_MAX] SEC(".data.sequence");
__u32 mask SEC(".data.mask"), next SEC(".data.next");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} function SEC(".maps");

static __always_inline const struct flow *next_flow(void)
{
	return &sequence[next++ & mask & (FLOWS_MAX - 1)];
}

SEC("xdp")
int addresses(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	if (frame + FLOW_SIZE <= (__u8 *)(long)ctx->data_end)
		flow_write_addresses(frame, next_flow());
	bpf_tail_call(ctx, &function, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int stations(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	if (frame + FLOW_SIZE <= (__u8 *)(long)ctx->data_end)
		flow_write_stations(frame, next_flow());
	bpf_tail_call(ctx, &function, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

char _license[] SEC("license") = "Apache-2.0";
