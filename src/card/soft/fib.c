// SPDX-License-Identifier: Apache-2.0
// Snapshots: the thread builds a new one, puts it in the place of the old one, and waits until no
// reader has the old one in its hand. A reader takes the snapshot's address, writes it down where
// the thread sees it, and looks whether it is still the one: then it will not be freed.
#include "card/soft/fib.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "card/soft/fib_netlink.h"
#include "card/soft/fib_table.h"

// Newer than Debian 12's headers.
#define LOOKUP_MARK 32u
#define LOOKUP_ALL                                                                                 \
	(BPF_FIB_LOOKUP_DIRECT | BPF_FIB_LOOKUP_OUTPUT | BPF_FIB_LOOKUP_SKIP_NEIGH |               \
	        BPF_FIB_LOOKUP_TBID | BPF_FIB_LOOKUP_SRC | LOOKUP_MARK)

#define GATHER_MS 10 // changes come in bunches
#define REST      4  // times as long as a snapshot took: what its thread rests at least
#define TRIES     10 // while the kernel's tables change under the dump

struct snapshot {
	struct fib_routes *routes;
	struct fib_links *links;
};

struct fib_reader {
	struct fib *fib;
	_Alignas(64) _Atomic(struct snapshot *) held;
};

struct fib {
	_Alignas(64) _Atomic(struct snapshot *) current;
	const uint32_t (*interfaces)[2]; // by port
	uint32_t port_count;
	struct fib_reader *readers;
	// The thread's own.
	int ask_fd, listen_fd, stop_fd;
	bool started;
	pthread_t thread;
};

// Which port each link is.
static void name_ports(const struct fib *fib, struct fib_links *links)
{
	for (uint32_t port = 0; port < fib->port_count; port++)
		for (uint32_t i = 0; i < 2; i++) {
			uint32_t index = fib->interfaces[port][i];
			struct fib_link *link = index ? fib_link_find(links, index) : NULL;
			if (link)
				link->port = (uint8_t)(port + 1);
		}
}

static int rebuild(struct fib *fib, uint32_t changes, struct snapshot *next)
{
	struct fib_routes *routes = NULL;
	struct fib_links *links = NULL;
	int rc = 0;
	if (changes & FIB_CHANGED_ROUTES)
		rc = fib_netlink_routes(fib->ask_fd, &routes);
	if (!rc && (changes & FIB_CHANGED_LINKS))
		rc = fib_netlink_links(fib->ask_fd, &links);
	if (rc) {
		fib_routes_free(&routes);
		return rc;
	}
	if (links)
		name_ports(fib, links);
	next->routes = routes ? routes : next->routes;
	next->links = links ? links : next->links;
	return 0;
}

static void await_readers(struct fib *fib, const struct snapshot *old)
{
	for (uint32_t i = 0; i < fib->port_count; i++)
		while (atomic_load(&fib->readers[i].held) == old) {
			struct timespec pause = {.tv_nsec = 20000};
			nanosleep(&pause, NULL);
		}
}

static int refresh(struct fib *fib, uint32_t changes)
{
	struct snapshot *old = atomic_load(&fib->current), *next = calloc(1, sizeof(*next));
	if (!next)
		return -ENOMEM;
	if (old)
		*next = *old;
	int rc = -EAGAIN;
	for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
		rc = rebuild(fib, changes, next);
	if (rc) {
		free(next);
		return rc;
	}
	atomic_store(&fib->current, next);
	if (!old)
		return 0;
	await_readers(fib, old);
	if (old->routes != next->routes)
		fib_routes_free(&old->routes);
	if (old->links != next->links)
		fib_links_free(&old->links);
	free(old);
	return 0;
}

