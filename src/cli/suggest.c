// SPDX-License-Identifier: Apache-2.0
#include "cli/suggest.h"

#include <string.h>

#include "api/nearest.h"

const char *suggest_nearest(const char *word, const char *const *candidates, size_t count)
{
	uint32_t best = UINT32_MAX, size = (uint32_t)strlen(word);
	const char *nearest = NULL;
	for (size_t i = 0; i < count; i++) {
		uint32_t distance = name_distance(word, candidates[i]);
		if (distance < best && name_is_near(distance, size)) {
			best = distance;
			nearest = candidates[i];
		}
	}
	return nearest;
}

enum suggest_match suggest_prefix(
        const char *word, const char *const *candidates, size_t count, size_t *index)
{
	size_t size = strlen(word), found = 0, matches = 0;
	for (size_t i = 0; i < count; i++) {
		if (strncmp(word, candidates[i], size) != 0)
			continue;
		if (!candidates[i][size]) {
			*index = i;
			return SUGGEST_ONE;
		}
		found = i;
		matches++;
	}
	if (matches != 1)
		return matches ? SUGGEST_MANY : SUGGEST_NONE;
	*index = found;
	return SUGGEST_ONE;
}
