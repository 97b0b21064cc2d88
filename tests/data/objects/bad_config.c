// SPDX-License-Identifier: Apache-2.0
// Refused: a variable of the kernel's configuration that is not weak.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int CONFIG_HZ __kconfig;

SEC("xdp") int asks(struct xdp_md *ctx)
{
	return CONFIG_HZ > 100;
}

char _license[] SEC("license") = "GPL";
