// SPDX-License-Identifier: Apache-2.0
// Reads and writes the packet through a dynptr's slices.
#include "parse.h"

extern int bpf_dynptr_from_xdp(struct xdp_md *ctx, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(
        const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym;
extern void *bpf_dynptr_slice_rdwr(
        const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym;

__u64 short_ones, v4, v6;

SEC("xdp")
int dynamic(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u8 buffer[sizeof(struct ipv6hdr)];
	if (bpf_dynptr_from_xdp(ctx, 0, &ptr))
		return XDP_ABORTED;
	struct ethhdr *eth = bpf_dynptr_slice_rdwr(&ptr, 0, buffer, sizeof(*eth));
	if (!eth) {
		short_ones++;
		return XDP_DROP;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = bpf_dynptr_slice(&ptr, sizeof(*eth), buffer, sizeof(*ip));
		if (!ip)
			return XDP_DROP;
		v4 += ip->ttl;
		eth->h_source[0] = 2;
		return XDP_TX;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip =
		        bpf_dynptr_slice(&ptr, sizeof(*eth), buffer, sizeof(*ip));
		if (!ip)
			return XDP_DROP;
		v6 += ip->hop_limit;
	}
	return XDP_PASS;
}
