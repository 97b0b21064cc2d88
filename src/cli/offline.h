// SPDX-License-Identifier: Apache-2.0
// A function on a card of paper: one engine, no ports, packets out of a capture, a clock that is
// the capture's. The same input gives the same output, always.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cli/capture.h"
#include "engine/engine.h"

struct error;
struct generation;
struct image;
struct offline;

struct offline_options {
	uint64_t ports;                                 // mask of the ports that the card has
	uint64_t budget;                                // 0 = default
	void (*trace)(void *context, const char *line); // bpf_printk; may be NULL
	void *trace_context;
};

// What became of each packet of the capture, and what left. Free with offline_result_free().
struct offline_result {
	struct verdict *verdicts; // a packet of the capture each
	size_t count, oversize;   // oversize: too long for a frame, dropped
	struct capture out;       // what left: sent, or handed to the host
	size_t *from;             // for each of `out`, the packet that it was
	size_t from_capacity;
};

// Takes `image`, also where it fails. Errors: those of generation_new().
int offline_new(struct image *image, const struct offline_options *options,
        struct offline **offline, struct error *err);
void offline_free(struct offline **offline);
struct generation *offline_generation(const struct offline *offline);
int offline_run(struct offline *offline, const struct capture *in, struct offline_result *result,
        struct error *err);
void offline_result_free(struct offline_result *result);
