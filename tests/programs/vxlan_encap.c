// SPDX-License-Identifier: Apache-2.0
// Puts frames into VXLAN.
#include "parse.h"

struct vxlan {
	__be32 flags, vni;
};

struct tunnel {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
} __attribute__((packed));

SEC("xdp")
int vxlan(struct xdp_md *ctx)
{
	__u32 size = ctx->data_end - ctx->data;
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct tunnel)))
		return XDP_ABORTED;
	struct cursor cursor = start(ctx);
	struct tunnel *tunnel = TAKE(&cursor, tunnel);
	struct ethhdr *inner = TAKE(&cursor, ethhdr);
	if (!tunnel || !inner)
		return XDP_ABORTED;
	__u8 low = inner->h_source[5];
	*tunnel = (struct tunnel){
	        .eth = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, bpf_htons(ETH_P_IP)},
	        .ip = {.version = 4,
	                .ihl = 5,
	                .ttl = 64,
	                .protocol = IPPROTO_UDP,
	                .tot_len = bpf_htons((__u16)(size + 36)),
	                .saddr = bpf_htonl(0x0a000001),
	                .daddr = bpf_htonl(0x0a000002)},
	        .udp = {bpf_htons(0xc000 | low), bpf_htons(4789), bpf_htons((__u16)(size + 16)), 0},
	        .vxlan = {bpf_htonl(0x08000000), bpf_htonl(77 << 8)},
	};
	__u16 *words = (void *)tunnel + sizeof(tunnel->eth);
	__u32 sum = 0;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	tunnel->ip.check = fold(sum);
	return XDP_TX;
}
