// SPDX-License-Identifier: Apache-2.0
// Sends through a hash of devices, and to all of them.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
	__uint(max_entries, 32);
} devices SEC(".maps");

SEC("xdp")
int forward(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	if (!eth)
		return XDP_DROP;
	if (eth->h_dest[0] & 1)
		return (int)bpf_redirect_map(&devices, 0, BPF_F_BROADCAST);
	return (int)bpf_redirect_map(&devices, 100 + (eth->h_dest[5] & 3), XDP_TX);
}
