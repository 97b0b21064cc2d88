// SPDX-License-Identifier: Apache-2.0
// Any instructions that pass the check, over a packet, with maps and helpers at hand: whatever they
// do ends in a verdict, and the sanitizers see no access outside what is theirs.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/image.h"
#include "engine/bare.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/space.h"

#define BUDGET 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct space *space, struct packet_memory *memory, struct generation *generation)
{
	const struct engine_options options = {.fixed_ns = 1, .random = 1};
	struct engine *engine;
	struct packet packet;
	struct verdict verdict;
	if (engine_new(space, &options, &engine, NULL))
		abort();
	if (frames_take(memory, &packet, 1) != 1)
		abort();
	packet.end = (uint16_t)(packet.data + 64);
	for (int i = 0; i < 2; i++)
		engine_run(engine, generation, &packet, &verdict, 1);
	frames_give(memory, &packet, 1);
	engine_free(&engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct image_map maps[] = {
	        {.name = "hash",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 16,
	                .max_entries = 4,
	                .inner = IMAGE_NONE},
	        {.name = "array",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 16,
	                .max_entries = 1,
	                .inner = IMAGE_NONE},
	        {.name = "ring",
	                .type = BPF_MAP_TYPE_RINGBUF,
	                .max_entries = 4096,
	                .inner = IMAGE_NONE},
	        {.name = "programs",
	                .type = BPF_MAP_TYPE_PROG_ARRAY,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 2,
	                .inner = IMAGE_NONE},
	        {.name = "ports",
	                .type = BPF_MAP_TYPE_DEVMAP,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 4,
	                .inner = IMAGE_NONE},
	};
	const struct generation_options options = {
	        .id = 1, .engine_count = 1, .ports = 3, .budget = BUDGET};
	struct space *space;
	struct packet_memory *memory;
	struct image *image;
	struct generation *generation;
	struct bpf_insn insns[512];
	uint32_t count = (uint32_t)(size / sizeof(insns[0]));
	if (!count || count > 512)
		return 0;
	memcpy(insns, data, count * sizeof(insns[0]));
	if (bare_image(insns, count, maps, 5, &image, NULL))
		return 0;
	if (space_new(&space, NULL) || packet_memory_new(space, 1, &memory, NULL))
		abort();
	if (!generation_new(space, image, &options, &generation, NULL)) {
		run(space, memory, generation);
		generation_free(&generation);
	}
	packet_memory_free(&memory);
	space_free(&space);
	return 0;
}
