// SPDX-License-Identifier: Apache-2.0
// Work that waits until every read-side section (map_enter()) that is open now has ended.
#pragma once

struct grace {
	void *room[2]; // liburcu's
};

// Runs `run` in the thread of map_start(), later. Takes no lock and never waits; `grace` is in use
// until then.
void grace_defer(struct grace *grace, void (*run)(struct grace *));
