// SPDX-License-Identifier: Apache-2.0
// The value of a per-CPU map, which the agent gives as one text an engine, as one text for people.
#pragma once

#include <jansson.h>
#include <stddef.h>

// A value that is a string comes back as it is. Of an array of copies, fields that are decimal
// numbers are added up, fields that agree stand once, and others stand as `a | b`. Into `text`;
// returns it.
const char *copies_text(const json_t *value, char *text, size_t size);
