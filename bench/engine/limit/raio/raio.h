// SPDX-License-Identifier: Apache-2.0
// Stands in for include/raio/raio.h where limit.c compiles a function to the machine's own code:
// the same names, with pointers for packets and direct calls for helpers.
#pragma once

#include <bpf/bpf_endian.h>

#undef __always_inline // of <sys/cdefs.h>
#define SEC(name)           __attribute__((always_inline))
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
	unsigned long data, data_end;
	__u32 port;
	__u64 arrival_ns;
	unsigned long frame; // its first byte
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
static __always_inline long bpf_redirect_map(const void *map, __u32 port, __u64 flags);
static long bpf_xdp_adjust_head(struct xdp_md *ctx, int by);
static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int by);
