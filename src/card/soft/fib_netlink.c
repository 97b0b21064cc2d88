// SPDX-License-Identifier: Apache-2.0
// rtnetlink(7): a dump is asked for with a header of the message's type and answered by messages,
// each with attributes behind its own header. Whatever is malformed or not for us is passed over.
#include "card/soft/fib_netlink.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "card/soft/fib_table.h"

#define MESSAGE_SIZE  (64u << 10) // over what a dump puts into one
#define LISTEN_BUFFER (1 << 20)
#define ATTRIBUTES    64u
#define NUD_VALID     (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

static int open_netlink(struct error *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int rc = error_set(err, errno, "cannot ask the kernel for its routes (rtnetlink): %s",
	        strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

int fib_netlink_ask(struct error *err)
{
	return open_netlink(err);
}

int fib_netlink_listen(struct error *err)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
	        RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_NETCONF,
	        RTNLGRP_IPV6_NETCONF, RTNLGRP_NEXTHOP};
	int fd = open_netlink(err);
	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){LISTEN_BUFFER}, sizeof(int));
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(int));
	return fd;
}

static uint32_t changed_by(uint16_t type)
{
	switch (type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		return FIB_CHANGED_ROUTES;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
	case RTM_NEWNETCONF:
	case RTM_DELNETCONF:
		return FIB_CHANGED_LINKS;
	default: // links and addresses take routes along that nobody is told about
		return FIB_CHANGED_ROUTES | FIB_CHANGED_LINKS;
	}
}

uint32_t fib_netlink_changes(int fd)
{
	autofree uint8_t *message = malloc(MESSAGE_SIZE);
	uint32_t changes = 0;
	ssize_t size = -1;
	while (message && (size = recv(fd, message, MESSAGE_SIZE, MSG_DONTWAIT)) > 0) {
		struct nlmsghdr *header = (struct nlmsghdr *)message;
		for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size))
			changes |= changed_by(header->nlmsg_type);
	}
	if (!message || (size < 0 && errno != EAGAIN)) // ENOBUFS: some were lost
		changes = FIB_CHANGED_ROUTES | FIB_CHANGED_LINKS;
	return changes;
}

typedef int handle_fn(void *to, const struct nlmsghdr *header);

static int handle_dump(
        int fd, uint8_t *message, void *to, uint16_t type, handle_fn *handle, bool *done)
{
	int rc = 0;
	ssize_t size = recv(fd, message, MESSAGE_SIZE, 0);
	if (size < 0)
		return errno == EINTR ? 0 : -errno;
	struct nlmsghdr *header = (struct nlmsghdr *)message;
	for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			rc = -EAGAIN;
		if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
			*done = true;
		if (header->nlmsg_type == NLMSG_ERROR)
			return header->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))
			               ? -EPROTO
			               : ((struct nlmsgerr *)NLMSG_DATA(header))->error;
		if (header->nlmsg_type == type && handle && !rc)
			rc = handle(to, header);
	}
	return rc;
}

