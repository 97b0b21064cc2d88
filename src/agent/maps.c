// SPDX-License-Identifier: Apache-2.0
// The routes of maps: those of what is live now, by name, and of a run.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/maps.h"
#include "agent/queue.h"
#include "agent/report.h"
#include "agent/rules.h"
#include "api/rules.h"
#include "api/slot.h"
#include "api/value.h"
#include "base/cleanup.h"
#include "card/card.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"

#define ENTRIES_DEFAULT 10000
#define ENTRIES_MAX     2000000

struct map_list {
	struct card_map maps[IMAGE_MAPS_MAX];
	uint32_t count;
};

static void list_free(struct map_list **list)
{
	for (uint32_t i = 0; *list && i < (*list)->count; i++)
		card_map_free(&(*list)->maps[i]);
	free(*list);
}

static json_t *map_json(const struct card_map *map, const struct run *run)
{
	const struct map_type *type = map_type_find(map->shape.type);
	char id[32];
	snprintf(id, sizeof(id), "r%llu", (unsigned long long)run->id);
	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b}", "name",
	        map->shape.name, "run", id, "function", run->function, "type",
	        type ? type->name : "unknown", "key_size", (json_int_t)map->shape.key_size,
	        "value_size", (json_int_t)map->shape.value_size, "max_entries",
	        (json_int_t)map->shape.max_entries, "count", (json_int_t)map->entries, "memory",
	        (json_int_t)map->memory, "lost", (json_int_t)map->lost, "global",
	        map->shape.is_global, "readonly", map->shape.is_readonly);
}

static int read_maps(
        struct agent *agent, const struct run *run, struct map_list **out, struct error *err)
{
	struct map_list *list = calloc(1, sizeof(*list));
	if (!list)
		return error_set(err, ENOMEM, "no memory for the maps");
	int rc = agent->card->ops->maps(
	        agent->card, run->generation, list->maps, IMAGE_MAPS_MAX, &list->count, err);
	if (rc)
		free(list);
	else
		*out = list;
	return rc;
}

// Whether a run is the one asked for, or any live one.
static bool is_wanted(const struct run *run, uint64_t id)
{
	return id ? run->id == id && run->generation : run->state == RUN_RUNNING;
}

// The run of ?run=; 0: any. False: the request has been answered.
static bool wanted_run(struct agent *agent, struct request *request, uint64_t *id)
{
	const char *text = request_query(request, "run");
	*id = text ? run_of_tag(text) : 0;
	if (!agent_has_card(agent, request))
		return false;
	if (text && !*id) {
		request_error(request, STATUS_NOT_FOUND, NULL, "there is no run %.64s", text);
		return false;
	}
	return true;
}

void handle_map_list(struct agent *agent, struct request *request)
{
	struct error err = {0};
	uint64_t id;
	if (!wanted_run(agent, request, &id))
		return;
	json_t *all = json_array();
	for (const struct run *run = queue_runs(agent->queue); run; run = run->next) {
		cleanup(list_free) struct map_list *list = NULL;
		if (!is_wanted(run, id))
			continue;
		if (read_maps(agent, run, &list, &err)) {
			json_decref(all);
			agent_card_error(agent, request, &err);
			return;
		}
		for (uint32_t i = 0; i < list->count; i++)
			json_array_append_new(all, map_json(&list->maps[i], run));
	}
	request_reply_json(request, 200, all);
}

void target_free(struct target *target)
{
	list_free(&target->list);
	image_free(&target->image);
	*target = (struct target){0};
}

bool map_holds_records(const struct card_map *map)
{
	return map->shape.type == BPF_MAP_TYPE_RINGBUF ||
	       map->shape.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

int target_look(struct agent *agent, const struct run *run, const char *name, struct target *target,
        struct error *err)
{
	struct map_list *list;
	int rc = read_maps(agent, run, &list, err);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < list->count; i++)
		if (strcmp(list->maps[i].shape.name, name) == 0) {
			if (target->map) {
				list_free(&list);
				return error_set(err, EINVAL,
				        "several live runs have a map %s: say which with run=",
				        name);
			}
			*target = (struct target){run, &list->maps[i], list, NULL};
			return 0;
		}
	list_free(&list);
	return 0;
}

bool target_find(struct agent *agent, struct request *request, struct target *target)
{
	struct error err = {0};
	uint64_t id;
	if (!wanted_run(agent, request, &id))
		return false;
	for (const struct run *run = queue_runs(agent->queue); run; run = run->next)
		if (is_wanted(run, id) &&
		        target_look(agent, run, request_name(request), target, &err)) {
			agent_card_error(agent, request, &err);
			return false;
		}
	if (!target->map)
		request_error(request, STATUS_NOT_FOUND,
		        "raio map list shows the maps of what is live",
		        "no live function has a map %.64s", request_name(request));
	if (target->map && slot_is_name(target->map->shape.type) &&
	        rules_image(agent->store, target->run, &target->image, &err)) {
		request_fail(request, &err);
		return false;
	}
	return target->map != NULL;
}

