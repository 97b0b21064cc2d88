// SPDX-License-Identifier: Apache-2.0
// What is compared: ways to run a function over packets. All but the kernel work on the same maps.
#pragma once

#include <stdint.h>

#include "load.h"

struct side {
	const char *name;
	// Makes ready to run the load's function. Returns 0, or -errno with the reason in *err: the
	// side is then left out.
	int (*open)(const struct load *load, void **state, struct error *err);
	void (*close)(void **state);
	// Runs at most LOAD_BURST packets, as engine_run(). NULL: see time and run_one.
	void (*burst)(
	        void *state, struct packet *packets, struct verdict *verdicts, uint32_t count);
	// Runs over `count` packets of the load's sequence that the side makes itself. Returns ns a
	// packet, without what making them takes; NAN where that failed.
	double (*time)(void *state, uint32_t count);
	// What becomes of a frame of FLOW_SIZE bytes: the program's result, or -errno.
	int (*run_one)(void *state, uint8_t *frame);
};

extern const struct side side_limit, side_native, side_interpreter, side_kernel, side_rte_bpf;

// What a function asked of redirect helpers becomes of a packet, as engine/helper_redirect.c does.
static inline __attribute__((always_inline)) void side_finish(
        struct packet *packet, struct verdict *verdict, uint32_t result, uint64_t redirect_ports)
{
	*verdict = (struct verdict){.verdict = XDP_ABORTED, .result = result};
	if (result == XDP_REDIRECT) {
		if (!redirect_ports || (redirect_ports & ~LOAD_PORTS)) {
			verdict->fault = FAULT_REDIRECT;
			return;
		}
		verdict->verdict = XDP_REDIRECT;
		verdict->ports = redirect_ports;
		packet->out = (uint8_t)__builtin_ctzll(redirect_ports);
	} else if (result == XDP_TX) {
		verdict->verdict = XDP_TX;
		verdict->ports = 1ull << packet->port;
		packet->out = packet->port;
	} else if (result == XDP_DROP || result == XDP_PASS) {
		verdict->verdict = (uint8_t)result;
	} else {
		verdict->fault = result == XDP_ABORTED ? FAULT_EXPLICIT : FAULT_VERDICT;
	}
}
