// SPDX-License-Identifier: Apache-2.0
// Banks and generations, on the control thread: load writes the idle bank, swap selects it, and
// what no port selects any more is retired. Retired slots keep their counters until SLOTS_KEPT
// newer ones have retired; their generation (programs, maps) stays as long as it is the last that
// retired on one of its ports.
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/soft/soft.h"
#include "map/map.h"

struct slot *slot_find(struct soft_card *card, uint64_t id)
{
	for (struct slot *slot = card->slots; slot; slot = slot->next)
		if (slot->id == id)
			return slot;
	return NULL;
}

struct slot *slot_new(struct soft_card *card, uint64_t id, uint64_t ports, struct error *err)
{
	struct slot *slot = calloc(1, sizeof(*slot));
	bool failed = !slot;
	if (slot) {
		slot->id = id;
		slot->ports = ports;
	}
	for (uint32_t i = 0; !failed && i < card->port_count; i++) {
		uint8_t number = card->ports[i].number;
		if (ports >> number & 1)
			failed = !(slot->counters[number] = port_counters_new());
	}
	if (!failed)
		return slot;
	slot_free(&slot);
	error_set(err, ENOMEM, "no memory for a generation's counters");
	return NULL;
}

void slot_free(struct slot **slot)
{
	if (!*slot)
		return;
	generation_free(&(*slot)->generation);
	for (uint32_t i = 0; i < PORTS_MAX; i++)
		free((*slot)->counters[i]);
	free((*slot)->faults);
	free(*slot);
	*slot = NULL;
}

// Takes the slot out of the list, its counters into those of the ports' past, and frees it.
static void slot_drop(struct soft_card *card, struct slot *slot)
{
	for (struct slot **at = &card->slots; *at; at = &(*at)->next)
		if (*at == slot) {
			*at = slot->next;
			break;
		}
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		if (slot->counters[port->number])
			port_counters_sum(slot->counters[port->number], &port->past);
		if (port->idle == slot)
			port->idle = NULL;
		if (port->retired == slot)
			port->retired = NULL;
	}
	slot_free(&slot);
}

// Forgets what an earlier load put into the idle bank. Where it runs on other ports it stays.
static void bank_clear(struct soft_card *card, struct soft_port *port)
{
	if (port->idle && port->idle->state == SLOT_IDLE)
		slot_drop(card, port->idle); // no packet has met it
	port->idle = NULL;
}

static bool port_has_taken(struct soft_port *port)
{
	return atomic_load_explicit(&port->taken, memory_order_acquire) ==
	       atomic_load_explicit(&port->select, memory_order_relaxed);
}

// No worker runs it or ever will, and all departures that it queued have left.
static bool slot_is_quiet(struct soft_card *card, struct slot *slot)
{
	uint64_t queued = 0, left = 0;
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		struct port_counters *counters = slot->counters[port->number];
		if (!counters)
			continue;
		if (port->active == slot || !port_has_taken(port))
			return false;
		left += atomic_load_explicit(&counters->tx_packets, memory_order_acquire);
		left += atomic_load_explicit(&counters->tx_dropped, memory_order_acquire);
	}
	for (uint32_t i = 0; i < card->port_count; i++)
		if (slot->counters[card->ports[i].number])
			queued += counter_get(&slot->counters[card->ports[i].number]->queued);
	return queued == left;
}

// Frees programs and maps; faults are put into words while the image still stands.
static void slot_empty(struct soft_card *card, struct slot *slot)
{
	const struct image *image = generation_image(slot->generation);
	struct card_fault faults[CARD_FAULTS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < card->port_count; i++)
		if (slot->counters[card->ports[i].number])
			port_counters_faults(
			        slot->counters[card->ports[i].number], image, faults, &count);
	if (count && (slot->faults = malloc(count * sizeof(faults[0])))) {
		memcpy(slot->faults, faults, count * sizeof(faults[0]));
		slot->fault_count = count;
	}
	generation_free(&slot->generation);
}

static bool is_last_retired(struct soft_card *card, struct slot *slot)
{
	for (uint32_t i = 0; i < card->port_count; i++)
		if (card->ports[i].retired == slot)
			return true;
	return false;
}

