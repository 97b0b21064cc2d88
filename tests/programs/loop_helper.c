// SPDX-License-Identifier: Apache-2.0
// Sums a packet's bytes by bpf_loop, whose callback stops it at the packet's end.
#include "parse.h"

struct state {
	struct xdp_md *ctx;
	__u32 sum, steps;
};

static long step(__u32 index, void *context)
{
	struct state *state = context;
	__u8 *data = (void *)(long)state->ctx->data, *end = (void *)(long)state->ctx->data_end;
	if (index >= 2000 || data + index + 1 > end)
		return 1;
	state->sum += data[index];
	state->steps++;
	return 0;
}

__u64 total;

SEC("xdp")
int summed(struct xdp_md *ctx)
{
	struct state state = {ctx, 0, 0};
	long done = bpf_loop(4000, step, &state, 0);
	total += state.sum + (__u64)done;
	return state.sum & 1 ? XDP_PASS : XDP_DROP;
}
