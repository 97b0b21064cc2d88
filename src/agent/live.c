// SPDX-License-Identifier: Apache-2.0
// What the queue does to the card, one step each.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/queue_parts.h"
#include "agent/report.h"
#include "agent/rules.h"
#include "agent/run.h"
#include "agent/store.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "card/card.h"
#include "ebpf/image.h"

bool card_is_gone(const struct error *err)
{
	return err->code == ECONNRESET || err->code == EPIPE || err->code == ENOTCONN ||
	       err->code == ECONNREFUSED || err->code == EPROTO;
}

// The map policy and the budget of a load, out of the run's wish or the function's settings.
// `names` has room for IMAGE_MAPS_MAX; they stay with `policy`.
static void take_policy(struct card_load *load, const json_t *policy, const char **names)
{
	const char *word = json_string_value(policy);
	load->carry_all = word && strcmp(word, "carry") == 0;
	for (size_t i = 0; i < json_array_size(policy) && load->carry_count < IMAGE_MAPS_MAX; i++)
		names[load->carry_count++] = json_string_value(json_array_get(policy, i));
	load->carry = names;
}

static int fill(struct queue *queue, uint64_t id, const struct image *image, const char *rules,
        struct error *err)
{
	return rules && *rules ? rules_fill(queue->card, id, image, rules, NULL, err) : 0;
}

static int load_image(struct queue *queue, const struct function *function, const struct run *run,
        const char *tag, uint64_t mask, uint64_t *id, struct error *err)
{
	const char *names[IMAGE_MAPS_MAX];
	struct card_load load = {.ports = mask};
	struct image *image = NULL;
	snprintf(load.tag, sizeof(load.tag), "%s", tag);
	int rc = image_decode(function->image, function->image_size, &image, err);
	if (rc)
		return rc;
	json_t *settings = json_loads(function->settings, 0, NULL);
	take_policy(&load, run && run->maps ? run->maps : json_object_get(settings, "maps"), names);
	load.budget = (uint64_t)json_integer_value(json_object_get(settings, "budget"));
	rc = queue->card->ops->load(queue->card, image, &load, id, err);
	json_decref(settings);
	if (!rc) {
		rc = fill(queue, *id, image, function->rules, err);
		if (!rc && run)
			rc = fill(queue, *id, image, run->rules, err);
		if (rc)
			queue->card->ops->unload(queue->card, *id, NULL);
	}
	image_free(&image);
	return rc;
}

int live_load(struct queue *queue, struct run *run, const struct function *function, uint64_t mask,
        uint64_t *id, struct error *err)
{
	char tag[CARD_TAG_MAX];
	struct function stored = {0};
	snprintf(tag, sizeof(tag), "r%llu", (unsigned long long)run->id);
	if (!function) {
		int rc = store_function_get(queue->store, run->function,
		        run->is_pinned ? run->version : NULL, 1, &stored, err);
		if (rc)
			return rc;
		function = &stored;
	}
	int rc = load_image(queue, function, run, tag, mask, id, err);
	if (!rc)
		snprintf(run->version, sizeof(run->version), "%s", function->version);
	function_free(&stored);
	return rc;
}

static const char *function_of_tag(struct queue *queue, const char *tag)
{
	const struct run *run = queue_find(queue, run_of_tag(tag));
	if (run)
		return run->function;
	return strcmp(tag, RUN_DEFAULT_TAG) == 0 ? queue->default_function : NULL;
}

#define PORTS_TEXT 256 // room for any set of ports

// "0,1,3".
static const char *ports_text(uint64_t ports, char text[PORTS_TEXT])
{
	size_t used = 0;
	text[0] = 0;
	for (int i = 0; i < 64; i++)
		if (ports >> i & 1)
			used += (size_t)snprintf(
			        text + used, PORTS_TEXT - used, "%s%d", used ? "," : "", i);
	return text;
}

