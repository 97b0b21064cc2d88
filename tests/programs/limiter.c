// SPDX-License-Identifier: Apache-2.0
// A limiter by source: a bucket that the clock fills (here so slowly that a test sees none of it).
#include "parse.h"

struct bucket {
	__u64 varies_time;
	__u32 tokens, dropped;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, struct bucket);
} varies_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u32);
} dropped SEC(".maps");

#define BURST  5
#define PERIOD (3600ull * 1000000000 * 24)

SEC("xdp")
int limiter(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	__u64 now = bpf_ktime_get_ns();
	__be32 source = ip->saddr;
	struct bucket *bucket = bpf_map_lookup_elem(&varies_buckets, &source);
	if (!bucket) {
		struct bucket full = {now, BURST - 1, 0};
		bpf_map_update_elem(&varies_buckets, &source, &full, BPF_ANY);
		return XDP_PASS;
	}
	__u64 fresh = (now - bucket->varies_time) / PERIOD;
	if (fresh) {
		bucket->varies_time = now;
		bucket->tokens = fresh > BURST ? BURST : (__u32)fresh;
	}
	if (bucket->tokens) {
		bucket->tokens--;
		return XDP_PASS;
	}
	__u32 one = 1, *count = bpf_map_lookup_elem(&dropped, &source);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&dropped, &source, &one, BPF_NOEXIST);
	return XDP_DROP;
}
