// SPDX-License-Identifier: Apache-2.0
// xdp_md as vmlinux.h declares it: its fields are relocated.
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};
#pragma clang attribute pop

SEC("xdp") int length(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > 60 ? 2 : 1;
}

char _license[] SEC("license") = "GPL";
