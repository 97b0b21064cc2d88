// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <string.h>

#define COMPARED_MAX 64u

// Levenshtein, one row at a time.
uint32_t name_distance(const char *a, const char *b)
{
	uint32_t row[COMPARED_MAX + 1];
	uint32_t rows = (uint32_t)strnlen(a, COMPARED_MAX),
	         columns = (uint32_t)strnlen(b, COMPARED_MAX);
	for (uint32_t j = 0; j <= columns; j++)
		row[j] = j;
	for (uint32_t i = 1; i <= rows; i++) {
		uint32_t diagonal = row[0];
		row[0] = i;
		for (uint32_t j = 1; j <= columns; j++) {
			uint32_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[columns];
}

const char *nearest_name(const char *word, const char *const *names, size_t count, size_t stride)
{
	uint32_t best = UINT32_MAX, size = (uint32_t)strlen(word);
	const char *nearest = NULL;
	for (size_t i = 0; i < count; i++) {
		const char *name = *(const char *const *)((const char *)names + i * stride);
		uint32_t distance = name_distance(word, name);
		if (distance < best && name_is_near(distance, size)) {
			best = distance;
			nearest = name;
		}
	}
	return nearest;
}
