// SPDX-License-Identifier: Apache-2.0
// Values that are names: an entry of a prog array names a program of its object, one of a map in
// maps names a map. Cards store the index of it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct buffer;
struct error;
struct image;
struct image_map;

// Whether maps of this type have such values.
bool slot_is_name(uint32_t type);
// The index that `text` names into *value, which is untouched on failure. Errors: EINVAL with the
// names there are, or why that map cannot be an inner one.
int slot_parse(const struct image *image, const struct image_map *map, const char *text,
        uint32_t *value, struct error *err);
// Appends the name; the index where `image` is NULL or has none of it.
void slot_format(const struct image *image, const struct image_map *map, uint32_t value,
        struct buffer *buffer);
