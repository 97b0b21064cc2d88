// SPDX-License-Identifier: Apache-2.0
// Counts packets and bytes by verdict in a per-CPU array.
#include "parse.h"

struct record {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct record);
	__uint(max_entries, XDP_REDIRECT + 1);
} stats SEC(".maps");

static __always_inline int count(struct xdp_md *ctx, __u32 action)
{
	struct record *record = bpf_map_lookup_elem(&stats, &action);
	if (!record)
		return XDP_ABORTED;
	record->packets++;
	record->bytes += ctx->data_end - ctx->data;
	return (int)action;
}

SEC("xdp_pass")
int stats_pass(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	switch (take_ethernet(&cursor, &eth)) {
	case bpf_htons(ETH_P_IP):
		return count(ctx, XDP_PASS);
	case bpf_htons(ETH_P_IPV6):
		return count(ctx, XDP_TX);
	case 0:
		return count(ctx, XDP_ABORTED);
	default:
		return count(ctx, XDP_DROP);
	}
}
