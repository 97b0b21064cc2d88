// SPDX-License-Identifier: Apache-2.0
// The list of runs that have not ended, and what is asked of it.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/queue_parts.h"
#include "agent/report.h"
#include "agent/run.h"
#include "agent/settings.h"
#include "agent/store.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/card.h"

#define ACTIVE_STATES "queued,loading,running"
#define ACTIVE_MAX    10000u

uint64_t queue_now(const struct queue *queue)
{
	return queue->options.now_ns(queue->options.context);
}

uint64_t queue_wall(const struct queue *queue)
{
	return queue->options.wall_ns(queue->options.context);
}

void run_changed(struct queue *queue, const struct run *run)
{
	if (queue->options.changed)
		queue->options.changed(queue->options.context, run);
}

void queue_log(struct queue *queue, const char *function, uint64_t run, const char *format, ...)
{
	char text[1024];
	va_list args;
	if (!queue->options.log)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	queue->options.log(queue->options.context, function, run, text);
}

int run_save(struct queue *queue, struct run *run, struct error *err)
{
	char *body = run_encode(run);
	if (!body)
		return error_set(err, ENOMEM, "no memory to keep a run");
	int rc = store_run_put(
	        queue->store, &run->id, run->function, run_state_name(run->state), body, err);
	free(body);
	return rc;
}

struct run *queue_find(struct queue *queue, uint64_t id)
{
	struct run *run = queue->runs;
	while (run && run->id != id)
		run = run->next;
	return run;
}

void queue_drop(struct queue *queue, struct run *run)
{
	if (run->is_unsaved)
		return;
	for (struct run **at = &queue->runs; *at; at = &(*at)->next)
		if (*at == run) {
			*at = run->next;
			run_free(run);
			return;
		}
}

static void append(struct queue *queue, struct run *run)
{
	struct run **at = &queue->runs;
	while (*at)
		at = &(*at)->next;
	run->next = NULL;
	*at = run;
}

// Puts what the store lists, newest first, in front.
static int take_stored(void *context, const struct stored_run *stored)
{
	struct queue *queue = context;
	struct run *run;
	struct error err;
	if (run_decode(stored, &run, &err) == 0) {
		run->next = queue->runs;
		queue->runs = run;
	} else {
		queue_log(queue, stored->function, stored->id, "%s", err.text);
	}
	return 0;
}

// The machine was started anew: no packet of these runs' slices can be told from the time it was
// off.
static void interrupt_all(struct queue *queue)
{
	for (struct run *run = queue->runs, *next; run; run = next) {
		next = run->next;
		struct error err;
		if (run->state == RUN_RUNNING && run->slice_ns != SLICE_FOREVER) {
			run_fail(queue, run, RUN_FAILED, "internal",
			        "interrupted: the machine was restarted during the slice");
			queue_drop(queue, run);
			continue;
		}
		if (run->state == RUN_QUEUED)
			continue;
		run->state = RUN_QUEUED; // loaded, or a service
		run->generation = 0;
		run->generation_count = 0;
		run->mask = 0;
		run_save(queue, run, &err);
	}
}

int queue_new(const struct queue_options *options, struct queue **out, struct error *err)
{
	char boot_id[64] = "";
	struct queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return error_set(err, ENOMEM, "no memory for the queue");
	queue->options = *options;
	queue->store = options->store;
	snprintf(queue->boot_id, sizeof(queue->boot_id), "%s", options->boot_id);
	if (options->default_function)
		snprintf(queue->default_function, sizeof(queue->default_function), "%s",
		        options->default_function);
	int rc = store_run_list(
	        queue->store, 0, NULL, ACTIVE_STATES, ACTIVE_MAX, take_stored, queue, err);
	if (!rc)
		rc = store_fact_get(queue->store, "boot_id", boot_id, sizeof(boot_id), err);
	if (!rc && strcmp(boot_id, queue->boot_id) != 0) {
		interrupt_all(queue);
		rc = store_fact_put(queue->store, "boot_id", queue->boot_id, err);
	}
	if (rc)
		queue_free(&queue);
	else
		*out = queue;
	return rc;
}

void queue_free(struct queue **out)
{
	struct queue *queue = *out;
	if (!queue)
		return;
	while (queue->runs) {
		struct run *run = queue->runs;
		queue->runs = run->next;
		run_free(run);
	}
	free(queue);
	*out = NULL;
}

static int check_ports(const struct queue *queue, const struct run *run, struct error *err)
{
	if (run->ports == PORTS_ALL || !queue->port_mask || !(run->ports & ~queue->port_mask))
		return 0;
	int wrong = __builtin_ctzll(run->ports & ~queue->port_mask);
	int last = 63 - __builtin_clzll(queue->port_mask);
	return error_set(
	        err, EINVAL, "the card has no port %d: its ports are 0 to %d", wrong, last);
}

