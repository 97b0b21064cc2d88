// SPDX-License-Identifier: Apache-2.0
// What rtnetlink tells about routes, links, neighbours and addresses, in the network namespace
// where the sockets were opened. Needs no privileges.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;
struct fib_links;
struct fib_routes;

enum { FIB_CHANGED_ROUTES = 1, FIB_CHANGED_LINKS = 2 };

// A socket to ask by; one that tells of changes, not blocking. Descriptor or -errno with a message.
int fib_netlink_ask(struct error *err);
int fib_netlink_listen(struct error *err);
// What has changed since the last call.
uint32_t fib_netlink_changes(int fd);
// Everything, as it is now. -EAGAIN: it changed meanwhile, ask again; -ENOMEM; or what the kernel
// answered.
int fib_netlink_routes(int fd, struct fib_routes **routes);
int fib_netlink_links(int fd, struct fib_links **links);
