// SPDX-License-Identifier: Apache-2.0
// The ways to run a program that tests go through, one after the other: each must end alike. For
// tests only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

// Native code stands here twice: as it is, and checking its own proofs.
struct engine_way {
	const char *name;
	enum engine_kind kind;
	bool verify; // generation_options.verify
};

#define ENGINE_WAYS_MAX 3u

// Way `index` of those that this machine offers, the interpreter first; NULL beyond the last.
const struct engine_way *engine_way(uint32_t index);
