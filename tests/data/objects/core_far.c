// SPDX-License-Identifier: Apache-2.0
// CO-RE: the field is beyond a load's reach in the kernel of core_kernel.c.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct far {
	int x;
} __attribute__((preserve_access_index));

SEC("xdp") int reads(struct xdp_md *ctx)
{
	struct far *far = (void *)(long)ctx->data;
	if ((void *)(far + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	return far->x;
}
