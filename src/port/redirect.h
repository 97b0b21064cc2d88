// SPDX-License-Identifier: Apache-2.0
// The XDP program that brings an interface's packets to an AF_XDP socket: ours, of five
// instructions, attached by a bpf_link, so that nothing is left on the interface when the process
// is gone.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;

struct redirect {
	int map_fd, program_fd, link_fd; // -1 where there is none
};

// Sends what comes by `queue` of the interface to the socket `xsk_fd`; other queues go to the
// host's stack as before. Errors: EPERM with the capability; EBUSY with the id of the program that
// is there; EOPNOTSUPP where the driver has no native XDP and `generic` is not set.
int redirect_attach(struct redirect *redirect, const char *name, uint32_t ifindex, uint32_t queue,
        int xsk_fd, bool generic, struct error *err);
void redirect_detach(struct redirect *redirect);
