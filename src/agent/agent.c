// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/box.h"
#include "agent/confine.h"
#include "agent/queue.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "card/card.h"

#define CONNECT_AGAIN_NS (100 * NS_PER_MS)
#define TICK_NS          (100 * NS_PER_MS)

static void (*const handlers[ROUTE_COUNT])(struct agent *agent, struct request *request) = {
        [ROUTE_HEALTHZ] = handle_healthz,
        [ROUTE_METRICS] = handle_metrics,
        [ROUTE_INFO] = handle_info,
        [ROUTE_FUNCTION_LIST] = handle_function_list,
        [ROUTE_FUNCTION_CREATE] = handle_function_create,
        [ROUTE_FUNCTION_GET] = handle_function_get,
        [ROUTE_FUNCTION_UPDATE] = handle_function_update,
        [ROUTE_FUNCTION_DELETE] = handle_function_delete,
        [ROUTE_FUNCTION_OBJECT] = handle_function_object,
        [ROUTE_FUNCTION_DISASM] = handle_function_disasm,
        [ROUTE_FUNCTION_LOGS] = handle_function_logs,
        [ROUTE_RUN_CREATE] = handle_run_create,
        [ROUTE_RUN_LIST] = handle_run_list,
        [ROUTE_RUN_GET] = handle_run_get,
        [ROUTE_RUN_CANCEL] = handle_run_cancel,
        [ROUTE_RUN_RENEW] = handle_run_renew,
        [ROUTE_RUN_CONFIRM] = handle_run_confirm,
        [ROUTE_MAP_LIST] = handle_map_list,
        [ROUTE_MAP_GET] = handle_map_get,
        [ROUTE_MAP_UPDATE] = handle_map_update,
        [ROUTE_MAP_DELETE] = handle_map_delete,
        [ROUTE_MAP_EVENTS] = handle_map_events,
        [ROUTE_CARD] = handle_card,
        [ROUTE_SWAP_LIST] = handle_swap_list,
        [ROUTE_EVENTS] = handle_events,
};

static void step(struct agent *agent)
{
	struct error err = {0};
	uint64_t next = queue_step(agent->queue, &err);
	if (err.code)
		agent_lose_card(agent, &err);
	loop_timer(agent->loop, &agent->step, next);
}

static void on_step(struct timer *timer)
{
	step((struct agent *)((char *)timer - offsetof(struct agent, step)));
}

static void on_request(void *context, struct request *request)
{
	struct agent *agent = context;
	handlers[request_route(request)](agent, request);
	step(agent); // whatever it changed may be due now
}

static void on_tick(struct timer *timer)
{
	struct agent *agent = (struct agent *)((char *)timer - offsetof(struct agent, tick));
	uint64_t now = clock_ns();
	if (agent->options->stop && *agent->options->stop)
		loop_stop(agent->loop);
	events_tick(agent);
	records_tick(agent);
	loop_timer(agent->loop, timer, now + TICK_NS);
}

static void connect_card(struct agent *agent)
{
	struct error err = {0};
	int rc = card_connect(agent->options->card_path, &agent->card, &err);
	if (!rc)
		rc = queue_connect(agent->queue, agent->card, &err);
	if (rc) {
		// Said once, not ten times a second; a card that is just being started is no news.
		uint64_t age_ns = clock_wall_ns() - agent->started_wall_ns;
		if (agent->card || (strcmp(agent->card_error, err.text) != 0 && age_ns > NS_PER_S))
			log_warning("%s", err.text);
		if (agent->card || age_ns > NS_PER_S)
			snprintf(agent->card_error, sizeof(agent->card_error), "%s", err.text);
		agent_lose_card(agent, NULL);
		return;
	}
	agent->card_error[0] = 0;
	log_info("connected to the card at %s", agent->options->card_path);
	step(agent);
}

static void on_connect(struct timer *timer)
{
	connect_card((struct agent *)((char *)timer - offsetof(struct agent, connect)));
}

void agent_lose_card(struct agent *agent, const struct error *err)
{
	if (err && agent->card) {
		agent->card_losses++;
		log_warning("lost the card: %s", err->text);
	}
	queue_connect(agent->queue, NULL, NULL);
	card_free(&agent->card);
	loop_timer(agent->loop, &agent->connect, clock_ns() + CONNECT_AGAIN_NS);
}

bool agent_has_card(struct agent *agent, struct request *request)
{
	if (agent->card)
		return true;
	request_error(request, STATUS_NO_CARD,
	        "it is being started or connected to; try again in a moment", "%s%s",
	        *agent->card_error ? agent->card_error : "no card answers at ",
	        *agent->card_error ? "" : agent->options->card_path);
	return false;
}

