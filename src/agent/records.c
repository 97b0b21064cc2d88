// SPDX-License-Identifier: Apache-2.0
// The records that functions write to ring buffers and perf event arrays, as NDJSON. To read a
// record takes it away, so all who ask for one map share a reader: each record goes to all of them.
// A turn reads a bounded number; whoever has not got what it wanted gets it at the next tick. A
// stream that follows goes on over changes of the run's code, and ends with the run.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/maps.h"
#include "agent/queue.h"
#include "api/value.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "card/card.h"

#define TURN_RECORDS  1000u // of all streams: a record is a question to the card
#define TURN_LEAST    8u
#define TURN_BYTES    (128u << 10)
#define RECORD_MAX    (64u << 10) // bytes of one that are shown
#define COUNT_DEFAULT 10000

struct record_stream {
	struct agent *agent;
	struct request *request;
	struct record_stream *next;
	uint64_t run, generation;
	struct target target; // of that generation; its run is not kept
	uint64_t left;        // records that it still wants
	bool follows, is_over, is_served;
};

static void stream_gone(void *context)
{
	struct record_stream *stream = context;
	struct record_stream **at = &stream->agent->records;
	while (*at && *at != stream)
		at = &(*at)->next;
	if (*at)
		*at = stream->next;
	target_free(&stream->target);
	free(stream);
}

static void end(struct record_stream *stream)
{
	stream->is_over = true;
	request_end(stream->request);
}

static bool shares(const struct record_stream *a, const struct record_stream *b)
{
	return !a->is_over && a->generation == b->generation &&
	       a->target.map->index == b->target.map->index;
}

static json_t *record_json(const struct record_stream *stream, const void *data, uint32_t size)
{
	static const struct image_layout bytes = {0};
	const struct image_map *shape = &stream->target.map->shape;
	uint32_t shown = size < RECORD_MAX ? size : RECORD_MAX;
	cleanup(buffer_free) struct buffer text = {0};
	char time[CLOCK_TEXT_SIZE], run[32];
	snprintf(run, sizeof(run), "r%llu", (unsigned long long)stream->run);
	value_format(size == shape->value_size ? &shape->value : &bytes, shown, 0, data, &text);
	return json_pack("{s:s,s:s,s:I,s:o}", "time", clock_rfc3339(clock_wall_ns(), time), "run",
	        run, "size", (json_int_t)size, "value",
	        json_stringn((const char *)text.data, text.size));
}

// Hands a record to all who share `first`'s map. Whether any of them wants more.
static bool hand_out(const struct record_stream *first, const void *data, uint32_t size)
{
	bool is_wanted = false;
	json_t *json = record_json(first, data, size);
	for (struct record_stream *at = first->agent->records; at; at = at->next) {
		if (at != first && !shares(at, first))
			continue;
		if (json && at->left) {
			request_write_json(at->request, json_incref(json));
			at->left--;
		}
		is_wanted |= at->left != 0;
	}
	json_decref(json);
	return is_wanted;
}

// The run's code has changed: go on with the map of that name in its new generation.
static void move_on(struct record_stream *stream, const struct run *run)
{
	struct target target = {0};
	if (target_look(stream->agent, run, stream->target.map->shape.name, &target, NULL))
		return; // at the next tick
	if (!target.map || target.map->shape.type != stream->target.map->shape.type) {
		end(stream);
		return;
	}
	target_free(&stream->target);
	stream->target = target;
	stream->target.run = NULL;
	stream->generation = run->generation;
}

// What becomes of a stream behind a turn, in which its map ran empty or did not.
static void settle(struct record_stream *stream, const struct run *run, bool is_empty)
{
	stream->is_served = true;
	if (!stream->left || (is_empty && (!stream->follows || !run)))
		end(stream);
	else if (is_empty && run->generation && run->generation != stream->generation)
		move_on(stream, run);
}

static const struct run *run_of(const struct agent *agent, uint64_t id)
{
	const struct run *run = queue_runs(agent->queue);
	while (run && run->id != id)
		run = run->next;
	return run;
}

// A turn for `first` and those who share its map.
static void serve(struct agent *agent, struct record_stream *first, uint8_t *data, uint32_t records)
{
	const struct run *run = run_of(agent, first->run);
	uint64_t generation = first->generation;
	uint32_t index = first->target.map->index, bytes = 0, got;
	bool is_empty = false, is_wanted = true;
	for (uint32_t i = 0; i < records && bytes < TURN_BYTES && is_wanted; i++) {
		struct error err = {0};
		is_empty = agent->card->ops->map_consume(
		                   agent->card, generation, index, data, RECORD_MAX, &got, &err) ||
		           !got;
		if (is_empty)
			break;
		is_wanted = hand_out(first, data, got);
		bytes += got;
	}
	for (struct record_stream *at = agent->records; at; at = at->next)
		if (!at->is_served && !at->is_over && at->generation == generation &&
		        at->target.map->index == index)
			settle(at, run, is_empty);
}

void records_tick(struct agent *agent)
{
	if (!agent->card || !agent->records)
		return;
	autofree uint8_t *data = malloc(RECORD_MAX);
	uint32_t count = 0;
	for (struct record_stream *at = agent->records; at; at = at->next, count++)
		at->is_served = false;
	uint32_t share = TURN_RECORDS / count > TURN_LEAST ? TURN_RECORDS / count : TURN_LEAST;
	for (struct record_stream *at = agent->records; at && data; at = at->next)
		if (!at->is_served && !at->is_over)
			serve(agent, at, data, share);
}

void handle_map_events(struct agent *agent, struct request *request)
{
	cleanup(target_free) struct target target = {0};
	bool follows = request_flag(request, "follow");
	int64_t count = request_number(
	        request, "count", follows ? INT64_MAX - 1 : COUNT_DEFAULT, INT64_MAX);
	if (count < 1) {
		request_error(request, STATUS_INVALID, NULL, "count must be a number of records");
		return;
	}
	if (!target_find(agent, request, &target))
		return;
	if (!map_holds_records(target.map)) {
		request_error(request, STATUS_INVALID, "raio map show prints its entries",
		        "%s holds entries, not records", target.map->shape.name);
		return;
	}
	struct record_stream *stream = calloc(1, sizeof(*stream));
	if (!stream) {
		request_error(request, STATUS_INTERNAL, NULL, "no memory for the stream");
		return;
	}
	*stream = (struct record_stream){.agent = agent,
	        .request = request,
	        .next = agent->records,
	        .run = target.run->id,
	        .generation = target.run->generation,
	        .target = target,
	        .left = (uint64_t)count,
	        .follows = follows};
	stream->target.run = NULL;
	target = (struct target){0};
	agent->records = stream;
	if (!request_stream(request, "application/x-ndjson", stream_gone, stream))
		stream_gone(stream);
	else
		records_tick(agent);
}
