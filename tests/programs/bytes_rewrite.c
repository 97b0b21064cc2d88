// SPDX-License-Identifier: Apache-2.0
// Reads and writes the packet by offset, as programs for packets in several pieces do.
#include "parse.h"

__u64 cut, lengths;

SEC("xdp.frags")
int rewrite(struct xdp_md *ctx)
{
	struct ethhdr eth, back;
	lengths += bpf_xdp_get_buff_len(ctx);
	if (bpf_xdp_load_bytes(ctx, 0, &eth, sizeof(eth))) {
		cut++;
		return XDP_ABORTED;
	}
	__builtin_memcpy(back.h_dest, eth.h_source, ETH_ALEN);
	__builtin_memcpy(back.h_source, eth.h_dest, ETH_ALEN);
	back.h_proto = eth.h_proto;
	if (bpf_xdp_store_bytes(ctx, 0, &back, sizeof(back)))
		return XDP_ABORTED;
	__u32 mark = 0xfeedf00d;
	if (bpf_xdp_store_bytes(ctx, 60, &mark, sizeof(mark)))
		cut++;
	return XDP_TX;
}
