// SPDX-License-Identifier: Apache-2.0
// Sends back by the interface's own index.
#include "parse.h"

SEC("xdp")
int forward(struct xdp_md *ctx)
{
	if ((ctx->data_end - ctx->data) & 1)
		return (int)bpf_redirect(ctx->ingress_ifindex, 1); // a flag that does not exist
	return (int)bpf_redirect(ctx->ingress_ifindex, 0);
}