// The same, of a map that has entries.
static bool find_entries(struct agent *agent, struct request *request, struct target *target)
{
	if (!target_find(agent, request, target))
		return false;
	if (map_holds_records(target->map))
		request_error(request, STATUS_INVALID, "raio map events takes them out",
		        "%s holds records, not entries", target->map->shape.name);
	return !map_holds_records(target->map);
}

// Reads a key's text; false: the request has been answered.
static bool parse_key(
        struct request *request, const struct card_map *map, const char *text, uint8_t **key)
{
	struct error err = {0};
	uint32_t size = map->shape.key_size;
	*key = calloc(1, size + 1);
	if (*key && value_parse(&map->shape.key, size, rules_key_flags(&map->shape), text, *key,
	                    &err) == 0)
		return true;
	request_error(request, STATUS_INVALID, NULL, "the key of %s: %s", map->shape.name,
	        *key ? err.text : "no memory");
	return false;
}

static void reply_one(
        struct agent *agent, struct request *request, const struct target *target, const char *text)
{
	struct error err = {0};
	autofree uint8_t *key = NULL;
	autofree uint8_t *value = calloc(1, target->map->io_size + 1);
	if (!value || !parse_key(request, target->map, text, &key))
		return;
	if (agent->card->ops->map_lookup(
	            agent->card, target->run->generation, target->map->index, key, value, &err)) {
		if (err.code == ENOENT)
			request_error(request, STATUS_NOT_FOUND, NULL, "%s has no entry %.200s",
			        target->map->shape.name, text);
		else
			agent_card_error(agent, request, &err);
		return;
	}
	json_t *json = map_json(target->map, target->run);
	json_object_set_new(json, "entries",
	        json_pack("[{s:o,s:o}]", "key", entry_key(target->map, key), "value",
	                entry_value(target->map, target->image, value)));
	request_reply_json(request, 200, json);
}

void handle_map_get(struct agent *agent, struct request *request)
{
	struct error err = {0};
	cleanup(target_free) struct target target = {0};
	int64_t limit = request_number(request, "limit", ENTRIES_DEFAULT, ENTRIES_MAX);
	const char *key = request_query(request, "key");
	json_t *entries;
	if (limit < 0)
		request_error(request, STATUS_INVALID, NULL, "limit must be a number");
	if (limit < 0 || !find_entries(agent, request, &target))
		return;
	if (key) {
		reply_one(agent, request, &target, key);
		return;
	}
	if (entries_json(agent->card, target.run->generation, target.map, target.image,
	            (uint32_t)limit, &entries, &err)) {
		agent_card_error(agent, request, &err);
		return;
	}
	json_t *json = map_json(target.map, target.run);
	json_object_set_new(json, "entries", entries);
	request_reply_json(request, 200, json);
}

static int flags_of(const json_t *body, uint64_t *flags, struct error *err)
{
	static const char *const names[] = {
	        "any", "new", "exist"}; // BPF_ANY, BPF_NOEXIST, BPF_EXIST
	const char *name = json_string_value(json_object_get(body, "flags"));
	*flags = 0;
	for (uint64_t i = 0; name && i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*flags = i;
			return 0;
		}
	return name ? error_set(err, EINVAL, "flags must be \"any\", \"new\" or \"exist\"") : 0;
}

// Entries of a request, parsed whole before any is written.
struct batch {
	const struct card_map *map;
	const struct image *image; // of the target
	struct card_entry *entries;
	uint8_t *bytes; // of all keys and values
	uint32_t count;
};

static void batch_free(struct batch *batch)
{
	free(batch->entries);
	free(batch->bytes);
}

static int parse_entry(struct batch *batch, const json_t *entry, uint8_t *key, struct error *err)
{
	const struct image_map *shape = &batch->map->shape;
	const char *key_text = json_string_value(json_object_get(entry, "key"));
	const char *value_text = json_string_value(json_object_get(entry, "value"));
	uint32_t step = (shape->value_size + 7) / 8 * 8;
	uint8_t *value = key + shape->key_size;
	if (!key_text || !value_text)
		return error_set(err, EINVAL, "it needs \"key\" and \"value\" as text");
	int rc = value_parse(
	        &shape->key, shape->key_size, rules_key_flags(shape), key_text, key, err);
	if (!rc)
		rc = rules_value(batch->image, shape, value_text, value, err);
	for (uint32_t at = step; !rc && step && at + shape->value_size <= batch->map->io_size;
	        at += step)
		memcpy(value + at, value, shape->value_size);
	return rc;
}

static int parse_batch(struct batch *batch, const json_t *list, struct error *err)
{
	size_t count = json_array_size(list),
	       size = batch->map->shape.key_size + batch->map->io_size;
	if (!json_is_array(list))
		return error_set(
		        err, EINVAL, "the body needs \"entries\" (a list) or \"rules\" (text)");
	batch->entries = calloc(count + 1, sizeof(*batch->entries));
	batch->bytes = calloc(count + 1, size);
	if (!batch->entries || !batch->bytes)
		return error_set(err, ENOMEM, "no memory for %zu entries", count);
	for (size_t i = 0; i < count; i++) {
		uint8_t *key = batch->bytes + i * size;
		if (parse_entry(batch, json_array_get(list, i), key, err))
			return error_prefix(err, "entry %zu of %zu", i + 1, count);
		batch->entries[i] = (struct card_entry){key, key + batch->map->shape.key_size};
	}
	batch->count = (uint32_t)count;
	return 0;
}

