// SPDX-License-Identifier: Apache-2.0
// What the engine's tests share: a space, an engine and a generation around a program in assembler
// text.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "ebpf/image.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/space.h"
#include "engine/way.h"

// Runs a group of tests once each way (way.h); what kit_new() makes in it runs that way. Returns
// how many failed.
int kit_each_way(int (*run)(void));

struct kit {
	struct space *space;
	struct packet_memory *memory;
	struct engine *engine;
	struct generation *generation;
	struct image *image; // being put together; the generation takes it
	struct image_map maps[8];
	uint32_t map_count;
	uint32_t engine_count;
	uint64_t ports, budget;
	struct engine_options options;
	bool verify, look_ahead;
	struct packet packet;
	char traced[256];
};

// Four ports, one engine, clocks at 1000 s. kit_free() frees all.
void kit_new(struct kit *kit);
void kit_free(struct kit *kit);
// The index of a new map.
uint32_t kit_map(struct kit *kit, uint32_t type, uint32_t key, uint32_t value, uint32_t entries);
// Links `text` (and `second`, a program to tail-call, if not NULL); a generation from before is
// freed.
void kit_load(struct kit *kit, const char *text, const char *second);
// Runs what is loaded over a fresh packet of `size` bytes (byte i = i) that came by port 1; its
// descriptor stays in kit->packet, and its frame is readable until the next run.
struct verdict kit_run(struct kit *kit, uint32_t size);
// kit_load() and kit_run() over 64 bytes.
struct verdict kit_try(struct kit *kit, const char *text);
uint8_t *kit_bytes(struct kit *kit); // of the last packet
