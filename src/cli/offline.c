// SPDX-License-Identifier: Apache-2.0
#include "cli/offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/image.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/space.h"

#define FRAMES 64u
#define SEED   0x7261696full // of bpf_get_prandom_u32

struct offline {
	struct space *space;
	struct packet_memory *memory;
	struct generation *generation;
	struct engine *engine;
};

void offline_free(struct offline **offline)
{
	struct offline *old = *offline;
	if (!old)
		return;
	engine_free(&old->engine);
	generation_free(&old->generation);
	packet_memory_free(&old->memory);
	space_free(&old->space);
	free(old);
	*offline = NULL;
}

int offline_new(struct image *image, const struct offline_options *options,
        struct offline **offline, struct error *err)
{
	const struct generation_options generation = {
	        .id = 1,
	        .engine_count = 1,
	        .ports = options->ports,
	        .budget = options->budget,
	};
	const struct engine_options engine = {
	        .fixed_ns = 1,
	        .random = SEED,
	        .trace = options->trace,
	        .trace_context = options->trace_context,
	};
	struct offline *new = calloc(1, sizeof(*new));
	int result = new ? space_new(&new->space, err) : error_set(err, ENOMEM, "out of memory");
	if (result < 0)
		image_free(&image);
	else
		result = generation_new(new->space, image, &generation, &new->generation, err);
	if (result == 0)
		result = packet_memory_new(new->space, FRAMES, &new->memory, err);
	if (result == 0)
		result = engine_new(new->space, &engine, &new->engine, err);
	if (result < 0) {
		if (new)
			offline_free(&new);
		return result;
	}
	*offline = new;
	return 0;
}

struct generation *offline_generation(const struct offline *offline)
{
	return offline->generation;
}

// Notes that packet `from` left by a port, or to the host.
static int leave(struct offline_result *result, const struct capture_packet *packet, size_t from)
{
	if (result->out.count == result->from_capacity) {
		size_t capacity = result->from_capacity ? result->from_capacity * 2 : 64;
		size_t *places = realloc(result->from, capacity * sizeof(*places));
		if (!places)
			return -ENOMEM;
		result->from = places;
		result->from_capacity = capacity;
	}
	result->from[result->out.count] = from;
	return capture_add(&result->out, packet);
}

static int run_one(struct offline *offline, const struct capture_packet *in, size_t number,
        struct offline_result *result)
{
	struct verdict *verdict = &result->verdicts[number];
	struct packet packet;
	uint8_t *base = space_base(offline->space);
	if (in->size > PACKET_MAX) {
		result->oversize++;
		*verdict = (struct verdict){.verdict = XDP_DROP, .result = XDP_DROP};
		return 0;
	}
	if (frames_take(offline->memory, &packet, 1) != 1)
		return -ENOMEM;
	packet.end = (uint16_t)(packet.data + in->size);
	packet.port = in->port;
	packet.arrival_ns = in->time_ns ? in->time_ns : 1;
	memcpy(packet_data(base, &packet), in->data, in->size);
	engine_clock(offline->engine, packet.arrival_ns);
	engine_run(offline->engine, offline->generation, &packet, verdict, 1);

	struct capture_packet out = {
	        .data = packet_data(base, &packet),
	        .size = packet_size(&packet),
	        .original_size = packet_size(&packet),
	        .time_ns = in->time_ns,
	        .port = in->port,
	        .is_host = verdict->verdict == XDP_PASS,
	};
	int status = 0;
	if (out.is_host)
		status = leave(result, &out, number);
	bool is_sent = verdict->verdict == XDP_TX || verdict->verdict == XDP_REDIRECT;
	for (unsigned port = 0; is_sent && port < PORTS_MAX && status == 0; port++) {
		if (!(verdict->ports >> port & 1))
			continue;
		out.port = (uint8_t)port;
		status = leave(result, &out, number);
	}
	frames_give(offline->memory, &packet, 1);
	return status;
}

int offline_run(struct offline *offline, const struct capture *in, struct offline_result *result,
        struct error *err)
{
	*result = (struct offline_result){.count = in->count};
	result->verdicts = calloc(in->count + 1, sizeof(*result->verdicts));
	int status = result->verdicts ? 0 : -ENOMEM;
	for (size_t i = 0; i < in->count && status == 0; i++)
		status = run_one(offline, &in->packets[i], i, result);
	if (status < 0) {
		offline_result_free(result);
		return error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

void offline_result_free(struct offline_result *result)
{
	free(result->verdicts);
	free(result->from);
	capture_free(&result->out);
	*result = (struct offline_result){0};
}
