// SPDX-License-Identifier: Apache-2.0
// Consistent hashing with division and remainder; Jenkins' hash over the 5-tuple of IPv6.
#include "parse.h"

#define SLOTS 251

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} ring SEC(".maps");

#define ROT(x, k) ((x) << (k) | (x) >> (32 - (k)))
static __always_inline __u32 jhash(const __u32 *words, __u32 count, __u32 seed)
{
	__u32 a = 0xdeadbeef + (count << 2) + seed, b = a, c = a;
#pragma unroll
	for (__u32 i = 0; i < 9; i += 3) {
		a += words[i], b += words[i + 1], c += words[i + 2];
		a -= c, a ^= ROT(c, 4), c += b;
		b -= a, b ^= ROT(a, 6), a += c;
		c -= b, c ^= ROT(b, 8), b += a;
		a -= c, a ^= ROT(c, 16), c += b;
		b -= a, b ^= ROT(a, 19), a += c;
		c -= b, c ^= ROT(b, 4), b += a;
	}
	return c;
}

SEC("xdp")
int maglev(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IPV6))
		return XDP_PASS;
	struct ipv6hdr *ip = TAKE(&cursor, ipv6hdr);
	struct udphdr *ports = ip ? TAKE(&cursor, udphdr) : 0;
	if (!ports)
		return XDP_DROP;
	__u32 words[9];
	__builtin_memcpy(words, &ip->saddr, 16);
	__builtin_memcpy(words + 4, &ip->daddr, 16);
	words[8] = (__u32)ports->source << 16 | ports->dest;
	__u32 hash = jhash(words, 9, ip->nexthdr), key = hash % SLOTS, turn = hash / SLOTS;
	__u32 *slot = bpf_map_lookup_elem(&ring, &key);
	if (!slot)
		return XDP_ABORTED;
	__u64 wide = (__u64)turn * 0x9e3779b97f4a7c15ull;
	*slot += (__u32)(wide / (turn | 1)) + (__u32)(wide % 1000);
	return *slot % 2 ? XDP_TX : XDP_PASS;
}