// Frees what retirement has made free by now.
static void sweep(struct soft_card *card)
{
	struct slot *next;
	for (struct slot *slot = card->slots; slot; slot = next) {
		next = slot->next;
		if (slot->state != SLOT_RETIRED)
			continue;
		bool is_old = slot->retired + SLOTS_KEPT < card->retired_count + 1;
		bool is_wanted = is_last_retired(card, slot);
		if ((is_wanted || !slot->generation) && !is_old)
			continue;
		if (!slot_is_quiet(card, slot))
			continue;
		if (is_old && !is_wanted)
			slot_drop(card, slot);
		else if (slot->generation && !is_wanted)
			slot_empty(card, slot);
	}
}

static void slot_retire(struct soft_card *card, struct slot *slot, uint64_t now_ns)
{
	slot->state = SLOT_RETIRED;
	slot->swapped_out_ns = now_ns;
	slot->retired = ++card->retired_count;
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		if (slot->ports >> port->number & 1)
			port->retired = slot;
		if (port->idle == slot)
			port->idle = NULL;
	}
}

// Waits until the workers of `ports` have answered the last swap: they do between two bursts.
static int ports_wait(struct soft_card *card, uint64_t ports, struct error *err)
{
	uint64_t deadline_ns = clock_ns() + SWAP_TIMEOUT_NS;
	uint32_t yields = 0, pause_ns = 20000;
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		while (ports >> port->number & 1 && !port_has_taken(port)) {
			if (clock_ns() > deadline_ns)
				return error_set(err, EBUSY,
				        "port %u has not come to the end of its burst within %u s; "
				        "its function may be very slow: try again, or give it a "
				        "smaller instruction budget",
				        port->number, (unsigned)(SWAP_TIMEOUT_NS / NS_PER_S));
			if (yields++ < 64) { // a burst takes microseconds
				sched_yield();
				continue;
			}
			struct timespec pause = {.tv_nsec = pause_ns};
			nanosleep(&pause, NULL);
			if (pause_ns < 1000000)
				pause_ns *= 2;
		}
	}
	return 0;
}

static int ports_check(struct soft_card *card, uint64_t ports, struct error *err)
{
	if (!ports)
		return error_set(err, EINVAL, "no port was named");
	uint64_t unknown = ports & ~card->port_mask;
	if (unknown)
		return error_set(err, ENODEV, "port %u: no such port; the card has ports 0 to %u",
		        (unsigned)__builtin_ctzll(unknown), card->port_count - 1);
	return 0;
}

static int image_copy(const struct image *image, struct image **copy, struct error *err)
{
	cleanup(buffer_free) struct buffer buffer = {0};
	image_encode(image, &buffer);
	if (buffer.failed)
		return error_set(err, ENOMEM, "no memory for a copy of the program image");
	return image_decode(buffer.data, buffer.size, copy, err);
}

static int generation_make(struct soft_card *card, struct slot *slot, const struct image *image,
        const struct card_load *load, struct error *err)
{
	struct image *copy;
	int rc = image_copy(image, &copy, err);
	if (rc)
		return rc;
	struct slot *old = card->ports[__builtin_ctzll(load->ports)].active;
	const struct generation_options options = {
	        .id = slot->id,
	        .engine_count = card->port_count,
	        .ports = load->ports,
	        .budget = load->budget,
	        .old = old->generation,
	        .carry_all = load->carry_all,
	        .carry = load->carry,
	        .carry_count = load->carry_count,
	};
	return generation_new(card->space, copy, &options, &slot->generation, err);
}

int soft_load(struct card *base, const struct image *image, const struct card_load *load,
        uint64_t *id, struct error *err)
{
	struct soft_card *card = soft_card_of(base);
	uint64_t begin_ns = clock_ns();
	sweep(card);
	int rc = ports_check(card, load->ports, err);
	if (!rc)
		rc = ports_wait(card, load->ports, err); // the idle bank may still be read
	if (rc)
		return rc;
	struct slot *slot = slot_new(card, card->next_id, load->ports, err);
	if (!slot)
		return -ENOMEM;
	rc = generation_make(card, slot, image, load, err);
	if (rc) {
		slot_free(&slot);
		return rc;
	}
	card->next_id++;
	slot->load_begin_ns = begin_ns;
	memcpy(slot->tag, load->tag, sizeof(slot->tag));
	slot->tag[sizeof(slot->tag) - 1] = '\0';
	const struct image *own = generation_image(slot->generation);
	memcpy(slot->name, own->programs[own->entry].name, sizeof(slot->name));
	slot->map_count = generation_map_count(slot->generation);
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		if (!(load->ports >> port->number & 1))
			continue;
		bank_clear(card, port);
		port->bank[~atomic_load_explicit(&port->select, memory_order_relaxed) & 1] = slot;
		port->idle = slot;
	}
	slot->next = card->slots;
	card->slots = slot;
	slot->load_end_ns = clock_ns();
	*id = slot->id;
	return 0;
}

