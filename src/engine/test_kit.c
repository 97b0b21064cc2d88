// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "ebpf/helper.h"
#include "engine/assembler.h"
#include "engine/bare.h"
#include "engine/test_kit.h"

static const struct engine_way *way; // of the group that runs; NULL: the interpreter

int kit_each_way(int (*run)(void))
{
	int failed = 0;
	for (uint32_t i = 0; engine_way(i); i++) {
		way = engine_way(i);
		print_message("engine: %s\n", way->name);
		failed += run();
	}
	return failed;
}

static void keep_line(void *context, const char *line)
{
	struct kit *kit = context;
	snprintf(kit->traced, sizeof(kit->traced), "%s", line);
}

void kit_new(struct kit *kit)
{
	if (!way)
		way = engine_way(0);
	*kit = (struct kit){.ports = 0xf,
	        .engine_count = 1,
	        .verify = way->verify,
	        .look_ahead = way->look_ahead};
	kit->options = (struct engine_options){.kind = way->kind,
	        .fixed_ns = 1000000000000ull,
	        .random = 7,
	        .trace = keep_line,
	        .trace_context = kit};
	assert_int_equal(space_new(&kit->space, NULL), 0);
	assert_int_equal(packet_memory_new(kit->space, 64, &kit->memory, NULL), 0);
	assert_int_equal(engine_new(kit->space, &kit->options, &kit->engine, NULL), 0);
}

void kit_free(struct kit *kit)
{
	if (kit->packet.frame)
		frames_give(kit->memory, &kit->packet, 1);
	generation_free(&kit->generation);
	engine_free(&kit->engine);
	packet_memory_free(&kit->memory);
	space_free(&kit->space);
}

uint32_t kit_map(struct kit *kit, uint32_t type, uint32_t key, uint32_t value, uint32_t entries)
{
	assert_true(kit->map_count < 8);
	struct image_map *map = &kit->maps[kit->map_count];
	*map = (struct image_map){.type = type,
	        .key_size = key,
	        .value_size = value,
	        .max_entries = entries,
	        .inner = IMAGE_NONE};
	snprintf(map->name, sizeof(map->name), "map_%u", kit->map_count);
	return kit->map_count++;
}

static void assemble_or_fail(const char *text, struct bpf_insn *insns, uint32_t *count)
{
	char wrong[256];
	int n = assemble(text, insns, wrong);
	if (n < 0)
		fail_msg("%s", wrong);
	*count = (uint32_t)n;
}

// Every kfunc that is offered: number N of a program is the table's N.
static void add_kfuncs(struct image *image)
{
	image->kfuncs = calloc(kfunc_count, sizeof(image->kfuncs[0]));
	assert_non_null(image->kfuncs);
	image->kfunc_count = kfunc_count;
	for (uint32_t i = 0; i < kfunc_count; i++)
		snprintf(image->kfuncs[i], sizeof(image->kfuncs[i]), "%s", kfunc_table[i].name);
}

void kit_load(struct kit *kit, const char *text, const char *second)
{
	static struct bpf_insn insns[ASSEMBLER_MAX];
	uint32_t count;
	struct image *image;
	struct error err = {0};
	generation_free(&kit->generation);
	assemble_or_fail(text, insns, &count);
	assert_int_equal(bare_image(insns, count, kit->maps, kit->map_count, &image, &err), 0);
	add_kfuncs(image);
	if (second) {
		assemble_or_fail(second, insns, &count);
		assert_int_equal(bare_add_program(image, insns, count, &err), 0);
	}
	const struct generation_options options = {.id = 1,
	        .engine_count = kit->engine_count,
	        .ports = kit->ports,
	        .budget = kit->budget,
	        .verify = kit->verify,
	        .look_ahead = kit->look_ahead};
	if (generation_new(kit->space, image, &options, &kit->generation, &err))
		fail_msg("%s", err.text);
}

struct verdict kit_run(struct kit *kit, uint32_t size)
{
	struct verdict verdict;
	if (!kit->packet.frame)
		assert_int_equal(frames_take(kit->memory, &kit->packet, 1), 1);
	kit->packet = (struct packet){.frame = kit->packet.frame,
	        .data = FRAME_HEADROOM,
	        .end = (uint16_t)(FRAME_HEADROOM + size),
	        .meta = FRAME_HEADROOM,
	        .port = 1,
	        .arrival_ns = 0x1122334455667788};
	for (uint32_t i = 0; i < size; i++)
		kit_bytes(kit)[i] = (uint8_t)i;
	engine_run(kit->engine, kit->generation, &kit->packet, &verdict, 1);
	return verdict;
}

struct verdict kit_try(struct kit *kit, const char *text)
{
	kit_load(kit, text, NULL);
	return kit_run(kit, 64);
}

uint8_t *kit_bytes(struct kit *kit)
{
	return packet_data(space_base(kit->space), &kit->packet);
}
