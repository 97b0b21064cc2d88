// SPDX-License-Identifier: Apache-2.0
// Configured by read-only globals; state in .data and .bss, one of them in a section of its own.
#include "parse.h"

struct settings {
	__u32 limit;
	__u8 mode;
	char name[11];
};

const volatile struct settings settings = {.limit = 300, .mode = 2, .name = "default"};
const volatile __u16 ports[] = {80, 443, 53, 8080};
__u64 seen = 1000, matched;
static __u32 history[16];
__u32 extra SEC(".data.extra") = 7;

SEC("xdp")
int configured(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	__u32 size = ctx->data_end - ctx->data;
	seen++;
	history[seen & 15] = size;
	extra += size;
	if (settings.mode == 2 && size > settings.limit)
		return XDP_DROP;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	struct udphdr *udp = ip ? TAKE(&cursor, udphdr) : 0;
	if (!udp)
		return XDP_PASS;
	for (__u32 i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		if (bpf_ntohs(udp->dest) == ports[i]) {
			matched += history[i & 15];
			return XDP_TX;
		}
	}
	return XDP_PASS;
}
