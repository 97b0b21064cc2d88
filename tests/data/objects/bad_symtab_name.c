// SPDX-License-Identifier: Apache-2.0
// Refused: clang loses the symbol table to the author's section of that name.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC(".symtab") int symbols(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp") int plain(struct xdp_md *ctx)
{
	return XDP_PASS;
}
