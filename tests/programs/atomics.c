// SPDX-License-Identifier: Apache-2.0
// Atomic operations with and without the old value, on map values.
#include "parse.h"

struct cell {
	__u64 sum, or, and, xor, top, swaps;
	__u32 small, wins;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct cell);
} cells SEC(".maps");

SEC("xdp")
int atomic(struct xdp_md *ctx)
{
	__u64 size = ctx->data_end - ctx->data;
	__u32 key = size & 3;
	struct cell *cell = bpf_map_lookup_elem(&cells, &key);
	if (!cell)
		return XDP_ABORTED;
	__u64 old = __sync_fetch_and_add(&cell->sum, size);
	old ^= __sync_fetch_and_or(&cell->or, 1ull << (size & 63));
	old ^= __sync_fetch_and_and(&cell->and, ~size);
	old ^= __sync_fetch_and_xor(&cell->xor, size << 13);
	old ^= __sync_lock_test_and_set(&cell->swaps, size);
	if (__sync_val_compare_and_swap(&cell->top, 0, size) == 0)
		__sync_fetch_and_add(&cell->wins, 1);
	old += __sync_fetch_and_add(&cell->small, 0xffffff);
	return old & 1 ? XDP_PASS : XDP_DROP;
}
