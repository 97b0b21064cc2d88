// SPDX-License-Identifier: Apache-2.0
// What a function or a run asks for, out of JSON (docs/api.md): slice, ports, map policy.
#pragma once

#include <jansson.h>
#include <stdint.h>

struct error;

#define SLICE_MIN_S     3
#define SLICE_MAX_S     300
#define SLICE_DEFAULT_S 5
#define SLICE_FOREVER   0ull // a slice_ns that never ends
#define PORTS_ALL       0ull // a mask that stands for every port of the card

// Each leaves the out-parameter as it is where `json` is NULL. EINVAL with what would be right.
int slice_parse(const json_t *json, uint64_t *slice_ns, struct error *err);
int ports_parse(const json_t *json, uint64_t *mask, struct error *err);
int policy_check(const json_t *json, struct error *err); // "fresh", "carry" or names of maps
json_t *slice_json(uint64_t slice_ns);
json_t *ports_json(uint64_t mask);
// A function's settings: checks every member of `given` (may be NULL) and writes it over
// `settings`, a JSON object that is complete afterwards.
int settings_merge(json_t *settings, const json_t *given, struct error *err);
// The member `key` of an object as a string; NULL where absent. EINVAL if it is something else.
int member_string(const json_t *object, const char *key, const char **text, struct error *err);
