// SPDX-License-Identifier: Apache-2.0
// Walks a table with bpf_for_each_map_elem: counts and retires what is old.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sums SEC(".maps");

struct bpf_map;

struct totals {
	__u64 packets, entries;
};

static long add(struct bpf_map *map, const __u32 *key, __u64 *value, struct totals *totals)
{
	totals->packets += *value;
	totals->entries++;
	if (*value >= 20)
		bpf_map_delete_elem(map, key);
	return 0;
}

static long halve(struct bpf_map *map, const __u32 *key, __u64 *value, void *context)
{
	*value /= 2;
	return *key >= 2;
}

SEC("xdp")
int walk(struct xdp_md *ctx)
{
	__u32 size = (ctx->data_end - ctx->data) / 32, two = 2;
	__u64 one = 1, *count = bpf_map_lookup_elem(&sizes, &size), *sum;
	struct totals totals = {size, size}; // numbers that the verifier does not know: constants
	                                     // would make it follow every turn of the walk
	if (count)
		(*count)++;
	else
		bpf_map_update_elem(&sizes, &size, &one, BPF_ANY);
	bpf_for_each_map_elem(&sizes, add, &totals, 0);
	sum = bpf_map_lookup_elem(&sums, &two);
	if (sum)
		*sum += totals.packets;
	if (totals.packets % 7 == 0)
		bpf_for_each_map_elem(&sums, halve, 0, 0);
	return totals.entries & 1 ? XDP_PASS : XDP_TX;
}
