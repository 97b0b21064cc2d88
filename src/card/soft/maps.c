// SPDX-License-Identifier: Apache-2.0
// Maps of a generation as the control side reads and writes them.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "card/soft/soft.h"
#include "map/map.h"

static int generation_of(
        struct card *base, uint64_t id, struct generation **generation, struct error *err)
{
	struct slot *slot = slot_find(soft_card_of(base), id);
	if (!slot)
		return error_set(err, ENOENT, "no generation %llu", (unsigned long long)id);
	if (!slot->generation)
		return error_set(err, ENOENT, "%s",
		        id ? "the maps of this generation are gone: it was swapped out, and "
		             "another one after it on each of its ports"
		           : "the built-in pass has no maps");
	*generation = slot->generation;
	return 0;
}

static int map_of(struct card *base, uint64_t id, uint32_t index, struct map **map,
        const struct image_map **shape, struct error *err)
{
	struct generation *generation;
	int rc = generation_of(base, id, &generation, err);
	if (rc)
		return rc;
	if (index >= generation_map_count(generation) || !generation_map(generation, index))
		return error_set(err, ENOENT, "generation %llu has no map %u",
		        (unsigned long long)id, index);
	*map = generation_map(generation, index);
	*shape = generation_map_shape(generation, index);
	return 0;
}

static int layout_copy(const struct image_layout *from, struct image_layout *to)
{
	*to = (struct image_layout){0};
	if (!from->field_count)
		return 0;
	to->fields = calloc(from->field_count, sizeof(from->fields[0]));
	if (!to->fields)
		return -ENOMEM;
	memcpy(to->fields, from->fields, from->field_count * sizeof(from->fields[0]));
	to->field_count = from->field_count;
	return 0;
}

static int describe(
        struct card_map *to, uint32_t index, const struct image_map *shape, struct map *map)
{
	*to = (struct card_map){
	        .index = index,
	        .shape = *shape,
	        .entries = map_count(map),
	        .io_size = (uint32_t)map_io_size(map),
	        .memory = map_memory(map),
	        .lost = map_lost(map),
	};
	to->shape.data = NULL;
	to->shape.slots = NULL;
	to->shape.slot_count = 0;
	to->shape.key = to->shape.value = (struct image_layout){0};
	int rc = layout_copy(&shape->key, &to->shape.key);
	if (!rc)
		rc = layout_copy(&shape->value, &to->shape.value);
	return rc;
}

int soft_maps(struct card *base, uint64_t id, struct card_map *maps, uint32_t max, uint32_t *count,
        struct error *err)
{
	*count = 0;
	struct generation *generation;
	if (!id)
		return 0;
	int rc = generation_of(base, id, &generation, err);
	for (uint32_t i = 0; !rc && i < generation_map_count(generation) && *count < max; i++) {
		struct map *map = generation_map(generation, i);
		if (map)
			rc = describe(
			        &maps[(*count)++], i, generation_map_shape(generation, i), map);
		if (rc)
			error_set(err, ENOMEM, "no memory for the list of maps");
	}
	while (rc && *count)
		card_map_free(&maps[--*count]);
	return rc;
}

int soft_map_dump(struct card *base, uint64_t id, uint32_t index, const void *after, void *data,
        uint32_t size, uint32_t *count, struct error *err)
{
	struct map *map;
	const struct image_map *shape;
	int rc = map_of(base, id, index, &map, &shape, err);
	if (rc)
		return rc;
	uint32_t key_size = map_def(map)->key_size;
	size_t io_size = map_io_size(map), pair = key_size + io_size, used = 0;
	if (!key_size || !io_size)
		return error_set(err, ENOTSUP,
		        "map %s holds records, not entries: `raio map events` takes them out",
		        shape->name);
	if (size < pair)
		return error_set(
		        err, EINVAL, "an entry of map %s takes %zu bytes", shape->name, pair);
	if (shape->flags & BPF_F_WRONLY)
		return error_set(
		        err, EPERM, "map %s cannot be read: it has BPF_F_WRONLY", shape->name);
	uint8_t *out = data;
	*count = 0;
	while (size - used >= pair) {
		uint8_t key[512], next[512];
		if (key_size > sizeof(next))
			return error_set(err, EINVAL, "map %s: its keys are too long", shape->name);
		if (after)
			memcpy(key, after, key_size);
		uint64_t steps = UINT64_MAX;
		// Not map_next_key(): behind a key that is gone it would begin again, and a map
		// that changes all the time would have no end.
		rc = map_follow(map, after ? key : NULL, next, &steps);
		if (rc)
			break;
		memcpy(out + used, next, key_size);
		after = out + used;
		rc = map_read(map, next, out + used + key_size, 0);
		if (!rc) {
			used += pair;
			++*count;
		} else if (rc == -ENOENT && map_count(map) == 0) {
			break; // deleted under us, and nothing is left
		}
	}
	if (rc && rc != -ENOENT)
		return error_set(err, -rc, "map %s cannot be read: %s", shape->name, strerror(-rc));
	return 0;
}

