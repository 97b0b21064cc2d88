// SPDX-License-Identifier: Apache-2.0
// Looks for a method in the first bytes of TCP payloads, and reads numbers from text.
#include "parse.h"

const char get[8] = "GET /";
__u64 requests, numbers;

SEC("xdp")
int http(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	struct tcphdr *tcp = TAKE(&cursor, tcphdr);
	if (!tcp)
		return XDP_PASS;
	char *payload = cursor.at, text[6];
	if ((void *)(payload + sizeof(text)) > cursor.end)
		return XDP_PASS;
	__builtin_memcpy(text, payload, sizeof(text));
	text[5] = 0;
	if (bpf_strncmp(text, 5, get) == 0) {
		requests++;
		return XDP_DROP;
	}
	long number = 0;
	if (bpf_strtol(text, 5, 10, &number) > 0)
		numbers += number;
	return XDP_PASS;
}