// Asks for all of one kind: RTM_GETx is answered by RTM_NEWx, two below.
static int dump(int fd, uint16_t ask, uint8_t family, uint32_t size, handle_fn *handle, void *to)
{
	struct {
		struct nlmsghdr header;
		uint8_t body[32];
	} question = {
	        .header = {.nlmsg_len = NLMSG_LENGTH(size),
	                .nlmsg_type = ask,
	                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	        .body = {family}, // first in each of these headers
	};
	autofree uint8_t *message = malloc(MESSAGE_SIZE);
	if (!message)
		return -ENOMEM;
	if (send(fd, &question, question.header.nlmsg_len, 0) < 0)
		return -errno;
	int rc = 0;
	for (bool done = false; !done;) { // to its end in any case, or the next one meets the rest
		int status = handle_dump(
		        fd, message, to, (uint16_t)(ask - 2), rc ? NULL : handle, &done);
		rc = rc ? rc : status;
		if (status && status != -EAGAIN && !done)
			return status;
	}
	return rc;
}

// Attributes by their type, those of the right size at least.
static void read_attributes(struct rtattr *at, long size, struct rtattr *found[ATTRIBUTES])
{
	memset(found, 0, ATTRIBUTES * sizeof(found[0]));
	for (; RTA_OK(at, size); at = RTA_NEXT(at, size)) {
		uint32_t type = at->rta_type & NLA_TYPE_MASK;
		if (type < ATTRIBUTES)
			found[type] = at;
	}
}

static bool header_fits(const struct nlmsghdr *header, uint32_t size)
{
	return header->nlmsg_len >= NLMSG_LENGTH(size);
}

static void attributes_of(
        const struct nlmsghdr *header, uint32_t size, struct rtattr *found[ATTRIBUTES])
{
	uint8_t *data = NLMSG_DATA(header);
	read_attributes((struct rtattr *)(data + NLMSG_ALIGN(size)),
	        (long)header->nlmsg_len - (long)NLMSG_SPACE(size), found);
}

static uint32_t attribute_u32(const struct rtattr *attribute, uint32_t otherwise)
{
	uint32_t value = otherwise;
	if (attribute && RTA_PAYLOAD(attribute) >= sizeof(value))
		memcpy(&value, RTA_DATA(attribute), sizeof(value));
	return value;
}

static bool attribute_address(const struct rtattr *attribute, uint8_t family, fib_address *address)
{
	if (!attribute || RTA_PAYLOAD(attribute) < (family == AF_INET ? 4 : 16))
		return false;
	*address = fib_address_of(family, RTA_DATA(attribute));
	return true;
}

static bool attribute_mac(const struct rtattr *attribute, uint8_t mac[6])
{
	if (!attribute || RTA_PAYLOAD(attribute) != 6)
		return false;
	memcpy(mac, RTA_DATA(attribute), 6);
	return true;
}

static int add_hop(struct fib_routes *routes, struct fib_route *route, uint32_t device,
        uint32_t flags, struct rtattr *const found[ATTRIBUTES])
{
	if (flags & RTNH_F_DEAD)
		return 0;
	struct fib_hop *hop = fib_hop_add(routes);
	if (!hop)
		return -ENOMEM;
	hop->device = device;
	hop->encapsulated = found[RTA_ENCAP];
	if (attribute_address(found[RTA_GATEWAY], route->family, &hop->gateway))
		hop->gateway_family = route->family;
	const struct rtattr *via = found[RTA_VIA];
	if (via && RTA_PAYLOAD(via) >= sizeof(struct rtvia) + 16) {
		const struct rtvia *to = RTA_DATA(via);
		if (to->rtvia_family == AF_INET6) {
			hop->gateway_family = AF_INET6;
			hop->gateway = fib_address_of(AF_INET6, to->rtvia_addr);
		}
	}
	route->hop_count++;
	return 0;
}

static int add_hops(struct fib_routes *routes, struct fib_route *route, struct rtattr *multipath)
{
	struct rtnexthop *next = RTA_DATA(multipath);
	long left = (long)RTA_PAYLOAD(multipath);
	int rc = 0;
	while (!rc && left >= (long)sizeof(*next) && RTNH_OK(next, left)) {
		struct rtattr *found[ATTRIBUTES];
		read_attributes(RTNH_DATA(next), next->rtnh_len - (long)sizeof(*next), found);
		rc = add_hop(routes, route, (uint32_t)next->rtnh_ifindex, next->rtnh_flags, found);
		left -= RTNH_ALIGN(next->rtnh_len);
		next = RTNH_NEXT(next);
	}
	return rc;
}

// The device's MTU counts unless the route's is locked (ip_mtu_from_fib_result(),
// ip6_mtu_from_fib6()).
static uint32_t route_mtu(struct rtattr *metrics)
{
	struct rtattr *found[ATTRIBUTES];
	if (!metrics)
		return 0;
	read_attributes(RTA_DATA(metrics), (long)RTA_PAYLOAD(metrics), found);
	bool locked = attribute_u32(found[RTAX_LOCK], 0) >> RTAX_MTU & 1;
	return locked ? attribute_u32(found[RTAX_MTU], 0) : 0;
}

static int handle_route(void *to, const struct nlmsghdr *header)
{
	struct fib_routes *routes = to;
	const struct rtmsg *message = NLMSG_DATA(header);
	struct rtattr *found[ATTRIBUTES];
	if (!header_fits(header, sizeof(*message)) || (message->rtm_flags & RTM_F_CLONED) ||
	        (message->rtm_family != AF_INET && message->rtm_family != AF_INET6))
		return 0;
	attributes_of(header, sizeof(*message), found);
	struct fib_route *route = fib_route_add(routes);
	if (!route)
		return -ENOMEM;
	*route = (struct fib_route){
	        .family = message->rtm_family,
	        .length = message->rtm_dst_len,
	        .type = message->rtm_type,
	        .tos = message->rtm_family == AF_INET ? message->rtm_tos : 0,
	        .scope = message->rtm_scope,
	        .table = fib_table_of(
	                message->rtm_family, attribute_u32(found[RTA_TABLE], message->rtm_table)),
	        .metric = attribute_u32(found[RTA_PRIORITY], 0),
	        .mtu = route_mtu(found[RTA_METRICS]),
	        .hop = routes->hop_count,
	};
	attribute_address(found[RTA_DST], route->family, &route->prefix);
	route->has_source = attribute_address(found[RTA_PREFSRC], route->family, &route->source);
	if (found[RTA_MULTIPATH])
		return add_hops(routes, route, found[RTA_MULTIPATH]);
	if (found[RTA_OIF])
		return add_hop(
		        routes, route, attribute_u32(found[RTA_OIF], 0), message->rtm_flags, found);
	return 0;
}

static int handle_link(void *to, const struct nlmsghdr *header)
{
	const struct ifinfomsg *message = NLMSG_DATA(header);
	struct rtattr *found[ATTRIBUTES];
	if (!header_fits(header, sizeof(*message)))
		return 0;
	struct fib_link *link = fib_link_add(to);
	if (!link)
		return -ENOMEM;
	attributes_of(header, sizeof(*message), found);
	link->index = (uint32_t)message->ifi_index;
	link->mtu = attribute_u32(found[IFLA_MTU], 0);
	attribute_mac(found[IFLA_ADDRESS], link->mac);
	return 0;
}

static int handle_forwarding(void *to, const struct nlmsghdr *header)
{
	const struct netconfmsg *message = NLMSG_DATA(header);
	struct rtattr *found[ATTRIBUTES];
	struct fib_links *links = to;
	if (!header_fits(header, sizeof(*message)))
		return 0;
	attributes_of(header, sizeof(*message), found);
	uint32_t index = attribute_u32(found[NETCONFA_IFINDEX], 0);
	for (uint32_t i = 0; i < links->count; i++)
		if (links->links[i].index == index)
			links->links[i].forwards[message->ncm_family == AF_INET6] =
			        attribute_u32(found[NETCONFA_FORWARDING], 0);
	return 0;
}

static int handle_neighbour(void *to, const struct nlmsghdr *header)
{
	const struct ndmsg *message = NLMSG_DATA(header);
	struct rtattr *found[ATTRIBUTES];
	struct fib_neighbour seen = {0};
	if (!header_fits(header, sizeof(*message)) || !(message->ndm_state & NUD_VALID))
		return 0;
	attributes_of(header, sizeof(*message), found);
	if (!attribute_address(found[NDA_DST], message->ndm_family, &seen.address) ||
	        !attribute_mac(found[NDA_LLADDR], seen.mac))
		return 0;
	seen.device = (uint32_t)message->ndm_ifindex;
	seen.family = message->ndm_family;
	struct fib_neighbour *neighbour = fib_neighbour_add(to);
	if (!neighbour)
		return -ENOMEM;
	*neighbour = seen;
	return 0;
}

static int handle_address(void *to, const struct nlmsghdr *header)
{
	const struct ifaddrmsg *message = NLMSG_DATA(header);
	struct rtattr *found[ATTRIBUTES];
	fib_address address;
	if (!header_fits(header, sizeof(*message)))
		return 0;
	attributes_of(header, sizeof(*message), found);
	struct rtattr *own = found[IFA_LOCAL] ? found[IFA_LOCAL] : found[IFA_ADDRESS];
	if (!attribute_address(own, message->ifa_family, &address))
		return 0;
	if (message->ifa_family == AF_INET && (message->ifa_flags & IFA_F_SECONDARY))
		return 0;
	struct fib_source *source = fib_source_add(to);
	if (!source)
		return -ENOMEM;
	*source = (struct fib_source){.device = message->ifa_index,
	        .family = message->ifa_family,
	        .length = message->ifa_prefixlen,
	        .scope = message->ifa_scope,
	        .address = address};
	return 0;
}

int fib_netlink_routes(int fd, struct fib_routes **routes)
{
	struct fib_routes *made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	int rc = dump(fd, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), handle_route, made);
	if (!rc)
		rc = dump(fd, RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg), handle_route, made);
	if (rc) {
		fib_routes_free(&made);
		return rc;
	}
	fib_routes_finish(made);
	*routes = made;
	return 0;
}

int fib_netlink_links(int fd, struct fib_links **links)
{
	static const struct {
		uint16_t ask;
		uint8_t family, size;
		handle_fn *handle;
	} steps[] = {
	        {RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), handle_link},
	        {RTM_GETNETCONF, AF_INET, sizeof(struct netconfmsg), handle_forwarding},
	        {RTM_GETNETCONF, AF_INET6, sizeof(struct netconfmsg), handle_forwarding},
	        {RTM_GETNEIGH, AF_INET, sizeof(struct ndmsg), handle_neighbour},
	        {RTM_GETNEIGH, AF_INET6, sizeof(struct ndmsg), handle_neighbour},
	        {RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg), handle_address},
	};
	struct fib_links *made = calloc(1, sizeof(*made));
	int rc = made ? 0 : -ENOMEM;
	for (size_t i = 0; !rc && i < ARRAY_SIZE(steps); i++) {
		rc = dump(fd, steps[i].ask, steps[i].family, steps[i].size, steps[i].handle, made);
		if (rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP)
			rc = 0; // a kernel without IPv6
	}
	if (rc) {
		fib_links_free(&made);
		return rc;
	}
	fib_links_finish(made);
	*links = made;
	return 0;
}