static void write_entries(struct agent *agent, struct request *request, const struct target *target,
        const json_t *body)
{
	struct error err = {0};
	cleanup(batch_free) struct batch batch = {.map = target->map, .image = target->image};
	uint64_t flags;
	uint32_t done = 0;
	if (flags_of(body, &flags, &err) ||
	        parse_batch(&batch, json_object_get(body, "entries"), &err)) {
		request_fail(request, &err);
		return;
	}
	if (agent->card->ops->map_apply(agent->card, target->run->generation, target->map->index,
	            CARD_MAP_UPDATE, flags, batch.entries, batch.count, &done, &err)) {
		error_prefix(&err, "entry %u of %u (those before it are written)", done + 1,
		        batch.count);
		agent_card_error(agent, request, &err);
		return;
	}
	request_reply_json(request, 200, json_pack("{s:I}", "written", (json_int_t)done));
}

static void write_rules(struct agent *agent, struct request *request, const struct target *target,
        const char *rules)
{
	struct error err = {0};
	struct image *image = NULL;
	uint32_t count = 0;
	unsigned line = 0;
	if (rules_image(agent->store, target->run, &image, &err))
		request_fail(request, &err);
	else if (rules_check(image, rules, &line, &err))
		request_error_at(request, STATUS_INVALID, err.text, NULL, "rules", line);
	else if (rules_fill(agent->card, target->run->generation, image, rules, &count, &err))
		agent_card_error(agent, request, &err);
	else
		request_reply_json(request, 200, json_pack("{s:I}", "written", (json_int_t)count));
	image_free(&image);
}

void handle_map_update(struct agent *agent, struct request *request)
{
	cleanup(target_free) struct target target = {0};
	json_t *body;
	if (request_json(request, &body))
		return;
	const char *rules = json_string_value(json_object_get(body, "rules"));
	if (find_entries(agent, request, &target)) {
		if (rules)
			write_rules(agent, request, &target, rules);
		else
			write_entries(agent, request, &target, body);
	}
	json_decref(body);
}

static void delete_all(struct agent *agent, struct request *request, const struct target *target)
{
	struct error err = {0};
	uint32_t size = 1u << 20, entry = target->map->shape.key_size + target->map->io_size, count,
	         done;
	uint64_t total = 0;
	autofree uint8_t *data = malloc(size);
	autofree struct card_entry *entries =
	        calloc(size / (entry ? entry : 1) + 1, sizeof(*entries));
	struct card *card = agent->card;
	int rc = data && entries ? 0 : error_set(&err, ENOMEM, "no memory for the map");
	// Each turn takes the first entries there are; an entry that comes back at once must not
	// keep us here.
	for (int turn = 0; !rc && turn < 100000; turn++) {
		rc = card->ops->map_dump(card, target->run->generation, target->map->index, NULL,
		        data, size, &count, &err);
		if (rc || count == 0)
			break;
		for (uint32_t i = 0; i < count; i++)
			entries[i] = (struct card_entry){data + (size_t)i * entry, NULL};
		rc = card->ops->map_apply(card, target->run->generation, target->map->index,
		        CARD_MAP_DELETE, 0, entries, count, &done, &err);
		total += done;
		if (rc && err.code == ENOENT)
			rc = 0; // the function was faster
	}
	if (rc)
		agent_card_error(agent, request, &err);
	else
		request_reply_json(request, 200, json_pack("{s:I}", "deleted", (json_int_t)total));
}

void handle_map_delete(struct agent *agent, struct request *request)
{
	struct error err = {0};
	cleanup(target_free) struct target target = {0};
	const char *text = request_query(request, "key");
	autofree uint8_t *key = NULL;
	uint32_t done = 0;
	if (!find_entries(agent, request, &target))
		return;
	if (!text && request_flag(request, "all")) {
		delete_all(agent, request, &target);
		return;
	}
	if (!text) {
		request_error(request, STATUS_INVALID, NULL, "name an entry with key=, or all=1");
		return;
	}
	if (!parse_key(request, target.map, text, &key))
		return;
	struct card_entry entry = {key, NULL};
	if (agent->card->ops->map_apply(agent->card, target.run->generation, target.map->index,
	            CARD_MAP_DELETE, 0, &entry, 1, &done, &err) == 0)
		request_reply_json(request, 200, json_pack("{s:i}", "deleted", 1));
	else if (err.code == ENOENT)
		request_error(request, STATUS_NOT_FOUND, NULL, "%s has no entry %.200s",
		        target.map->shape.name, text);
	else
		agent_card_error(agent, request, &err);
}
