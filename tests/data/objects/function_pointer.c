// SPDX-License-Identifier: Apache-2.0
// The address of a function, global and static, given to a helper.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct counter {
	__u64 sum;
};

static int add(__u32 index, void *data)
{
	((struct counter *)data)->sum += index;
	return 0;
}

__noinline int visit(__u32 index, void *data)
{
	((struct counter *)data)->sum ^= index;
	return index > 4;
}

SEC("xdp") int loops(struct xdp_md *ctx)
{
	struct counter counter = {0};
	bpf_loop(10, add, &counter, 0);
	bpf_loop(10, visit, &counter, 0);
	return counter.sum == 44 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
