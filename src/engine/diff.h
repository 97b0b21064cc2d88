// SPDX-License-Identifier: Apache-2.0
// One program over the same packets in every way that this machine has (way.h), and what came of
// it, whole: verdicts, faults and their places, all bytes of the frames, ends, counters, contents
// of maps, records, traces. Whatever is not the same is a defect of one of the engines. For tests
// only.
//
// The ways run side by side in card address spaces of their own, made alike to the last address and
// the last random number: whoever links this gets a getrandom() that repeats itself. So programs
// that look at addresses end alike too.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "engine/packet.h"

struct engine_way;
struct error;
struct image;
struct diff_side;

#define DIFF_BURST_MAX 16u

struct diff_setup {
	// A new image of the program, the same each time. NULL with the reason where it makes none.
	struct image *(*make)(void *context, struct error *err);
	void *context;
	const uint8_t *bytes; // of every packet, `size`; NULL: by chance, from the seed
	uint32_t size;        // of the packets; 0: by chance
	uint64_t seed;
	uint64_t budget; // 0: the usual
	uint32_t bursts, burst;
	bool carry;   // a second generation takes over all maps before the last burst
	bool churn;   // the control side changes maps between bursts
	bool is_bare; // engine_call() over a block of BLOCK bytes instead of packets
};

// A list of parts: what it is and which, size, bytes. Alike where the bytes are.
struct diff_outcome {
	struct buffer parts;
	bool loaded;        // else the one part is the refusal
	uint8_t fault;      // of the last packet
	uint32_t result;    // of the last packet
	uint32_t unfaulted; // packets that met no fault
	uint64_t helper_calls;
};

int diff_side_new(const struct engine_way *way, struct diff_side **side, struct error *err);
void diff_side_free(struct diff_side **side);

// Runs the program. *outcome is cleared first; diff_outcome_free() after the last use.
void diff_run(struct diff_side *side, const struct diff_setup *setup, struct diff_outcome *outcome);
void diff_outcome_free(struct diff_outcome *outcome);
// The bytes of the last packet, from its first, into `bytes` (FRAME_SIZE); returns how many.
uint32_t diff_packet(const struct diff_outcome *outcome, uint8_t *bytes);
// The maps' entries one after the other, each key then value; *at begins as 0. False at the end.
bool diff_entry(const struct diff_outcome *outcome, size_t *at, uint32_t *map, const void **data,
        size_t *size);
bool diff_same(const struct diff_outcome *a, const struct diff_outcome *b);
// The first parts that differ.
void diff_print(FILE *to, const char *name_a, const struct diff_outcome *a, const char *name_b,
        const struct diff_outcome *b);
