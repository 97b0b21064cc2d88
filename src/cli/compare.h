// SPDX-License-Identifier: Apache-2.0
// Compares what left a function with what was expected.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "cli/capture.h"

struct compare {
	bool is_equal;
	size_t place;   // the first packet that differs, from 0
	char what[256]; // "byte 14 is 45, expected 46"
};

// Equal bytes in equal order; where `want` says ports, also ports, and whether sent or passed.
void compare_captures(
        const struct capture *got, const struct capture *want, struct compare *compare);
// Both packets in hex, a pair of lines a row where they differ, differing bytes underlined by ^^.
void compare_print(const struct capture_packet *got, const struct capture_packet *want, FILE *out);
