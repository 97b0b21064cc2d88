// SPDX-License-Identifier: Apache-2.0
// Making a generation: maps (new or carried) in their windows, their first contents, then the
// linked instructions. Until all of that has worked nobody else sees it, so that a failure leaves
// nothing behind.
#include "engine/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/check.h"
#include "ebpf/maptype.h"
#include "engine/link.h"
#include "engine/native/native.h"
#include "engine/state.h"
#include "map/map.h"

static void linked_map_put(struct linked_map **map)
{
	struct linked_map *it = *map;
	if (it && __atomic_sub_fetch(&it->references, 1, __ATOMIC_ACQ_REL) == 0) {
		map_free(&it->map);
		if (it->address)
			space_unmap(it->space, it->address);
		space_release(it->space, it->promised);
		free(it);
	}
	*map = NULL;
}

static void program_access(struct linked_map *map, const struct image_map *shape)
{
	map->may_read = !(shape->flags & BPF_F_WRONLY_PROG);
	map->may_write = !(shape->flags & BPF_F_RDONLY_PROG) && !shape->is_readonly;
	switch (shape->type) {
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_CPUMAP:
	case BPF_MAP_TYPE_XSKMAP:
		map->may_write = false;
		break;
	default:
		break;
	}
}

static int linked_map_new(struct space *space, const struct image_map *shape, uint32_t engine_count,
        struct linked_map **map, struct error *err)
{
	struct map_def def = {
	        .type = shape->type,
	        .key_size = shape->key_size,
	        .value_size = shape->value_size,
	        .max_entries = shape->max_entries,
	        .flags = shape->flags,
	        .extra = shape->extra,
	        .cpu_count = engine_count,
	};
	if (def.type == BPF_MAP_TYPE_RINGBUF && shape->value.field_count)
		def.value_size = 0; // the definition says there what its records are
	if (def.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY && !def.max_entries)
		def.max_entries = engine_count; // as libbpf: one a CPU
	struct linked_map *new = calloc(1, sizeof(*new));
	if (!new)
		return error_set(err, ENOMEM, "out of memory for a map");
	size_t size = map_area_size(&def);
	if (size > UINT32_MAX) {
		free(new);
		return error_set(err, ENOMEM,
		        "its values take %zu bytes, more than a card can address", size);
	}
	*new = (struct linked_map){.space = space,
	        .size = (uint32_t)size,
	        .references = 1,
	        .type = def.type,
	        .key_size = def.key_size,
	        .value_size = def.value_size};
	program_access(new, shape);
	int r = size ? space_map(space, size, &new->address, err) : 0;
	if (!r)
		r = map_new(&def, new->address ? space_base(space) + new->address : NULL, &new->map,
		        err);
	// Types that can have none are as the kernel's without BTF: the word is a number like
	// others.
	if (!r && shape->value.lock)
		map_set_lock(new->map, shape->value.lock - 1);
	if (!r)
		r = space_promise(space, map_memory(new->map), err);
	if (!r)
		new->promised = map_memory(new->map);
	if (r) {
		linked_map_put(&new);
		return r;
	}
	*map = new;
	return 0;
}

static bool same_layout(const struct image_layout *a, const struct image_layout *b)
{
	if (a->field_count != b->field_count || a->lock != b->lock)
		return false;
	for (uint32_t i = 0; i < a->field_count; i++) {
		const struct image_field *x = &a->fields[i], *y = &b->fields[i];
		if (strcmp(x->name, y->name) != 0 || x->kind != y->kind || x->bits != y->bits ||
		        x->bit_offset != y->bit_offset || x->count != y->count)
			return false;
	}
	return true;
}

static bool same_shape(const struct image_map *a, const struct image_map *b)
{
	return a->type == b->type && a->key_size == b->key_size && a->value_size == b->value_size &&
	       a->max_entries == b->max_entries && a->flags == b->flags &&
	       a->is_global == b->is_global && a->value.lock == b->value.lock &&
	       (!a->is_global || same_layout(&a->value, &b->value));
}

static bool is_named(const struct generation_options *options, const char *name)
{
	for (uint32_t i = 0; i < options->carry_count; i++) {
		if (strcmp(options->carry[i], name) == 0)
			return true;
	}
	return false;
}

