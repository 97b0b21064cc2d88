// SPDX-License-Identifier: Apache-2.0
// What the parts of the queue share: queue.c (requests, the list), schedule.c (what happens when),
// live.c (what is done to the card), recover.c (after a restart of either).
#pragma once

#include "agent/queue.h"

#define RUN_DEFAULT_TAG "default"

struct function;

struct queue {
	struct queue_options options;
	char boot_id[64], default_function[64];
	struct store *store;
	struct card *card;  // NULL: none
	struct run *runs;   // not ended, by id
	uint64_t port_mask; // of the card
	uint64_t retry_ns;  // the store or the card refused: nothing is tried before
};

uint64_t queue_now(const struct queue *queue);
uint64_t queue_wall(const struct queue *queue);
// Commits the run as it stands.
int run_save(struct queue *queue, struct run *run, struct error *err);
void run_changed(struct queue *queue, const struct run *run);
struct run *queue_find(struct queue *queue, uint64_t id); // NULL: has ended, or never was
// Takes an ended run out of the list and frees it, if the store has it.
void queue_drop(struct queue *queue, struct run *run);
__attribute__((format(printf, 4, 5))) void queue_log(
        struct queue *queue, const char *function, uint64_t run, const char *format, ...);

// What is left of a run's slice from `now`; UINT64_MAX for ever.
uint64_t run_remaining(const struct run *run);

// Whether an error of the card means that it is gone.
bool card_is_gone(const struct error *err);
// Loads the run's function into the idle bank of `mask`, with its rules: a new generation, `id` of
// it. `function` may be NULL: read from the store. Fills the run's version.
int live_load(struct queue *queue, struct run *run, const struct function *function, uint64_t mask,
        uint64_t *id, struct error *err);
// Swaps generation `id` (0: pass) onto `ports` at `at_ns` (0: now); tells and keeps the receipt,
// also in the run that comes in (may be NULL) and in those that go out.
int live_swap(struct queue *queue, uint64_t id, uint64_t ports, uint64_t at_ns, struct run *in,
        json_t *receipts, struct error *err);
// Puts the default function, or pass, on ports that nobody holds.
int live_fallback(struct queue *queue, uint64_t ports, uint64_t at_ns, struct error *err);
// Gives up what the run has in an idle bank.
void live_unload(struct queue *queue, struct run *run);
// The run is off the card: report, state, store. Returns 0, or what the store said (it is tried
// again).
int run_end(struct queue *queue, struct run *run, enum run_state state, uint64_t ended_ns);
// It ended with an error; the text becomes the run's.
__attribute__((format(printf, 5, 6))) void run_fail(struct queue *queue, struct run *run,
        enum run_state state, const char *code, const char *format, ...);
// Ports that running runs hold.
uint64_t queue_held(const struct queue *queue);
// Every other run on a port of `mask` is off it since `at`, because `by` has it: it has ended, or,
// where its slice had not, is queued again with the rest. Frees runs that have ended.
void queue_leave(struct queue *queue, const struct run *by, uint64_t mask, uint64_t at);
