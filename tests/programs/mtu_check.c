// SPDX-License-Identifier: Apache-2.0
// Asks whether a packet with a tunnel's header would still fit.
#include "parse.h"

__u64 fits, large, failed;

SEC("xdp")
int mtu(struct xdp_md *ctx)
{
	__u32 length = 0;
	long r = bpf_check_mtu(ctx, 0, &length, 50, 0);
	if (r == BPF_MTU_CHK_RET_SUCCESS)
		fits++;
	else if (r == BPF_MTU_CHK_RET_FRAG_NEEDED)
		large++;
	else
		failed++;
	return r ? XDP_PASS : XDP_TX;
}
