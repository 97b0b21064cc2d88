// SPDX-License-Identifier: Apache-2.0
// Refused: data in a section that is not loaded.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

volatile int elsewhere SEC("my_data") = 3;

SEC("xdp") int reads(struct xdp_md *ctx)
{
	return elsewhere;
}

char _license[] SEC("license") = "GPL";
