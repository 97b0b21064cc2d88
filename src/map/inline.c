// SPDX-License-Identifier: Apache-2.0
// Which functions and constants a map's type gives to a compiler of programs.
#include "map/inline.h"

#include <errno.h>

#include "map/map_ops.h"

void map_inline(const struct map *map, struct map_inline *description)
{
	*description = (struct map_inline){
	        .path = MAP_PATH_CALL,
	        .values = map->area,
	        .stride = map->stride,
	        .limit = map->def.max_entries,
	};
	if (map->ops->describe)
		map->ops->describe(map, description);
}

static void *no_lookup(struct map *map, const void *key, uint32_t cpu)
{
	(void)map, (void)key, (void)cpu;
	return NULL;
}

map_lookup_fn map_lookup_function(const struct map *map)
{
	map_lookup_fn special = map->ops->lookup_for ? map->ops->lookup_for(map) : NULL;
	return special ? special : map->ops->lookup ? map->ops->lookup : no_lookup;
}

// What map_update() and map_delete() test beforehand is a load each, in the map's first line.
map_update_fn map_update_function(const struct map *map)
{
	(void)map;
	return map_update;
}

map_delete_fn map_delete_function(const struct map *map)
{
	(void)map;
	return map_delete;
}

map_lookup_word_fn map_lookup_word_function(const struct map *map)
{
	return map->ops->lookup_word_for ? map->ops->lookup_word_for(map) : NULL;
}

map_lookup_pair_fn map_lookup_pair_function(const struct map *map)
{
	return map->ops->lookup_pair_for ? map->ops->lookup_pair_for(map) : NULL;
}
