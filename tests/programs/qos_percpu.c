// SPDX-License-Identifier: Apache-2.0
// Marks traffic classes in DSCP and counts them in a per-CPU hash.
#include "parse.h"

struct class_key {
	__u8 protocol, dscp;
	__u16 port;
};

struct class_value {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct class_key);
	__type(value, struct class_value);
	__uint(max_entries, 4096);
} classes SEC(".maps");

static const __u8 dscp_of_port[16] = {0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 46};

SEC("xdp")
int qos(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth;
	if (take_ethernet(&cursor, &eth) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip)
		return XDP_DROP;
	struct class_key key = {.protocol = ip->protocol};
	if (ip->protocol == IPPROTO_UDP) {
		struct udphdr *udp = TAKE(&cursor, udphdr);
		if (!udp)
			return XDP_DROP;
		key.port = bpf_ntohs(udp->dest);
	}
	__u16 *word = (__u16 *)ip, before = *word;
	key.dscp = dscp_of_port[key.port & 15];
	ip->tos = (__u8)(key.dscp << 2 | (ip->tos & 3));
	__u32 sum = (__u16)~ip->check + (__u16)~before + *word;
	ip->check = fold(sum);
	struct class_value *value = bpf_map_lookup_elem(&classes, &key);
	if (!value) {
		struct class_value zero = {0};
		bpf_map_update_elem(&classes, &key, &zero, BPF_ANY);
		value = bpf_map_lookup_elem(&classes, &key);
		if (!value)
			return XDP_ABORTED;
	}
	value->packets++;
	value->bytes += bpf_ntohs(ip->tot_len);
	return XDP_PASS;
}
