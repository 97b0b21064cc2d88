// SPDX-License-Identifier: Apache-2.0
// Uses a map type that no card offers: it must be named.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__uint(value_size, 4);
} seen SEC(".maps");

SEC("xdp")
int bloom(struct xdp_md *ctx)
{
	__u32 size = ctx->data_end - ctx->data;
	return bpf_map_peek_elem(&seen, &size) ? XDP_PASS : XDP_DROP;
}
