// SPDX-License-Identifier: Apache-2.0
// The kernel's network interfaces, as drivers need them: state, address, queues; and taps.
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/options.h"

struct error;

// A socket that stays in the namespace where it was opened, for the calls below; or -errno.
int netif_socket(void);
int netif_up(int socket, const char *name);
// -ENODEV where it is gone; else whether it is up, and running (the other end is there) into
// *running.
int netif_state(int socket, const char *name, bool *up, bool *running);
int netif_mac(int socket, const char *name, struct option_mac *mac);
int netif_mtu(int socket, const char *name, int *mtu);
int netif_set_mtu(int socket, const char *name, int mtu);
// Receive queues in use; 1 where the driver does not say.
uint32_t netif_queues(int socket, const char *name);
// Makes sure that `name` can be an interface's name. Errors: EINVAL.
int netif_check_name(const char *name, struct error *err);

// Makes (or joins, where it is a persistent one that nobody holds) the tap `name` and brings it up.
// Its descriptor, not blocking, into *fd; the tap goes with it. Errors: EPERM, EBUSY, ENOENT (no
// /dev/net/tun).
int netif_tap(const char *name, const struct option_mac *mac, int mtu, int *fd, struct error *err);
