// SPDX-License-Identifier: Apache-2.0
// Refused: a variable of the kernel's configuration that is not weak.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int CONFIG_NR_CPUS __kconfig;

SEC("xdp") int asks(struct xdp_md *ctx)
{
	return CONFIG_NR_CPUS > 100;
}

char _license[] SEC("license") = "GPL";
