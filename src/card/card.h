// SPDX-License-Identifier: Apache-2.0
// The card interface: what the agent can ask of a packet processor with ports. Two things implement
// it today: the soft card in its own process (soft/), and the client that speaks the card protocol
// to a process that holds one (client.c); one conformance suite runs on both.
//
// Each port has an active and an idle bank. card_load() makes a generation in the idle bank of its
// ports, card_swap() makes it active on all of them; each engine takes the new bank between two
// bursts. Ports that no generation was swapped onto run the built-in `pass` (verdict XDP_PASS).
// All calls but card_free() may come from one control thread only, and block for a short time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/image.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "port/port.h"

struct card;
struct error;
struct image;

#define CARD_TAG_MAX      64
#define CARD_FAULTS_MAX   32
#define CARD_LATENCY_BINS 256

// Latency histogram bins: log-linear, 8 a power of two; bin b covers [latency_bin_ns(b),
// latency_bin_ns(b+1)).
uint64_t latency_bin_ns(uint32_t bin);
uint32_t latency_bin_of(uint64_t ns);
// The q-quantile (0 to 1) of a histogram in ns, or 0 where it is empty.
uint64_t latency_quantile(const uint64_t bins[CARD_LATENCY_BINS], double q);

struct card_load {
	uint64_t ports;         // mask
	char tag[CARD_TAG_MAX]; // the agent's own name for it (run id); comes back in receipts and
	                        // states
	bool carry_all;
	const char *const *carry; // maps carried from what is active on the lowest port
	uint32_t carry_count;
	uint64_t budget; // 0 = default
};

// One map of a receipt.
struct receipt_map {
	char name[IMAGE_NAME_MAX];
	bool carried;
	uint32_t entries;
};

struct receipt_port {
	uint8_t port;
	uint64_t last_old_ns, first_new_ns; // arrival of the last packet of the old, first of the
	                                    // new; 0 = none yet
	uint64_t
	        gap_ns; // between the engine's last use of the old and first readiness with the new
	uint64_t received_before, received_after; // packets the port had received at the two ends
};

// What a swap did (design: the receipt). All times CLOCK_MONOTONIC ns, and wall for people.
struct receipt {
	uint64_t sequence;                       // of this card's life, from 1
	uint64_t old_generation, new_generation; // 0 = built-in pass
	char old_tag[CARD_TAG_MAX], new_tag[CARD_TAG_MAX];
	uint64_t load_begin_ns, load_end_ns, swap_ns, done_ns, wall_ns;
	uint64_t ports;
	uint64_t lost; // received by ports and neither given a verdict nor in flight, over the swap
	struct receipt_port port[PORTS_MAX];
	uint32_t port_count;
	uint32_t map_count; // before map, so that a short copy of a receipt may end behind its last
	                    // map
	struct receipt_map map[IMAGE_MAPS_MAX];
};

// What one port's engine did, for a generation or over the card's life.
struct card_counters {
	uint64_t packets, bytes;                       // given to the engine
	uint64_t verdict_packets[5], verdict_bytes[5]; // by enum xdp_action
	uint64_t faults[FAULT_COUNT];
	uint64_t tx_packets, tx_bytes; // sent by this port
	uint64_t tx_dropped;           // to this port, no room in its queue
	uint64_t instructions;
	uint64_t latency[CARD_LATENCY_BINS]; // arrival to departure, by departing port
};

struct card_fault {
	uint64_t count;
	uint8_t fault;
	char place[160]; // "ddos.c:31" or "ddos+12"
	char text[160];  // the source line, or the disassembled instruction
};

struct card_port {
	uint8_t number;
	char spec[128], description[160];
	uint64_t active, idle; // generation ids; 0 = pass / none
	uint8_t bank;          // which of the two memories is active: 0 or 1
	uint32_t r0;           // R0 of the last packet, as on the paper's card
	bool finished, up;
	struct port_stats stats;
	struct card_counters total; // over the card's life
};

struct card_info {
	char kind[16], version[32];
	uint64_t started_wall_ns;
	uint32_t port_count, worker_count;
	uint32_t pid;
};

struct card_generation {
	uint64_t id, ports;
	char tag[CARD_TAG_MAX], name[IMAGE_NAME_MAX];
	uint64_t swapped_in_ns, swapped_out_ns; // 0 = not yet
	bool active;
	uint32_t map_count;
};

// A map's shape, for people: image_map without its initial data.
struct card_map {
	uint32_t index;
	struct image_map shape;    // owns its layouts; free with card_map_free()
	uint32_t entries, io_size; // io_size: bytes of a value as read and written (all copies of
	                           // per-CPU types)
	uint64_t memory, lost;
};
void card_map_free(struct card_map *map);

