// SPDX-License-Identifier: Apache-2.0
// The maps of a generation in this process, as text: filled from rules, printed by their fields.
#pragma once

#include <jansson.h>

struct error;
struct generation;

// Reads all of the rules file before it writes an entry. Errors name file, line and what is wrong.
int offline_rules(struct generation *generation, const char *path, struct error *err);
// {"map": [{"key", "value"}…]…} of all maps with entries, but raio_ports and the program's own
// globals.
json_t *offline_maps(struct generation *generation);
