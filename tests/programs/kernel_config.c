// SPDX-License-Identifier: Apache-2.0
// Asks for the kernel's version and for the rate of its jiffies.
#include "parse.h"

extern int LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_HZ __kconfig;

SEC("xdp")
int configured(struct xdp_md *ctx)
{
	if (LINUX_KERNEL_VERSION < 0x050000)
		return XDP_ABORTED;
	return bpf_jiffies64() / CONFIG_HZ > 1 ? XDP_PASS : XDP_DROP;
}
