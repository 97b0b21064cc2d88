// SPDX-License-Identifier: Apache-2.0
// Streams: server-sent events for those who watch, NDJSON for those who wait for a run or follow a
// log.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/queue.h"
#include "agent/report.h"
#include "base/clock.h"
#include "card/card.h"

#define COUNTERS_NS (1 * NS_PER_S)

static void listener_gone(void *context)
{
	struct listener *listener = context;
	struct listener **at = &listener->agent->listeners;
	while (*at && *at != listener)
		at = &(*at)->next;
	if (*at)
		*at = listener->next;
	free(listener);
}

struct listener *events_listen(struct agent *agent, struct request *request, const char *type)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	if (!listener) {
		request_error(request, STATUS_INTERNAL, NULL, "no memory for the stream");
		return NULL;
	}
	listener->agent = agent;
	listener->request = request;
	listener->next = agent->listeners;
	agent->listeners = listener;
	if (request_stream(request, type, listener_gone, listener))
		return listener;
	listener_gone(listener);
	return NULL;
}

static bool has_watchers(const struct agent *agent)
{
	for (const struct listener *at = agent->listeners; at; at = at->next)
		if (at->server_sent)
			return true;
	return false;
}

void events_publish(struct agent *agent, const char *type, json_t *data)
{
	char *text = has_watchers(agent) ? json_dumps(data, JSON_COMPACT) : NULL;
	json_decref(data);
	for (struct listener *at = agent->listeners; text && at; at = at->next) {
		if (!at->server_sent)
			continue;
		request_write(at->request, "event: ", 7);
		request_write(at->request, type, strlen(type));
		request_write(at->request, "\ndata: ", 7);
		request_write(at->request, text, strlen(text));
		request_write(at->request, "\n\n", 2);
	}
	free(text);
}

void events_run(struct agent *agent, const struct run *run)
{
	json_t *json = agent->listeners ? queue_run_json(agent->queue, run) : NULL;
	if (!json)
		return;
	for (struct listener *at = agent->listeners; at; at = at->next) {
		if (at->run != run->id)
			continue;
		request_write_json(at->request, json_incref(json));
		if (run->state > RUN_RUNNING)
			request_end(at->request);
	}
	events_publish(agent, "run", json);
}

static json_t *log_json(uint64_t run, uint64_t wall_ns, const char *text)
{
	char time[CLOCK_TEXT_SIZE], id[32];
	snprintf(id, sizeof(id), "r%llu", (unsigned long long)run);
	json_t *line = json_string(text);
	return json_pack("{s:s,s:o,s:o}", "time", clock_rfc3339(wall_ns, time), "run",
	        run ? json_string(id) : json_null(), "text", line ? line : json_string("?"));
}

void events_log(
        struct agent *agent, const char *function, uint64_t run, uint64_t wall_ns, const char *text)
{
	for (struct listener *at = agent->listeners; at; at = at->next)
		if (*at->function && strcmp(at->function, function) == 0)
			request_write_json(at->request, log_json(run, wall_ns, text));
}

static int write_log(void *context, const struct stored_log *log)
{
	request_write_json(context, log_json(log->run, log->wall_ns, log->text));
	return 0;
}

void handle_function_logs(struct agent *agent, struct request *request)
{
	struct error err = {0};
	struct function function = {0};
	char name[64];
	int64_t tail = request_number(request, "tail", 1000, 20000);
	bool follow = request_flag(request, "follow");
	if (tail < 0) {
		request_error(request, STATUS_INVALID, NULL, "tail must be a number of lines");
		return;
	}
	if (store_function_get(agent->store, request_name(request), NULL, 0, &function, &err)) {
		request_fail(request, &err);
		return;
	}
	snprintf(name, sizeof(name), "%s", function.name);
	function_free(&function);
	struct listener *listener = events_listen(agent, request, "application/x-ndjson");
	if (!listener)
		return;
	store_log_list(agent->store, name, 0, (uint32_t)tail, write_log, request, &err);
	if (follow)
		memcpy(listener->function, name, sizeof(name));
	else
		request_end(request);
}

void handle_events(struct agent *agent, struct request *request)
{
	struct listener *listener = events_listen(agent, request, "text/event-stream");
	if (!listener)
		return;
	listener->server_sent = true;
	request_write(request, ": raio\n\n", 8);
}

// What bpf_trace_printk said goes to the log of what is live; which of several live functions said
// it is not known.
static void take_trace(struct agent *agent)
{
	char text[4096], *rest = text;
	uint32_t got = 0;
	const struct run *live = NULL;
	struct error err = {0};
	for (const struct run *run = queue_runs(agent->queue); run; run = run->next)
		if (run->state == RUN_RUNNING)
			live = run;
	if (!live || agent->card->ops->trace(agent->card, text, sizeof(text) - 1, &got, &err))
		return;
	text[got < sizeof(text) ? got : sizeof(text) - 1] = 0;
	for (char *line; (line = strsep(&rest, "\n"));)
		if (*line)
			agent_log(agent, live->function, live->id, "%s", line);
}

void events_tick(struct agent *agent)
{
	if (!agent->card)
		return;
	take_trace(agent);
	uint64_t now = clock_ns();
	if (now - agent->counters_ns < COUNTERS_NS)
		return;
	agent->counters_ns = now;
	struct error err = {0};
	struct card_info info;
	if (agent->card->ops->info(agent->card, &info, &err)) {
		agent_lose_card(agent, &err);
		return;
	}
	if (!has_watchers(agent))
		return;
	json_t *card = card_json(agent, &err);
	if (card)
		events_publish(agent, "counters", card);
}
