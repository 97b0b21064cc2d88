// SPDX-License-Identifier: Apache-2.0
// Global data of every section, of static and global variables.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct limits {
	__u32 rate, burst;
	__be32 address;
	__u8 mac[6];
	char name[8];
};

int in_bss;
int in_data = 7;
const volatile int in_rodata = 9;
static volatile __u64 static_bss;
static volatile __u64 static_data = 0x1122334455667788;
static const volatile struct limits static_rodata = {1, 2, 3, {4, 5, 6, 7, 8, 9}, "eight"};
int custom SEC(".data.custom") = 11;
int custom_bss SEC(".bss.custom");
const volatile int custom_rodata SEC(".rodata.custom") = 13;

SEC("xdp") int sums(struct xdp_md *ctx)
{
	in_bss += in_data + in_rodata;
	static_bss += static_data;
	custom_bss += custom + custom_rodata;
	return static_rodata.rate + static_rodata.mac[2] + in_bss + custom_bss == 47 ? XDP_PASS
	                                                                             : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
