// SPDX-License-Identifier: Apache-2.0
#include "agent/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/queue.h"
#include "agent/store.h"
#include "api/rules.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "card/card.h"
#include "ebpf/image.h"

#define BATCH 1024u

int rules_check(const struct image *image, const char *text, unsigned *line, struct error *err)
{
	struct rules *rules = NULL;
	int rc = rules_parse(text, strlen(text), image, &rules, err);
	if (rc) // the parser's text begins with "line N"
		sscanf(err->text, "line %u", line);
	rules_free(&rules);
	return rc;
}

// The bytes of a value as the card writes them, of every map; 0 where the card has no such map.
static int read_sizes(
        struct card *card, uint64_t id, uint32_t sizes[IMAGE_MAPS_MAX], struct error *err)
{
	autofree struct card_map *maps = calloc(IMAGE_MAPS_MAX, sizeof(*maps));
	uint32_t count = 0;
	if (!maps)
		return error_set(err, ENOMEM, "no memory for the maps");
	int rc = card->ops->maps(card, id, maps, IMAGE_MAPS_MAX, &count, err);
	for (uint32_t i = 0; !rc && i < count; i++) {
		if (maps[i].index < IMAGE_MAPS_MAX)
			sizes[maps[i].index] = maps[i].io_size;
		card_map_free(&maps[i]);
	}
	return rc;
}

// A value in the form that the card takes: one copy after the other for per-CPU maps.
static uint8_t *widen(const uint8_t *value, uint32_t size, uint32_t io_size)
{
	uint32_t step = (size + 7) / 8 * 8;
	uint8_t *wide = calloc(1, io_size ? io_size : 1);
	for (uint32_t at = 0; wide && at + size <= io_size; at += step)
		memcpy(wide + at, value, size);
	return wide;
}

// Applies rules [from, to), which are of one map and one operation.
static int apply(struct card *card, uint64_t id, const struct rules *rules, uint32_t from,
        uint32_t to, const struct image_map *map, uint32_t io_size, struct error *err)
{
	struct card_entry entries[BATCH] = {0};
	uint8_t *wide[BATCH];
	uint32_t count = to - from, done = 0;
	const struct rule *first = &rules->rules[from];
	bool widens = !first->remove && io_size != map->value_size;
	for (uint32_t i = 0; i < count; i++) {
		wide[i] = widens ? widen(first[i].value, map->value_size, io_size) : NULL;
		entries[i] = (struct card_entry){first[i].key, wide[i] ? wide[i] : first[i].value};
	}
	int rc = card->ops->map_apply(card, id, first->map,
	        first->remove ? CARD_MAP_DELETE : CARD_MAP_UPDATE, 0, entries, count, &done, err);
	for (uint32_t i = 0; i < count; i++)
		free(wide[i]);
	if (rc == -ENOENT && first->remove)
		return 0; // to be gone is all that was asked
	if (rc && done < count)
		return error_prefix(err, "rules, line %u", first[done].line);
	return rc;
}

int rules_image(struct store *store, const struct run *run, struct image **image, struct error *err)
{
	struct function function = {0};
	int rc = store_function_get(store, run->function, run->version, 1, &function, err);
	if (!rc)
		rc = image_decode(function.image, function.image_size, image, err);
	function_free(&function);
	return rc;
}

int rules_fill(struct card *card, uint64_t id, const struct image *image, const char *text,
        uint32_t *count, struct error *err)
{
	struct rules *rules = NULL;
	uint32_t sizes[IMAGE_MAPS_MAX] = {0};
	int rc = rules_parse(text, strlen(text), image, &rules, err);
	if (!rc)
		rc = read_sizes(card, id, sizes, err);
	for (uint32_t from = 0, to; !rc && from < rules->count; from = to) {
		const struct rule *first = &rules->rules[from];
		// One removal at a time, so that an absent one does not hide those behind it.
		for (to = from + 1; to < rules->count && to - from < BATCH && !first->remove; to++)
			if (rules->rules[to].map != first->map || rules->rules[to].remove)
				break;
		rc = apply(card, id, rules, from, to, &image->maps[first->map], sizes[first->map],
		        err);
	}
	if (!rc && count)
		*count = rules->count;
	rules_free(&rules);
	return rc;
}
