// SPDX-License-Identifier: Apache-2.0
// The parent of a card and an agent. It reads nothing from strangers; it starts both, and starts
// again the one that dies while the other goes on: packets flow while the agent is away, and the
// listening socket is the supervisor's, so that requests wait instead of failing.
#pragma once

#include "agent/agent.h"

struct supervisor_options {
	const struct agent_options *agent;
	const char *card_program; // path of raio-card
	const char *const *port_specs;
	uint32_t port_count, worker_count;
	const char *log_level, *engine; // engine: NULL, the card's default
	bool leave_card;                // on SIGTERM the card goes on
};

// Until SIGTERM or SIGINT. Returns the exit code.
int supervisor_run(const struct supervisor_options *options);
