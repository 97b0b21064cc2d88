// SPDX-License-Identifier: Apache-2.0
// Externs: the kernel's version, a weak switch of its configuration, weak symbols that are not
// there.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_NOT_THERE __kconfig __weak;
extern const int no_such_variable __ksym __weak;
extern int no_such_kfunc(void *ctx) __ksym __weak;

SEC("xdp") int asks(struct xdp_md *ctx)
{
	if (LINUX_KERNEL_VERSION < 0x30000 || CONFIG_NOT_THERE || &no_such_variable)
		return XDP_DROP;
	if (no_such_kfunc)
		return no_such_kfunc(ctx);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
