// SPDX-License-Identifier: Apache-2.0
// A loop that clang does not unroll, and a byte-wise checksum over the packet.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp") int checksum(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 sum = 0;
	for (int i = 0; i < 128 && data + i + 1 <= end; i++)
		sum += data[i];
	return sum & 1 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
