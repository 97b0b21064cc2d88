// SPDX-License-Identifier: Apache-2.0
#include "cli/offline_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/rules.h"
#include "api/slot.h"
#include "api/value.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/image.h"
#include "engine/generation.h"
#include "map/map.h"

#define RULES_MAX   (64u << 20)
#define ENTRIES_MAX 10000u // that are printed

// Writes one rule; a per-CPU map gets the value in every copy.
static int apply(struct map *map, const struct rule *rule)
{
	if (rule->remove)
		return map_delete(map, rule->key);
	size_t size = map_io_size(map), value_size = map_def(map)->value_size;
	size_t step = (value_size + 7) / 8 * 8;
	if (size <= value_size)
		return map_write(map, rule->key, rule->value, 0);
	autofree uint8_t *copies = calloc(1, size);
	if (!copies)
		return -ENOMEM;
	for (size_t at = 0; at + value_size <= size; at += step)
		memcpy(copies + at, rule->value, value_size);
	return map_write(map, rule->key, copies, 0);
}

static int parse(
        const char *path, struct generation *generation, struct rules **rules, struct error *err)
{
	const struct image *image = generation_image(generation);
	autofree uint8_t *text = NULL;
	size_t size;
	int result = file_read(path, RULES_MAX, &text, &size, err);
	if (result < 0)
		return result;
	result = rules_parse((const char *)text, size, image, rules, err);
	return result < 0 ? error_prefix(err, "%s", path) : 0;
}

int offline_rules(struct generation *generation, const char *path, struct error *err)
{
	cleanup(rules_free) struct rules *rules = NULL;
	int result = parse(path, generation, &rules, err);
	for (uint32_t i = 0; result == 0 && i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];
		const char *name = generation_image(generation)->maps[rule->map].name;
		struct map *map = generation_map(generation, rule->map);
		int status = map ? apply(map, rule) : -EINVAL;
		if (status < 0)
			result = error_set(err, -status, "%s: line %u: map %s: %s", path,
			        rule->line, name,
			        status == -E2BIG ? "the map is full, or the index is beyond its end"
			        : status == -ENOENT ? "there is no such entry to delete"
			                            : strerror(-status));
	}
	return result;
}

static json_t *entry_json(const struct image *image, const struct image_map *shape,
        const uint8_t *key, const uint8_t *value)
{
	cleanup(buffer_free) struct buffer key_text = {0}, value_text = {0};
	value_format(&shape->key, shape->key_size, rules_key_flags(shape), key, &key_text);
	uint32_t slot;
	if (slot_is_name(shape->type)) {
		memcpy(&slot, value, sizeof(slot));
		slot_format(image, shape, slot, &value_text);
	} else {
		value_format(&shape->value, shape->value_size, 0, value, &value_text);
	}
	return json_pack("{s:s%, s:s%}", "key", key_text.data ? (char *)key_text.data : "",
	        key_text.size, "value", value_text.data ? (char *)value_text.data : "",
	        value_text.size);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

// Arrays always have all their entries: those that are zero are left out.
static json_t *map_json(const struct image *image, const struct image_map *shape, struct map *map)
{
	json_t *entries = json_array();
	autofree uint8_t *key = calloc(1, shape->key_size + 1);
	autofree uint8_t *next = calloc(1, shape->key_size + 1);
	autofree uint8_t *value = calloc(1, map_io_size(map) + 1);
	bool has_key = false, is_array = shape->type == BPF_MAP_TYPE_ARRAY ||
	                                 shape->type == BPF_MAP_TYPE_PERCPU_ARRAY;
	for (uint32_t i = 0; key && next && value && i < shape->max_entries; i++) {
		if (map_next_key(map, has_key ? key : NULL, next) < 0)
			break;
		memcpy(key, next, shape->key_size);
		has_key = true;
		if (map_read(map, key, value, 0) == 0 && json_array_size(entries) < ENTRIES_MAX &&
		        !(is_array && is_zero(value, shape->value_size)))
			json_array_append_new(entries, entry_json(image, shape, key, value));
	}
	return entries;
}

json_t *offline_maps(struct generation *generation)
{
	json_t *maps = json_object();
	for (uint32_t i = 0; i < generation_map_count(generation); i++) {
		const struct image_map *shape = generation_map_shape(generation, i);
		struct map *map = generation_map(generation, i);
		if (map && !shape->is_global && strcmp(shape->name, "raio_ports") != 0 &&
		        shape->key_size)
			json_object_set_new(maps, shape->name,
			        map_json(generation_image(generation), shape, map));
	}
	return maps;
}
