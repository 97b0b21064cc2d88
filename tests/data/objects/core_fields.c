// SPDX-License-Identifier: Apache-2.0
// CO-RE: fields, their existence, sizes, bit fields; types; enum values.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>

struct net_device___mine {
	int ifindex;
	int no_such_field;
	char name[16];
} __attribute__((preserve_access_index));

struct iphdr___mine {
	unsigned char ihl : 4, version : 4;
	unsigned char tos;
	unsigned short tot_len;
} __attribute__((preserve_access_index));

struct no_such_type {
	int x;
} __attribute__((preserve_access_index));

enum xdp_action___mine {
	XDP_PASS___mine = 77,
	XDP_NO_SUCH = 78,
};

volatile __u32 ifindex_offset, tos_offset, has_ifindex, has_nothing, name_size, has_type,
        has_no_type, type_size, pass_value, has_pass, has_no_value, ihl_left, ihl_right,
        version_signed;

SEC("xdp") int relocated(struct xdp_md *ctx)
{
	struct net_device___mine *device = 0;
	struct iphdr___mine *ip = 0;
	ifindex_offset = bpf_core_field_offset(device->ifindex);
	tos_offset = bpf_core_field_offset(ip->tos);
	has_ifindex = bpf_core_field_exists(device->ifindex);
	has_nothing = bpf_core_field_exists(device->no_such_field);
	name_size = bpf_core_field_size(device->name);
	has_type = bpf_core_type_exists(struct iphdr___mine);
	has_no_type = bpf_core_type_exists(struct no_such_type);
	type_size = bpf_core_type_size(struct iphdr___mine);
	pass_value = bpf_core_enum_value(enum xdp_action___mine, XDP_PASS___mine);
	has_pass = bpf_core_enum_value_exists(enum xdp_action___mine, XDP_PASS___mine);
	has_no_value = bpf_core_enum_value_exists(enum xdp_action___mine, XDP_NO_SUCH);
	ihl_left = __CORE_RELO(ip, ihl, LSHIFT_U64);
	ihl_right = __CORE_RELO(ip, ihl, RSHIFT_U64);
	version_signed = __CORE_RELO(ip, version, SIGNED);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
