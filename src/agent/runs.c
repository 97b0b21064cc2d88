// SPDX-License-Identifier: Apache-2.0
// The routes of runs.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/queue.h"
#include "agent/report.h"
#include "agent/rules.h"
#include "agent/settings.h"
#include "base/clock.h"
#include "ebpf/image.h"

#define PRIORITY_MAX  1000
#define CONFIRM_MAX_S 3600
#define LIST_DEFAULT  100
#define LIST_MAX      5000

static int take_numbers(struct run *run, const json_t *body, struct error *err)
{
	const json_t *priority = json_object_get(body, "priority");
	const json_t *confirm = json_object_get(body, "confirm_s");
	if (priority &&
	        (!json_is_integer(priority) || llabs(json_integer_value(priority)) > PRIORITY_MAX))
		return error_set(err, EINVAL, "priority must be a whole number from %d to %d",
		        -PRIORITY_MAX, PRIORITY_MAX);
	double seconds = json_number_value(confirm);
	if (confirm && !json_is_null(confirm) &&
	        !(json_is_number(confirm) && seconds >= 1 && seconds <= CONFIRM_MAX_S))
		return error_set(err, EINVAL, "confirm_s must be 1 to %d seconds", CONFIRM_MAX_S);
	run->priority = (int)json_integer_value(priority);
	run->confirm_ns = confirm ? (uint64_t)llround(seconds * 1e3) * NS_PER_MS : 0;
	return 0;
}

// What the run's body leaves open comes from the function's settings.
static int take_body(
        struct run *run, const json_t *body, const struct function *function, struct error *err)
{
	json_t *settings = json_loads(function->settings, 0, NULL);
	run->slice_ns = SLICE_DEFAULT_S * NS_PER_S;
	slice_parse(json_object_get(settings, "slice_s"), &run->slice_ns, NULL);
	ports_parse(json_object_get(settings, "ports"), &run->ports, NULL);
	json_decref(settings);
	const json_t *wanted = json_object_get(body, "return_maps");
	int rc = slice_parse(json_object_get(body, "slice_s"), &run->slice_ns, err);
	if (!rc)
		rc = ports_parse(json_object_get(body, "ports"), &run->ports, err);
	if (!rc)
		rc = policy_check(json_object_get(body, "maps"), err);
	if (!rc && wanted && !json_is_array(wanted) && !json_is_boolean(wanted))
		rc = error_set(err, EINVAL, "return_maps must be true or a list of map names");
	if (!rc)
		rc = take_numbers(run, body, err);
	const char *version = json_string_value(json_object_get(body, "version"));
	run->is_pinned = version != NULL;
	snprintf(run->version, sizeof(run->version), "%s", function->version);
	run->maps = json_incref(json_object_get(body, "maps"));
	run->return_maps = json_is_false(wanted) ? NULL : json_incref((json_t *)wanted);
	const char *rules = json_string_value(json_object_get(body, "rules"));
	run->rules = rules ? strdup(rules) : NULL;
	return rc;
}

// False: the rules are wrong and the request is answered.
static bool check_rules(
        struct request *request, const struct run *run, const struct function *function)
{
	struct error err = {0};
	struct image *image = NULL;
	unsigned line = 0;
	if (!run->rules)
		return true;
	int rc = image_decode(function->image, function->image_size, &image, &err);
	if (!rc)
		rc = rules_check(image, run->rules, &line, &err);
	image_free(&image);
	if (rc)
		request_error_at(request, STATUS_INVALID, err.text, NULL, "rules", line);
	return rc == 0;
}

// Streams the run's changes of state until it ends.
static void stream_run(struct agent *agent, struct request *request, uint64_t id)
{
	struct error err = {0};
	json_t *json = NULL;
	if (queue_run_find(agent->queue, id, &json, &err)) {
		request_fail(request, &err);
		return;
	}
	struct listener *listener = events_listen(agent, request, "application/x-ndjson");
	if (!listener) {
		json_decref(json);
		return;
	}
	listener->run = id;
	request_write_json(request, json);
}

