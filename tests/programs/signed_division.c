// SPDX-License-Identifier: Apache-2.0
// Signed division and sign extension, which ISA v4 brought.
#include "parse.h"

__s64 balance;

SEC("xdp")
int signed_math(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 16 > end)
		return XDP_PASS;
	__s8 small = *(__s8 *)(data + 5);
	__s16 medium = *(__s16 *)(data + 6);
	int divisor = medium | 1;
	balance += small / divisor + medium % (small | 1) + (__s64)(balance / 3);
	return balance < 0 ? XDP_TX : XDP_PASS;
}
