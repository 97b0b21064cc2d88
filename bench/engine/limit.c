// SPDX-License-Identifier: Apache-2.0
// The practical limit: a function's own C source, compiled by clang -O3 for the machine, within one
// burst loop, with look-ups inlined for the type, key size and map that the source names. It does
// what an engine does, from descriptors to verdicts, and checks nothing that the source does not.
//
// Compiled once for each function, with -DFUNCTION=NAME and -DSOURCE="…/NAME.c", and limit/ first
// among the include directories.

// The functions' struct xdp_md is ours (limit/raio/raio.h).
#define xdp_md linux_xdp_md
#include <linux/bpf.h>
#undef xdp_md

#include "limit.h"
#include "lookup.h"
#include "map/map.h"
#include "maps_of.h"
#include "side.h"

#include SOURCE

#define INDEX(name) MAP_##name,
enum { MAPS(INDEX) MAP_COUNT };

// The helpers, which have no context, reach their maps and their packet's redirect here.
static struct lookup_place places[MAP_COUNT];
static uint64_t redirect_ports;
static uint32_t ingress;

static __always_inline void *bpf_map_lookup_elem(const void *map, const void *key)
{
#define TYPE(name) (sizeof(*name.type) / sizeof(int))
#define LOOKUP(name)                                                                               \
	if (map == &name)                                                                          \
		return lookup(&places[MAP_##name], TYPE(name), sizeof(*name.key),                  \
		        sizeof(*name.value), key);
	MAPS(LOOKUP)
	return NULL;
}

// Key and value are copied, as lookup.h says.
static __always_inline long bpf_map_update_elem(
        const void *map, const void *key, const void *value, __u64 flags)
{
#define UPDATE(name)                                                                               \
	if (map == &name) {                                                                        \
		__typeof__(*name.key) key_copy;                                                    \
		__typeof__(*name.value) value_copy;                                                \
		memcpy(&key_copy, key, sizeof(key_copy));                                          \
		memcpy(&value_copy, value, sizeof(value_copy));                                    \
		return map_update(places[MAP_##name].map, &key_copy, &value_copy, flags, 0);       \
	}
	MAPS(UPDATE)
	return -1;
}

static __always_inline long bpf_map_delete_elem(const void *map, const void *key)
{
#define DELETE(name)                                                                               \
	if (map == &name) {                                                                        \
		__typeof__(*name.key) key_copy;                                                    \
		memcpy(&key_copy, key, sizeof(key_copy));                                          \
		return map_delete(places[MAP_##name].map, &key_copy);                              \
	}
	MAPS(DELETE)
	return -1;
}

static long redirect_many(struct map *map)
{
	for (uint32_t port = 0; port < RAIO_PORTS_MAX; port++)
		if (port != ingress && map_lookup(map, &port, 0))
			redirect_ports |= 1ull << port;
	return XDP_REDIRECT;
}

// With the flags that the functions use: an action, or to all ports but the packet's own.
static __always_inline long bpf_redirect_map(const void *map, __u32 port, __u64 flags)
{
	if (flags & BPF_F_BROADCAST)
		return redirect_many(places[MAP_raio_ports].map);
	const __u32 *ifindex = bpf_map_lookup_elem(map, &port);
	if (!ifindex)
		return (long)flags;
	redirect_ports = 1ull << ((*ifindex - 1) & 63);
	return XDP_REDIRECT;
}

static __attribute__((noinline)) long bpf_xdp_adjust_head(struct xdp_md *ctx, int by)
{
	unsigned long data = ctx->data + (unsigned long)(long)by;
	if (data < ctx->frame || data + 14 > ctx->data_end)
		return -1;
	ctx->data = data;
	return 0;
}

static __attribute__((noinline)) long bpf_xdp_adjust_tail(struct xdp_md *ctx, int by)
{
	unsigned long end = ctx->data_end + (unsigned long)(long)by;
	if (end < ctx->data + 14 || end > ctx->frame + FRAME_SIZE)
		return -1;
	if (by > 0)
		__builtin_memset((void *)ctx->data_end, 0, (unsigned long)by);
	ctx->data_end = end;
	return 0;
}

static void burst(uint8_t *base, struct packet *packets, struct verdict *verdicts, uint32_t count)
{
	map_enter();
	for (uint32_t i = 0; i < count; i++) {
		struct packet *packet = &packets[i];
		unsigned long frame = (unsigned long)base + packet->frame;
		struct xdp_md ctx = {
		        .data = frame + packet->data,
		        .data_end = frame + packet->end,
		        .port = packet->port,
		        .arrival_ns = packet->arrival_ns,
		        .frame = frame,
		};
		redirect_ports = 0;
		ingress = packet->port;
		uint32_t result = (uint32_t)FUNCTION(&ctx);
		packet->data = (uint16_t)(ctx.data - frame);
		packet->end = (uint16_t)(ctx.data_end - frame);
		side_finish(packet, &verdicts[i], result, redirect_ports);
	}
	map_leave();
}

static void burst_of(uint64_t (*program)(void *), uint8_t *base, struct packet *packets,
        struct verdict *verdicts, uint32_t count)
{
	map_enter();
	for (uint32_t i = 0; i < count; i++) {
		struct packet *packet = &packets[i];
		struct limit_context *ctx = (struct limit_context *)packet_data(base, packet) - 1;
		ctx->arrival_ns = packet->arrival_ns;
		ctx->port = packet->port;
		redirect_ports = 0;
		ingress = packet->port;
		side_finish(packet, &verdicts[i], (uint32_t)program(ctx), redirect_ports);
	}
	map_leave();
}

// rte_bpf's code does not keep the stack at multiples of 16.
#if defined(__x86_64__)
#define FOREIGN __attribute__((force_align_arg_pointer))
#else
#define FOREIGN
#endif

static FOREIGN long redirect(uint32_t port, uint64_t flags)
{
	return bpf_redirect_map(&raio_ports, port, flags);
}

#define CALLS(name)                                                                                \
	static FOREIGN void *lookup_##name(const void *key)                                        \
	{                                                                                          \
		return bpf_map_lookup_elem(&name, key);                                            \
	}                                                                                          \
	static FOREIGN long update_##name(const void *key, const void *value, uint64_t flags)      \
	{                                                                                          \
		return bpf_map_update_elem(&name, key, value, flags);                              \
	}                                                                                          \
	static FOREIGN long delete_##name(const void *key)                                         \
	{                                                                                          \
		return bpf_map_delete_elem(&name, key);                                            \
	}
MAPS(CALLS)

#define ENTRY(name)                                                                                \
	{#name, TYPE(name), sizeof(*name.key), sizeof(*name.value), lookup_##name, update_##name,  \
	        delete_##name},
static const struct limit_map entries[] = {MAPS(ENTRY)};
const struct limit_function MAPS_JOIN(limit_, FUNCTION) = {
        entries, places, MAP_COUNT, burst, burst_of, redirect};
