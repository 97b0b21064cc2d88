// SPDX-License-Identifier: Apache-2.0
// The usual filter of an AF_XDP application: to the queue's socket where there is one.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} packets SEC(".maps");

SEC("xdp")
int xsk(struct xdp_md *ctx)
{
	__u32 index = ctx->rx_queue_index;
	__u32 *count = bpf_map_lookup_elem(&packets, &index);
	if (count && (*count)++ & 1)
		return XDP_PASS;
	if (bpf_map_lookup_elem(&sockets, &index))
		return (int)bpf_redirect_map(&sockets, index, 0);
	return (int)bpf_redirect_map(&sockets, index, XDP_DROP);
}
