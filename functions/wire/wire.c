// SPDX-License-Identifier: Apache-2.0
// wire: what enters by port 0 leaves by port 1 and the other way round, likewise 2 and 3, and so
// on: a card full of cables. (The paper, section 4.) A packet whose partner port does not exist is
// dropped.
#include <raio/raio.h>

SEC("xdp")
int wire(struct xdp_md *ctx)
{
	return bpf_redirect_map(&raio_ports, raio_port(ctx) ^ 1, XDP_DROP);
}

char _license[] SEC("license") = "Apache-2.0";
