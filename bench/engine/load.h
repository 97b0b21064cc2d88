// SPDX-License-Identifier: Apache-2.0
// What the engines are measured with: a function with its maps filled for a number of flows, and
// frames of these flows in random order. All packets come by port 0 and leave by port 1, as they do
// once stations are learnt, neighbours resolved and buckets made.
//
// Frames come in chunks. A chunk is written, then run through an engine in bursts, and only the
// latter is timed: what a chunk holds is in the second-level cache, as are a card's frames that
// another core or a NIC has just written, and its stores have left the store buffer. Frames are
// 2048 bytes apart, so that their packets would all share two sets of the first-level cache; each
// packet therefore begins 64 bytes further into its frame than the one before.
#pragma once

#include <stdint.h>

#include "engine/engine.h"
#include "flow.h"

struct error;
struct generation;
struct image;
struct packet_memory;
struct space;

#define LOAD_BURST     32u
#define LOAD_CHUNK     1024u
#define LOAD_PORTS     3ull // mask of the ports that the function owns
#define LOAD_FLOWS_MAX (1u << 20)

enum load_kind { LOAD_WIRE, LOAD_LSL2, LOAD_RIPV4, LOAD_DDOS };
extern const char *const load_names[]; // of the functions, by kind

struct load_prefix {
	uint32_t length, address; // address in network order, as struct prefix of ripv4
};

struct load {
	enum load_kind kind;
	uint32_t flow_count, entry_count; // tables hold at least 16 entries
	struct space *space;
	struct generation
	        *generation;   // one engine, number 0; all sides but the kernel share its maps
	struct flow *sequence; // flow_count of them, in the order in which packets come
	uint32_t next;         // of them
	struct load_prefix *prefixes; // ripv4: entry_count routes
	struct packet_memory *memory;
	struct packet packets[LOAD_CHUNK]; // as load_refill() left them
};

// `flow_count` is a power of two, at most LOAD_FLOWS_MAX. Errors: those of the object reader and of
// generation_new().
int load_new(enum load_kind kind, uint32_t flow_count, struct load **load, struct error *err);
void load_free(struct load **load);
// Writes the frames and descriptors of the next LOAD_CHUNK packets.
void load_refill(struct load *load);

// The path of build/functions/NAME.o into `path`. Returns `path`.
const char *load_object_path(enum load_kind kind, char path[4096]);
int load_image(enum load_kind kind, struct image **image, struct error *err);
// How many entries a map must have room for, where that may be more than the function asks for;
// else 0.
uint32_t load_map_entries(const struct load *load, const char *map);

// Hands `put` every entry that the function needs; stops with what it returns where that is not 0.
typedef int load_put(void *context, const char *map, const void *key, const void *value);
int load_fill(const struct load *load, load_put *put, void *context);
// Draws the routes of ripv4 into load->prefixes. Returns 0 or -ENOMEM.
int load_draw_prefixes(struct load *load, uint64_t *seed);
uint64_t load_random(uint64_t *seed);
