// SPDX-License-Identifier: Apache-2.0
// Drops what is not for a socket of the host. Nobody listens on these addresses, so none is found.
#include "parse.h"

__u64 found, missing;

static long find(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 size, __u8 protocol)
{
	struct bpf_sock *sock;
	if (protocol == IPPROTO_TCP)
		sock = bpf_skc_lookup_tcp(ctx, tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sock = bpf_sk_lookup_udp(ctx, tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	bpf_sk_release(sock);
	return 1;
}

SEC("xdp")
int sockets(struct xdp_md *ctx)
{
	struct bpf_sock_tuple tuple = {0};
	tuple.ipv4.saddr = bpf_htonl(0xc6336401); // 198.51.100.1
	tuple.ipv4.daddr = bpf_htonl(0xcb007101);
	tuple.ipv4.dport = bpf_htons(9);
	struct bpf_sock *sock = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), -1, 0);
	if (sock) {
		found++;
		bpf_sk_release(sock);
		return XDP_PASS;
	}
	if (find(ctx, &tuple, sizeof(tuple.ipv4), IPPROTO_TCP) ||
	        find(ctx, &tuple, sizeof(tuple.ipv4), IPPROTO_UDP))
		found++;
	else
		missing++;
	return XDP_DROP;
}