int soft_unload(struct card *base, uint64_t id, struct error *err)
{
	struct soft_card *card = soft_card_of(base);
	struct slot *slot = slot_find(card, id);
	if (!slot || slot->state == SLOT_RETIRED)
		return error_set(
		        err, ENOENT, "generation %llu is not loaded", (unsigned long long)id);
	if (slot->state == SLOT_ACTIVE || slot == card->pass)
		return error_set(err, EBUSY,
		        "generation %llu is active: swap its ports to another one first",
		        (unsigned long long)id);
	slot_drop(card, slot);
	return 0;
}

// The arrival of the first packet of the new generation, once there was one.
static void receipt_complete(struct soft_card *card, struct receipt *receipt)
{
	for (uint32_t i = 0; i < receipt->port_count; i++) {
		struct receipt_port *part = &receipt->port[i];
		struct soft_port *port = &card->ports[part->port];
		if (!part->first_new_ns && port->receipt == receipt->sequence &&
		        port_has_taken(port))
			part->first_new_ns =
			        atomic_load_explicit(&port->first_ns, memory_order_relaxed);
	}
}

int soft_receipt(struct card *base, uint64_t sequence, struct receipt *receipt, struct error *err)
{
	struct soft_card *card = soft_card_of(base);
	struct receipt *kept = receipts_find(&card->receipts, sequence);
	if (!kept)
		return error_set(err, ENOENT,
		        "no receipt %llu: the newest is %llu, and the last %u are kept",
		        (unsigned long long)sequence, (unsigned long long)card->receipts.newest,
		        RECEIPTS_KEPT);
	receipt_complete(card, kept);
	receipt_copy(kept, receipt);
	return 0;
}

static void receipt_maps(struct receipt *receipt, const struct generation *generation)
{
	if (!generation)
		return;
	uint32_t count = generation_map_count(generation);
	for (uint32_t i = 0; i < count && receipt->map_count < IMAGE_MAPS_MAX; i++) {
		struct map *map = generation_map(generation, i);
		if (!map)
			continue;
		struct receipt_map *part = &receipt->map[receipt->map_count++];
		memcpy(part->name, generation_map_shape(generation, i)->name, sizeof(part->name));
		part->carried = generation_map_carried(generation, i);
		part->entries = map_count(map);
	}
}

// One port's part, from what its worker wrote down. `dropped`: what its driver had lost just before
// the swap. Returns the packets lost: by the driver since then, and between the driver and the
// engine.
static uint64_t receipt_fill(
        struct soft_card *card, struct receipt *receipt, struct soft_port *port, uint64_t dropped)
{
	const struct transition *transition = &port->transition;
	struct receipt_port *part = &receipt->port[receipt->port_count++];
	part->port = port->number;
	part->last_old_ns = transition->old_last_ns;
	part->gap_ns = transition->gap_ns;
	part->received_before = transition->before.rx_packets;
	part->received_after = transition->after.rx_packets;
	struct receipt *previous = receipts_find(&card->receipts, port->receipt);
	struct receipt_port *was =
	        port->receipt && previous ? receipt_port_of(previous, port->number) : NULL;
	if (was && !was->first_new_ns)
		was->first_new_ns = transition->old_first_ns;
	uint64_t received = part->received_after - part->received_before;
	uint64_t given = transition->given_after - transition->given_before;
	uint64_t lost = received > given ? received - given : 0;
	if (transition->after.rx_dropped > dropped)
		lost += transition->after.rx_dropped - dropped;
	return lost;
}

static int wait_until(uint64_t at_ns, struct error *err)
{
	uint64_t now_ns = clock_ns();
	if (at_ns > now_ns + NS_PER_S)
		return error_set(err, EINVAL,
		        "a swap can be set at most 1 s ahead, this one is %llu ms ahead",
		        (unsigned long long)((at_ns - now_ns) / NS_PER_MS));
	struct timespec at = {
	        .tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)};
	while (at_ns > now_ns &&
	        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
	return 0;
}

