// SPDX-License-Identifier: Apache-2.0
#include "cli/suggest.h"

#include <string.h>

#include "base/nearest.h"

const char *suggest_nearest(const char *word, const char *const *candidates, size_t count)
{
	return nearest_name(word, candidates, count, sizeof(*candidates));
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
