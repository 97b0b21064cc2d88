// SPDX-License-Identifier: Apache-2.0
// A function as limit.c compiles it, once for each.
#pragma once

#include "engine/engine.h"

struct lookup_place;

// The helpers as the limit has them, one map each, so that rte_bpf may call the same.
struct limit_map {
	const char *name;
	uint32_t type, key_size, value_size;
	void *(*lookup)(const void *key);
	long (*update)(const void *key, const void *value, uint64_t flags);
	long (*remove)(const void *key);
};

struct limit_function {
	const struct limit_map *maps;
	struct lookup_place *places; // of each map: to be set before the first burst
	uint32_t map_count;
	void (*burst)(
	        uint8_t *base, struct packet *packets, struct verdict *verdicts, uint32_t count);
	// The same loop around a program compiled elsewhere, whose argument is a struct xdp_md of
	// rte/raio/raio.h, and the redirect that it calls.
	void (*burst_of)(uint64_t (*program)(void *), uint8_t *base, struct packet *packets,
	        struct verdict *verdicts, uint32_t count);
	long (*redirect)(uint32_t port, uint64_t flags);
};

extern const struct limit_function limit_wire, limit_lsl2, limit_ripv4, limit_ddos;

// What stands before a packet for programs of rte_bpf.
struct limit_context {
	uint64_t arrival_ns;
	uint32_t port, unused;
};
