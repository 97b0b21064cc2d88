// SPDX-License-Identifier: Apache-2.0
// bpf_fib_lookup() for a card whose ports are interfaces of the host: answers from the host's
// routes and neighbours, by the kernel's rules (net/core/filter.c), in terms of the card's ports:
// an ifindex is a port's number + 1, and a route that leaves by no port of the card is not
// forwarded.
//
// A thread of its own keeps a snapshot current from the kernel's notifications and sleeps between
// them. Engines read the snapshot without a lock.
//
// Tables are looked into as they are without policy rules: local, main, default. A port that is
// AF_XDP stands for its interface, and for the tap that is its host's side.
#pragma once

#include <stdint.h>

struct bpf_fib_lookup;
struct error;
struct fib;
struct fib_reader;

// `interfaces`: the kernel's indices of each port's interfaces, 0 for none. Opens its sockets in
// the caller's network namespace; needs no privileges.
int fib_new(
        const uint32_t (*interfaces)[2], uint32_t port_count, struct fib **fib, struct error *err);
// Starts the thread. Without it the snapshot stays as it was at fib_new().
int fib_start(struct fib *fib, struct error *err);
// No reader may be in use any more.
void fib_free(struct fib **fib);
// One a thread that looks up at a time: the place of a port, below port_count.
struct fib_reader *fib_reader(struct fib *fib, uint32_t port);

// engine_options.fib and .mtu; the context is a reader. MTU 0: no such interface.
int fib_lookup(void *reader, struct bpf_fib_lookup *params, uint32_t flags);
uint32_t fib_mtu(void *reader, uint32_t ifindex);