// Selects `slot` on those of `ports` that do not run it yet. Returns their mask.
static uint64_t select_banks(
        struct soft_card *card, struct slot *slot, uint64_t ports, uint64_t dropped[PORTS_MAX])
{
	uint64_t changed = 0;
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		if (!(ports >> port->number & 1) || port->active == slot)
			continue;
		struct port_stats stats;
		port_stats(port->port, &stats);
		dropped[port->number] = stats.rx_dropped;
		uint64_t select = atomic_load_explicit(&port->select, memory_order_relaxed);
		port->bank[~select & 1] = slot;
		changed |= 1ull << port->number;
	}
	// All stores together: nothing but them between the first port and the last.
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		if (!(changed >> port->number & 1))
			continue;
		uint64_t select = atomic_load_explicit(&port->select, memory_order_relaxed);
		atomic_store(&port->select, ((select >> 1) + 1) << 1 | (~select & 1));
	}
	for (uint32_t i = 0; i < card->worker_count; i++)
		worker_wake(&card->workers[i]);
	return changed;
}

// Notes who is active and idle now, and retires what is active nowhere.
static void settle(struct soft_card *card, struct slot *slot, uint64_t changed, uint64_t now_ns)
{
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		if (!(changed >> port->number & 1))
			continue;
		if (port->idle == slot)
			port->idle = NULL;
		bank_clear(card, port); // its bank was taken for the pass
		struct slot *old = port->active;
		port->active = slot;
		bool is_active = old == card->pass;
		for (uint32_t k = 0; k < card->port_count; k++)
			is_active |= card->ports[k].active == old;
		if (!is_active)
			slot_retire(card, old, now_ns);
	}
	if (slot->state != SLOT_ACTIVE)
		slot->swapped_in_ns = now_ns;
	slot->state = SLOT_ACTIVE;
}

static int swap_check(
        struct soft_card *card, struct slot *slot, uint64_t id, uint64_t *ports, struct error *err)
{
	if (!slot || slot->state == SLOT_RETIRED)
		return error_set(err, ENOENT,
		        "generation %llu is not loaded (never was, was replaced in its bank, or "
		        "has "
		        "been swapped out): load it again",
		        (unsigned long long)id);
	if (!*ports)
		*ports = slot->ports;
	int rc = ports_check(card, *ports, err);
	if (rc)
		return rc;
	uint64_t beyond = *ports & ~slot->ports;
	if (beyond)
		return error_set(err, EINVAL, "generation %llu was not loaded onto port %u",
		        (unsigned long long)id, (unsigned)__builtin_ctzll(beyond));
	return ports_wait(card, *ports, err);
}

int soft_swap(struct card *base, uint64_t id, uint64_t ports, uint64_t at_ns,
        struct receipt *receipt, struct error *err)
{
	struct soft_card *card = soft_card_of(base);
	struct slot *slot = slot_find(card, id);
	int rc = swap_check(card, slot, id, &ports, err);
	if (!rc)
		rc = wait_until(at_ns, err);
	if (rc)
		return rc;
	struct slot *old = card->ports[__builtin_ctzll(ports)].active;
	autofree struct receipt *now = calloc(1, sizeof(*now));
	if (!now)
		return error_set(err, ENOMEM, "no memory for a receipt");
	*now = (struct receipt){
	        .sequence = card->next_sequence++,
	        .old_generation = old->id,
	        .new_generation = id,
	        .load_begin_ns = slot->load_begin_ns,
	        .load_end_ns = slot->load_end_ns,
	        .ports = ports,
	};
	memcpy(now->old_tag, old->tag, sizeof(now->old_tag));
	memcpy(now->new_tag, slot->tag, sizeof(now->new_tag));
	uint64_t dropped[PORTS_MAX] = {0};
	now->wall_ns = clock_wall_ns();
	now->swap_ns = clock_ns();
	uint64_t changed = select_banks(card, slot, ports, dropped);
	rc = ports_wait(card, changed, err);
	now->done_ns = clock_ns();
	settle(card, slot, changed, now->swap_ns);
	for (uint32_t i = 0; !rc && i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		if (!(changed >> port->number & 1))
			continue;
		now->lost += receipt_fill(card, now, port, dropped[port->number]);
		port->receipt = now->sequence;
	}
	receipt_maps(now, slot->generation);
	receipt_complete(card, now);
	if (receipts_keep(&card->receipts, now) && !rc)
		rc = error_set(err, ENOMEM, "swapped, but no memory to keep the receipt");
	if (!rc)
		receipt_copy(now, receipt);
	sweep(card);
	return rc;
}
