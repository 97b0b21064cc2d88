// SPDX-License-Identifier: Apache-2.0
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/space.h"
#include "map/map.h"

#define TABLE_MIN 16u

const char *const load_names[] = {"wire", "lsl2", "ripv4", "ddos"};

const char *load_object_path(enum load_kind kind, char path[4096])
{
	snprintf(path, 4096, "%s/functions/%s.o", BENCH_BUILD, load_names[kind]);
	return path;
}

int load_image(enum load_kind kind, struct image **image, struct error *err)
{
	char path[4096];
	autofree uint8_t *data = NULL;
	size_t size;
	int rc = file_read(load_object_path(kind, path), OBJECT_SIZE_MAX, &data, &size, err);
	return rc ? rc : object_read(data, size, NULL, NULL, 0, image, err);
}

// Flow i goes to an entry of its own, or where an entry has two ends (stations), from one that is
// its own among the even ones to one among the odd ones that it seems to have chosen at random.
static void draw_sequence(struct load *load, uint64_t *seed)
{
	for (uint32_t i = 0; i < load->flow_count; i++) {
		struct flow *flow = &load->sequence[i];
		uint32_t random = (uint32_t)load_random(seed);
		const struct load_prefix *prefix = load->prefixes ? &load->prefixes[i] : NULL;
		switch (load->kind) {
		case LOAD_WIRE:
		case LOAD_LSL2:
			flow->from = 2 * i % load->entry_count;
			flow->to = (2 * random + 1) % load->entry_count;
			break;
		case LOAD_RIPV4:
			flow->from = htobe32(0x0a000001);
			flow->to = prefix->address |
			           htobe32(random & ((1ull << (32 - prefix->length)) - 1));
			break;
		case LOAD_DDOS:
			flow->from = htobe32(0x0b000000u + i);
			flow->to = htobe32(0x0a000002);
			break;
		}
	}
	for (uint32_t i = load->flow_count; i > 1; i--) { // Fisher and Yates
		struct flow *a = &load->sequence[i - 1],
		            *b = &load->sequence[load_random(seed) % i];
		struct flow kept = *a;
		*a = *b;
		*b = kept;
	}
}

static int put(void *context, const char *name, const void *key, const void *value)
{
	const struct generation *generation = context;
	for (uint32_t i = 0; i < generation_map_count(generation); i++)
		if (strcmp(generation_map_shape(generation, i)->name, name) == 0)
			return map_write(generation_map(generation, i), key, value, BPF_ANY);
	return -ENOENT;
}

static int make_generation(struct load *load, struct error *err)
{
	struct image *image;
	const struct generation_options options = {.id = 1, .engine_count = 1, .ports = LOAD_PORTS};
	int rc = load_image(load->kind, &image, err);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < image->map_count; i++) {
		uint32_t entries = load_map_entries(load, image->maps[i].name);
		if (entries > image->maps[i].max_entries)
			image->maps[i].max_entries = entries;
	}
	rc = generation_new(load->space, image, &options, &load->generation, err);
	if (rc)
		return rc;
	rc = load_fill(load, put, load->generation);
	return rc ? error_set(err, -rc, "cannot fill the maps of %s: %s", load_names[load->kind],
	                    strerror(-rc))
	          : 0;
}

int load_new(enum load_kind kind, uint32_t flow_count, struct load **load, struct error *err)
{
	cleanup(load_free) struct load *new = calloc(1, sizeof(*new));
	uint64_t seed = 1;
	if (!new)
		return error_set(err, ENOMEM, "out of memory for a load");
	new->kind = kind;
	new->flow_count = flow_count;
	new->entry_count = flow_count < TABLE_MIN ? TABLE_MIN : flow_count;
	new->sequence = calloc(flow_count, sizeof(*new->sequence));
	if (!new->sequence || (kind == LOAD_RIPV4 && load_draw_prefixes(new, &seed)))
		return error_set(err, ENOMEM, "out of memory for %u flows", flow_count);
	draw_sequence(new, &seed);
	int rc = space_new(&new->space, err);
	rc = rc ? rc : packet_memory_new(new->space, LOAD_CHUNK, &new->memory, err);
	rc = rc ? rc : make_generation(new, err);
	if (!rc)
		*load = TAKE_PTR(new);
	return rc;
}

void load_free(struct load **load)
{
	struct load *it = *load;
	if (!it)
		return;
	generation_free(&it->generation);
	if (it->memory)
		packet_memory_free(&it->memory);
	if (it->space)
		space_free(&it->space);
	free(it->prefixes);
	free(it->sequence);
	free(it);
	*load = NULL;
}

void load_refill(struct load *load)
{
	uint8_t *base = space_base(load->space);
	uint32_t first = packet_memory_address(load->memory);
	uint64_t now_ns = clock_ns();
	for (uint32_t i = 0; i < LOAD_CHUNK; i++) {
		uint16_t data = (uint16_t)(FRAME_HEADROOM + i % 25 * 64);
		struct packet *packet = &load->packets[i];
		const struct flow *flow = &load->sequence[load->next++ % load->flow_count];
		*packet = (struct packet){.frame = first + i * FRAME_SIZE,
		        .data = data,
		        .end = (uint16_t)(data + FLOW_SIZE),
		        .meta = data,
		        .arrival_ns = now_ns};
		uint8_t *frame = packet_data(base, packet);
		if (load->kind == LOAD_LSL2)
			flow_write_stations(frame, flow);
		else
			flow_write_addresses(frame, flow);
	}
}
