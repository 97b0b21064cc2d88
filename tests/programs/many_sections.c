// SPDX-License-Identifier: Apache-2.0
// Several programs in sections with the names of old projects; the first XDP program is the one.
#include "parse.h"

__u64 which;

SEC("xdp/ingress")
int first(struct xdp_md *ctx)
{
	which += 1;
	return XDP_PASS;
}

SEC("xdp/second")
int second(struct xdp_md *ctx)
{
	which += 100;
	return XDP_DROP;
}

SEC("tc")
int other_hook(struct __sk_buff *skb)
{
	return 0;
}
