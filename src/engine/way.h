// SPDX-License-Identifier: Apache-2.0
// The ways to run a program that tests go through, one after the other: each must end alike. For
// tests only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

// Native code stands here three times: as it is, checking its own proofs, and looking ahead in maps
// that are too small for it.
struct engine_way {
	const char *name;
	enum engine_kind kind;
	bool verify, look_ahead; // of generation_options
};

#define ENGINE_WAYS_MAX 4u

// Way `index` of those that this machine offers, the interpreter first; NULL beyond the last.
const struct engine_way *engine_way(uint32_t index);
