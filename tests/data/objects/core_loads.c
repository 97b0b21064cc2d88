// SPDX-License-Identifier: Apache-2.0
// CO-RE: loads and stores of relocated fields; one has another width in the kernel of
// core_kernel.c.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>

struct sizes___mine {
	int behind;
	unsigned int small;
	struct {
		int values[4];
	} inner[3];
} __attribute__((preserve_access_index));

enum choice___mine {
	CHOICE_B___mine = 3,
	CHOICE_A___mine = 4,
};

volatile __u64 choice;

SEC("xdp") int loads(struct xdp_md *ctx)
{
	struct sizes___mine *sizes = (void *)(long)ctx->data;
	if ((void *)sizes + 256 > (void *)(long)ctx->data_end)
		return XDP_DROP;
	choice = bpf_core_enum_value(enum choice___mine, CHOICE_A___mine);
	if (sizes->small == 7)
		return XDP_TX;
	return sizes->behind + sizes->inner[2].values[1] > 3 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