// The old generation's map to carry in place of the image's map `index`; *map stays NULL for a
// fresh one.
static int find_carried(const struct generation *new, uint32_t index,
        const struct generation_options *options, struct linked_map **map, struct error *err)
{
	const struct image_map *shape = &new->image->maps[index];
	bool named = is_named(options, shape->name);
	const struct generation *old = options->old;
	if (!old || (!named && !options->carry_all) || strcmp(shape->name, "raio_ports") == 0 ||
	        shape->is_readonly)
		return 0;
	for (uint32_t i = 0; i < old->map_count; i++) {
		const struct image_map *candidate = &old->image->maps[i];
		if (!old->maps[i] || strcmp(candidate->name, shape->name) != 0)
			continue;
		bool agrees = same_shape(shape, candidate) && !map_holds_places(shape->type) &&
		              map_def(old->maps[i]->map)->cpu_count >= options->engine_count;
		if (agrees) {
			*map = old->maps[i];
			return 0;
		}
		if (named)
			return error_set(err, EINVAL,
			        "map %s cannot be carried: type, sizes, capacity or flags differ "
			        "from "
			        "those of the running one, or its values name programs or maps; "
			        "take a "
			        "fresh one",
			        shape->name);
	}
	return 0;
}

static int make_maps(struct space *space, struct generation *new,
        const struct generation_options *options, struct error *err)
{
	const struct image *image = new->image;
	for (uint32_t i = 0; i < image->map_count; i++) {
		if (image->maps[i].is_template)
			continue;
		struct linked_map *carried = NULL;
		int r = find_carried(new, i, options, &carried, err);
		if (r)
			return r;
		if (carried) {
			__atomic_add_fetch(&carried->references, 1, __ATOMIC_RELAXED);
			new->maps[i] = carried;
			new->carried[i] = true;
			continue;
		}
		r = linked_map_new(
		        space, &image->maps[i], options->engine_count, &new->maps[i], err);
		if (r)
			return error_prefix(err, "map %s", image->maps[i].name);
	}
	return 0;
}

// Fields of the constant `raio_card` of <raio/raio.h>.
static void fill_raio_card(const struct image_map *shape)
{
	for (uint32_t i = 0; i < shape->value.field_count; i++) {
		const struct image_field *field = &shape->value.fields[i];
		uint32_t one = 1, at = field->bit_offset / 8;
		if (strcmp(field->name, "raio_card.has_arrival") == 0 &&
		        at + sizeof(one) <= shape->value_size)
			memcpy(shape->data + at, &one, sizeof(one));
	}
}

static int fill_slots(struct map *map, const struct image_map *shape, struct error *err)
{
	uint8_t key[MAP_KEY_MAX] = {0};
	for (uint32_t i = 0; i < shape->slot_count; i++) {
		memcpy(key, &shape->slots[i].index, sizeof(shape->slots[i].index));
		int r = map_write(map, key, &shape->slots[i].target, BPF_ANY);
		if (r)
			return error_set(err, -r, "map %s: cannot set entry %u: %s", shape->name,
			        shape->slots[i].index, strerror(-r));
	}
	return 0;
}

static int fill_ports(
        struct map *map, const struct image_map *shape, uint64_t ports, struct error *err)
{
	if (shape->key_size != 4 || (shape->value_size != 4 && shape->value_size != 8))
		return error_set(err, EINVAL,
		        "map raio_ports must have keys and values of 4 bytes: include "
		        "<raio/raio.h>");
	for (uint32_t port = 0; port < PORTS_MAX && port < shape->max_entries; port++) {
		uint32_t value[2] = {port + 1, 0};
		int r = ports >> port & 1 ? map_write(map, &port, value, BPF_ANY) : 0;
		if (r)
			return error_set(err, -r, "map raio_ports: cannot set port %u: %s", port,
			        strerror(-r));
	}
	return 0;
}

static int fill_map(struct generation *new, uint32_t index, struct error *err)
{
	const struct image_map *shape = &new->image->maps[index];
	struct map *map = new->maps[index]->map;
	uint32_t key = 0;
	int r = 0;
	if (shape->is_global && shape->data) {
		fill_raio_card(shape);
		r = map_write(map, &key, shape->data, BPF_ANY);
		if (r)
			return error_set(err, -r, "map %s: cannot set its data: %s", shape->name,
			        strerror(-r));
	}
	if (strcmp(shape->name, "raio_ports") == 0)
		r = fill_ports(map, shape, new->ports, err);
	if (!r)
		r = fill_slots(map, shape, err);
	if (!r && shape->is_global && shape->is_readonly)
		map_freeze(map);
	return r;
}

