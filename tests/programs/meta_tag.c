// SPDX-License-Identifier: Apache-2.0
// Leaves a mark in front of the packet for whoever comes next.
#include "parse.h"

struct mark {
	__u32 word, size;
};

__u64 refused;

SEC("xdp")
int tag(struct xdp_md *ctx)
{
	__u32 size = ctx->data_end - ctx->data;
	if (bpf_xdp_adjust_meta(ctx, -3) == 0)
		refused += 1000;
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct mark))) {
		refused++;
		return XDP_ABORTED;
	}
	struct mark *mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	mark->word = 42;
	mark->size = size;
	if (size & 1 && bpf_xdp_adjust_meta(ctx, sizeof(*mark)))
		return XDP_ABORTED;
	return XDP_PASS;
}
