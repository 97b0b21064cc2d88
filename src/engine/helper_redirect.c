// SPDX-License-Identifier: Apache-2.0
// Where packets go, as net/core/filter.c (bpf_xdp_redirect, __bpf_xdp_redirect_map): the last call
// counts, and only if the program then returns XDP_REDIRECT. An ifindex is a port's number + 1. CPU
// maps and AF_XDP maps lead to the host: there is no other queue on a card.
#include <string.h>

#include "engine/helpers.h"
#include "map/map.h"

// Newer than Debian 12's headers, or private to the kernel's.
#define ACTIONS   (XDP_ABORTED | XDP_DROP | XDP_PASS | XDP_TX)
#define MULTICAST (BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS)

static bool is_devmap(uint32_t type)
{
	return type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH;
}

uint64_t helper_redirect(struct engine *engine, const uint64_t args[5])
{
	if (args[1])
		return XDP_ABORTED;
	engine->redirect = REDIRECT_PORT;
	engine->redirect_ifindex = (uint32_t)args[0];
	return XDP_REDIRECT;
}

// Bit of the port with this ifindex; 0 where no port can have it.
static uint64_t port_bit(uint64_t ifindex)
{
	return ifindex >= 1 && ifindex <= PORTS_MAX ? 1ull << (ifindex - 1) : 0;
}

// Every port in the map. A port that the function does not own is kept, so that the verdict faults.
static bool all_ports(struct engine *engine, struct linked_map *map, uint64_t *ports)
{
	uint8_t key[KEY_SLOT], next[KEY_SLOT];
	bool more = helper_follow(engine, map, NULL, key);
	*ports = 0;
	for (uint32_t left = map_def(map->map)->max_entries; more && left; left--) {
		if (!helper_charge(engine, 1))
			return false;
		const void *value = map_lookup(map->map, key, engine->options.number);
		uint32_t ifindex = 0;
		if (value)
			memcpy(&ifindex, value, sizeof(ifindex));
		*ports |= port_bit(ifindex);
		more = helper_follow(engine, map, key, next);
		if (more)
			memcpy(key, next, map->key_size);
	}
	return !engine->fault;
}

static uint64_t redirect_many(struct engine *engine, struct linked_map *map, uint64_t flags)
{
	uint64_t ports;
	if (!all_ports(engine, map, &ports))
		return 0;
	if ((flags & BPF_F_EXCLUDE_INGRESS) && engine->packet)
		ports &= ~port_bit(engine->packet->port + 1u);
	engine->redirect = REDIRECT_MANY;
	engine->redirect_ports = ports;
	return XDP_REDIRECT;
}

uint64_t helper_redirect_map(struct engine *engine, const uint64_t args[5])
{
	struct linked_map *map = helper_map(engine, args[0]);
	if (!map)
		return 0;
	bool device = is_devmap(map->type);
	if (!device && map->type != BPF_MAP_TYPE_CPUMAP && map->type != BPF_MAP_TYPE_XSKMAP)
		return helper_fault(engine, args[0]);
	uint64_t flags = args[2];
	if (flags & ~(uint64_t)(ACTIONS | (device ? MULTICAST : 0)))
		return XDP_ABORTED;
	if (flags & BPF_F_BROADCAST)
		return redirect_many(engine, map, flags);
	uint32_t index = (uint32_t)args[1], ifindex = 0;
	const void *value = map_lookup(map->map, &index, engine->options.number);
	if (value)
		memcpy(&ifindex, value, sizeof(ifindex));
	if (!value || (device && !ifindex)) {
		engine->redirect = REDIRECT_NONE;
		return flags & ACTIONS;
	}
	engine->redirect = device ? REDIRECT_PORT : REDIRECT_HOST;
	engine->redirect_ifindex = ifindex;
	return XDP_REDIRECT;
}

void helper_redirect_verdict(struct engine *engine, struct verdict *verdict)
{
	uint64_t ports = 0;
	switch (engine->redirect) {
	case REDIRECT_HOST:
		verdict->verdict = XDP_PASS;
		return;
	case REDIRECT_MANY:
		ports = engine->redirect_ports;
		if (!ports) { // sent to each of no ports
			verdict->verdict = XDP_DROP;
			return;
		}
		break;
	case REDIRECT_PORT:
		ports = port_bit(engine->redirect_ifindex);
		break;
	case REDIRECT_NONE:
		break;
	}
	uint64_t foreign = ports & ~engine->generation->ports;
	if (!ports || foreign) {
		verdict->fault = FAULT_REDIRECT;
		// A packet that redirected nowhere names nothing: what stands there is another's.
		if (engine->redirect == REDIRECT_PORT)
			verdict->address = engine->redirect_ifindex;
		else if (foreign)
			verdict->address = (uint64_t)__builtin_ctzll(foreign) + 1;
		return;
	}
	verdict->verdict = XDP_REDIRECT;
	verdict->ports = ports;
}
