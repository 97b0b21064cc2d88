// SPDX-License-Identifier: Apache-2.0
// Not a program to run: its BTF plays the kernel against which core_fields and core_loads are
// resolved.
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

struct xdp_md {
	__u32 data, data_end;
};

enum xdp_action {
	XDP_KERNEL_ONLY = 1,
};

struct net_device {
	long unrelated[5];
	union {
		struct {
			short before;
			int ifindex;
		};
		char name[24];
	};
};

struct iphdr {
	unsigned char tos;
	unsigned short other;
	unsigned int unused : 8, ihl : 6, version : 10;
};

struct sizes {
	unsigned long long small;
	int behind;
	struct {
		int values[4];
	} inner[3];
};

struct far {
	char gap[40000];
	int x;
};

enum choice {
	CHOICE_A = 11,
	CHOICE_B = 1ull << 40,
};

struct net_device device;
struct iphdr header;
struct sizes sizes;
struct far far;
enum choice choice;
enum xdp_action action;

SEC("xdp") int kernel(struct xdp_md *ctx)
{
	return device.ifindex + header.tos + sizes.behind + far.x + (choice == CHOICE_A) + action;
}
