// SPDX-License-Identifier: Apache-2.0
// A prog array with initial values: tail calls among the programs of the file.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

int third(struct xdp_md *ctx);
int first(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} jumps SEC(".maps") = {
        .values = {[0] = (void *)&first, [5] = (void *)&third},
};

SEC("xdp") int enter(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 5);
	return XDP_ABORTED;
}

SEC("xdp") int first(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp") int third(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
