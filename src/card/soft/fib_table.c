// SPDX-License-Identifier: Apache-2.0
// Sorted arrays. The longest prefix of an address is, of the prefixes in the order of (first
// address, length), the last one that does not stand behind the address, or one that covers that
// one: a binary search and a few steps up.
#include "card/soft/fib_table.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

fib_address fib_address_of(uint8_t family, const void *bytes)
{
	fib_address address = 0;
	uint32_t size = family == AF_INET ? 4 : 16;
	for (uint32_t i = 0; i < size; i++)
		address |= (fib_address)((const uint8_t *)bytes)[i] << (120 - 8 * i);
	return address;
}

void fib_address_bytes(uint8_t family, fib_address address, void *bytes)
{
	uint32_t size = family == AF_INET ? 4 : 16;
	for (uint32_t i = 0; i < size; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(address >> (120 - 8 * i));
}

bool fib_covers(fib_address prefix, uint8_t length, fib_address address)
{
	return !length || (prefix ^ address) >> (128 - length) == 0;
}

uint32_t fib_table_of(uint8_t family, uint32_t table)
{
	return family == AF_INET && table == RT_TABLE_LOCAL ? RT_TABLE_MAIN : table;
}

static void *add(void **items, uint32_t *count, uint32_t *room, size_t size)
{
	if (*count == *room) {
		uint32_t more = *room ? 2 * *room : 16;
		void *grown = realloc(*items, more * size);
		if (!grown)
			return NULL;
		*items = grown;
		*room = more;
	}
	return memset((uint8_t *)*items + size * (*count)++, 0, size);
}

struct fib_route *fib_route_add(struct fib_routes *it)
{
	return add((void **)&it->routes, &it->count, &it->room, sizeof(it->routes[0]));
}

struct fib_hop *fib_hop_add(struct fib_routes *it)
{
	return add((void **)&it->hops, &it->hop_count, &it->hop_room, sizeof(it->hops[0]));
}

struct fib_link *fib_link_add(struct fib_links *it)
{
	return add((void **)&it->links, &it->count, &it->room, sizeof(it->links[0]));
}

struct fib_neighbour *fib_neighbour_add(struct fib_links *it)
{
	return add((void **)&it->neighbours, &it->neighbour_count, &it->neighbour_room,
	        sizeof(it->neighbours[0]));
}

struct fib_source *fib_source_add(struct fib_links *it)
{
	return add(
	        (void **)&it->sources, &it->source_count, &it->source_room, sizeof(it->sources[0]));
}

#define ORDER(a, b)                                                                                \
	if ((a) != (b))                                                                            \
	return (a) < (b) ? -1 : 1

static int compare_prefix(const struct fib_route *a, const struct fib_route *b)
{
	ORDER(a->family, b->family);
	ORDER(a->table, b->table);
	ORDER(a->prefix, b->prefix);
	ORDER(a->length, b->length);
	return 0;
}

static int compare_routes(const void *first, const void *second)
{
	const struct fib_route *a = first, *b = second;
	int order = compare_prefix(a, b);
	if (order)
		return order;
	ORDER(b->tos, a->tos);
	ORDER(a->metric, b->metric);
	ORDER(a->hop, b->hop); // as the kernel told them
	return 0;
}

static bool covers_route(const struct fib_route *a, const struct fib_route *b)
{
	return a->family == b->family && a->table == b->table && a->length < b->length &&
	       fib_covers(a->prefix, a->length, b->prefix);
}

void fib_routes_finish(struct fib_routes *it)
{
	if (it->count)
		qsort(it->routes, it->count, sizeof(it->routes[0]), compare_routes);
	for (uint32_t i = 0; i < it->count; i++) {
		struct fib_route *route = &it->routes[i], *before = i ? route - 1 : NULL;
		if (before && compare_prefix(before, route) == 0) {
			route->first = before->first;
			route->cover = before->cover;
			continue;
		}
		route->first = i;
		uint32_t cover = i ? before->first + 1 : 0;
		while (cover && !covers_route(&it->routes[cover - 1], route))
			cover = it->routes[cover - 1].cover;
		route->cover = cover;
	}
}

static int compare_links(const void *first, const void *second)
{
	const struct fib_link *a = first, *b = second;
	ORDER(a->index, b->index);
	return 0;
}

static int compare_neighbours(const void *first, const void *second)
{
	const struct fib_neighbour *a = first, *b = second;
	ORDER(a->device, b->device);
	ORDER(a->family, b->family);
	ORDER(a->address, b->address);
	return 0;
}

void fib_links_finish(struct fib_links *it)
{
	if (it->count)
		qsort(it->links, it->count, sizeof(it->links[0]), compare_links);
	if (it->neighbour_count)
		qsort(it->neighbours, it->neighbour_count, sizeof(it->neighbours[0]),
		        compare_neighbours);
}

void fib_routes_free(struct fib_routes **routes)
{
	if (!*routes)
		return;
	free((*routes)->routes);
	free((*routes)->hops);
	free(*routes);
	*routes = NULL;
}

void fib_links_free(struct fib_links **links)
{
	if (!*links)
		return;
	free((*links)->links);
	free((*links)->neighbours);
	free((*links)->sources);
	free(*links);
	*links = NULL;
}

struct fib_link *fib_link_find(const struct fib_links *it, uint32_t index)
{
	const struct fib_link wanted = {.index = index};
	return it->count
	               ? bsearch(&wanted, it->links, it->count, sizeof(it->links[0]), compare_links)
	               : NULL;
}

const struct fib_neighbour *fib_neighbour_find(
        const struct fib_links *it, uint32_t device, uint8_t family, fib_address address)
{
	const struct fib_neighbour wanted = {
	        .device = device, .family = family, .address = address};
	return it->neighbour_count ? bsearch(&wanted, it->neighbours, it->neighbour_count,
	                                     sizeof(it->neighbours[0]), compare_neighbours)
	                           : NULL;
}

// A next hop of the route that the query allows. With several, the kernel's choice hangs on a
// secret of its own; ours hangs on the addresses too.
static const struct fib_hop *choose_hop(
        const struct fib_routes *it, const struct fib_route *route, const struct fib_query *query)
{
	for (uint32_t i = 0; i < route->hop_count; i++) {
		uint32_t at = (query->hash + i) % route->hop_count;
		const struct fib_hop *hop = &it->hops[route->hop + at];
		if (!query->ports)
			return hop;
		const struct fib_link *link = fib_link_find(query->links, hop->device);
		if (link && link->port && (query->ports >> (link->port - 1) & 1))
			return hop;
	}
	return NULL;
}

static bool has_hops(const struct fib_route *route)
{
	return route->type == RTN_UNICAST || route->type == RTN_LOCAL ||
	       route->type == RTN_BROADCAST || route->type == RTN_ANYCAST ||
	       route->type == RTN_MULTICAST;
}

// The place + 1 of the last route that does not stand behind the address; 0: all do.
static uint32_t last_before(const struct fib_routes *it, const struct fib_query *query)
{
	const struct fib_route wanted = {.family = query->family,
	        .table = query->table,
	        .prefix = query->destination,
	        .length = 128};
	uint32_t low = 0, high = it->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (compare_prefix(&it->routes[middle], &wanted) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

// The first of the routes of one prefix that the query allows, its next hop into *hop.
static const struct fib_route *choose_route(const struct fib_routes *it,
        const struct fib_route *first, const struct fib_query *query, const struct fib_hop **hop)
{
	const struct fib_route *end = it->routes + it->count;
	struct fib_query any = *query;
	for (const struct fib_route *route = first; route < end && route->first == first->first;
	        route++) {
		if (route->tos && route->tos != query->tos)
			continue;
		if (query->family == AF_INET6 && route->metric != first->metric)
			break;
		*hop = choose_hop(it, route, query);
		if (*hop || !has_hops(route))
			return route;
	}
	any.ports = 0;
	*hop = query->family == AF_INET6 ? choose_hop(it, first, &any) : NULL;
	return *hop ? first : NULL;
}

const struct fib_route *fib_route_find(
        const struct fib_routes *it, const struct fib_query *query, const struct fib_hop **hop)
{
	uint32_t at = last_before(it, query);
	if (at)
		at = it->routes[at - 1].first + 1;
	for (; at; at = it->routes[at - 1].cover) {
		const struct fib_route *first = &it->routes[at - 1], *route;
		if (first->family != query->family || first->table != query->table)
			return NULL;
		if (!fib_covers(first->prefix, first->length, query->destination))
			continue;
		route = choose_route(it, first, query, hop);
		if (route)
			return route;
	}
	return NULL;
}