int queue_submit(struct queue *queue, struct run *run, uint64_t *id, struct error *err)
{
	run->state = RUN_QUEUED;
	run->asked_wall_ns = queue_wall(queue);
	run->ends_ns = UINT64_MAX;
	int rc = check_ports(queue, run, err);
	if (!rc)
		rc = run_save(queue, run, err);
	if (rc) {
		run_free(run);
		return rc;
	}
	*id = run->id;
	append(queue, run);
	run_changed(queue, run);
	return 0;
}

static int missing(struct queue *queue, uint64_t id, const char *verb, struct error *err)
{
	json_t *json;
	if (queue_run_find(queue, id, &json, err))
		return -err->code;
	int rc = error_set(err, EBUSY, "r%llu has %s already: it cannot be %s any more",
	        (unsigned long long)id, json_string_value(json_object_get(json, "state")), verb);
	json_decref(json);
	return rc;
}

// Makes a running run end now with `state`; queue_step() takes it off the card.
static int finish_now(struct queue *queue, struct run *run, enum run_state state, struct error *err)
{
	uint64_t ends = run->ends_ns;
	run->final = state;
	run->ends_ns = queue_now(queue);
	int rc = run_save(queue, run, err);
	if (rc) {
		run->final = 0;
		run->ends_ns = ends;
	}
	return rc;
}

static int cancel(struct queue *queue, struct run *run, struct error *err)
{
	if (run->state == RUN_RUNNING)
		return finish_now(queue, run, RUN_CANCELLED, err);
	uint64_t loaded = run->state == RUN_LOADING ? run->generation : 0;
	struct run before = *run;
	run->state = RUN_CANCELLED;
	run->ended_wall_ns = queue_wall(queue);
	int rc = run_save(queue, run, err);
	if (rc) {
		*run = before;
		return rc;
	}
	if (loaded && queue->card)
		queue->card->ops->unload(queue->card, loaded, NULL);
	run_changed(queue, run);
	queue_log(queue, run->function, run->id, "r%llu cancelled", (unsigned long long)run->id);
	queue_drop(queue, run);
	return 0;
}

int queue_cancel(struct queue *queue, uint64_t id, struct error *err)
{
	struct error ignored = {0};
	struct run *run = queue_find(queue, id);
	if (!run || run->state > RUN_RUNNING)
		return missing(queue, id, "cancelled", err);
	int rc = cancel(queue, run, err);
	if (!rc)
		queue_step(queue, &ignored);
	return rc;
}

int queue_renew(struct queue *queue, uint64_t id, uint64_t slice_ns, struct error *err)
{
	struct run *run = queue_find(queue, id);
	if (!run || run->state > RUN_RUNNING || run->final)
		return missing(queue, id, "renewed", err);
	struct run before = *run;
	if (run->state == RUN_RUNNING) {
		uint64_t now = queue_now(queue), used = now - run->started_ns + run->used_ns;
		run->ends_ns = slice_ns == SLICE_FOREVER ? UINT64_MAX : now + slice_ns;
		run->slice_ns = slice_ns == SLICE_FOREVER ? slice_ns : used + slice_ns;
	} else {
		run->slice_ns = slice_ns == SLICE_FOREVER ? slice_ns : slice_ns + run->used_ns;
	}
	int rc = run_save(queue, run, err);
	if (rc)
		*run = before;
	else
		run_changed(queue, run);
	return rc;
}

int queue_confirm(struct queue *queue, uint64_t id, struct error *err)
{
	struct run *run = queue_find(queue, id);
	if (!run || run->state > RUN_RUNNING || run->final)
		return missing(queue, id, "confirmed", err);
	uint64_t before = run->confirm_ns;
	run->confirm_ns = 0;
	int rc = run_save(queue, run, err);
	if (rc)
		run->confirm_ns = before;
	else
		run_changed(queue, run);
	return rc;
}

// Loads the new code of a function for each of its live runs: *ids has room for as many as there
// are runs, in the order of the list; 0 for those that are not concerned.
static int load_all(
        struct queue *queue, const struct function *function, uint64_t *ids, struct error *err)
{
	int rc = 0;
	uint32_t i = 0;
	for (struct run *run = queue->runs; !rc && run; run = run->next, i++) {
		ids[i] = 0;
		if (run->state != RUN_RUNNING || run->is_pinned || run->final ||
		        strcmp(run->function, function->name) != 0)
			continue;
		for (struct run *other = queue->runs; other; other = other->next)
			if (other->state == RUN_LOADING && other->mask & run->mask)
				live_unload(queue, other);
		rc = live_load(queue, run, function, run->mask, &ids[i], err);
	}
	return rc;
}

static int swap_one(
        struct queue *queue, struct run *run, uint64_t id, json_t *receipts, struct error *err)
{
	run->generation = id;
	if (run->generation_count ==
	        RUN_GENERATIONS_MAX) { // the oldest ones' counters are given up
		memmove(run->generations, run->generations + 1,
		        sizeof(run->generations) - sizeof(id));
		run->generation_count--;
	}
	run->generations[run->generation_count++] = id;
	int rc = run_save(queue, run, err);
	if (!rc)
		rc = live_swap(queue, id, run->mask, 0, run, receipts, err);
	if (!rc)
		run_changed(queue, run);
	return rc;
}

