// SPDX-License-Identifier: Apache-2.0
#include "agent/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/queue.h"
#include "agent/settings.h"
#include "agent/store.h"
#include "base/clock.h"
#include "base/error.h"

static const char *const state_names[RUN_STATE_COUNT] = {
        "queued", "loading", "running", "finished", "cancelled", "failed", "expired"};

const char *run_state_name(enum run_state state)
{
	return state_names[state];
}

void run_free(struct run *run)
{
	if (!run)
		return;
	json_decref(run->maps);
	json_decref(run->return_maps);
	json_decref(run->error);
	json_decref(run->report);
	json_decref(run->swap_in);
	json_decref(run->swap_out);
	free(run->rules);
	free(run);
}

// The members that are numbers: one row each.
#define NUMBER(member)                                                                             \
	{                                                                                          \
#member, offsetof(struct run, member)                                              \
	}
static const struct {
	const char *name;
	size_t offset;
} numbers[] = {NUMBER(slice_ns), NUMBER(ports), NUMBER(mask), NUMBER(confirm_ns),
        NUMBER(asked_wall_ns), NUMBER(loaded_wall_ns), NUMBER(started_wall_ns),
        NUMBER(ended_wall_ns), NUMBER(started_ns), NUMBER(ends_ns), NUMBER(used_ns),
        NUMBER(generation)};

// And those that are JSON.
#define VALUE(member)                                                                              \
	{                                                                                          \
#member, offsetof(struct run, member)                                              \
	}
static const struct {
	const char *name;
	size_t offset;
} values[] = {VALUE(maps), VALUE(return_maps), VALUE(error), VALUE(report), VALUE(swap_in),
        VALUE(swap_out)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

char *run_encode(const struct run *run)
{
	json_t *json = json_pack("{s:s,s:b,s:i,s:i}", "version", run->version, "is_pinned",
	        run->is_pinned, "priority", run->priority, "final", run->final);
	json_t *generations = json_array();
	for (size_t i = 0; i < COUNT(numbers); i++) {
		uint64_t value = *(const uint64_t *)((const char *)run + numbers[i].offset);
		json_object_set_new(json, numbers[i].name, json_integer((json_int_t)value));
	}
	for (size_t i = 0; i < COUNT(values); i++) {
		json_t *value = *(json_t *const *)((const char *)run + values[i].offset);
		if (value)
			json_object_set(json, values[i].name, value);
	}
	for (uint32_t i = 0; i < run->generation_count; i++)
		json_array_append_new(generations, json_integer((json_int_t)run->generations[i]));
	json_object_set_new(json, "generations", generations);
	if (run->rules)
		json_object_set_new(json, "rules", json_string(run->rules));
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

static int state_of(const char *name)
{
	for (int i = 0; i < RUN_STATE_COUNT; i++)
		if (strcmp(name, state_names[i]) == 0)
			return i;
	return -1;
}

int run_decode(const struct stored_run *stored, struct run **out, struct error *err)
{
	struct run *run = calloc(1, sizeof(*run));
	json_t *json = json_loads(stored->body, 0, NULL);
	int state = state_of(stored->state);
	if (!run || !json || state < 0) {
		free(run);
		json_decref(json);
		return error_set(err, EIO, "run r%llu cannot be read from the store",
		        (unsigned long long)stored->id);
	}
	run->id = stored->id;
	run->state = (enum run_state)state;
	snprintf(run->function, sizeof(run->function), "%s", stored->function);
	const char *version = json_string_value(json_object_get(json, "version"));
	snprintf(run->version, sizeof(run->version), "%s", version ? version : "");
	run->is_pinned = json_is_true(json_object_get(json, "is_pinned"));
	run->priority = (int)json_integer_value(json_object_get(json, "priority"));
	run->final = (enum run_state)json_integer_value(json_object_get(json, "final"));
	for (size_t i = 0; i < COUNT(numbers); i++)
		*(uint64_t *)((char *)run + numbers[i].offset) =
		        (uint64_t)json_integer_value(json_object_get(json, numbers[i].name));
	for (size_t i = 0; i < COUNT(values); i++)
		*(json_t **)((char *)run + values[i].offset) =
		        json_incref(json_object_get(json, values[i].name));
	const json_t *generations = json_object_get(json, "generations");
	for (size_t i = 0; i < json_array_size(generations) && i < RUN_GENERATIONS_MAX; i++)
		run->generations[run->generation_count++] =
		        (uint64_t)json_integer_value(json_array_get(generations, i));
	const char *rules = json_string_value(json_object_get(json, "rules"));
	run->rules = rules ? strdup(rules) : NULL;
	json_decref(json);
	*out = run;
	return 0;
}

static void set_time(json_t *json, const char *key, uint64_t wall_ns)
{
	char text[CLOCK_TEXT_SIZE];
	if (wall_ns)
		json_object_set_new(json, key, json_string(clock_rfc3339(wall_ns, text)));
}

json_t *run_object(const struct run *run, uint64_t offset_ns, uint32_t position)
{
	char id[32];
	snprintf(id, sizeof(id), "r%llu", (unsigned long long)run->id);
	json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:i}", "id", id, "function",
	        run->function, "version", run->version, "state", state_names[run->state], "slice_s",
	        slice_json(run->slice_ns), "ports", ports_json(run->mask ? run->mask : run->ports),
	        "priority", run->priority);
	set_time(json, "asked", run->asked_wall_ns);
	set_time(json, "loaded", run->loaded_wall_ns);
	set_time(json, "started", run->started_wall_ns);
	if (run->state == RUN_RUNNING && run->ends_ns != UINT64_MAX)
		set_time(json, "ends", run->ends_ns + offset_ns);
	set_time(json, "ended", run->ended_wall_ns);
	if (position)
		json_object_set_new(json, "position", json_integer(position));
	if (run->confirm_ns && run->state == RUN_RUNNING)
		set_time(json, "confirm_until", run->started_ns + run->confirm_ns + offset_ns);
	if (run->error)
		json_object_set(json, "error", run->error);
	if (run->report)
		json_object_set(json, "report", run->report);
	return json;
}

json_t *run_error(const char *code, const char *message)
{
	return json_pack("{s:s,s:s}", "code", code, "message", message);
}
