// SPDX-License-Identifier: Apache-2.0
// For authors of network functions. Nothing here keeps an object from loading into a plain Linux
// kernel with libbpf; the same file runs on every card.
//
//	#include <raio/raio.h>
//
//	SEC("xdp") int swap_ports(struct xdp_md *ctx)
//	{
//		return bpf_redirect_map(&raio_ports, raio_port(ctx) ^ 1, XDP_DROP);
//	}
#pragma once

#include <linux/types.h>

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define RAIO_PORTS_MAX 64

// A packet's ports, by number; Raio fills it. Redirect with bpf_redirect_map(&raio_ports, port,
// XDP_DROP), to all others with flags BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS.
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, RAIO_PORTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} raio_ports SEC(".maps");

// What the card tells a program that it loads; zeros where nobody fills it.
struct raio_card {
	__u32 has_arrival; // 1: bytes 24 to 31 of the context are the arrival stamp
	__u32 port_plus_1; // not 0: this program serves one port only, number port_plus_1 - 1
};
const volatile struct raio_card raio_card = {0, 0};

// The port that the packet came by, from 0.
static __always_inline __u32 raio_port(struct xdp_md *ctx)
{
	if (raio_card.port_plus_1)
		return raio_card.port_plus_1 - 1;
	return ctx->ingress_ifindex - 1;
}

// When the packet arrived, in nanoseconds of the clock of bpf_ktime_get_ns().
static __always_inline __u64 raio_arrival_ns(struct xdp_md *ctx)
{
	if (raio_card.has_arrival)
		return *(volatile __u64 *)((void *)ctx + sizeof(*ctx));
	return bpf_ktime_get_ns();
}
