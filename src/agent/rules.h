// SPDX-License-Identifier: Apache-2.0
// Rules of a function or a run: checked when they are given, written into a generation before it is
// swapped in.
#pragma once

#include <stdint.h>

struct card;
struct error;
struct image;
struct run;
struct store;

// Parses the rules against the image's maps. EINVAL, and the line that is wrong.
int rules_check(const struct image *image, const char *text, unsigned *line, struct error *err);
// Writes them into generation `id` of the card. How many into *count (may be NULL).
int rules_fill(struct card *card, uint64_t id, const struct image *image, const char *text,
        uint32_t *count, struct error *err);
// The image that a run's maps and their values are named by.
int rules_image(
        struct store *store, const struct run *run, struct image **image, struct error *err);