static uint32_t count_runs(const struct queue *queue)
{
	uint32_t count = 0;
	for (const struct run *run = queue->runs; run; run = run->next)
		count++;
	return count;
}

int queue_function_put(struct queue *queue, const struct function *function, bool reload,
        json_t *receipts, struct error *err)
{
	uint64_t *ids = calloc(count_runs(queue) + 1, sizeof(*ids));
	int rc = ids ? 0 : error_set(err, ENOMEM, "no memory for the update");
	if (!rc && reload && queue->card)
		rc = load_all(queue, function, ids, err);
	if (!rc)
		rc = store_function_put(queue->store, function, err);
	uint32_t i = 0;
	for (struct run *run = queue->runs; ids && reload && run; run = run->next, i++) {
		bool same = strcmp(run->function, function->name) == 0;
		if (ids[i] && rc && queue->card)
			queue->card->ops->unload(queue->card, ids[i], NULL);
		else if (ids[i])
			rc = swap_one(queue, run, ids[i], receipts, err);
		else if (!rc && same && run->state == RUN_LOADING && !run->is_pinned)
			live_unload(queue, run); // it is loaded again, with the new code
	}
	free(ids);
	if (!rc && reload && queue->card && strcmp(function->name, queue->default_function) == 0)
		rc = live_fallback(queue, queue->port_mask & ~queue_held(queue), 0, err);
	return rc;
}

int queue_function_delete(struct queue *queue, const char *name, struct error *err)
{
	struct function function = {0};
	struct error ignored = {0};
	if (strcmp(name, queue->default_function) == 0)
		return error_set(err, EBUSY,
		        "%s is the default function of this agent, which runs when no run does",
		        name);
	int rc = store_function_get(queue->store, name, NULL, 0, &function, err);
	function_free(&function);
	for (struct run *run = queue->runs, *next; !rc && run; run = next) {
		next = run->next;
		if (run->state <= RUN_RUNNING && strcmp(run->function, name) == 0)
			rc = cancel(queue, run, err);
	}
	if (rc)
		return rc;
	queue_step(queue, &ignored);
	return store_function_delete(queue->store, name, err);
}

const struct run *queue_runs(const struct queue *queue)
{
	return queue->runs;
}

const struct run *queue_live(const struct queue *queue, const char *function)
{
	for (const struct run *run = queue->runs; run; run = run->next)
		if (run->state == RUN_RUNNING && strcmp(run->function, function) == 0)
			return run;
	return NULL;
}

static uint32_t position_of(const struct queue *queue, const struct run *run)
{
	uint32_t position = 1;
	if (run->state != RUN_QUEUED && run->state != RUN_LOADING)
		return 0;
	for (const struct run *other = queue->runs; other; other = other->next)
		if ((other->state == RUN_QUEUED || other->state == RUN_LOADING) &&
		        (other->priority > run->priority ||
		                (other->priority == run->priority && other->id < run->id)))
			position++;
	return position;
}

json_t *queue_run_json(struct queue *queue, const struct run *run)
{
	json_t *json =
	        run_object(run, queue_wall(queue) - queue_now(queue), position_of(queue, run));
	if (json && run->state == RUN_RUNNING && queue->card) {
		json_t *report = report_json(queue->store, queue->card, run); // as it stands
		if (report)
			json_object_set_new(json, "report", report);
	}
	return json;
}

struct listing {
	struct queue *queue;
	json_t *list;
};

static int list_one(void *context, const struct stored_run *stored)
{
	struct listing *listing = context;
	struct error err;
	struct run *run = queue_find(listing->queue, stored->id);
	struct run *read = NULL;
	if (!run && run_decode(stored, &read, &err) == 0)
		run = read;
	if (run)
		json_array_append_new(listing->list,
		        run_object(run, queue_wall(listing->queue) - queue_now(listing->queue),
		                position_of(listing->queue, run)));
	run_free(read);
	return 0;
}

int queue_run_list(struct queue *queue, const char *function, const char *states, uint32_t limit,
        json_t **list, struct error *err)
{
	struct listing listing = {queue, json_array()};
	int rc = store_run_list(queue->store, 0, function, states, limit, list_one, &listing, err);
	if (rc)
		json_decref(listing.list);
	else
		*list = listing.list;
	return rc;
}

int queue_run_find(struct queue *queue, uint64_t id, json_t **json, struct error *err)
{
	const struct run *run = queue_find(queue, id);
	struct listing listing = {queue, json_array()};
	int rc = 0;
	if (run)
		*json = queue_run_json(queue, run);
	else if (!(rc = store_run_list(queue->store, id, NULL, NULL, 1, list_one, &listing, err))) {
		*json = json_incref(json_array_get(listing.list, 0));
		if (id == 0 || !*json)
			rc = error_set(
			        err, ENOENT, "there is no run r%llu", (unsigned long long)id);
	}
	json_decref(listing.list);
	return rc;
}
