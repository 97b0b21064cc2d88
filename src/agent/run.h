// SPDX-License-Identifier: Apache-2.0
// Runs as JSON: how the store keeps one, how people see one. The struct is in queue.h.
#pragma once

#include <jansson.h>
#include <stdint.h>

struct error;
struct run;
struct stored_run;

char *run_encode(const struct run *run); // NULL: no memory
int run_decode(const struct stored_run *stored, struct run **run, struct error *err);
// A run object of docs/api.md; `offset_ns` turns monotonic instants into wall-clock ones;
// `position` 0: not queued.
json_t *run_object(const struct run *run, uint64_t offset_ns, uint32_t position);
// {"code", "message"}
json_t *run_error(const char *code, const char *message);
