// SPDX-License-Identifier: Apache-2.0
// Uses a helper that no card offers: it must be named.
#include "parse.h"

SEC("xdp")
int sockets(struct xdp_md *ctx)
{
	struct bpf_sock_tuple tuple = {0};
	struct bpf_sock *sock = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), -1, 0);
	if (!sock)
		return XDP_PASS;
	bpf_sk_release(sock);
	return XDP_DROP;
}
