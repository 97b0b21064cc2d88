// SPDX-License-Identifier: Apache-2.0
// Sends by VLAN number through a device map; what has no device is passed or dropped as the flags
// say.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
	__uint(max_entries, 8);
} devices SEC(".maps");

SEC("xdp_redirect_map")
int forward(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	struct vlan *tag = TAKE(&cursor, vlan);
	if (!eth || !tag)
		return XDP_DROP;
	__u8 mac[ETH_ALEN];
	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
	return (int)bpf_redirect_map(
	        &devices, eth->h_dest[5] & 15, eth->h_proto & 1 ? XDP_PASS : XDP_DROP);
}
