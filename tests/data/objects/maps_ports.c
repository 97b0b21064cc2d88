// SPDX-License-Identifier: Apache-2.0
// Raio's header: the port map and what the card tells.
#include <raio/raio.h>

SEC("xdp") int bridge(struct xdp_md *ctx)
{
	return bpf_redirect_map(&raio_ports, raio_port(ctx) ^ 1, XDP_DROP);
}

char _license[] SEC("license") = "GPL";
