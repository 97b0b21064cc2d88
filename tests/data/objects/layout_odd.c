// SPDX-License-Identifier: Apache-2.0
// Keys and values of every odd shape.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct self {
	struct self *next;
	int x;
};

union mixed {
	__u8 bytes[12];
	struct {
		__u32 a, b;
	} pair;
};

struct deep {
	struct {
		struct {
			const volatile __u16 inner;
		} b[2][2];
	} a;
	struct self many[100];
	union mixed mixed;
	double unused;
	long long signed_value : 20;
	long long unsigned wide : 40;
	void *pointer;
	char letter;
	_Bool flags[3];
	__u8 src_addr[16];
	__u8 payload[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u8[6]);
	__type(value, struct deep);
} odd SEC(".maps");

SEC("xdp") int looks(struct xdp_md *ctx)
{
	__u8 key[6] = {0};
	return bpf_map_lookup_elem(&odd, key) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
