// SPDX-License-Identifier: Apache-2.0
// What the programs here share: a cursor over the packet, and headers in the order in which they
// come.
#pragma once

#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct cursor {
	void *at, *end;
};

struct vlan {
	__be16 tci, type;
};

static __always_inline struct cursor start(struct xdp_md *ctx)
{
	return (struct cursor){(void *)(long)ctx->data, (void *)(long)ctx->data_end};
}

#define TAKE(cursor, type)                                                                         \
	({                                                                                         \
		struct type *taken_ = (cursor)->at;                                                \
		if ((void *)(taken_ + 1) > (cursor)->end)                                          \
			taken_ = 0;                                                                \
		else                                                                               \
			(cursor)->at = taken_ + 1;                                                 \
		taken_;                                                                            \
	})

// Ethernet and up to two VLAN tags; the protocol behind them, or 0.
static __always_inline __be16 take_ethernet(struct cursor *cursor, struct ethhdr **eth)
{
	*eth = TAKE(cursor, ethhdr);
	if (!*eth)
		return 0;
	__be16 type = (*eth)->h_proto;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		struct vlan *tag = TAKE(cursor, vlan);
		if (!tag)
			return 0;
		type = tag->type;
	}
	return type;
}

// IPv4 with its options; NULL where it is cut or none.
static __always_inline struct iphdr *take_ipv4(struct cursor *cursor)
{
	struct iphdr *ip = TAKE(cursor, iphdr);
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return 0;
	cursor->at = (void *)ip + ip->ihl * 4;
	if (cursor->at > cursor->end)
		return 0;
	return ip;
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static __always_inline __u16 header_checksum(struct iphdr *ip)
{
	ip->check = 0;
	return fold((__u32)bpf_csum_diff(0, 0, (__be32 *)ip, sizeof(*ip), 0));
}

char _license[] SEC("license") = "GPL";
