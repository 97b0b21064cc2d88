// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "side.h"

struct engine_side {
	struct engine *engine;
	struct generation *generation; // borrowed
};

static int open_kind(
        enum engine_kind kind, const struct load *load, void **state, struct error *err)
{
	const struct engine_options options = {.kind = kind, .number = 0};
	struct engine_side *side = calloc(1, sizeof(*side));
	if (!side)
		return error_set(err, ENOMEM, "out of memory");
	int rc = engine_new(load->space, &options, &side->engine, err);
	if (rc) {
		free(side);
		return rc;
	}
	side->generation = load->generation;
	*state = side;
	return 0;
}

static int native_open(const struct load *load, void **state, struct error *err)
{
	return open_kind(ENGINE_NATIVE, load, state, err);
}

static int interpreter_open(const struct load *load, void **state, struct error *err)
{
	return open_kind(ENGINE_INTERPRETER, load, state, err);
}

static void engine_side_close(void **state)
{
	struct engine_side *side = *state;
	if (side)
		engine_free(&side->engine);
	free(side);
	*state = NULL;
}

static void engine_side_burst(
        void *state, struct packet *packets, struct verdict *verdicts, uint32_t count)
{
	struct engine_side *side = state;
	engine_run(side->engine, side->generation, packets, verdicts, count);
}

const struct side side_native = {.name = "native",
        .open = native_open,
        .close = engine_side_close,
        .burst = engine_side_burst};
const struct side side_interpreter = {.name = "interpreter",
        .open = interpreter_open,
        .close = engine_side_close,
        .burst = engine_side_burst};
