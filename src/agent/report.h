// SPDX-License-Identifier: Apache-2.0
// What the card did, as the JSON of docs/api.md: receipts, a run's report, counters, maps.
#pragma once

#include <jansson.h>
#include <stdint.h>

struct card;
struct card_counters;
struct card_map;
struct error;
struct image;
struct receipt;
struct run;
struct store;

// `old_function` and `new_function` may be NULL (pass, or not known any more).
json_t *receipt_json(
        const struct receipt *receipt, const char *old_function, const char *new_function);
// The first packet behind a swap comes after its receipt was written: fills that in, from the card,
// where the receipt is one of this card's.
void receipt_refresh(struct card *card, json_t *json);
// {"pass": {"packets", "bytes"}, …}
json_t *verdicts_json(const struct card_counters *counters);
// The sum over the run's generations, with receipts and, if asked for, maps. Never NULL unless
// memory is out: what the card does not know any more is left out.
json_t *report_json(struct store *store, struct card *card, const struct run *run);
// [{"key", "value"}…] of a map: at most `limit` entries behind none. `image` is NULL, or the run's,
// for the names of programs and maps (api/slot.h).
int entries_json(struct card *card, uint64_t generation, const struct card_map *map,
        const struct image *image, uint32_t limit, json_t **entries, struct error *err);
// One entry's value as JSON: text, or an array with one text an engine for per-CPU maps.
json_t *entry_value(const struct card_map *map, const struct image *image, const void *value);
json_t *entry_key(const struct card_map *map, const void *key);
// "r12" to 12; 0 for anything else.
uint64_t run_of_tag(const char *tag);
