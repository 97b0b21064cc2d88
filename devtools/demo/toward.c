// SPDX-License-Identifier: Apache-2.0
// The paper's first experiment: everything leaves by one port, the one that the rules name. The
// demo runs it as p1 (towards port 1) and as p2 (towards port 0).
#include <raio/raio.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} toward SEC(".maps");

SEC("xdp")
int forward(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u32 *port = bpf_map_lookup_elem(&toward, &zero);
	return port ? bpf_redirect_map(&raio_ports, *port, XDP_DROP) : XDP_ABORTED;
}

char _license[] SEC("license") = "Apache-2.0";
