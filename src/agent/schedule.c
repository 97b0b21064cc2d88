// SPDX-License-Identifier: Apache-2.0
// What happens when. Each turn looks at the whole and does one thing that is due, until nothing is:
//
//   end      a run whose slice is over, was cancelled, or was not confirmed: its ports go to the
//   next
//            run if that is loaded, else to the default function
//   prepare  the first queued run of its ports is loaded into their idle bank
//   start    a loaded run whose ports are free, or whose blockers end now, is swapped in
//
// A hand-over is one swap at the instant of the slice's end, which the card keeps to; the agent
// wakes a little earlier (HANDOVER_EARLY_NS) and commits before it asks for the swap.
#include <errno.h>
#include <string.h>

#include "agent/queue_parts.h"
#include "agent/run.h"
#include "agent/settings.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/error.h"

#define HANDOVER_EARLY_NS (3 * NS_PER_MS)
#define RETRY_NS          (500 * NS_PER_MS)

enum turn { TURN_NOTHING, TURN_DONE, TURN_CARD_GONE };

uint64_t queue_held(const struct queue *queue)
{
	uint64_t held = 0;
	for (const struct run *run = queue->runs; run; run = run->next)
		if (run->state == RUN_RUNNING)
			held |= run->mask;
	return held;
}

// When a running run ends by itself: its slice, or the time to confirm it.
static uint64_t end_of(const struct run *run)
{
	uint64_t confirm = run->confirm_ns ? run->started_ns + run->confirm_ns : UINT64_MAX;
	return run->ends_ns < confirm ? run->ends_ns : confirm;
}

// When `run` stops keeping `next` from its ports.
static uint64_t gives_way(const struct run *run, const struct run *next, uint64_t now)
{
	return run->priority < next->priority ? now : end_of(run);
}

// The instant from which all ports of `next` are its own; UINT64_MAX: not in sight.
static uint64_t free_at(const struct queue *queue, const struct run *next, uint64_t now)
{
	uint64_t at = now;
	for (const struct run *run = queue->runs; run; run = run->next)
		if (run->state == RUN_RUNNING && run->mask & next->mask) {
			uint64_t end = gives_way(run, next, now);
			at = end > at ? end : at;
		}
	return at;
}

// Whether `a` is served before `b`.
static bool goes_first(const struct run *a, const struct run *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->id < b->id;
}

static uint64_t mask_of(const struct queue *queue, const struct run *run)
{
	return run->ports == PORTS_ALL ? queue->port_mask : run->ports;
}

static bool waits(const struct run *run)
{
	return run->state == RUN_QUEUED || run->state == RUN_LOADING;
}

// Whether no earlier waiting run wants one of its ports.
static bool is_head(const struct queue *queue, const struct run *run)
{
	for (const struct run *other = queue->runs; other; other = other->next)
		if (other != run && waits(other) && goes_first(other, run) &&
		        mask_of(queue, other) & mask_of(queue, run))
			return false;
	return true;
}

static enum turn card_failed(struct queue *queue, struct error *err)
{
	if (card_is_gone(err))
		return TURN_CARD_GONE;
	queue_log(queue, "", 0, "the card refuses: %s", err->text);
	queue->retry_ns = queue_now(queue) + RETRY_NS;
	return TURN_NOTHING;
}

static enum turn store_failed(struct queue *queue, const struct run *run, const struct error *err)
{
	if (queue->options.log)
		queue->options.log(queue->options.context, run->function, run->id, err->text);
	queue->retry_ns = queue_now(queue) + RETRY_NS;
	return TURN_NOTHING;
}

// The run is off its ports: ended, or, if it was preempted, back in the queue with what it has
// left.
static void leave(struct queue *queue, struct run *run, const struct run *by, uint64_t at)
{
	if (end_of(run) > at && by && !run->final) {
		struct error err;
		run->used_ns += at > run->started_ns ? at - run->started_ns : 0;
		run->state = RUN_QUEUED;
		run->generation = 0;
		run->mask = 0;
		run->is_unsaved = run_save(queue, run, &err) != 0;
		run_changed(queue, run);
		queue_log(queue, run->function, run->id,
		        "r%llu gives way to r%llu of higher priority", (unsigned long long)run->id,
		        (unsigned long long)by->id);
		return;
	}
	enum run_state state = run->final ? run->final : RUN_FINISHED;
	if (run->confirm_ns && !run->final && run->started_ns + run->confirm_ns <= at) {
		state = RUN_FAILED;
		json_decref(run->error);
		run->error = run_error("rolled_back", "rolled back: it was not confirmed in time");
	}
	run_end(queue, run, state, at);
	queue_drop(queue, run);
}

void queue_leave(struct queue *queue, const struct run *by, uint64_t mask, uint64_t at)
{
	for (struct run *run = queue->runs, *next; run; run = next) {
		next = run->next;
		if (run != by && run->state == RUN_RUNNING && run->mask & mask)
			leave(queue, run, by, at);
	}
}

// Ports of runs that lose some to `next`, beyond those that it takes.
static uint64_t left_over(const struct queue *queue, const struct run *next)
{
	uint64_t ports = 0;
	for (const struct run *run = queue->runs; run; run = run->next)
		if (run != next && run->state == RUN_RUNNING && run->mask & next->mask)
			ports |= run->mask & ~next->mask;
	return ports;
}