// Waits for changes, lets those that come with them come, and takes them in. What failed is tried
// again.
static void *fib_main(void *argument)
{
	struct fib *fib = argument;
	uint32_t changes = FIB_CHANGED_ROUTES | FIB_CHANGED_LINKS; // whatever was between
	int rest_ms = 0;
	for (;;) {
		struct pollfd fds[2] = {{.fd = fib->stop_fd, .events = POLLIN},
		        {.fd = fib->listen_fd, .events = POLLIN}};
		if (!changes && poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (poll(fds, 1, rest_ms > GATHER_MS ? rest_ms : GATHER_MS) > 0)
			return NULL;
		changes |= fib_netlink_changes(fib->listen_fd);
		if (!changes)
			continue;
		uint64_t begin_ns = clock_ns();
		if (refresh(fib, changes) == 0)
			changes = 0;
		rest_ms = (int)(REST * (clock_ns() - begin_ns) / NS_PER_MS);
		if (changes && rest_ms < 1000)
			rest_ms = 1000;
	}
}

int fib_new(
        const uint32_t (*interfaces)[2], uint32_t port_count, struct fib **fib, struct error *err)
{
	struct fib *made = aligned_alloc(64, sizeof(*made));
	size_t readers = port_count * sizeof(made->readers[0]);
	if (!made)
		return error_set(err, ENOMEM, "no memory for the host's routes");
	memset(made, 0, sizeof(*made));
	made->ask_fd = made->listen_fd = made->stop_fd = -1;
	made->port_count = port_count;
	made->readers = aligned_alloc(64, readers);
	uint32_t(*copy)[2] = calloc(port_count, sizeof(copy[0]));
	made->interfaces = copy;
	int rc = 0;
	if (!made->readers || !copy) {
		rc = error_set(err, ENOMEM, "no memory for the host's routes");
	} else {
		memcpy(copy, interfaces, port_count * sizeof(copy[0]));
		memset(made->readers, 0, readers);
		for (uint32_t i = 0; i < port_count; i++)
			made->readers[i].fib = made;
		rc = made->listen_fd = fib_netlink_listen(err); // first: no change is missed
	}
	if (rc >= 0)
		rc = made->ask_fd = fib_netlink_ask(err);
	if (rc >= 0) {
		rc = refresh(made, FIB_CHANGED_ROUTES | FIB_CHANGED_LINKS);
		if (rc)
			error_set(err, -rc, "cannot read the host's routes: %s", strerror(-rc));
	}
	if (rc < 0) {
		fib_free(&made);
		return rc;
	}
	*fib = made;
	return 0;
}

int fib_start(struct fib *fib, struct error *err)
{
	fib->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fib->stop_fd < 0)
		return error_set(err, errno, "no eventfd: %s", strerror(errno));
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals are the control thread's
	int rc = pthread_create(&fib->thread, NULL, fib_main, fib);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return error_set(err, rc,
		        "cannot start the thread that follows the host's "
		        "routes: %s",
		        strerror(rc));
	fib->started = true;
	pthread_setname_np(fib->thread, "routes");
	return 0;
}