int soft_map_lookup(struct card *base, uint64_t id, uint32_t index, const void *key, void *value,
        struct error *err)
{
	struct map *map;
	const struct image_map *shape;
	int rc = map_of(base, id, index, &map, &shape, err);
	if (rc)
		return rc;
	rc = shape->flags & BPF_F_WRONLY ? -EPERM : map_read(map, key, value, 0);
	if (rc)
		return error_set(err, -rc,
		        rc == -ENOENT ? "map %s has no such key" : "map %s cannot be read so",
		        shape->name);
	return 0;
}

// Values of prog arrays and of maps in maps are indices that an engine follows.
static int slot_check(const struct generation *generation, const struct image_map *shape,
        const void *value, struct error *err)
{
	uint32_t target;
	bool is_outer = shape->type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	                shape->type == BPF_MAP_TYPE_HASH_OF_MAPS;
	if (shape->type != BPF_MAP_TYPE_PROG_ARRAY && !is_outer)
		return 0;
	memcpy(&target, value, sizeof(target));
	if (!is_outer && target >= generation_image(generation)->program_count)
		return error_set(
		        err, EINVAL, "map %s: the function has no program %u", shape->name, target);
	if (!is_outer)
		return 0;
	if (target >= generation_map_count(generation) || !generation_map(generation, target))
		return error_set(
		        err, EINVAL, "map %s: the function has no map %u", shape->name, target);
	const struct image_map *inner = generation_map_shape(generation, target);
	const struct image_map *wanted = shape->inner < generation_map_count(generation)
	                                         ? generation_map_shape(generation, shape->inner)
	                                         : inner;
	if (inner->type != wanted->type || inner->key_size != wanted->key_size ||
	        inner->value_size != wanted->value_size)
		return error_set(err, EINVAL, "map %s: map %s has not the shape of its inner maps",
		        shape->name, inner->name);
	return 0;
}

static const char *apply_reason(int rc)
{
	switch (rc) {
	case -E2BIG:
		return "it is full, or the index is beyond its end";
	case -ENOENT:
		return "no such key";
	case -EEXIST:
		return "the key is there already";
	case -EPERM:
		return "it is read only";
	case -ENOMEM:
		return "no memory, or no room";
	}
	return strerror(-rc);
}

int soft_map_apply(struct card *base, uint64_t id, uint32_t index, enum card_map_op op,
        uint64_t flags, const struct card_entry *entries, uint32_t count, uint32_t *done,
        struct error *err)
{
	struct map *map;
	const struct image_map *shape;
	*done = 0;
	int rc = map_of(base, id, index, &map, &shape, err);
	if (rc)
		return rc;
	const struct generation *generation = slot_find(soft_card_of(base), id)->generation;
	for (; *done < count; ++*done) {
		const struct card_entry *entry = &entries[*done];
		if (shape->flags & BPF_F_RDONLY) {
			rc = -EPERM;
		} else if (op == CARD_MAP_UPDATE) {
			rc = slot_check(generation, shape, entry->value, err);
			if (rc)
				return rc;
			rc = map_write(map, entry->key, entry->value, flags);
		} else if (shape->is_readonly) {
			rc = -EPERM;
		} else {
			rc = map_delete(map, entry->key);
		}
		if (rc)
			return error_set(err, -rc, "map %s, entry %u of %u: cannot be %s: %s",
			        shape->name, *done + 1, count,
			        op == CARD_MAP_UPDATE ? "written" : "deleted", apply_reason(rc));
	}
	return 0;
}

int soft_map_consume(struct card *base, uint64_t id, uint32_t index, void *data, uint32_t size,
        uint32_t *got, struct error *err)
{
	struct map *map;
	const struct image_map *shape;
	int rc = map_of(base, id, index, &map, &shape, err);
	if (rc)
		return rc;
	if (shape->type != BPF_MAP_TYPE_RINGBUF && shape->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return error_set(err, ENOTSUP,
		        "map %s holds entries, not records: read them instead", shape->name);
	*got = map_consume(map, data, size);
	return 0;
}
