// SPDX-License-Identifier: Apache-2.0
// Dynptrs over a map value and over a ring buffer record.
#include "parse.h"

struct block {
	__u8 bytes[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct block);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} records SEC(".maps");

__u64 failed;

SEC("xdp")
int memory(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u32 zero = 0, size = ctx->data_end - ctx->data;
	struct block *block = bpf_map_lookup_elem(&blocks, &zero);
	if (!block)
		return XDP_ABORTED;
	if (bpf_dynptr_from_mem(block, sizeof(*block), 0, &ptr))
		return XDP_ABORTED;
	if (bpf_dynptr_write(&ptr, size % 80, &size, sizeof(size), 0))
		failed++;
	__u32 back = 0;
	bpf_dynptr_read(&back, sizeof(back), &ptr, 4, 0);
	__u8 *byte = bpf_dynptr_data(&ptr, 60, 4);
	if (byte)
		byte[3]++;
	if (bpf_ringbuf_reserve_dynptr(&records, 8 + size % 16, 0, &ptr)) {
		bpf_ringbuf_discard_dynptr(&ptr, 0);
		return XDP_DROP;
	}
	bpf_dynptr_write(&ptr, 0, &back, sizeof(back), 0);
	__u32 again = size;
	bpf_dynptr_write(&ptr, 4, &again, sizeof(again), 0);
	if (size % 3)
		bpf_ringbuf_submit_dynptr(&ptr, 0);
	else
		bpf_ringbuf_discard_dynptr(&ptr, 0);
	return back % 2 ? XDP_PASS : XDP_TX;
}