static enum turn start(struct queue *queue, struct run *run, uint64_t at, struct error *err)
{
	struct run before = *run;
	run->state = RUN_RUNNING;
	run->started_ns = at;
	if (!run->started_wall_ns)
		run->started_wall_ns = queue_wall(queue) + at - queue_now(queue);
	uint64_t left = run->slice_ns == SLICE_FOREVER ? UINT64_MAX : run->slice_ns - run->used_ns;
	run->ends_ns = left == UINT64_MAX ? UINT64_MAX : at + left;
	run->generations[run->generation_count % RUN_GENERATIONS_MAX] = run->generation;
	if (run->generation_count < RUN_GENERATIONS_MAX)
		run->generation_count++;
	if (run_save(queue, run, err)) {
		struct error why = *err;
		*run = before;
		*err = (struct error){0};
		return store_failed(queue, run, &why);
	}
	uint64_t rest = left_over(queue, run);
	int rc = live_swap(queue, run->generation, run->mask, at, run, NULL, err);
	if (rc && card_is_gone(err))
		return TURN_CARD_GONE; // the store says running: recovery swaps it in, or loads it
		                       // again
	if (rc) {
		run_fail(queue, run, RUN_FAILED, status_table[status_of_errno(err->code)].name,
		        "%s", err->text);
		queue_drop(queue, run);
		*err = (struct error){0};
		return TURN_DONE;
	}
	run_changed(queue, run);
	if (rest && live_fallback(queue, rest, 0, err))
		return card_failed(queue, err);
	queue_leave(queue, run, run->mask, at);
	return TURN_DONE;
}

static enum turn prepare(struct queue *queue, struct run *run, struct error *err)
{
	uint64_t mask = mask_of(queue, run), id;
	for (struct run *other = queue->runs; other; other = other->next)
		if (other != run && other->state == RUN_LOADING && other->mask & mask)
			live_unload(queue,
			        other); // it came to the bank first, but this one goes first now
	int rc = live_load(queue, run, NULL, mask, &id, err);
	if (rc && card_is_gone(err))
		return TURN_CARD_GONE;
	if (rc) {
		bool lost = err->code == ENOENT;
		run_fail(queue, run, lost ? RUN_EXPIRED : RUN_FAILED,
		        status_table[status_of_errno(err->code)].name, "%s", err->text);
		queue_drop(queue, run);
		*err = (struct error){0};
		return TURN_DONE;
	}
	struct run before = *run;
	run->generation = id;
	run->mask = mask;
	run->state = RUN_LOADING;
	run->loaded_wall_ns = queue_wall(queue);
	uint64_t now = queue_now(queue), at = free_at(queue, run, now);
	if (at <= now + HANDOVER_EARLY_NS) { // one commit for both; recovery knows it by its tag
		run_changed(queue, run);
		return start(queue, run, at, err);
	}
	if (run_save(queue, run, err)) {
		struct error why = *err;
		*run = before;
		*err = (struct error){0};
		return store_failed(queue, run, &why);
	}
	run_changed(queue, run);
	return TURN_DONE;
}

// A run that ends with nobody loaded behind it.
static enum turn end_alone(struct queue *queue, struct run *run, struct error *err)
{
	uint64_t at = end_of(run), now = queue_now(queue);
	if (live_fallback(queue, run->mask, at > now ? at : 0, err))
		return card_failed(queue, err);
	leave(queue, run, NULL, at > now ? at : now);
	return TURN_DONE;
}

static enum turn turn(struct queue *queue, struct error *err)
{
	uint64_t now = queue_now(queue), soon = now + HANDOVER_EARLY_NS;
	for (struct run *run = queue->runs; run; run = run->next)
		if (run->state == RUN_LOADING && is_head(queue, run)) {
			uint64_t at = free_at(queue, run, now);
			if (at <= soon)
				return start(queue, run, at, err);
		}
	for (struct run *run = queue->runs; run; run = run->next)
		if (run->state == RUN_QUEUED && is_head(queue, run))
			return prepare(queue, run, err);
	for (struct run *run = queue->runs; run; run = run->next)
		if (run->state == RUN_RUNNING && end_of(run) <= soon)
			return end_alone(queue, run, err);
	return TURN_NOTHING;
}

static uint64_t next_instant(const struct queue *queue)
{
	uint64_t next = UINT64_MAX;
	for (const struct run *run = queue->runs; run; run = run->next) {
		uint64_t at = run->state == RUN_RUNNING ? end_of(run) : UINT64_MAX;
		if (at != UINT64_MAX && at - HANDOVER_EARLY_NS < next)
			next = at - HANDOVER_EARLY_NS;
	}
	return next < queue->retry_ns ? queue->retry_ns : next;
}

// Runs that ended while the store was full.
static bool save_ended(struct queue *queue)
{
	bool left = false;
	for (struct run *run = queue->runs, *next; run; run = next) {
		struct error err;
		next = run->next;
		if (!run->is_unsaved)
			continue;
		run->is_unsaved = run_save(queue, run, &err) != 0;
		left |= run->is_unsaved;
		if (!run->is_unsaved && run->state > RUN_RUNNING)
			queue_drop(queue, run);
	}
	return left;
}

uint64_t queue_step(struct queue *queue, struct error *err)
{
	uint64_t now = queue_now(queue);
	*err = (struct error){0};
	if (now < queue->retry_ns)
		return queue->retry_ns;
	queue->retry_ns = 0;
	if (save_ended(queue))
		queue->retry_ns = now + RETRY_NS;
	while (queue->card && !queue->retry_ns) {
		struct error why = {0};
		enum turn done = turn(queue, &why);
		if (done == TURN_CARD_GONE)
			*err = why;
		if (done != TURN_DONE)
			break;
	}
	return queue->card && !err->code ? next_instant(queue)
	       : queue->retry_ns         ? queue->retry_ns
	                                 : UINT64_MAX;
}
