// SPDX-License-Identifier: Apache-2.0
// Rules files: what to write into a function's maps, one entry a line (docs/api.md).
//
//	# comment
//	routes 10.0.0.0/8 = port=1, mac=02:00:00:00:00:01
//	-routes 10.1.0.0/16
//	stages 0 = parse_ipv4
//
// A value of a prog array or of a map in maps is the name of a program or map of the object
// (api/slot.h). The `=` between key and value has blanks on both sides; a key without fields does
// without them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct image;
struct image_map;

#define RULES_BYTES_MAX (256u << 20) // of all keys and values

struct rule {
	uint32_t map;  // index into the image's maps
	uint32_t line; // from 1
	bool remove;
	uint8_t *key, *value; // key_size, value_size bytes (one copy, also for per-CPU maps); value
	                      // NULL to remove
};

struct rules {
	struct rule *rules; // in the order of the file
	uint32_t count;
};

// Parses `size` bytes of text against the maps and programs of a function: all of it or, with the
// line of the first wrong one, nothing. Errors: EINVAL with line, its text, and what was expected;
// E2BIG; ENOMEM.
int rules_parse(const char *text, size_t size, const struct image *image, struct rules **rules,
        struct error *err);
void rules_free(struct rules **rules);
// One value, in value_size bytes: value_parse(), or slot_parse() where values are names.
int rules_value(const struct image *image, const struct image_map *map, const char *text,
        void *value, struct error *err);
// value_format()'s and value_parse()'s flags for a map's key.
unsigned rules_key_flags(const struct image_map *map);
