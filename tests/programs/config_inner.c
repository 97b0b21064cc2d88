// SPDX-License-Identifier: Apache-2.0
// Two configurations in an array of maps; a global says which one counts.
#include "parse.h"

struct config {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} config_a SEC(".maps"), config_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct config);
} configs SEC(".maps") = {.values = {&config_a, &config_b}};

__u32 active;

SEC("xdp")
int configured(struct xdp_md *ctx)
{
	__u32 which = active, size = (ctx->data_end - ctx->data) / 64 & 3;
	active = (which + 1) & 1;
	void *config = bpf_map_lookup_elem(&configs, &which);
	if (!config)
		return XDP_ABORTED;
	__u32 *value = bpf_map_lookup_elem(config, &size);
	if (!value)
		return XDP_ABORTED;
	*value += 1;
	return *value % 3 ? XDP_PASS : XDP_DROP;
}
