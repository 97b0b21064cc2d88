// SPDX-License-Identifier: Apache-2.0
// Private to the engine layer: what an engine holds while a packet is in it, and what a generation
// is linked into. Layout follows use: what every access reads stands first.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "ebpf/image.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/space.h"

#define CONTEXT_SIZE   32u // xdp_md, and the arrival stamp behind it
#define STACK_FRAME    512u
#define FRAMES_MAX     8u
#define TAIL_CALLS_MAX 33u
#define RESERVED_MAX   16u  // ring buffer records that one packet may hold at once
#define KEY_SLOT       512u // MAP_KEY_MAX
#define SCRATCH_SIZE   (66u * 1024u)

// What registers hold instead of host pointers: no address has bits above the 32nd.
#define HANDLE_MAP      (1ull << 48) // | index of the map
#define HANDLE_FUNCTION (2ull << 48) // | program << 32 | instruction

// A map's values as a window. Sorted by address in a generation.
struct window {
	uint32_t start, end;
	bool may_read, may_write;
	bool is_ring; // only records that this packet has reserved
	uint16_t map;
};

// A map, shared by the generations that carry it.
struct linked_map {
	struct map *map;
	struct space *space;
	uint32_t address; // of its area; 0 where it has none
	uint32_t size;
	uint32_t references;
	uint32_t type, key_size, value_size;
	bool may_read, may_write; // by programs
	uint64_t promised;        // memory of the space
};

struct program {
	struct bpf_insn *insns; // linked: handles, card addresses, places of helpers and kfuncs
	uint32_t insn_count;
	uint32_t cost; // what entering it is charged
};

struct native;

struct generation {
	struct space *space; // borrowed
	uint64_t id, ports, budget;
	struct image *image;
	struct program *programs;
	uint32_t program_count;
	struct linked_map **maps; // by index in the image; NULL for a template
	bool *carried;
	uint32_t map_count;
	struct window *windows;
	uint32_t window_count;
	bool is_bare;
	struct native *native; // its machine code; NULL: the interpreter runs it
};

// A call in flight: where it returns to, and what it may not change.
struct frame {
	const struct program *program;
	const struct bpf_insn *back;
	uint64_t saved[4]; // r6 to r9
};

struct reserved {
	uint32_t address, size;
	uint16_t map;
};

enum redirect_kind { REDIRECT_NONE, REDIRECT_PORT, REDIRECT_MANY, REDIRECT_HOST };

struct engine {
	uint8_t *base;
	uint64_t packet_start, packet_size; // [data, end)
	uint64_t packet_end;
	uint64_t stack_start, stack_size; // frames in use; the outermost is the highest
	uint64_t stack_dirty;             // nothing below it was written since it was zeroed
	uint64_t context;                 // window of CONTEXT_SIZE bytes
	uint64_t meta_start, meta_size;   // [meta, data)
	const struct window *window;      // the last one hit
	struct generation *generation;

	int64_t budget; // what is left
	const struct program *program;
	struct packet *packet; // NULL in engine_call()
	uint64_t stack_top;
	uint32_t exposed; // the frame's first byte that the program has seen
	uint32_t tail_calls;
	uint64_t depth; // frames in use, less one
	struct frame frames[FRAMES_MAX];

	// Set by whoever faults; the innermost interpreter adds the place.
	enum fault fault;
	uint64_t fault_address;
	const struct bpf_insn *fault_insn;
	const struct program *fault_program;
	const struct program *tail_target; // set by a tail call that goes through

	enum redirect_kind redirect;
	uint64_t redirect_ports; // mask
	uint64_t redirect_ifindex;
	uint32_t patience; // sleeps that may still be spent on locks in this burst
	uint64_t lock;     // card address of the spin lock that is held, or 0
	uint32_t reserved_count;
	struct reserved reserved[RESERVED_MAX];
	uint64_t memory_start, memory_size; // the block of engine_call()
	uint64_t keys;                      // window of FRAMES_MAX copies of keys, for callbacks
	uint32_t keys_used;

	struct engine_stats stats;
	bool is_native;
	uint64_t native_sp; // the machine's stack at the innermost way into emitted code
	uint64_t random;
	uint64_t cookie_keys[4]; // two, of SYN cookies; the same in all engines of a card
	struct space *space;     // borrowed
	struct engine_options options;
	uint8_t *scratch; // SCRATCH_SIZE, for helpers that put a record together
};

// Values of these types are places in tables of their image, which mean nothing to another, and
// which no program sees.
static inline bool map_holds_places(uint32_t type)
{
	return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	       type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

// The place of a map in registers back to the map, or NULL.
static inline struct linked_map *handle_map(const struct generation *generation, uint64_t handle)
{
	uint64_t index = handle - HANDLE_MAP;
	return index < generation->map_count ? generation->maps[index] : NULL;
}

static inline uint64_t handle_of_map(uint32_t index)
{
	return HANDLE_MAP | index;
}