int live_swap(struct queue *queue, uint64_t id, uint64_t ports, uint64_t at_ns, struct run *in,
        json_t *receipts, struct error *err)
{
	autofree struct receipt *receipt = calloc(1, sizeof(*receipt));
	if (!receipt)
		return error_set(err, ENOMEM, "no memory for a receipt");
	int rc = queue->card->ops->swap(queue->card, id, ports, at_ns, receipt, err);
	if (rc)
		return rc;
	if (!receipt->port_count && receipt->old_generation == receipt->new_generation)
		return 0; // they ran it already: nothing changed
	uint64_t old_id = run_of_tag(receipt->old_tag);
	struct run *old = queue_find(queue, old_id);
	json_t *json = receipt_json(receipt, function_of_tag(queue, receipt->old_tag),
	        function_of_tag(queue, receipt->new_tag));
	if (in && !in->swap_in)
		in->swap_in = json_incref(json);
	if (old && old != in) {
		json_decref(old->swap_out);
		old->swap_out = json_incref(json);
	}
	if (receipts)
		json_array_append(receipts, json);
	char list[PORTS_TEXT];
	char *text = json_dumps(json, JSON_COMPACT);
	struct error
	        ignored; // the swap has been made; a full disk only costs its entry in the list
	store_receipt_add(queue->store, old_id, in ? in->id : 0, text ? text : "{}", &ignored);
	free(text);
	queue_log(queue,
	        in    ? in->function
	        : old ? old->function
	              : "",
	        in ? in->id : old_id, "swap %llu: %s to %s on ports %s, %llu packets lost",
	        (unsigned long long)receipt->sequence,
	        json_string_value(json_object_get(json_object_get(json, "old"), "function")),
	        json_string_value(json_object_get(json_object_get(json, "new"), "function")),
	        ports_text(ports, list), (unsigned long long)receipt->lost);
	if (queue->options.swapped)
		queue->options.swapped(queue->options.context, json);
	json_decref(json);
	return 0;
}

int live_fallback(struct queue *queue, uint64_t ports, uint64_t at_ns, struct error *err)
{
	struct function function = {0};
	uint64_t id = 0;
	if (!ports)
		return 0;
	if (*queue->default_function) {
		struct error why = {0};
		int rc = store_function_get(
		        queue->store, queue->default_function, NULL, 1, &function, &why);
		// What waits in the idle bank of these ports is put out by this load, and loaded
		// again later.
		for (struct run *run = queue->runs; !rc && run; run = run->next)
			if (run->state == RUN_LOADING && run->mask & ports)
				live_unload(queue, run);
		if (!rc)
			rc = load_image(queue, &function, NULL, RUN_DEFAULT_TAG, ports, &id, &why);
		function_free(&function);
		if (rc && card_is_gone(&why))
			return error_set(err, why.code, "%s", why.text);
		if (rc) {
			id = 0;
			queue_log(queue, queue->default_function, 0,
			        "cannot run as the default function: %s", why.text);
		}
	}
	return live_swap(queue, id, ports, at_ns, NULL, NULL, err);
}

void live_unload(struct queue *queue, struct run *run)
{
	struct error ignored;
	if (queue->card && run->generation)
		queue->card->ops->unload(queue->card, run->generation, &ignored);
	run->generation = 0;
	run->loaded_wall_ns = 0;
	run->state = RUN_QUEUED;
	run->mask = 0;
	run_save(queue, run, &ignored); // where it fails, recovery finds the same
	run_changed(queue, run);
}

// The causes of aborted packets, to the function's log.
static void log_aborts(struct queue *queue, const struct run *run)
{
	const json_t *list = json_object_get(run->report, "aborts");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *abort = json_array_get(list, i);
		queue_log(queue, run->function, run->id, "%lld packets aborted at %s: %s: %s",
		        (long long)json_integer_value(json_object_get(abort, "count")),
		        json_string_value(json_object_get(abort, "place")),
		        json_string_value(json_object_get(abort, "cause")),
		        json_string_value(json_object_get(abort, "text")));
	}
}

int run_end(struct queue *queue, struct run *run, enum run_state state, uint64_t ended_ns)
{
	struct error err = {0};
	uint64_t now = queue_now(queue);
	json_decref(run->report);
	run->report = run->generation_count ? report_json(queue->store, queue->card, run) : NULL;
	run->state = state;
	run->ended_wall_ns = queue_wall(queue) - (now > ended_ns ? now - ended_ns : 0);
	int rc = run_save(queue, run, &err);
	run->is_unsaved = rc != 0;
	run_changed(queue, run);
	log_aborts(queue, run);
	queue_log(queue, run->function, run->id, "r%llu %s%s%s", (unsigned long long)run->id,
	        run_state_name(state), run->error ? ": " : "",
	        run->error ? json_string_value(json_object_get(run->error, "message")) : "");
	return rc;
}

void run_fail(struct queue *queue, struct run *run, enum run_state state, const char *code,
        const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_decref(run->error);
	run->error = run_error(code, text);
	run_end(queue, run, state, queue_now(queue));
}
