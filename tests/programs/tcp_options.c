// SPDX-License-Identifier: Apache-2.0
// Walks the TCP options in a bounded loop and clamps the segment size.
#include "parse.h"

__u64 clamped;

SEC("xdp")
int mss(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	struct tcphdr *tcp = TAKE(&cursor, tcphdr);
	if (!tcp || !tcp->syn)
		return XDP_PASS;
	__u32 left = tcp->doff * 4;
	if (left <= sizeof(*tcp))
		return XDP_PASS;
	left -= sizeof(*tcp);
	__u8 *at = cursor.at;
	for (int i = 0; i < 6 && left > 1; i++) {
		if ((void *)(at + 4) > cursor.end || *at == 0)
			break;
		if (*at == 1) {
			at++, left--;
			continue;
		}
		__u8 size = at[1];
		if (*at == 2 && size == 4) {
			__u16 value = (__u16)(at[2] << 8 | at[3]);
			if (value > 1400) {
				at[2] = 1400 >> 8;
				at[3] = 1400 & 0xff;
				clamped++;
				return XDP_TX;
			}
		}
		if (size < 2 || size > 40 || size > left)
			return XDP_DROP;
		at += size, left -= size;
	}
	return XDP_PASS;
}
