// SPDX-License-Identifier: Apache-2.0
// 16,000 instructions and more: programs of the field have over 12,000.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define STEP(n)                                                                                    \
	sum = sum * 3 + *word;                                                                     \
	if (sum == n)                                                                              \
		return XDP_TX;
#define STEP8(n)                                                                                   \
	STEP(n) STEP(n + 1) STEP(n + 2) STEP(n + 3) STEP(n + 4) STEP(n + 5) STEP(n + 6) STEP(n + 7)
#define STEP64(n)                                                                                  \
	STEP8(n)                                                                                   \
	STEP8(n + 8)                                                                               \
	STEP8(n + 16) STEP8(n + 24) STEP8(n + 32) STEP8(n + 40) STEP8(n + 48) STEP8(n + 56)
#define STEP512(n)                                                                                 \
	STEP64(n)                                                                                  \
	STEP64(n + 64)                                                                             \
	STEP64(n + 128)                                                                            \
	STEP64(n + 192) STEP64(n + 256) STEP64(n + 320) STEP64(n + 384) STEP64(n + 448)

SEC("xdp") int long_way(struct xdp_md *ctx)
{
	volatile __u32 *word = (void *)(long)ctx->data;
	__u64 sum = 1;
	if ((void *)(word + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	STEP512(0) STEP512(512) STEP512(1024) STEP512(1536) STEP512(2048) STEP512(2560)
	                        STEP512(3072) STEP512(3584) return sum &
	                1
	        ? XDP_PASS
	        : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
