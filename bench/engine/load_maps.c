// SPDX-License-Identifier: Apache-2.0
// What stands in the functions' maps. Keys and values are laid out as in functions/NAME/NAME.c.
#include <errno.h>
#include <linux/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "load.h"

#define NEIGHBOURS_MAX 16384u // what ripv4's map holds
#define BLOCKS         45000u

uint64_t load_random(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15ull; // splitmix64
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint32_t load_map_entries(const struct load *load, const char *map)
{
	bool grows = (load->kind == LOAD_LSL2 && strcmp(map, "stations") == 0) ||
	             (load->kind == LOAD_RIPV4 && strcmp(map, "routes") == 0) ||
	             (load->kind == LOAD_DDOS && strcmp(map, "sources") == 0);
	return grows ? load->entry_count : 0;
}

// Even stations are behind port 0, odd ones behind port 1.
static int fill_lsl2(const struct load *load, load_put *put, void *context)
{
	struct {
		uint8_t mac[6];
		uint16_t vlan;
	} key = {0};
	struct {
		uint32_t port, moves;
		uint64_t seen_ns;
	} place = {.seen_ns = clock_ns()};
	const uint32_t zero = 0, ageing_s = 300; // as lsl2.rules
	int rc = put(context, "settings", &zero, &ageing_s);
	for (uint32_t i = 0; !rc && i < load->entry_count; i++) {
		uint8_t frame[12];
		flow_write_mac(frame, 0, i);
		memcpy(key.mac, frame, sizeof(key.mac));
		place.port = i & 1;
		rc = put(context, "stations", &key, &place);
	}
	return rc;
}

static uint32_t hop(uint32_t number) // 10.1.0.0/16, on port 1
{
	return htobe32(0x0a010000u + number);
}

static int fill_ripv4(const struct load *load, load_put *put, void *context)
{
	struct {
		uint32_t address, length;
		uint8_t mac[6];
		uint16_t unused;
	} interface = {.length = 16, .mac = {2, 0, 0, 0, 0, 0xa0}};
	struct {
		uint8_t mac[6];
		uint16_t port;
		uint64_t seen_ns;
	} neighbour = {.mac = {2, 1}, .port = 1};
	struct {
		uint32_t gateway, port;
	} route = {.port = 1};
	uint32_t hops = load->entry_count < NEIGHBOURS_MAX ? load->entry_count : NEIGHBOURS_MAX;
	int rc = 0;
	for (uint32_t port = 0; !rc && port < 2; port++) {
		interface.address = htobe32(0x0a00fffeu + (port << 16));
		interface.mac[5] = (uint8_t)(0xa0 + port);
		rc = put(context, "interfaces", &port, &interface);
	}
	for (uint32_t i = 0; !rc && i < hops; i++) {
		uint32_t address = hop(i);
		memcpy(neighbour.mac + 2, &address, sizeof(address));
		rc = put(context, "neighbours", &address, &neighbour);
	}
	for (uint32_t i = 0; !rc && i < load->entry_count; i++) {
		route.gateway = hop(i % hops);
		rc = put(context, "routes", &load->prefixes[i], &route);
	}
	return rc;
}

// 16 blocked prefixes, the services of ddos.rules, and buckets that are never empty: a token every
// quarter of a nanosecond.
static int fill_ddos(const struct load *load, load_put *put, void *context)
{
	struct limit {
		uint32_t rate, burst;
	} limit = {4000000000u, 4000000000u}, dns = {100, 200}, ssh = {50, 100};
	struct {
		uint16_t protocol, port;
	} service[2] = {{IPPROTO_UDP, htobe16(53)}, {IPPROTO_TCP, htobe16(22)}};
	struct {
		uint32_t source;
		uint16_t protocol, port;
	} flow = {0};
	struct {
		uint64_t credit, updated_ns, passed, dropped;
	} bucket = {.credit = 4000000000ull * NS_PER_S, .updated_ns = clock_ns()};
	const uint32_t zero = 0, block = 0;
	int rc = put(context, "settings", &zero, &limit);
	rc = rc ? rc : put(context, "services", &service[0], &dns);
	rc = rc ? rc : put(context, "services", &service[1], &ssh);
	for (uint32_t i = 0; !rc && i < 16; i++) {
		struct load_prefix prefix = {24, htobe32(0xc0000200u + (i << 8))};
		rc = put(context, "prefixes", &prefix, &block);
	}
	for (uint32_t i = 0; !rc && i < load->entry_count; i++) {
		flow.source = htobe32(0x0b000000u + i);
		rc = put(context, "sources", &flow, &bucket);
	}
	return rc;
}

int load_fill(const struct load *load, load_put *put, void *context)
{
	static int (*const fills[])(const struct load *, load_put *, void *) = {
	        [LOAD_LSL2] = fill_lsl2,
	        [LOAD_RIPV4] = fill_ripv4,
	        [LOAD_DDOS] = fill_ddos,
	};
	return load->kind == LOAD_WIRE ? 0 : fills[load->kind](load, put, context);
}

// Lengths as in today's Internet table, in per mille from /8 to /24.
static uint32_t internet_length(uint64_t *seed)
{
	static const uint32_t permille[] = {
	        1, 1, 1, 1, 1, 1, 2, 2, 14, 9, 14, 25, 45, 52, 115, 98, 618};
	uint32_t number = (uint32_t)(load_random(seed) % 1000), i = 0;
	while (number >= permille[i])
		number -= permille[i++];
	return 8 + i;
}

static bool set_add(uint64_t *set, uint64_t mask, uint64_t member)
{
	uint64_t seed = member, at = load_random(&seed) & mask;
	for (; set[at]; at = (at + 1) & mask)
		if (set[at] == member)
			return false;
	set[at] = member;
	return true;
}

// Distinct prefixes in 45,000 blocks of 16 bits, none in 0/8, 10/8, 127/8 and from 224/8 on.
int load_draw_prefixes(struct load *load, uint64_t *seed)
{
	uint64_t mask = 4ull * load->entry_count - 1;
	uint16_t *blocks = calloc(BLOCKS, sizeof(*blocks));
	uint64_t *set = calloc(mask + 1, sizeof(*set));
	load->prefixes = calloc(load->entry_count, sizeof(*load->prefixes));
	for (uint32_t i = 0; blocks && set && i < BLOCKS;) {
		uint32_t block = (uint32_t)(load_random(seed) % (224u << 8)), first = block >> 8;
		if (first != 0 && first != 10 && first != 127)
			blocks[i++] = (uint16_t)block;
	}
	for (uint32_t i = 0; blocks && set && load->prefixes && i < load->entry_count;) {
		uint64_t random = load_random(seed);
		uint32_t length = internet_length(seed);
		uint32_t address =
		        (uint32_t)blocks[(random >> 32) % BLOCKS] << 16 | (random & 0xffff);
		address &= ~0u << (32 - length);
		load->prefixes[i] = (struct load_prefix){length, htobe32(address)};
		i += set_add(set, mask, (uint64_t)address << 32 | length);
	}
	int rc = blocks && set && load->prefixes ? 0 : -ENOMEM;
	free(blocks);
	free(set);
	return rc;
}
