// SPDX-License-Identifier: Apache-2.0
// The agent: store, boxes, card, queue and HTTP server around one event loop. What follows the word
// `handle_` answers one route (docs/api.md); the table in agent.c says which.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/http.h"
#include "agent/loop.h"
#include "agent/store.h"
#include "base/error.h"

struct box;
struct card;
struct image;
struct queue;
struct run;

struct agent_options {
	const char *socket_path, *state_dir, *card_path;
	const char *default_function; // NULL: pass
	int listen_fd;
	const volatile int *stop;      // not 0: end
	void (*on_signal)(int number); // sets it
	bool has_parent;               // a supervisor, with which the agent ends
	bool drop;                     // become `uid` and `gid` first
	uint32_t uid, gid;
};

// Waits for a stream's next line: see events.c.
struct listener {
	struct request *request;
	struct agent *agent;
	struct listener *next;
	bool server_sent;  // as text/event-stream, else the run's or function's NDJSON
	uint64_t run;      // not 0: this run only
	char function[64]; // not "": log lines of this function only
};

struct agent {
	const struct agent_options *options;
	struct loop *loop;
	struct store *store;
	struct box *box;
	struct http *http;
	struct card *card; // NULL while none answers
	struct queue *queue;
	uint64_t started_wall_ns;
	struct timer connect, step, tick;
	struct listener *listeners;
	struct record_stream *records;   // see records.c
	uint64_t counters_ns;            // when the last `counters` went out
	char card_error[ERROR_TEXT_MAX]; // why there is none
	uint64_t card_losses, compile_count, compile_failures;
};

// Runs until *stop. Returns the process's exit code.
int agent_run(const struct agent_options *options);
// The card did not answer: forget it, and connect again soon.
void agent_lose_card(struct agent *agent, const struct error *err);
// False, and the request is answered, where there is no card.
bool agent_has_card(struct agent *agent, struct request *request);
// Answers `err` of a call to the card, and forgets the card if it is gone.
void agent_card_error(struct agent *agent, struct request *request, const struct error *err);
// Keeps a line for a function's log, and sends it to those who follow. `run` may be 0.
__attribute__((format(printf, 4, 5))) void agent_log(
        struct agent *agent, const char *function, uint64_t run, const char *format, ...);

void handle_healthz(struct agent *agent, struct request *request);
void handle_metrics(struct agent *agent, struct request *request);
void handle_info(struct agent *agent, struct request *request);
void handle_function_list(struct agent *agent, struct request *request);
void handle_function_create(struct agent *agent, struct request *request);
void handle_function_get(struct agent *agent, struct request *request);
void handle_function_update(struct agent *agent, struct request *request);
void handle_function_delete(struct agent *agent, struct request *request);
void handle_function_object(struct agent *agent, struct request *request);
void handle_function_disasm(struct agent *agent, struct request *request);
void handle_function_logs(struct agent *agent, struct request *request);
void handle_run_create(struct agent *agent, struct request *request);
void handle_run_list(struct agent *agent, struct request *request);
void handle_run_get(struct agent *agent, struct request *request);
void handle_run_cancel(struct agent *agent, struct request *request);
void handle_run_renew(struct agent *agent, struct request *request);
void handle_run_confirm(struct agent *agent, struct request *request);
void handle_map_list(struct agent *agent, struct request *request);
void handle_map_get(struct agent *agent, struct request *request);
void handle_map_update(struct agent *agent, struct request *request);
void handle_map_delete(struct agent *agent, struct request *request);
void handle_map_events(struct agent *agent, struct request *request);
void handle_card(struct agent *agent, struct request *request);
void handle_swap_list(struct agent *agent, struct request *request);
void handle_events(struct agent *agent, struct request *request);

// A function object of docs/api.md; NULL when memory is out.
json_t *function_json(struct agent *agent, const struct function *function);

// The card object of docs/api.md; NULL with *err.
json_t *card_json(struct agent *agent, struct error *err);
// A stream for `request` in the agent's list, to be filled in; NULL: it has been answered, or its
// client is gone.
struct listener *events_listen(struct agent *agent, struct request *request, const char *type);
// Events: to all who listen.
void events_publish(struct agent *agent, const char *type, json_t *data); // takes the reference
void events_run(
        struct agent *agent, const struct run *run); // `run` to all, and to those who wait for it
// A line of a function's log, to those who follow it.
void events_log(struct agent *agent, const char *function, uint64_t run, uint64_t wall_ns,
        const char *text);
void events_tick(struct agent *agent);  // `counters`, each second
void records_tick(struct agent *agent); // reads for those who wait for records of maps
