// SPDX-License-Identifier: Apache-2.0
// Inline assembly as real programs use it: barriers that hold a bound, and byte swaps by hand.
#include "parse.h"

#define bounded(value, mask) asm volatile("%0 &= %1" : "+r"(value) : "i"(mask))
#define opaque(value)        asm volatile("" : "+r"(value))

__u64 histogram[64];

SEC("xdp")
int barriers(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 64 > end)
		return XDP_PASS;
	__u64 index = *(__u8 *)(data + 20);
	bounded(index, 31);
	__u8 *byte = data + index;
	if ((void *)(byte + 1) > end)
		return XDP_PASS;
	__u64 value = *byte, swapped = value << 8;
	asm volatile("%0 = be16 %0" : "+r"(swapped));
	opaque(value);
	histogram[value & 63] += swapped & 0xff;
	asm volatile("r0 = %[value]; r0 <<= 32; r0 s>>= 32; %[value] = r0"
	             : [value] "+r"(value)
	             :
	             : "r0");
	return value & 1 ? XDP_TX : XDP_DROP;
}