void handle_run_create(struct agent *agent, struct request *request)
{
	struct error err = {0};
	struct function function = {0};
	json_t *body, *json = NULL;
	uint64_t id = 0;
	if (request_json(request, &body))
		return;
	const char *name = json_string_value(json_object_get(body, "function"));
	const char *version = json_string_value(json_object_get(body, "version"));
	struct run *run = calloc(1, sizeof(*run));
	int rc = run ? 0 : error_set(&err, ENOMEM, "no memory for the run");
	if (!rc && !name)
		rc = error_set(&err, EINVAL, "a run needs the name of its \"function\"");
	if (!rc)
		rc = store_function_get(agent->store, name, version, 1, &function, &err);
	if (!rc) {
		snprintf(run->function, sizeof(run->function), "%s", function.name);
		rc = take_body(run, body, &function, &err);
	}
	json_decref(body);
	if (!rc && !check_rules(request, run, &function)) {
		run_free(run);
		function_free(&function);
		return;
	}
	function_free(&function);
	if (!rc) {
		rc = queue_submit(agent->queue, run, &id, &err);
		run = NULL;
	}
	run_free(run);
	if (rc)
		request_fail(request, &err);
	else if (request_flag(request, "wait"))
		stream_run(agent, request, id);
	else if (queue_run_find(agent->queue, id, &json, &err) == 0)
		request_reply_json(request, 201, json);
	else
		request_fail(request, &err);
}

void handle_run_list(struct agent *agent, struct request *request)
{
	struct error err = {0};
	json_t *list;
	int64_t limit = request_number(request, "limit", LIST_DEFAULT, LIST_MAX);
	if (limit < 0)
		request_error(request, STATUS_INVALID, NULL, "limit must be a number");
	else if (queue_run_list(agent->queue, request_query(request, "function"),
	                 request_query(request, "state"), (uint32_t)limit, &list, &err))
		request_fail(request, &err);
	else
		request_reply_json(request, 200, list);
}

// The run that the request names; 0: the request has been answered.
static uint64_t named(struct request *request)
{
	uint64_t id = run_of_tag(request_name(request));
	if (!id)
		request_error(request, STATUS_NOT_FOUND, "runs are called r1, r2, …",
		        "there is no run %.64s", request_name(request));
	return id;
}

static void reply_run(struct agent *agent, struct request *request, uint64_t id)
{
	struct error err = {0};
	json_t *json;
	if (queue_run_find(agent->queue, id, &json, &err))
		request_fail(request, &err);
	else
		request_reply_json(request, 200, json);
}

void handle_run_get(struct agent *agent, struct request *request)
{
	uint64_t id = named(request);
	if (id)
		reply_run(agent, request, id);
}

void handle_run_cancel(struct agent *agent, struct request *request)
{
	struct error err = {0};
	uint64_t id = named(request);
	if (id && queue_cancel(agent->queue, id, &err))
		request_fail(request, &err);
	else if (id)
		reply_run(agent, request, id);
}

void handle_run_renew(struct agent *agent, struct request *request)
{
	struct error err = {0};
	json_t *body;
	uint64_t id = named(request), slice_ns = SLICE_DEFAULT_S * NS_PER_S;
	if (!id || request_json(request, &body))
		return;
	int rc = slice_parse(json_object_get(body, "slice_s"), &slice_ns, &err);
	json_decref(body);
	if (!rc)
		rc = queue_renew(agent->queue, id, slice_ns, &err);
	if (rc)
		request_fail(request, &err);
	else
		reply_run(agent, request, id);
}

void handle_run_confirm(struct agent *agent, struct request *request)
{
	struct error err = {0};
	uint64_t id = named(request);
	if (id && queue_confirm(agent->queue, id, &err))
		request_fail(request, &err);
	else if (id)
		reply_run(agent, request, id);
}
