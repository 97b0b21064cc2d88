// SPDX-License-Identifier: Apache-2.0
// A wide switch, which newer compilers may turn into a jump table.
#include "parse.h"

__u64 weights[8];

SEC("xdp")
int switched(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	__u32 size = bpf_ntohs(ip->tot_len);
	switch (ip->protocol) {
	case 0:
		weights[0] += size * 3;
		return XDP_DROP;
	case 1:
		weights[1] ^= size << 7;
		return XDP_PASS;
	case 2:
		weights[2] -= size;
		return XDP_TX;
	case 3:
		weights[3] |= 1ull << (size & 63);
		return XDP_PASS;
	case 4:
		weights[4] = size / 3;
		return XDP_TX;
	case 5:
	case 6:
		weights[5] += weights[4] % (size + 1);
		return XDP_PASS;
	case 17:
		weights[6] = weights[6] >> 1 | (__u64)size << 50;
		return XDP_TX;
	case 47:
	case 50:
	case 51:
		return XDP_ABORTED;
	default:
		weights[7]++;
		return XDP_DROP;
	}
}
