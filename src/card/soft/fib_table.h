// SPDX-License-Identifier: Apache-2.0
// What the host's kernel knows about where packets go, as tables that never change once they are
// built: routes of all tables, and links with their neighbours and addresses. fib_netlink.c fills
// them, fib.c answers from them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// IPv4 and IPv6 alike: the first bit of the address is the highest.
typedef unsigned __int128 fib_address;

fib_address fib_address_of(uint8_t family, const void *bytes);
void fib_address_bytes(uint8_t family, fib_address address, void *bytes);

struct fib_hop {
	uint32_t device;        // the kernel's index
	uint8_t gateway_family; // 0: the destination is on the link
	bool encapsulated;
	fib_address gateway;
};

struct fib_route {
	fib_address prefix, source;  // source: preferred
	uint32_t table, metric, mtu; // mtu 0: the device's
	uint8_t family, length, type, tos, scope;
	bool has_source;
	uint32_t hop, hop_count; // its next hops among all
	// Set by fib_routes_finish(). Routes of one prefix stand together; 0 or the place + 1 of
	// the first one of the next shorter prefix that covers this one.
	uint32_t first, cover;
};

struct fib_routes {
	struct fib_route *routes;
	struct fib_hop *hops;
	uint32_t count, room, hop_count, hop_room;
};

struct fib_link {
	uint32_t index, mtu;
	uint8_t mac[6], port; // port: number + 1 of the card's; 0: none
	bool forwards[2];     // IPv4, IPv6
};

struct fib_neighbour {
	uint32_t device;
	uint8_t family, mac[6];
	fib_address address;
};

// An address that the host has.
struct fib_source {
	uint32_t device;
	uint8_t family, length, scope;
	fib_address address;
};

struct fib_links {
	struct fib_link *links;
	struct fib_neighbour *neighbours;
	struct fib_source *sources;
	uint32_t count, room, neighbour_count, neighbour_room, source_count, source_room;
};

struct fib_query {
	fib_address destination;
	uint32_t table;
	uint8_t family, tos;
	// If not 0: next hops whose device is one of these ports; for IPv6 others too, where the
	// cheapest routes of the prefix have none.
	uint64_t ports;
	const struct fib_links *links;
	uint32_t hash; // chooses among several next hops
};

// IPv4's tables local and main are one, as the kernel has them where there are no policy rules.
uint32_t fib_table_of(uint8_t family, uint32_t table);
// Appends a zeroed one; NULL: out of memory.
struct fib_route *fib_route_add(struct fib_routes *routes);
struct fib_hop *fib_hop_add(struct fib_routes *routes);
struct fib_link *fib_link_add(struct fib_links *links);
struct fib_neighbour *fib_neighbour_add(struct fib_links *links);
struct fib_source *fib_source_add(struct fib_links *links);
// Sorts; before any look-up.
void fib_routes_finish(struct fib_routes *routes);
void fib_links_finish(struct fib_links *links);
void fib_routes_free(struct fib_routes **routes);
void fib_links_free(struct fib_links **links);

// The longest, then cheapest route that matches, its next hop into *hop (NULL for one that has
// none); or NULL.
const struct fib_route *fib_route_find(
        const struct fib_routes *routes, const struct fib_query *query, const struct fib_hop **hop);
struct fib_link *fib_link_find(const struct fib_links *links, uint32_t index);
const struct fib_neighbour *fib_neighbour_find(
        const struct fib_links *links, uint32_t device, uint8_t family, fib_address address);
bool fib_covers(fib_address prefix, uint8_t length, fib_address address);
