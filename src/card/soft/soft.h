// SPDX-License-Identifier: Apache-2.0
// Inside the soft card: what its parts share.
//
// Threads: worker threads drive ports (worker.c, burst.c); the control thread does all else
// (card.c, bank.c, maps.c). Invariants:
// - A port belongs to one worker. Only that worker touches the port, its engine and its backlog.
// - A port's two banks are written by the control thread, and only while `taken == select`: the
// worker
//   has no look at the idle bank to come. A swap is the store of `select`, which the worker
//   loads once before each burst; `taken` is its answer.
// - A slot (a generation with its counters) is freed when no bank selects it, every worker of its
//   ports has taken what was selected after it, and as many departures have left as were queued.
// - A frame has one owner: a driver, a worker's burst, a ring entry, a backlog entry, or packet
// memory.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "card/card.h"
#include "card/soft/counters.h"
#include "card/soft/fib.h"
#include "card/soft/receipts.h"
#include "card/soft/ring.h"
#include "card/soft/trace.h"

#define BACKLOG_SIZE                                                                               \
	1024u // departures that wait for room in a port's transmit queue; a power of two
#define SLOTS_KEPT      64u // retired generations whose counters are kept
#define SWAP_TIMEOUT_NS (3 * NS_PER_S)

enum slot_state { SLOT_IDLE, SLOT_ACTIVE, SLOT_RETIRED };

struct slot {
	uint64_t id, ports;
	struct generation *generation;             // NULL: built-in pass, or freed after retirement
	struct port_counters *counters[PORTS_MAX]; // of its ports
	// The control thread's own.
	enum slot_state state;
	char tag[CARD_TAG_MAX], name[IMAGE_NAME_MAX];
	uint64_t load_begin_ns, load_end_ns, swapped_in_ns, swapped_out_ns, retired;
	uint32_t map_count;
	struct card_fault *faults; // as they were when the generation was freed
	uint32_t fault_count;
	struct slot *next;
};

// What the worker wrote down when it took a selected bank.
struct transition {
	uint64_t old_first_ns, old_last_ns; // arrivals under the old generation
	uint64_t gap_ns;
	struct port_stats before,
	        after; // of the driver: before the change, after the first turn with the new
	uint64_t given_before, given_after; // packets given to the engine
};

struct soft_port {
	// Set before the workers start.
	struct port *port;
	uint8_t number;
	struct worker *worker;
	struct engine *engine;
	bool is_interface; // has descriptors to wait for: when its input ends, it is gone
	char description[160];
	// Shared.
	struct slot *bank[2];
	_Alignas(64) _Atomic uint64_t select; // sequence << 1 | bank
	_Alignas(64) _Atomic uint64_t taken;
	struct transition transition; // valid while taken == select
	_Atomic uint64_t first_ns;    // arrival of the first packet under `taken`
	_Atomic uint32_t r0;
	_Atomic bool finished, down;
	// The worker's own.
	_Alignas(64) struct slot *slot;
	uint64_t selected, ready_ns, last_ns, given, instructions;
	uint64_t not_before_ns, backlog_moved_ns; // its next turn; when its backlog last moved
	uint32_t burst_max;
	uint32_t group_count, backlog_head, backlog_tail;
	struct packet group[BURST_MAX];
	struct departure backlog[BACKLOG_SIZE];
	// The control thread's own.
	struct slot *active, *idle, *retired; // retired: the last one on this port
	uint64_t receipt;                     // sequence of the last swap here
	struct card_counters past;            // of slots that were freed
};

struct worker {
	struct soft_card *card;
	uint32_t number;
	pthread_t thread;
	bool started;
	int wake_fd;
	struct soft_port *ports[PORTS_MAX];
	uint32_t port_count;
	_Alignas(64) _Atomic bool sleeping;
	_Atomic bool drained; // stopping: nothing left here
	// Its own.
	_Alignas(64) uint64_t loop_ns, now_ns;
	uint64_t held_ns; // since when a full ring to another worker holds our input back; 0 = it
	                  // does not
	uint64_t touched; // ports of this worker with packets in their group
	struct packet packets[BURST_MAX], drops[BURST_MAX];
	struct verdict verdicts[BURST_MAX];
	uint32_t drop_count;
	struct trace trace;
};

struct soft_card {
	struct card card;
	struct space *space;
	struct packet_memory *memory;
	struct soft_port *ports; // port_count, in the order of their numbers
	uint32_t port_count;
	uint64_t port_mask;
	struct worker *workers;
	uint32_t worker_count;
	struct ring **rings; // from * worker_count + to; NULL on the diagonal
	struct fib *fib;     // NULL: no port is an interface
	bool busy_poll, pin;
	enum engine_kind kind;
	_Atomic uint32_t stop; // 1: receive no more and drain; 2: end
	// The control thread's own.
	uint64_t started_wall_ns, next_id, next_sequence, retired_count;
	struct slot *slots; // all, newest first; the built-in pass (id 0) is among them
	struct slot *pass;
	struct receipts receipts;
};

static inline struct soft_card *soft_card_of(struct card *card)
{
	return (struct soft_card *)card;
}

static inline struct ring *soft_ring(struct soft_card *card, uint32_t from, uint32_t to)
{
	return card->rings[from * card->worker_count + to];
}

// worker.c
int worker_start(struct worker *worker, struct error *err);
void worker_wake(struct worker *worker);
// burst.c: called by worker.c, on the port's thread. Each returns how many packets it moved.
uint32_t port_turn(struct worker *worker, struct soft_port *port);
uint32_t port_backlog_send(struct worker *worker, struct soft_port *port);
uint32_t rings_drain(struct worker *worker);
void port_backlog_drop(struct worker *worker, struct soft_port *port);
// bank.c
int soft_load(struct card *card, const struct image *image, const struct card_load *load,
        uint64_t *id, struct error *err);
int soft_swap(struct card *card, uint64_t id, uint64_t ports, uint64_t at_ns,
        struct receipt *receipt, struct error *err);
int soft_unload(struct card *card, uint64_t id, struct error *err);
int soft_receipt(struct card *card, uint64_t sequence, struct receipt *receipt, struct error *err);
struct slot *slot_find(struct soft_card *card, uint64_t id);
struct slot *slot_new(struct soft_card *card, uint64_t id, uint64_t ports, struct error *err);
void slot_free(struct slot **slot);
// maps.c
int soft_maps(struct card *card, uint64_t id, struct card_map *maps, uint32_t max, uint32_t *count,
        struct error *err);
int soft_map_dump(struct card *card, uint64_t id, uint32_t map, const void *after, void *data,
        uint32_t size, uint32_t *count, struct error *err);
int soft_map_lookup(struct card *card, uint64_t id, uint32_t map, const void *key, void *value,
        struct error *err);
int soft_map_apply(struct card *card, uint64_t id, uint32_t map, enum card_map_op op,
        uint64_t flags, const struct card_entry *entries, uint32_t count, uint32_t *done,
        struct error *err);
int soft_map_consume(struct card *card, uint64_t id, uint32_t map, void *data, uint32_t size,
        uint32_t *got, struct error *err);
