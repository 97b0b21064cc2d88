// SPDX-License-Identifier: Apache-2.0
// A soft card that is measured: its ports, the function on all of them, and how fast it is.
#pragma once

#include <stdint.h>

#include "card/card.h"

struct image;

enum rig_function { RIG_WIRE, RIG_LSL2, RIG_RIPV4, RIG_MACSWAP };

struct rig {
	const char *specs[4];
	uint32_t port_count, worker_count;
	enum rig_function function;
	enum engine_kind engine;
};

// Makes the card, lets it run for `ms`, and ends it. Packets that its ports sent, and the CPU time
// that all of it took. What goes wrong ends the program, with the reason.
void rig_round(const struct rig *rig, uint32_t ms, uint64_t *packets, uint64_t *cpu_ns);