static bool is_gone(int code)
{
	return code == ECONNRESET || code == EPIPE || code == ENOTCONN || code == ECONNREFUSED;
}

void agent_card_error(struct agent *agent, struct request *request, const struct error *err)
{
	request_fail(request, err);
	if (is_gone(err->code))
		agent_lose_card(agent, err);
}

static void run_changed(void *context, const struct run *run)
{
	events_run(context, run);
}

static void run_swapped(void *context, json_t *receipt)
{
	events_publish(context, "swap", json_incref(receipt));
}

static void run_log(void *context, const char *function, uint64_t run, const char *text)
{
	agent_log(context, function, run, "%s", text);
}

static uint64_t now_ns(void *context)
{
	(void)context;
	return clock_ns();
}

static uint64_t wall_ns(void *context)
{
	(void)context;
	return clock_wall_ns();
}

static void read_boot_id(char *text, size_t size)
{
	uint8_t *data = NULL;
	size_t got;
	text[0] = 0;
	if (file_read("/proc/sys/kernel/random/boot_id", 4096, &data, &got, NULL) == 0)
		snprintf(text, size, "%.*s", (int)strcspn((const char *)data, "\n"),
		        (const char *)data);
	free(data);
}

// Gives up what is not needed any more; the boxes' process has been forked before.
static void confine(struct agent *agent)
{
	struct error err = {0};
	const struct confine_path paths[] = {{agent->options->state_dir, true, false}};
	if (confine_files(paths, 1, &err))
		log_warning("%s; the agent goes on without that wall", err.text);
	if (confine_calls(CONFINE_AGENT, &err))
		log_warning("%s; the agent goes on without that wall", err.text);
}

static int open_parts(struct agent *agent, struct error *err)
{
	char path[4096], boot_id[64];
	const struct agent_options *options = agent->options;
	if (options->drop && confine_become(options->uid, options->gid, err))
		return -err->code;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (options->has_parent) // only now: becoming another user forgets it
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (options->has_parent && getppid() == 1)
		return error_set(err, ESRCH, "the supervisor has ended");
	snprintf(path, sizeof(path), "%s/headers", options->state_dir);
	if (box_start(path, &agent->box, err))
		return -err->code;
	read_boot_id(boot_id, sizeof(boot_id));
	confine(agent);
	snprintf(path, sizeof(path), "%s/raio.db", options->state_dir);
	struct queue_options queue = {.boot_id = boot_id,
	        .default_function = options->default_function,
	        .now_ns = now_ns,
	        .wall_ns = wall_ns,
	        .changed = run_changed,
	        .swapped = run_swapped,
	        .log = run_log,
	        .context = agent};
	if (loop_new(&agent->loop, err) || store_open(path, &agent->store, err))
		return -err->code;
	queue.store = agent->store;
	if (queue_new(&queue, &agent->queue, err))
		return -err->code;
	box_attach(agent->box, agent->loop);
	struct http_options http = {.loop = agent->loop,
	        .listen_fd = options->listen_fd,
	        .handle = on_request,
	        .context = agent};
	return http_new(&http, &agent->http, err);
}

int agent_run(const struct agent_options *options)
{
	struct error err = {0};
	struct agent agent = {.options = options,
	        .started_wall_ns = clock_wall_ns(),
	        .connect = {.fire = on_connect, .at_ns = UINT64_MAX},
	        .step = {.fire = on_step, .at_ns = UINT64_MAX},
	        .tick = {.fire = on_tick, .at_ns = UINT64_MAX}};
	struct sigaction action = {.sa_handler = options->on_signal};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	int rc = open_parts(&agent, &err);
	if (rc) {
		log_error("%s", err.text);
	} else {
		loop_timer(agent.loop, &agent.tick, clock_ns() + TICK_NS);
		connect_card(&agent);
		rc = loop_run(agent.loop);
	}
	http_free(&agent.http);
	queue_free(&agent.queue);
	box_free(&agent.box);
	card_free(&agent.card);
	store_close(&agent.store);
	loop_free(&agent.loop);
	return rc ? 1 : 0;
}

void agent_log(struct agent *agent, const char *function, uint64_t run, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	// Programs print what they like, and it ends on somebody's terminal.
	for (char *at = text; *at; at++)
		if (iscntrl((unsigned char)*at) ||
		        ((uint8_t)at[0] == 0xc2 && (uint8_t)at[1] < 0xa0))
			*at = '?';
	uint64_t now = clock_wall_ns();
	struct error err = {0};
	if (store_log_add(agent->store, function, run, now, text, &err))
		log_warning("a line of %s's log is lost: %s", function, err.text);
	events_log(agent, function, run, now, text);
}
