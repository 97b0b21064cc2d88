// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the known name that is nearest to a mistyped one.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Edits (insert, delete, replace) between two names, of which the first 64 characters count.
uint32_t name_distance(const char *a, const char *b);
// Whether a distance is small enough for a guess to help.
static inline int name_is_near(uint32_t distance, uint32_t length)
{
	return distance <= (length + 2) / 3;
}
// The nearest of `count` names, `stride` bytes apart, or NULL where none is near. The first of
// equals.
const char *nearest_name(const char *word, const char *const *names, size_t count, size_t stride);
