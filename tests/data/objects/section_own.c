// SPDX-License-Identifier: Apache-2.0
// Sections of the author's own names, as iproute2 and old samples have them.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("2/7") int seventh(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("prog") int first(struct xdp_md *ctx)
{
	return XDP_PASS;
}
