// SPDX-License-Identifier: Apache-2.0
#include "api/rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/slot.h"
#include "api/value.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/nearest.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"

#define EXCERPT_MAX 64

struct parser {
	const struct image *image;
	const struct image_map *maps; // the image's
	uint32_t map_count;
	struct rules *rules;
	size_t capacity, bytes; // rules that there is room for; bytes of keys and values so far
	struct error *err;
};

void rules_free(struct rules **rules)
{
	struct rules *it = *rules;
	if (!it)
		return;
	for (uint32_t i = 0; i < it->count; i++)
		free(it->rules[i].key); // the value stands behind it
	free(it->rules);
	free(it);
	*rules = NULL;
}

unsigned rules_key_flags(const struct image_map *map)
{
	return VALUE_KEY | (map->type == BPF_MAP_TYPE_LPM_TRIE ? VALUE_LPM : 0);
}

int rules_value(const struct image *image, const struct image_map *map, const char *text,
        void *value, struct error *err)
{
	uint32_t slot;
	if (!slot_is_name(map->type) || map->value_size != sizeof(slot))
		return value_parse(&map->value, map->value_size, 0, text, value, err);
	int rc = slot_parse(image, map, text, &slot, err);
	if (!rc)
		memcpy(value, &slot, sizeof(slot));
	return rc;
}

// Maps that rules may name.
static bool is_visible(const struct image_map *map)
{
	return !map->is_template && !map->is_readonly;
}

