// SPDX-License-Identifier: Apache-2.0
// A card has been connected: by a new agent, or because the card was started anew. The store says
// what was committed, the card what was done; a generation's tag is its run. The cases, for a run
// that the store calls running:
//
//   its newest generation is active              it goes on
//   it was loaded but never swapped in           the agent died in between: swap it in now
//   it was swapped out before the slice's end    it was preempted: back to the queue with the rest
//   it was swapped out at the end                it has ended; the report is still there
//   the card does not know it                    the card is another one: load it again for the
//   rest
//
// A loaded run whose generation is not idle on the card is queued again. What nobody owns any more
// is taken off.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/queue_parts.h"
#include "agent/report.h"
#include "agent/run.h"
#include "agent/settings.h"
#include "agent/store.h"
#include "api/status.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/card.h"

#define GENERATIONS_MAX 1024u
#define PREEMPTED_NS    (50 * NS_PER_MS) // an end that is earlier than planned by more was no end

struct card_state {
	struct card_generation *list;
	uint32_t count;
	bool is_same; // the card that the store's generation numbers are of
};

static struct card_generation *find(const struct card_state *state, uint64_t id)
{
	for (uint32_t i = 0; state->is_same && id && i < state->count; i++)
		if (state->list[i].id == id)
			return &state->list[i];
	return NULL;
}

static int read_state(struct queue *queue, struct card_state *state, struct error *err)
{
	struct card_info info = {0};
	char life[32], known[32];
	struct card *card = queue->card;
	autofree struct card_port *ports = calloc(PORTS_MAX, sizeof(*ports));
	state->list = calloc(GENERATIONS_MAX, sizeof(*state->list));
	uint32_t count = 0;
	if (!ports || !state->list)
		return error_set(err, ENOMEM, "no memory for the card's state");
	int rc = card->ops->info(card, &info, err);
	if (!rc)
		rc = card->ops->ports(card, ports, PORTS_MAX, &count, err);
	if (!rc)
		rc = card->ops->generations(card, state->list, GENERATIONS_MAX, &state->count, err);
	if (!rc)
		rc = store_fact_get(queue->store, "card_life", known, sizeof(known), err);
	if (rc)
		return rc;
	queue->port_mask = 0;
	for (uint32_t i = 0; i < count; i++)
		queue->port_mask |= 1ull << ports[i].number;
	snprintf(life, sizeof(life), "%llu", (unsigned long long)info.started_wall_ns);
	state->is_same = strcmp(life, known) == 0;
	return state->is_same ? 0 : store_fact_put(queue->store, "card_life", life, err);
}

static void requeue(struct queue *queue, struct run *run)
{
	struct error err;
	run->state = RUN_QUEUED;
	run->generation = 0;
	run->mask = 0;
	run->loaded_wall_ns = 0;
	run->is_unsaved = run_save(queue, run, &err) != 0;
	run_changed(queue, run);
}

// The card that held it is gone: the rest of its slice is given to a new generation.
static int reload(struct queue *queue, struct run *run, struct error *err)
{
	uint64_t id, now = queue_now(queue);
	run->generation_count = 0;
	if (run->ends_ns <= now) {
		json_decref(run->error);
		run->error = run_error("no_card", "the card was restarted, its counters are lost");
		run_end(queue, run, run->final ? run->final : RUN_FINISHED, run->ends_ns);
		queue_drop(queue, run);
		return 0;
	}
	int rc = run->mask & ~queue->port_mask
	                 ? error_set(err, ENODEV,
	                           "the card that was restarted lacks one of its ports")
	                 : live_load(queue, run, NULL, run->mask, &id, err);
	if (rc && card_is_gone(err))
		return rc;
	if (rc) {
		run_fail(queue, run, RUN_FAILED, status_table[status_of_errno(err->code)].name,
		        "%s", err->text);
		queue_drop(queue, run);
		return 0;
	}
	run->generation = id;
	run->generations[0] = id;
	run->generation_count = 1;
	rc = run_save(queue, run, err);
	if (!rc)
		rc = live_swap(queue, id, run->mask, 0, run, NULL, err);
	queue_log(queue, run->function, run->id, "r%llu goes on, on a card that was started anew",
	        (unsigned long long)run->id);
	return rc;
}

// Whether `run` was committed as running, but the swap was not asked for.
static bool waits_for_swap(const struct run *run, const struct card_generation *generation)
{
	return run->state == RUN_RUNNING && generation && run_of_tag(generation->tag) == run->id &&
	       !generation->active && !generation->swapped_in_ns;
}

