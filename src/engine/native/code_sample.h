// SPDX-License-Identifier: Apache-2.0
// Machine code for the tests of its memory, in a header of its own: names of asm.h are also those
// of the C library's <signal.h>.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct code;

struct sample {
	struct code *code;
	uint32_t function; // its position
	uint32_t size;
};

bool sample_offered(void);
// A function that returns `value`, and `padding` instructions of several bytes.
struct sample sample_new(uint32_t value, uint32_t padding);
struct sample sample_unfinished(void); // with a jump to nowhere
uint64_t sample_run(const struct sample *sample, const uint8_t *block);
void sample_free(struct sample *sample);
