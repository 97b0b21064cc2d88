// SPDX-License-Identifier: Apache-2.0
// A card that lives in memory and obeys a clock that the test sets: the scheduler's tests are
// deterministic on it. It keeps banks and generations as card.h says; no packet ever comes.
#pragma once

#include <stdint.h>

#include "card/card.h"

#define FAKE_GENERATIONS_MAX 256

struct fake_card {
	struct card card; // first
	uint64_t now_ns;  // the test's clock, CLOCK_MONOTONIC; a swap at a later instant moves it
	                  // there
	uint32_t port_count;
	uint64_t life; // started_wall_ns: another value is another card
	uint64_t active[PORTS_MAX], idle[PORTS_MAX];              // generation by port
	struct card_generation generations[FAKE_GENERATIONS_MAX]; // by id - 1
	uint32_t count;
	uint32_t loads, swaps;
	struct receipt receipts[FAKE_GENERATIONS_MAX];
	int fail_load, fail_swap; // errno that the next such call fails with
};

void fake_card_init(struct fake_card *fake, uint32_t port_count);
// As if its process had been killed and started again.
void fake_card_restart(struct fake_card *fake);