static int by_address(const void *a, const void *b)
{
	uint32_t x = ((const struct window *)a)->start, y = ((const struct window *)b)->start;
	return x < y ? -1 : x > y;
}

static void make_windows(struct generation *new)
{
	for (uint32_t i = 0; i < new->map_count; i++) {
		const struct linked_map *map = new->maps[i];
		// What a perf buffer's area holds is for its reader.
		if (!map || !map->address || map->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY ||
		        map_holds_places(map->type))
			continue;
		new->windows[new->window_count++] = (struct window){
		        .start = map->address,
		        .end = map->address + map->size,
		        .may_read = map->may_read,
		        .may_write = map->may_write,
		        .is_ring = map->type == BPF_MAP_TYPE_RINGBUF,
		        .map = (uint16_t)i,
		};
	}
	qsort(new->windows, new->window_count, sizeof(new->windows[0]), by_address);
}

static int generation_make(struct space *space, struct generation *new,
        const struct generation_options *options, struct error *err)
{
	new->is_bare = options->is_bare;
	int r = check_image(new->image, err);
	if (r)
		return r;
	new->map_count = new->image->map_count;
	new->maps = calloc(new->map_count + 1, sizeof(new->maps[0]));
	new->carried = calloc(new->map_count + 1, sizeof(new->carried[0]));
	new->windows = calloc(new->map_count + 1, sizeof(new->windows[0]));
	if (!new->maps || !new->carried || !new->windows)
		return error_set(err, ENOMEM, "out of memory for a generation");
	r = make_maps(space, new, options, err);
	for (uint32_t i = 0; !r && i < new->map_count; i++) {
		if (new->maps[i] && !new->carried[i])
			r = fill_map(new, i, err);
	}
	if (r)
		return r;
	make_windows(new);
	r = link_programs(new, err);
	if (r)
		return r;
	return native_new(new, options, &new->native, err);
}

int generation_new(struct space *space, struct image *image,
        const struct generation_options *options, struct generation **generation, struct error *err)
{
	struct generation *new = calloc(1, sizeof(*new));
	if (!new) {
		image_free(&image);
		return error_set(err, ENOMEM, "out of memory for a generation");
	}
	new->space = space;
	new->id = options->id;
	new->ports = options->ports;
	new->budget = options->budget ? options->budget : GENERATION_BUDGET;
	new->image = image;
	int r = new->budget > GENERATION_BUDGET_MAX
	                ? error_set(err, EINVAL,
	                          "a budget of %llu instructions: at most %u are possible",
	                          (unsigned long long)new->budget, GENERATION_BUDGET_MAX)
	                : generation_make(space, new, options, err);
	if (r) {
		generation_free(&new);
		return r;
	}
	*generation = new;
	return 0;
}

void generation_free(struct generation **generation)
{
	struct generation *it = *generation;
	if (!it)
		return;
	native_free(&it->native);
	for (uint32_t i = 0; it->maps && i < it->map_count; i++)
		linked_map_put(&it->maps[i]);
	for (uint32_t i = 0; i < it->program_count; i++)
		free(it->programs[i].insns);
	free(it->maps);
	free(it->carried);
	free(it->windows);
	free(it->programs);
	image_free(&it->image);
	free(it);
	*generation = NULL;
}

uint64_t generation_id(const struct generation *generation)
{
	return generation->id;
}

uint64_t generation_ports(const struct generation *generation)
{
	return generation->ports;
}

const struct image *generation_image(const struct generation *generation)
{
	return generation->image;
}

uint32_t generation_map_count(const struct generation *generation)
{
	return generation->map_count;
}

const struct image_map *generation_map_shape(const struct generation *generation, uint32_t index)
{
	return &generation->image->maps[index];
}

struct map *generation_map(const struct generation *generation, uint32_t index)
{
	return generation->maps[index] ? generation->maps[index]->map : NULL;
}

bool generation_map_carried(const struct generation *generation, uint32_t index)
{
	return generation->carried[index];
}