struct card_entry {
	const void *key, *value; // key_size and io_size bytes
};

enum card_map_op { CARD_MAP_UPDATE, CARD_MAP_DELETE };

struct card_ops {
	void (*free)(struct card *card);
	int (*info)(struct card *card, struct card_info *info, struct error *err);
	// State and counters of each port; `max` places in `ports`; how many into *count.
	int (*ports)(struct card *card, struct card_port *ports, uint32_t max, uint32_t *count,
	        struct error *err);
	// Takes a copy of `image`. The generation's id into *id. A load onto ports whose idle bank
	// is in use by an earlier load replaces that. Errors: those of generation_new(); ENODEV no
	// such port.
	int (*load)(struct card *card, const struct image *image, const struct card_load *load,
	        uint64_t *id, struct error *err);
	// Swaps at monotonic instant `at_ns` (0 = now; waits until then, at most 1 s). id 0 = back
	// to pass on `ports`. Errors: ENOENT no such generation.
	int (*swap)(struct card *card, uint64_t id, uint64_t ports, uint64_t at_ns,
	        struct receipt *receipt, struct error *err);
	int (*unload)(struct card *card, uint64_t id,
	        struct error *err); // an idle one that is not wanted any more
	int (*generations)(struct card *card, struct card_generation *list, uint32_t max,
	        uint32_t *count, struct error *err);
	// A generation's counters a port (PORTS_MAX places) and its faults. Retired generations are
	// kept until 64 newer ones have retired (counters only; maps of the last retired on each
	// port stay readable too).
	int (*counters)(struct card *card, uint64_t id, struct card_counters counters[PORTS_MAX],
	        struct card_fault *faults, uint32_t *fault_count, struct error *err);
	int (*receipt)(struct card *card, uint64_t sequence, struct receipt *receipt,
	        struct error *err); // the last 256 are kept; 0 = newest
	int (*maps)(struct card *card, uint64_t id, struct card_map *maps, uint32_t max,
	        uint32_t *count, struct error *err);
	// Entries behind `after` (NULL: from the start) into `data`: packed key, value pairs.
	// *count entries.
	int (*map_dump)(struct card *card, uint64_t id, uint32_t map, const void *after, void *data,
	        uint32_t size, uint32_t *count, struct error *err);
	int (*map_lookup)(struct card *card, uint64_t id, uint32_t map, const void *key,
	        void *value, struct error *err);
	// Applies `count` entries; stops at the first failure, whose place goes into *done.
	int (*map_apply)(struct card *card, uint64_t id, uint32_t map, enum card_map_op op,
	        uint64_t flags, const struct card_entry *entries, uint32_t count, uint32_t *done,
	        struct error *err);
	int (*map_consume)(struct card *card, uint64_t id, uint32_t map, void *data, uint32_t size,
	        uint32_t *got, struct error *err); // ring buffer, perf
	// Text lines of bpf_trace_printk since the last call.
	int (*trace)(
	        struct card *card, char *text, uint32_t size, uint32_t *got, struct error *err);
};

// Any card: its ops stand first.
struct card {
	const struct card_ops *ops;
};

static inline void card_free(struct card **card)
{
	if (*card)
		(*card)->ops->free(*card);
	*card = NULL;
}

struct soft_card_options {
	const char *const *port_specs;
	uint32_t port_count;
	uint32_t worker_count; // 0 = one a CPU that we may use, at most one a port
	uint32_t frame_count;  // 0 = chosen from the ports
	bool busy_poll;        // never sleep
	bool pin;              // pin workers to CPUs
	enum engine_kind engine;
	// If not NULL: called once the ports are open and before the first worker starts, to drop
	// privileges; workers inherit what it leaves. Its error ends soft_card_new().
	int (*confine)(void *context, struct error *err);
	void *confine_context;
};
// The engines by the names that command lines use, `best`, `native` and `interpreter`. False where
// it is none of them.
bool engine_kind_of(const char *name, enum engine_kind *kind);
int soft_card_new(const struct soft_card_options *options, struct card **card, struct error *err);
// Connects to a card process (`path`: Unix socket) and agrees on the protocol's version.
int card_connect(const char *path, struct card **card, struct error *err);
// Serves `card` on a listening socket until *stop is not 0: what raio-card's main loop is. One
// client has control at a time; a new connection takes over from one that is dead.
int card_serve(struct card *card, int listen_fd, const volatile int *stop, struct error *err);
