// SPDX-License-Identifier: Apache-2.0
// The queue and its scheduler. A run is queued, loaded into the idle bank of its ports ("loading")
// while what blocks it still runs, swapped in ("running"), and ends as finished, cancelled, failed
// or expired. First in, first out within a priority; runs on disjoint ports go at the same time; a
// run of a higher priority takes the ports of a lower one at once, which goes back to the queue
// with what is left of its slice. Ports that nobody holds run the default function.
//
// Every change is committed to the store before it is acted on, and the card remembers the run's id
// as the tag of its generations, so that after kill -9 queue_connect() can tell what happened from
// the two.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct card;
struct error;
struct function;
struct queue;
struct store;
struct stored_run;

enum run_state {
	RUN_QUEUED,
	RUN_LOADING,
	RUN_RUNNING,
	RUN_FINISHED,
	RUN_CANCELLED,
	RUN_FAILED,
	RUN_EXPIRED,
	RUN_STATE_COUNT,
};
const char *run_state_name(enum run_state state);

#define RUN_GENERATIONS_MAX 64

struct run {
	uint64_t id;
	char function[64], version[65]; // "": the current one when it is loaded
	bool is_pinned;                 // the version was asked for
	enum run_state state;
	enum run_state final;     // not 0: it is to end with this state at `ends_ns`
	uint64_t slice_ns, ports; // as asked: SLICE_FOREVER, PORTS_ALL
	uint64_t mask;            // ports that it holds or will hold; 0 = not known yet
	int priority;
	json_t *maps, *return_maps; // policies; NULL: the function's, none
	char *rules;
	uint64_t confirm_ns; // 0: needs no confirmation (any more)
	uint64_t asked_wall_ns, loaded_wall_ns, started_wall_ns, ended_wall_ns;
	uint64_t started_ns, ends_ns; // CLOCK_MONOTONIC of this boot; ends UINT64_MAX = never
	uint64_t used_ns;             // of the slice, before it was preempted
	uint64_t generation;          // its newest on the card; 0 = none
	uint64_t generations[RUN_GENERATIONS_MAX]; // that were swapped in, oldest first
	uint32_t generation_count;
	json_t *error, *report, *swap_in, *swap_out; // JSON for people, or NULL
	bool is_unsaved;                             // the store was full when it ended
	struct run *next;
};
void run_free(struct run *run);

struct queue_options {
	struct store *store;
	const char *boot_id;
	const char *default_function; // NULL: the built-in pass
	uint64_t (*now_ns)(void *context), (*wall_ns)(void *context);
	// Told after the fact: a run has changed its state; a swap was made; something for the
	// function's log.
	void (*changed)(void *context, const struct run *run);
	void (*swapped)(void *context, json_t *receipt);
	void (*log)(void *context, const char *function, uint64_t run, const char *text);
	void *context;
};

int queue_new(const struct queue_options *options, struct queue **queue, struct error *err);
void queue_free(struct queue **queue);
// A card has been connected (borrowed), or is gone (NULL). Compares what it does with what the
// store says.
int queue_connect(struct queue *queue, struct card *card, struct error *err);
// Does all that is due; returns the instant at which it wants to be called again. Also where a call
// to the card failed in between: *err then tells, with code 0 otherwise.
uint64_t queue_step(struct queue *queue, struct error *err);

// Takes a run that the caller has filled as far as it was asked for (from calloc); frees it on
// failure. It stands in the store, with its id, when this returns 0.
int queue_submit(struct queue *queue, struct run *run, uint64_t *id, struct error *err);
int queue_cancel(struct queue *queue, uint64_t id, struct error *err); // ENOENT
int queue_renew(
        struct queue *queue, uint64_t id, uint64_t slice_ns, struct error *err); // ENOENT, EBUSY
int queue_confirm(struct queue *queue, uint64_t id, struct error *err);          // ENOENT, EBUSY

// Keeps a function; where it is live and `reload`, its new code or rules take over in the same
// slice. Loads before it commits, so that what cannot be loaded changes nothing. Appends receipts
// to `receipts`.
int queue_function_put(struct queue *queue, const struct function *function, bool reload,
        json_t *receipts, struct error *err);
// Removes it: its queued runs are cancelled, its live run ends now.
int queue_function_delete(struct queue *queue, const char *name, struct error *err);

const struct run *queue_runs(const struct queue *queue); // those not ended, in order of age
const struct run *queue_live(const struct queue *queue, const char *function); // or NULL
json_t *queue_run_json(struct queue *queue, const struct run *run);
// A run as an object, whether it has ended or not. ENOENT.
int queue_run_find(struct queue *queue, uint64_t id, json_t **json, struct error *err);
int queue_run_list(struct queue *queue, const char *function, const char *states, uint32_t limit,
        json_t **list, struct error *err);
