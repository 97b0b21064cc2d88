// SPDX-License-Identifier: Apache-2.0
// A map that a request names: of the run of ?run=, or of the only live one that has it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct card_map;
struct error;
struct image;
struct map_list;
struct request;
struct run;

struct target {
	const struct run *run;
	const struct card_map *map; // NULL: none found
	struct map_list *list;      // that the map stands in
	struct image *image; // of the run, where the map's values are names of its parts; else NULL
};

// Whether programs write records to it, which are read but once (records.c).
bool map_holds_records(const struct card_map *map);
// Looks for `name` among the maps of a run. 0 also where it has none; EINVAL where *target has been
// filled in from another run; what the card says.
int target_look(struct agent *agent, const struct run *run, const char *name, struct target *target,
        struct error *err);
// The map that the request's path names. False: the request has been answered.
bool target_find(struct agent *agent, struct request *request, struct target *target);
void target_free(struct target *target); // leaves an empty one
