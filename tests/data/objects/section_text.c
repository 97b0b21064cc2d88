// SPDX-License-Identifier: Apache-2.0
// No SEC() at all: the program stands in .text.
#include <linux/bpf.h>

int bare(struct xdp_md *ctx)
{
	return ctx->data == ctx->data_end ? XDP_DROP : XDP_PASS;
}
