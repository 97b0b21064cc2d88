// SPDX-License-Identifier: Apache-2.0
// A course's packet parser: drops ICMP and ICMPv6 echo requests of even sequence number.
#include <linux/icmpv6.h>

#include "parse.h"

struct echo {
	__u8 type, code;
	__be16 checksum, id, sequence;
};

SEC("xdp")
int parser(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	__be16 type = take_ethernet(&cursor, &eth);
	__u8 want = ICMP_ECHO;
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = take_ipv4(&cursor);
		if (!ip || ip->protocol != IPPROTO_ICMP)
			return XDP_PASS;
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = TAKE(&cursor, ipv6hdr);
		if (!ip || ip->nexthdr != IPPROTO_ICMPV6)
			return XDP_PASS;
		want = ICMPV6_ECHO_REQUEST;
	} else {
		return XDP_PASS;
	}
	struct echo *echo = TAKE(&cursor, echo);
	if (echo && echo->type == want && bpf_ntohs(echo->sequence) % 2 == 0)
		return XDP_DROP;
	return XDP_PASS;
}
