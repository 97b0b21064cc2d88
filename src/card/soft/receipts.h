// SPDX-License-Identifier: Apache-2.0
// The receipts of the last RECEIPTS_KEPT swaps.
#pragma once

#include <stdint.h>

#include "card/card.h"

#define RECEIPTS_KEPT 256u

struct receipts {
	struct receipt *kept[RECEIPTS_KEPT]; // at sequence % RECEIPTS_KEPT; cut behind the last map
	uint64_t newest;                     // 0 = none
};

// Keeps a copy. Returns 0 or -ENOMEM.
int receipts_keep(struct receipts *receipts, const struct receipt *receipt);
// The kept one (cut: read no map beyond map_count), or NULL. Sequence 0 means the newest.
struct receipt *receipts_find(struct receipts *receipts, uint64_t sequence);
// The part of `receipt` that tells of `port`, or NULL.
struct receipt_port *receipt_port_of(struct receipt *receipt, uint8_t port);
void receipt_copy(const struct receipt *from, struct receipt *to);
void receipts_clear(struct receipts *receipts);
