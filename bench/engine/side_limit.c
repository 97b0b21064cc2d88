// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/image.h"
#include "engine/generation.h"
#include "engine/space.h"
#include "limit.h"
#include "lookup.h"
#include "side.h"

struct limit_side {
	const struct limit_function *function;
	uint8_t *base;
};

static struct map *map_named(const struct generation *generation, const char *name)
{
	for (uint32_t i = 0; i < generation_map_count(generation); i++)
		if (strcmp(generation_map_shape(generation, i)->name, name) == 0)
			return generation_map(generation, i);
	return NULL;
}

static int limit_open(const struct load *load, void **state, struct error *err)
{
	static const struct limit_function *const functions[] = {
	        &limit_wire, &limit_lsl2, &limit_ripv4, &limit_ddos};
	struct limit_side *side = malloc(sizeof(*side));
	if (!side)
		return error_set(err, ENOMEM, "out of memory");
	*side = (struct limit_side){functions[load->kind], space_base(load->space)};
	for (uint32_t i = 0; i < side->function->map_count; i++) {
		const struct limit_map *named = &side->function->maps[i];
		struct lookup_place *place = &side->function->places[i];
		place->map = map_named(load->generation, named->name);
		if (place->map) {
			map_inline(place->map, &place->in);
			place->function = map_lookup_function(place->map);
			if (lookup_fits(place, named->type, named->key_size))
				continue;
		}
		free(side);
		return error_set(err, ENOENT,
		        "map %s is not in the object, or not one that is looked up in place",
		        named->name);
	}
	*state = side;
	return 0;
}

static void limit_close(void **state)
{
	free(*state);
	*state = NULL;
}

static void limit_burst(
        void *state, struct packet *packets, struct verdict *verdicts, uint32_t count)
{
	const struct limit_side *side = state;
	side->function->burst(side->base, packets, verdicts, count);
}

const struct side side_limit = {
        .name = "limit", .open = limit_open, .close = limit_close, .burst = limit_burst};