void fib_free(struct fib **out)
{
	struct fib *fib = *out;
	if (!fib)
		return;
	if (fib->started) {
		ssize_t written = write(fib->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
		(void)written;
		pthread_join(fib->thread, NULL);
	}
	const int fds[] = {fib->ask_fd, fib->listen_fd, fib->stop_fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	struct snapshot *last = atomic_load(&fib->current);
	if (last) {
		fib_routes_free(&last->routes);
		fib_links_free(&last->links);
	}
	free(last);
	free((void *)fib->interfaces);
	free(fib->readers);
	free(fib);
	*out = NULL;
}

struct fib_reader *fib_reader(struct fib *fib, uint32_t port)
{
	return &fib->readers[port];
}

static const struct snapshot *hold(struct fib_reader *reader)
{
	struct snapshot *current = atomic_load(&reader->fib->current), *seen;
	do {
		seen = current;
		atomic_store(&reader->held, seen);
		current = atomic_load(&reader->fib->current);
	} while (current != seen);
	return seen;
}

static void let_go(struct fib_reader *reader)
{
	atomic_store_explicit(&reader->held, NULL, memory_order_release);
}

uint32_t fib_mtu(void *context, uint32_t ifindex)
{
	struct fib_reader *reader = context;
	if (!ifindex || ifindex > reader->fib->port_count)
		return 0;
	const struct snapshot *snapshot = hold(reader);
	const struct fib_link *link =
	        fib_link_find(snapshot->links, reader->fib->interfaces[ifindex - 1][0]);
	uint32_t mtu = link ? link->mtu : 0;
	let_go(reader);
	return mtu;
}

// Link-local, multicast, loopback: rt6_need_strict().
static bool stays_on_link(fib_address address)
{
	return address >> 118 == 0xfe80 >> 6 || address >> 120 == 0xff || address == 1;
}

static bool forwards(const struct snapshot *snapshot, const uint32_t interfaces[2], bool ipv6)
{
	for (uint32_t i = 0; i < 2; i++) {
		const struct fib_link *link =
		        interfaces[i] ? fib_link_find(snapshot->links, interfaces[i]) : NULL;
		if (link && link->forwards[ipv6])
			return true;
	}
	return false;
}

// As the kernel without policy rules; a route that says `throw` sends to the next table.
static const struct fib_route *find_route(const struct snapshot *snapshot, struct fib_query *query,
        uint32_t flags, uint32_t table, const struct fib_hop **hop)
{
	static const uint32_t usual[] = {RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT};
	const struct fib_route *route = NULL;
	bool direct = flags & BPF_FIB_LOOKUP_DIRECT;
	for (uint32_t i = 0; i < (direct ? 1 : sizeof(usual) / sizeof(usual[0])); i++) {
		uint32_t asked = flags & BPF_FIB_LOOKUP_TBID ? table : RT_TABLE_MAIN;
		query->table = fib_table_of(query->family, direct ? asked : usual[i]);
		route = fib_route_find(snapshot->routes, query, hop);
		if (route && route->type != RTN_THROW)
			return route;
	}
	return NULL;
}

static int answer_of_type(uint8_t type)
{
	switch (type) {
	case RTN_UNICAST:
		return BPF_FIB_LKUP_RET_SUCCESS;
	case RTN_BLACKHOLE:
		return BPF_FIB_LKUP_RET_BLACKHOLE;
	case RTN_UNREACHABLE:
		return BPF_FIB_LKUP_RET_UNREACHABLE;
	case RTN_PROHIBIT:
		return BPF_FIB_LKUP_RET_PROHIBIT;
	default:
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	}
}

// Equal first bits of two addresses.
static uint32_t common_bits(fib_address a, fib_address b)
{
	uint32_t bits = 0;
	while (bits < 128 && !((a ^ b) >> (127 - bits) & 1))
		bits++;
	return bits;
}

// IPv4 as inet_select_addr(): the first of the gateway's net, else the first. IPv6: of the
// destination's scope, with the longest prefix in common (RFC 6724, rules 2 and 8).
static bool choose_source(const struct fib_links *links, const struct fib_route *route,
        const struct fib_hop *hop, fib_address destination, fib_address *source)
{
	bool found = false, ipv6 = route->family == AF_INET6;
	uint32_t best = 0;
	if (route->has_source) {
		*source = route->source;
		return true;
	}
	for (uint32_t i = 0; i < links->source_count; i++) {
		const struct fib_source *at = &links->sources[i];
		if (at->device != hop->device || at->family != route->family ||
		        at->scope > (ipv6 ? RT_SCOPE_UNIVERSE : route->scope))
			continue;
		uint32_t fits = ipv6 ? 1 + common_bits(at->address, destination)
		                : hop->gateway_family == AF_INET &&
		                                fib_covers(at->address, at->length, hop->gateway)
		                        ? 2
		                        : 1;
		if (fits <= best)
			continue;
		best = fits;
		*source = at->address;
		found = true;
	}
	return found;
}

static int fill_neighbour(const struct snapshot *snapshot, struct bpf_fib_lookup *params,
        const struct fib_link *link, fib_address next)
{
	const struct fib_neighbour *neighbour =
	        fib_neighbour_find(snapshot->links, link->index, params->family, next);
	if (!neighbour)
		return BPF_FIB_LKUP_RET_NO_NEIGH;
	memcpy(params->dmac, neighbour->mac, sizeof(params->dmac));
	memcpy(params->smac, link->mac, sizeof(params->smac));
	return BPF_FIB_LKUP_RET_SUCCESS;
}

// From a route to what the program is told, in the kernel's order: what an answer that is no
// success has already changed in `params` is the same.
static int fill(const struct snapshot *snapshot, struct bpf_fib_lookup *params, uint32_t flags,
        const struct fib_route *route, const struct fib_hop *hop, fib_address next)
{
	const struct fib_link *link = hop ? fib_link_find(snapshot->links, hop->device) : NULL;
	if (!link || !link->port)
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	uint32_t mtu = route->mtu ? route->mtu : link->mtu;
	if (params->tot_len > mtu) {
		params->mtu_result = (uint16_t)mtu;
		return BPF_FIB_LKUP_RET_FRAG_NEEDED;
	}
	if (hop->encapsulated)
		return BPF_FIB_LKUP_RET_UNSUPP_LWT;
	params->rt_metric = route->metric;
	params->ifindex = link->port;
	if (flags & BPF_FIB_LOOKUP_SRC) {
		fib_address source = 0;
		if (!choose_source(snapshot->links, route, hop, next, &source) &&
		        route->family == AF_INET6)
			return BPF_FIB_LKUP_RET_NO_SRC_ADDR;
		fib_address_bytes(route->family, source, &params->ipv4_src);
	}
	if (hop->gateway_family) {
		next = hop->gateway;
		params->family = hop->gateway_family;
		fib_address_bytes(params->family, next, &params->ipv4_dst);
	}
	if (!(flags & BPF_FIB_LOOKUP_SKIP_NEIGH)) {
		int answer = fill_neighbour(snapshot, params, link, next);
		if (answer)
			return answer;
	}
	params->h_vlan_TCI = 0;
	params->h_vlan_proto = 0;
	if (mtu)
		params->mtu_result = (uint16_t)mtu;
	return BPF_FIB_LKUP_RET_SUCCESS;
}

static int look_up(const struct fib *fib, const struct snapshot *snapshot,
        struct bpf_fib_lookup *params, uint32_t flags)
{
	bool ipv6 = params->family == AF_INET6;
	fib_address source = fib_address_of(params->family, &params->ipv4_src);
	fib_address destination = fib_address_of(params->family, &params->ipv4_dst);
	if (ipv6 && (stays_on_link(destination) || stays_on_link(source)))
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	if (!params->ifindex || params->ifindex > fib->port_count)
		return -ENODEV;
	const uint32_t *interfaces = fib->interfaces[params->ifindex - 1];
	if (!interfaces[0])
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	if (!forwards(snapshot, interfaces, ipv6))
		return BPF_FIB_LKUP_RET_FWD_DISABLED;
	struct fib_query query = {
	        .destination = destination,
	        .family = params->family,
	        .tos = ipv6 ? 0 : params->tos & 0xfc,
	        .ports = flags & BPF_FIB_LOOKUP_OUTPUT ? 1ull << (params->ifindex - 1) : 0,
	        .links = snapshot->links,
	        .hash = (uint32_t)((source ^ destination) % 0xfffffffbu),
	};
	uint32_t table = params->tbid;
	if ((flags & BPF_FIB_LOOKUP_DIRECT) && (flags & BPF_FIB_LOOKUP_TBID))
		params->tbid = 0;
	const struct fib_hop *hop = NULL;
	const struct fib_route *route = find_route(snapshot, &query, flags, table, &hop);
	int answer = route ? answer_of_type(route->type) : BPF_FIB_LKUP_RET_NOT_FWDED;
	return answer ? answer : fill(snapshot, params, flags, route, hop, destination);
}

int fib_lookup(void *context, struct bpf_fib_lookup *params, uint32_t flags)
{
	struct fib_reader *reader = context;
	if (flags & ~(uint32_t)LOOKUP_ALL)
		return -EINVAL;
	if (params->family != AF_INET && params->family != AF_INET6)
		return -EAFNOSUPPORT;
	int answer = look_up(reader->fib, hold(reader), params, flags);
	let_go(reader);
	return answer;
}
