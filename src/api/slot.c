// SPDX-License-Identifier: Apache-2.0
#include "api/slot.h"

#include <ctype.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "api/value.h"
#include "base/buffer.h"
#include "base/error.h"
#include "ebpf/image.h"

bool slot_is_name(uint32_t type)
{
	return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	       type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

static bool is_program(const struct image_map *map)
{
	return map->type == BPF_MAP_TYPE_PROG_ARRAY;
}

// What index `i` is called, where an entry of `map` may name it; else NULL. `i` is in range.
static const char *name_of(const struct image *image, const struct image_map *map, uint32_t i)
{
	if (is_program(map))
		return image->programs[i].name;
	const struct image_map *inner = &image->maps[i];
	return inner->is_template || inner->is_global || inner == map ? NULL : inner->name;
}

static bool has_shape(const struct image *image, const struct image_map *map, uint32_t i)
{
	if (is_program(map) || map->inner >= image->map_count)
		return true;
	const struct image_map *inner = &image->maps[i], *wanted = &image->maps[map->inner];
	return inner->type == wanted->type && inner->key_size == wanted->key_size &&
	       inner->value_size == wanted->value_size;
}

static uint32_t count_of(const struct image *image, const struct image_map *map)
{
	return is_program(map) ? image->program_count : image->map_count;
}

static int unknown(const struct image *image, const struct image_map *map, const char *text,
        uint32_t length, struct error *err)
{
	char names[120] = "none", excerpt[41];
	size_t used = 0;
	for (uint32_t i = 0; i < count_of(image, map); i++) {
		const char *name = name_of(image, map, i);
		if (!name || !has_shape(image, map, i))
			continue;
		if (used + strlen(name) + 6 > sizeof(names)) {
			snprintf(names + used, sizeof(names) - used, ", ..");
			break;
		}
		used += (size_t)snprintf(
		        names + used, sizeof(names) - used, "%s%s", used ? ", " : "", name);
	}
	return error_set(err, EINVAL, "the object has no %s '%s': write one of %s",
	        is_program(map) ? "program" : "map",
	        value_excerpt(text, length, excerpt, sizeof(excerpt)), names);
}

int slot_parse(const struct image *image, const struct image_map *map, const char *text,
        uint32_t *value, struct error *err)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		length--;
	for (uint32_t i = 0; i < count_of(image, map); i++) {
		const char *name = name_of(image, map, i);
		if (!name || strlen(name) != length || memcmp(name, text, length) != 0)
			continue;
		if (!has_shape(image, map, i))
			return error_set(err, EINVAL,
			        "map %s has not the type, key and value size of an inner map of "
			        "%.60s",
			        name, map->name);
		*value = i;
		return 0;
	}
	return unknown(image, map, text, length < 1000 ? (uint32_t)length : 1000, err);
}

void slot_format(const struct image *image, const struct image_map *map, uint32_t value,
        struct buffer *buffer)
{
	const char *name = NULL;
	if (image && value < count_of(image, map))
		name = is_program(map) ? image->programs[value].name : image->maps[value].name;
	if (name)
		buffer_printf(buffer, "%s", name);
	else
		buffer_printf(buffer, "%u", value);
}