static const char *list_maps(const struct parser *in, char *text, size_t size)
{
	size_t used = 0;
	snprintf(text, size, "it has none");
	for (uint32_t i = 0; i < in->map_count; i++) {
		const char *name = in->maps[i].name;
		if (!is_visible(&in->maps[i]))
			continue;
		if (used + strlen(name) + 6 > size) {
			snprintf(text + used, size - used, ", ..");
			break;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
	}
	return text;
}

static int unknown_map(const struct parser *in, const char *name)
{
	char names[160], excerpt[EXCERPT_MAX];
	const char *nearest = NULL;
	uint32_t best = UINT32_MAX;
	for (uint32_t i = 0; i < in->map_count; i++) {
		uint32_t distance = name_distance(name, in->maps[i].name);
		if (is_visible(&in->maps[i]) && distance < best) {
			best = distance;
			nearest = in->maps[i].name;
		}
	}
	bool is_near = nearest && name_is_near(best, (uint32_t)strlen(name));
	value_excerpt(name, (uint32_t)strlen(name), excerpt, 41);
	return error_set(in->err, EINVAL, "there is no map '%s'%s%.60s%s; the function's maps: %s",
	        excerpt, is_near ? ": did you mean " : "", is_near ? nearest : "",
	        is_near ? "?" : "", list_maps(in, names, sizeof(names)));
}

// The map that rules may write (or remove from), by name.
static int find_map(const struct parser *in, const char *name, bool remove, uint32_t *index)
{
	const struct image_map *map = NULL;
	for (uint32_t i = 0; i < in->map_count && !map; i++) {
		if (!in->maps[i].is_template && !strcmp(in->maps[i].name, name)) {
			map = &in->maps[i];
			*index = i;
		}
	}
	if (!map)
		return unknown_map(in, name);
	const struct map_type *type = map_type_find(map->type);
	if (map->is_readonly)
		return error_set(in->err, EINVAL, "%s is read only: no rule can write it", name);
	switch (map->type) {
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_RINGBUF:
		return error_set(in->err, EINVAL,
		        "map %s is a %s, which programs write records to: no rule can", name,
		        type->name);
	default:
		break;
	}
	if (remove && type && type->no_delete)
		return error_set(in->err, EINVAL,
		        "map %s is a %s, whose entries always stand: write a new value instead of "
		        "deleting",
		        name, type->name);
	return 0;
}

// Cuts a line behind its last meaningful character: comments and blanks go. In place.
static char *trim_line(char *line)
{
	bool in_quotes = false;
	size_t i = 0;
	for (; line[i] && (in_quotes || line[i] != '#'); i++) {
		if (in_quotes && line[i] == '\\' && line[i + 1])
			i++;
		else if (line[i] == '"')
			in_quotes = !in_quotes;
	}
	while (i && isspace((unsigned char)line[i - 1]))
		i--;
	line[i] = '\0';
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

// The `=` between key and value: with blanks on both sides, outside quotes; where there is none and
// the key has no named fields, the first one. NULL if there is none.
static char *find_equals(char *text, const struct image_map *map)
{
	bool in_quotes = false;
	char *first = NULL;
	for (size_t i = 0; text[i]; i++) {
		if (in_quotes && text[i] == '\\' && text[i + 1]) {
			i++;
		} else if (text[i] == '"') {
			in_quotes = !in_quotes;
		} else if (!in_quotes && text[i] == '=') {
			if (i && isspace((unsigned char)text[i - 1]) &&
			        isspace((unsigned char)text[i + 1]))
				return &text[i];
			if (!first)
				first = &text[i];
		}
	}
	bool has_names = map->key.field_count && map->key.fields[0].name[0] &&
	                 map->type != BPF_MAP_TYPE_LPM_TRIE;
	return has_names ? NULL : first;
}

// Room for one more rule on map `index`.
static int add_rule(struct parser *in, uint32_t index, bool remove, uint32_t line)
{
	const struct image_map *map = &in->maps[index];
	struct rules *rules = in->rules;
	size_t size = (size_t)map->key_size + (remove ? 0 : map->value_size);
	in->bytes += size;
	if (in->bytes > RULES_BYTES_MAX || rules->count == UINT32_MAX)
		return error_set(in->err, E2BIG,
		        "keys and values of the rules take more than %u MiB: write fewer of them",
		        RULES_BYTES_MAX >> 20);
	if (rules->count == in->capacity) {
		size_t capacity = in->capacity ? in->capacity * 2 : 64;
		struct rule *grown = realloc(rules->rules, capacity * sizeof(*grown));
		if (!grown)
			return error_set(in->err, ENOMEM, "out of memory for %zu rules", capacity);
		rules->rules = grown;
		in->capacity = capacity;
	}
	uint8_t *key = calloc(1, size + 1);
	if (!key)
		return error_set(in->err, ENOMEM, "out of memory for a rule of %zu bytes", size);
	rules->rules[rules->count++] = (struct rule){.map = index,
	        .line = line,
	        .remove = remove,
	        .key = key,
	        .value = remove ? NULL : key + map->key_size};
	return 0;
}

// One line without blanks and comment around it, not empty. Changes it.
static int parse_line(struct parser *in, char *text, uint32_t line)
{
	bool remove = *text == '-';
	if (remove)
		for (text++; isspace((unsigned char)*text); text++)
			;
	char *key = text + strcspn(text, " \t");
	if (*key) {
		*key++ = '\0';
		key += strspn(key, " \t");
	}
	uint32_t index = 0;
	int rc = find_map(in, text, remove, &index);
	if (rc)
		return rc;
	const struct image_map *map = &in->maps[index];
	if (!*key)
		return error_set(in->err, EINVAL, "a key is missing: write %s%s KEY%s",
		        remove ? "-" : "", map->name, remove ? "" : " = VALUE");
	char *value = remove ? NULL : find_equals(key, map);
	if (!remove && !value)
		return error_set(in->err, EINVAL,
		        "a value is missing: write %s KEY = VALUE, with a blank on both sides of "
		        "the =",
		        map->name);
	if (value)
		*value++ = '\0';
	rc = add_rule(in, index, remove, line);
	if (rc)
		return rc;
	struct rule *rule = &in->rules->rules[in->rules->count - 1];
	rc = value_parse(&map->key, map->key_size, rules_key_flags(map), key, rule->key, in->err);
	if (rc) {
		error_prefix(in->err, "key of %s", map->name);
		return rc;
	}
	if (!value)
		return 0;
	rc = rules_value(in->image, map, value, rule->value, in->err);
	if (rc)
		error_prefix(in->err, "value of %s", map->name);
	return rc;
}

static int parse_text(struct parser *in, char *text, size_t size)
{
	uint32_t line = 1;
	for (char *at = text, *end = text + size; at < end; line++) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		char *next = newline ? newline + 1 : end;
		if (newline)
			*newline = '\0';
		char excerpt[EXCERPT_MAX];
		char *content = trim_line(at);
		size_t length = strlen(content);
		value_excerpt(
		        content, length < 1000 ? (uint32_t)length : 1000, excerpt, sizeof(excerpt));
		if (*content) {
			int rc = parse_line(in, content, line);
			if (rc) {
				error_prefix(in->err, "line %u: `%s`", line, excerpt);
				return rc;
			}
		}
		at = next;
	}
	return 0;
}

int rules_parse(const char *text, size_t size, const struct image *image, struct rules **rules,
        struct error *err)
{
	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { // an editor's byte order mark
		text += 3;
		size -= 3;
	}
	const char *nul = size ? memchr(text, '\0', size) : NULL;
	if (nul) {
		uint32_t line = 1;
		for (const char *at = text; at < nul; at++)
			line += *at == '\n';
		return error_set(err, EINVAL,
		        "line %u: a NUL byte: rules are text, one entry a line, MAP KEY = VALUE",
		        line);
	}
	autofree char *copy = malloc(size + 1);
	cleanup(rules_free) struct rules *made = calloc(1, sizeof(*made));
	if (!copy || !made)
		return error_set(err, ENOMEM, "out of memory for %zu bytes of rules", size);
	if (size)
		memcpy(copy, text, size);
	copy[size] = '\0';
	struct parser in = {.image = image,
	        .maps = image->maps,
	        .map_count = image->map_count,
	        .rules = made,
	        .err = err};
	int rc = parse_text(&in, copy, size);
	if (rc)
		return rc;
	*rules = TAKE_PTR(made);
	return 0;
}
