// SPDX-License-Identifier: Apache-2.0
// Counters of several words that are changed together, under a spin lock.
#include "parse.h"

struct counters {
	struct bpf_spin_lock lock;
	__u32 packets;
	__u64 bytes, largest;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct counters);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u16);
	__type(value, struct counters);
} by_type SEC(".maps");

static __always_inline void count(struct counters *counters, __u64 bytes)
{
	bpf_spin_lock(&counters->lock);
	counters->packets++;
	counters->bytes += bytes;
	if (bytes > counters->largest)
		counters->largest = bytes;
	bpf_spin_unlock(&counters->lock);
}

SEC("xdp")
int locked(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	__u64 bytes = ctx->data_end - ctx->data;
	if (!eth)
		return XDP_DROP;
	__u32 key = eth->h_dest[0] & 1;
	__u16 type = eth->h_proto;
	struct counters *total = bpf_map_lookup_elem(&totals, &key), fresh = {.packets = 0};
	if (total)
		count(total, bytes);
	struct counters *one = bpf_map_lookup_elem(&by_type, &type);
	if (!one) {
		bpf_map_update_elem(&by_type, &type, &fresh, BPF_NOEXIST);
		one = bpf_map_lookup_elem(&by_type, &type);
	}
	if (one)
		count(one, bytes);
	return XDP_PASS;
}
