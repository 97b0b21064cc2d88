// SPDX-License-Identifier: Apache-2.0
// An author may name sections as ELF's own.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC(".rel.xdp") int relocations(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("xdp") int plain(struct xdp_md *ctx)
{
	return XDP_PASS;
}

int words SEC(".BTF") = 3;
