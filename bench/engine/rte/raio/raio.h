// SPDX-License-Identifier: Apache-2.0
// Stands in for include/raio/raio.h where rte_program.c compiles a function for DPDK's rte_bpf. Its
// verifier knows no pointers that are read from memory, so that a packet stands right behind the
// context, at a size that is known (FLOW_SIZE; tests of its length fold away), and it has no maps:
// look-ups are external functions. Packets cannot grow or shrink.
#pragma once

#include <bpf/bpf_endian.h>

#include "../../flow.h"

#undef __always_inline // of <sys/cdefs.h>
#define SEC(name)           __attribute__((section(name), used))
#define __always_inline     inline __attribute__((always_inline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) value *name

#define RAIO_PORTS_MAX 64

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, RAIO_PORTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} raio_ports SEC(".maps");

struct xdp_md {
	__u64 arrival_ns; // struct limit_context
	__u32 port, unused;
	__u8 data[FLOW_SIZE], data_end[0];
};

static __always_inline __u32 raio_port(struct xdp_md *ctx)
{
	return ctx->port;
}

static __always_inline __u64 raio_arrival_ns(struct xdp_md *ctx)
{
	return ctx->arrival_ns;
}

static __always_inline void *bpf_map_lookup_elem(const void *map, const void *key);
static __always_inline long bpf_map_update_elem(
        const void *map, const void *key, const void *value, __u64 flags);
static __always_inline long bpf_map_delete_elem(const void *map, const void *key);

extern long redirect(__u64 port, __u64 flags);
#define bpf_redirect_map(map, port, flags) redirect(port, flags)
#define bpf_xdp_adjust_head(ctx, by)       (-1)
#define bpf_xdp_adjust_tail(ctx, by)       (-1)
