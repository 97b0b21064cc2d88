// SPDX-License-Identifier: Apache-2.0
#include "engine/way.h"

#include <stddef.h>

static const struct engine_way ways[ENGINE_WAYS_MAX] = {
        {"interpreter", ENGINE_INTERPRETER, false},
        {"native", ENGINE_NATIVE, false},
        {"native, with proofs checked", ENGINE_NATIVE, true},
};

const struct engine_way *engine_way(uint32_t index)
{
	if (index >= ENGINE_WAYS_MAX || !engine_kind_offered(ways[index].kind))
		return NULL;
	return &ways[index];
}
