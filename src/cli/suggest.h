// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the candidate that is nearest to a mistyped word, and the one that a prefix
// names.
#pragma once

#include <stddef.h>

// The nearest of `count` candidates, or NULL where none is near enough (a third of the word's
// letters, at least one). The first of equals.
const char *suggest_nearest(const char *word, const char *const *candidates, size_t count);

enum suggest_match { SUGGEST_NONE, SUGGEST_ONE, SUGGEST_MANY };
// The candidate that equals `word`, else the only one that begins with it, into *index.
enum suggest_match suggest_prefix(
        const char *word, const char *const *candidates, size_t count, size_t *index);
