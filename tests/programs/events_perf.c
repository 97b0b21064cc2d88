// SPDX-License-Identifier: Apache-2.0
// Samples packets to user space with part of their bytes behind a header of our own.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(__u32));
} samples SEC(".maps");

struct header {
	__u16 cookie, length;
} __attribute__((packed));

SEC("xdp_sample")
int sample(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data >= end)
		return XDP_PASS;
	struct header header = {0xdead, (__u16)(end - data)};
	__u64 size = header.length < 96 ? header.length : 96;
	bpf_perf_event_output(
	        ctx, &samples, BPF_F_CURRENT_CPU | size << 32, &header, sizeof(header));
	return XDP_PASS;
}
