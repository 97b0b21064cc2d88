// SPDX-License-Identifier: Apache-2.0
#include "engine/way.h"

#include <stddef.h>

static const struct engine_way ways[ENGINE_WAYS_MAX] = {
        {"interpreter", .kind = ENGINE_INTERPRETER},
        {"native", .kind = ENGINE_NATIVE},
        {"native, with proofs checked", .kind = ENGINE_NATIVE, .verify = true},
        {"native, looking ahead", .kind = ENGINE_NATIVE, .look_ahead = true},
};

const struct engine_way *engine_way(uint32_t index)
{
	if (index >= ENGINE_WAYS_MAX || !engine_kind_offered(ways[index].kind))
		return NULL;
	return &ways[index];
}
