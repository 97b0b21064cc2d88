// SPDX-License-Identifier: Apache-2.0
// Answers ARP for the addresses in a table.
#include "parse.h"

struct arp {
	struct arphdr head;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender;
	__u8 target_mac[ETH_ALEN];
	__be32 target;
} __attribute__((packed));

struct mac {
	__u8 byte[ETH_ALEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __be32);
	__type(value, struct mac);
} owned SEC(".maps");

SEC("xdp")
int arp_reply(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	if (!eth || eth->h_proto != bpf_htons(ETH_P_ARP))
		return XDP_PASS;
	struct arp *arp = TAKE(&cursor, arp);
	if (!arp || arp->head.ar_op != bpf_htons(ARPOP_REQUEST))
		return XDP_PASS;
	__be32 target = arp->target;
	struct mac *mac = bpf_map_lookup_elem(&owned, &target);
	if (!mac)
		return XDP_PASS;
	arp->head.ar_op = bpf_htons(ARPOP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, ETH_ALEN);
	arp->target = arp->sender;
	__builtin_memcpy(arp->sender_mac, mac, ETH_ALEN);
	arp->sender = target;
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}
