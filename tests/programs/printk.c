// SPDX-License-Identifier: Apache-2.0
// Prints what it sees, also with more values than the helper takes at once.
#include "parse.h"

SEC("xdp")
int printing(struct xdp_md *ctx)
{
	static const char format[] = "seen %d of %s\n";
	char line[64];
	__u32 size = ctx->data_end - ctx->data;
	__u64 values[] = {size, size / 2, size % 7};
	if (size > 1400)
		bpf_printk("large packet: %u bytes, %x", size, size);
	if (size == 1411)
		bpf_printk("%d %d %d %d", size, 1, 2, 3);
	long n = bpf_snprintf(line, sizeof(line), "%llu-%llu-%llu", values, sizeof(values));
	if (n < 6 || size == 0)
		bpf_trace_printk(format, sizeof(format), size, "none");
	return n % 2 ? XDP_PASS : XDP_TX;
}