// Swaps it in now; who had its ports until now leaves them.
static int swap_in(struct queue *queue, struct run *run, struct error *err)
{
	uint64_t now = queue_now(queue);
	if (run->generation_count == 1 && run->ends_ns != UINT64_MAX && !run->final) {
		run->ends_ns += now - run->started_ns;
		run->started_ns = now;
		if (run_save(queue, run, err))
			return -err->code;
	}
	int rc = live_swap(queue, run->generation, run->mask, 0, run, NULL, err);
	if (!rc)
		queue_leave(queue, run, run->mask, queue_now(queue));
	return rc;
}

// After all others: a swap here ends other runs, so that the list is gone through anew.
static int swap_in_all(struct queue *queue, const struct card_state *state, struct error *err)
{
	struct run *run = queue->runs;
	while (run) {
		struct card_generation *generation = find(state, run->generation);
		if (!waits_for_swap(run, generation)) {
			run = run->next;
			continue;
		}
		int rc = swap_in(queue, run, err);
		if (rc)
			return rc;
		generation->active = true;
		run = queue->runs;
	}
	return 0;
}

static int recover_running(
        struct queue *queue, struct run *run, const struct card_state *state, struct error *err)
{
	const struct card_generation *generation = find(state, run->generation);
	if (!generation || generation->tag[0] != 'r' || run_of_tag(generation->tag) != run->id)
		return reload(queue, run, err);
	if (generation->active || waits_for_swap(run, generation))
		return 0;
	uint64_t out = generation->swapped_out_ns;
	if (!run->final && run->ends_ns != UINT64_MAX && out + PREEMPTED_NS >= run->ends_ns) {
		run_end(queue, run, RUN_FINISHED, out);
		queue_drop(queue, run);
	} else if (run->final) {
		run_end(queue, run, run->final, out);
		queue_drop(queue, run);
	} else if (run->confirm_ns && out + PREEMPTED_NS >= run->started_ns + run->confirm_ns) {
		run_fail(queue, run, RUN_FAILED, "rolled_back",
		        "rolled back: it was not confirmed in time");
		queue_drop(queue, run);
	} else {
		run->used_ns += out > run->started_ns ? out - run->started_ns : 0;
		requeue(queue, run);
	}
	return 0;
}

static int recover_run(
        struct queue *queue, struct run *run, const struct card_state *state, struct error *err)
{
	if (run->state == RUN_RUNNING)
		return recover_running(queue, run, state, err);
	const struct card_generation *generation = find(state, run->generation);
	if (run->state == RUN_LOADING &&
	        (!generation || generation->active || generation->swapped_in_ns ||
	                run_of_tag(generation->tag) != run->id))
		requeue(queue, run);
	return 0;
}

// Whether a generation on the card belongs to a run that will use it, or is the default function.
static bool is_owned(struct queue *queue, const struct card_generation *generation)
{
	struct run *run = queue_find(queue, run_of_tag(generation->tag));
	return run && run->generation == generation->id &&
	       (run->state == RUN_RUNNING || run->state == RUN_LOADING);
}

// Takes off what nobody owns: loads that nobody waits for, functions of runs that have ended.
static int sweep(struct queue *queue, const struct card_state *state, struct error *err)
{
	uint64_t orphaned = 0, held = queue_held(queue), defaulted = 0;
	for (uint32_t i = 0; i < state->count; i++) {
		const struct card_generation *generation = &state->list[i];
		if (!generation->active && !generation->swapped_in_ns &&
		        !is_owned(queue, generation))
			queue->card->ops->unload(queue->card, generation->id, NULL);
		if (generation->active && strcmp(generation->tag, RUN_DEFAULT_TAG) == 0)
			defaulted |= generation->ports;
		else if (generation->active)
			orphaned |= generation->ports;
	}
	uint64_t wanted =
	        *queue->default_function ? queue->port_mask & ~defaulted : orphaned | defaulted;
	return live_fallback(queue, wanted & ~held, 0, err);
}

int queue_connect(struct queue *queue, struct card *card, struct error *err)
{
	struct card_state state = {0};
	queue->card = card;
	queue->retry_ns = 0;
	if (!card)
		return 0;
	int rc = read_state(queue, &state, err);
	for (struct run *run = queue->runs, *next; !rc && run; run = next) {
		next = run->next;
		rc = recover_run(queue, run, &state, err);
	}
	if (!rc)
		rc = swap_in_all(queue, &state, err);
	if (!rc)
		rc = sweep(queue, &state, err);
	free(state.list);
	if (rc)
		queue->card = NULL;
	return rc;
}
