// SPDX-License-Identifier: Apache-2.0
// Static and global subprograms, three deep, with pointers into the caller's stack.
#include "parse.h"

struct summary {
	__u32 v4, v6, other;
	__u64 hash;
};

static __noinline __u64 mixed(__u64 hash, __u64 value)
{
	return (hash ^ value) * 0x100000001b3ull;
}

static __noinline __u64 hashed(const __u8 *bytes, __u32 size)
{
	__u64 hash = 0xcbf29ce484222325ull;
	for (__u32 i = 0; i < 8; i++)
		hash = mixed(hash, i < size ? bytes[i] : 0);
	return hash;
}

__noinline int classify(__u16 type)
{
	return type == bpf_htons(ETH_P_IP) ? 4 : type == bpf_htons(ETH_P_IPV6) ? 6 : 0;
}

static __noinline void summarise(struct summary *summary, struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	if (!eth)
		return;
	__u8 mac[8] = {0};
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	summary->hash = hashed(mac, ETH_ALEN);
	switch (classify(eth->h_proto)) {
	case 4:
		summary->v4++;
		break;
	case 6:
		summary->v6++;
		break;
	default:
		summary->other++;
	}
}

struct summary last;

SEC("xdp")
int called(struct xdp_md *ctx)
{
	struct summary summary = {0};
	summarise(&summary, ctx);
	last.v4 += summary.v4;
	last.v6 += summary.v6;
	last.other += summary.other;
	last.hash = summary.hash;
	return summary.v4 ? XDP_PASS : summary.v6 ? XDP_TX : XDP_DROP;
}
