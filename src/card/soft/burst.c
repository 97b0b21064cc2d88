// SPDX-License-Identifier: Apache-2.0
// The packet path: a burst from a port through the active generation's program to the ports that
// its verdicts name. No lock, no allocation, and no copy of a frame but for packets that leave by
// several ports. The clock is read once a burst, behind the engine: that instant is when its
// packets depart.
#include <string.h>

#include "base/clock.h"
#include "card/soft/soft.h"
#include "engine/space.h"

#define SLOW_TURN_NS   (1 * NS_PER_MS)   // a port's turn should be shorter
#define SLOW_INSN_NS   100u              // an instruction takes less, helpers on average too
#define HOLD_NS        (4 * NS_PER_MS)   // how long a full ring to another worker holds input back
#define BACKLOG_AGE_NS (100 * NS_PER_MS) // a backlog that does not move for so long is dropped

static const uint64_t tx_verdicts = 1u << XDP_TX | 1u << XDP_REDIRECT;

static void count_latency(
        struct port_counters *counters, uint64_t now_ns, uint64_t arrival_ns, uint32_t count)
{
	uint64_t ns = now_ns > arrival_ns ? now_ns - arrival_ns : 0;
	counter_add(&counters->latency[latency_bin_of(ns)], count);
}

// Counts packets that the driver of `out` took, as sent by `slot`. tx_packets last: once the
// control thread sees that all has left, it may free the slot.
static void count_sent(struct soft_port *out, struct slot *slot, const struct packet *packets,
        uint32_t count, uint64_t now_ns)
{
	if (!count)
		return;
	struct port_counters *counters = slot->counters[out->number];
	uint64_t bytes = 0, arrival_ns = packets[0].arrival_ns;
	uint32_t run = 0;
	for (uint32_t i = 0; i < count; i++, run++) {
		bytes += packet_size(&packets[i]);
		if (packets[i].arrival_ns == arrival_ns)
			continue;
		// Packets of one burst arrived at one instant: one bin for all of them.
		count_latency(counters, now_ns, arrival_ns, run);
		arrival_ns = packets[i].arrival_ns;
		run = 0;
	}
	count_latency(counters, now_ns, arrival_ns, run);
	counter_add(&counters->tx_bytes, bytes);
	uint64_t before = counter_get(&counters->tx_packets);
	atomic_store_explicit(&counters->tx_packets, before + count, memory_order_release);
}

static void count_unsent(struct soft_port *out, struct slot *slot, uint64_t count)
{
	atomic_fetch_add_explicit(
	        &slot->counters[out->number]->tx_dropped, count, memory_order_release);
}

static void backlog_put(struct worker *worker, struct soft_port *out, struct slot *slot,
        const struct packet *packets, uint32_t count)
{
	uint32_t room = BACKLOG_SIZE - (out->backlog_tail - out->backlog_head);
	uint32_t kept = count < room ? count : room;
	if (out->backlog_head == out->backlog_tail)
		out->backlog_moved_ns = worker->now_ns;
	for (uint32_t i = 0; i < kept; i++) {
		struct departure *entry = &out->backlog[out->backlog_tail++ % BACKLOG_SIZE];
		entry->packet = packets[i];
		entry->slot = slot;
	}
	if (kept == count)
		return;
	frames_give(worker->card->memory, packets + kept, count - kept);
	count_unsent(out, slot, count - kept);
}

// Sends departures of any generations by `out`. Returns how many the driver took.
static uint32_t send_departures(struct worker *worker, struct soft_port *out,
        const struct departure *departures, uint32_t count)
{
	struct packet run[BURST_MAX];
	uint32_t sent = 0;
	while (sent < count) {
		struct slot *slot = departures[sent].slot;
		uint32_t n = 0;
		while (n < BURST_MAX && sent + n < count && departures[sent + n].slot == slot) {
			run[n] = departures[sent + n].packet;
			n++;
		}
		uint32_t taken = port_transmit(out->port, run, n);
		count_sent(out, slot, run, taken, worker->now_ns);
		sent += taken;
		if (taken < n)
			break;
	}
	return sent;
}

void port_backlog_drop(struct worker *worker, struct soft_port *port)
{
	for (; port->backlog_head != port->backlog_tail; port->backlog_head++) {
		struct departure *entry = &port->backlog[port->backlog_head % BACKLOG_SIZE];
		frames_give(worker->card->memory, &entry->packet, 1);
		count_unsent(port, entry->slot, 1);
	}
}

// A port that is gone, or does not send for long, must not keep frames and a worker busy for ever.
static uint32_t backlog_age(struct worker *worker, struct soft_port *port, uint32_t sent)
{
	if (sent || port->backlog_head == port->backlog_tail)
		port->backlog_moved_ns = worker->now_ns;
	else if (worker->now_ns - port->backlog_moved_ns > BACKLOG_AGE_NS ||
	         atomic_load_explicit(&port->down, memory_order_relaxed))
		port_backlog_drop(worker, port);
	return sent;
}

uint32_t port_backlog_send(struct worker *worker, struct soft_port *out)
{
	uint32_t sent = 0;
	if (out->backlog_head == out->backlog_tail)
		return 0;
	worker->now_ns = clock_ns();
	while (out->backlog_head != out->backlog_tail) {
		uint32_t at = out->backlog_head % BACKLOG_SIZE;
		uint32_t n = out->backlog_tail - out->backlog_head;
		if (n > BACKLOG_SIZE - at)
			n = BACKLOG_SIZE - at;
		uint32_t taken = send_departures(worker, out, &out->backlog[at], n);
		out->backlog_head += taken;
		sent += taken;
		if (taken < n)
			break;
	}
	return backlog_age(worker, out, sent);
}

// Sends by a port of this worker, in order behind what waits there already.
static void port_send(struct worker *worker, struct soft_port *out, struct slot *slot,
        const struct packet *packets, uint32_t count)
{
	uint32_t sent = 0;
	if (out->backlog_head != out->backlog_tail)
		port_backlog_send(worker, out);
	if (out->backlog_head == out->backlog_tail) {
		sent = port_transmit(out->port, packets, count);
		count_sent(out, slot, packets, sent, worker->now_ns);
	}
	if (sent < count)
		backlog_put(worker, out, slot, packets + sent, count - sent);
}

static struct soft_port *port_of(struct soft_card *card, uint64_t bit)
{
	// Ports are numbered without gaps.
	return &card->ports[__builtin_ctzll(bit)];
}

// One packet to one port: into the port's group, or into the ring to its worker.
static void deliver(struct worker *worker, struct soft_port *out, struct slot *slot,
        const struct packet *packet)
{
	if (out->worker == worker) {
		out->group[out->group_count] = *packet;
		out->group[out->group_count++].out = out->number;
		worker->touched |= 1ull << out->number;
		return;
	}
	struct ring *ring = soft_ring(worker->card, worker->number, out->worker->number);
	struct packet leaving = *packet;
	leaving.out = out->number;
	if (!ring_push(ring, &leaving, slot)) {
		frames_give(worker->card->memory, packet, 1);
		count_unsent(out, slot, 1);
	}
}

// A copy of the packet in a frame of its own: the only copy that a card makes, for a packet that
// leaves by several ports. False when there is no frame.
static bool frame_copy(struct soft_card *card, const struct packet *packet, struct packet *copy)
{
	if (frames_take(card->memory, copy, 1) != 1)
		return false;
	uint32_t frame = copy->frame;
	uint8_t *base = space_base(card->space);
	*copy = *packet;
	copy->frame = frame;
	memcpy(base + frame + packet->meta, base + packet->frame + packet->meta,
	        packet->end - packet->meta);
	return true;
}

// Sends a packet by every port in `ports`. Returns the number of departures made.
static uint32_t forward(
        struct worker *worker, struct slot *slot, const struct packet *packet, uint64_t ports)
{
	ports &= worker->card->port_mask & slot->ports;
	if (!ports) { // a broadcast where no other port is
		worker->drops[worker->drop_count++] = *packet;
		return 0;
	}
	uint32_t count = 1;
	for (; ports & (ports - 1); ports &= ports - 1, count++) {
		struct soft_port *out = port_of(worker->card, ports);
		struct packet copy;
		if (frame_copy(worker->card, packet, &copy))
			deliver(worker, out, slot, &copy);
		else
			count_unsent(out, slot, 1);
	}
	deliver(worker, port_of(worker->card, ports), slot, packet);
	return count;
}

// Sends the groups that a burst made, shows other workers what is theirs, gives dropped frames
// back.
static void dispatch_flush(struct worker *worker, struct slot *slot)
{
	struct soft_card *card = worker->card;
	for (; worker->touched; worker->touched &= worker->touched - 1) {
		struct soft_port *out = port_of(card, worker->touched);
		port_send(worker, out, slot, out->group, out->group_count);
		out->group_count = 0;
	}
	for (uint32_t to = 0; to < card->worker_count; to++) {
		struct ring *ring = soft_ring(card, worker->number, to);
		if (ring && ring_publish(ring) && atomic_load(&card->workers[to].sleeping))
			worker_wake(&card->workers[to]);
	}
	if (worker->drop_count)
		frames_give(card->memory, worker->drops, worker->drop_count);
	worker->drop_count = 0;
}

// All packets of a burst to one port of this worker: the common case, without a look at each.
static bool dispatch_uniform(
        struct worker *worker, struct soft_port *port, struct slot *slot, uint32_t count)
{
	const struct verdict *verdicts = worker->verdicts;
	uint64_t ports = verdicts[0].ports & worker->card->port_mask & slot->ports;
	uint8_t verdict = verdicts[0].verdict;
	if (verdict > XDP_REDIRECT || !(tx_verdicts >> verdict & 1) || !ports ||
	        (ports & (ports - 1)))
		return false;
	struct soft_port *out = port_of(worker->card, ports);
	if (out->worker != worker)
		return false;
	for (uint32_t i = 1; i < count; i++)
		if (verdicts[i].verdict != verdict || verdicts[i].ports != verdicts[0].ports)
			return false;
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < count; i++)
		bytes += packet_size(&worker->packets[i]);
	struct port_counters *counters = slot->counters[port->number];
	counter_add(&counters->verdict_packets[verdict], count);
	counter_add(&counters->verdict_bytes[verdict], bytes);
	counter_add(&counters->queued, count);
	port_send(worker, out, slot, worker->packets, count);
	return true;
}

// Acts on each verdict of a burst.
static void dispatch(
        struct worker *worker, struct soft_port *port, struct slot *slot, uint32_t count)
{
	struct port_counters *counters = slot->counters[port->number];
	uint64_t by_verdict[5] = {0}, bytes[5] = {0}, queued = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct packet *packet = &worker->packets[i];
		const struct verdict *verdict = &worker->verdicts[i];
		uint8_t kind = verdict->verdict <= XDP_REDIRECT ? verdict->verdict : XDP_ABORTED;
		by_verdict[kind]++;
		bytes[kind] += packet_size(packet);
		if (kind == XDP_PASS) {
			port_to_host(port->port, packet);
		} else if (tx_verdicts >> kind & 1) {
			queued += forward(worker, slot, packet, verdict->ports);
		} else {
			worker->drops[worker->drop_count++] = *packet;
			if (kind == XDP_ABORTED)
				port_counters_fault(counters, verdict);
		}
	}
	for (uint32_t kind = 0; kind < 5; kind++) {
		if (!by_verdict[kind])
			continue;
		counter_add(&counters->verdict_packets[kind], by_verdict[kind]);
		counter_add(&counters->verdict_bytes[kind], bytes[kind]);
	}
	counter_add(&counters->queued, queued); // before they can be counted as sent
	dispatch_flush(worker, slot);
}

// The built-in pass: everything to the host.
static void pass_burst(struct soft_port *port, const struct packet *packets, uint32_t count,
        struct port_counters *counters, uint64_t bytes)
{
	for (uint32_t i = 0; i < count; i++)
		port_to_host(port->port, &packets[i]);
	counter_add(&counters->verdict_packets[XDP_PASS], count);
	counter_add(&counters->verdict_bytes[XDP_PASS], bytes);
	atomic_store_explicit(&port->r0, XDP_PASS, memory_order_relaxed);
}

// Keeps a slow function from taking its neighbours' time: after a turn that was long its port waits
// as long again, and brings fewer packets. A worker that was taken off its CPU meanwhile has not
// been slow: `instructions` bounds what the function can have taken.
static void pace(struct worker *worker, struct soft_port *port, uint32_t count, uint64_t begin_ns,
        uint64_t instructions)
{
	uint64_t took_ns = worker->now_ns > begin_ns ? worker->now_ns - begin_ns : 0;
	if (took_ns > instructions * SLOW_INSN_NS)
		took_ns = instructions * SLOW_INSN_NS;
	if (took_ns <= SLOW_TURN_NS) {
		if (port->burst_max < BURST_MAX)
			port->burst_max =
			        2 * port->burst_max < BURST_MAX ? 2 * port->burst_max : BURST_MAX;
		return;
	}
	uint64_t fitting = count * SLOW_TURN_NS / took_ns;
	port->burst_max = fitting ? (uint32_t)fitting : 1;
	if (worker->port_count > 1)
		port->not_before_ns = worker->now_ns + took_ns;
}

static void burst(struct worker *worker, struct soft_port *port, uint32_t count)
{
	struct slot *slot = port->slot;
	struct port_counters *counters = slot->counters[port->number];
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < count; i++)
		bytes += packet_size(&worker->packets[i]);
	if (!atomic_load_explicit(&port->first_ns, memory_order_relaxed))
		atomic_store_explicit(
		        &port->first_ns, worker->packets[0].arrival_ns, memory_order_relaxed);
	port->last_ns = worker->packets[count - 1].arrival_ns;
	counter_add(&counters->packets, count);
	counter_add(&counters->bytes, bytes);
	port->given += count;
	if (!slot->generation) {
		pass_burst(port, worker->packets, count, counters, bytes);
		worker->now_ns = port->ready_ns = clock_ns();
		return;
	}
	uint64_t begin_ns = worker->now_ns > worker->loop_ns ? worker->now_ns : worker->loop_ns;
	engine_run(port->engine, slot->generation, worker->packets, worker->verdicts, count);
	worker->now_ns = port->ready_ns = clock_ns();
	uint64_t instructions = engine_stats(port->engine)->instructions - port->instructions;
	port->instructions += instructions;
	counter_add(&counters->instructions, instructions);
	pace(worker, port, count, begin_ns, instructions);
	atomic_store_explicit(&port->r0, worker->verdicts[count - 1].result, memory_order_relaxed);
	if (!dispatch_uniform(worker, port, slot, count))
		dispatch(worker, port, slot, count);
}

// Takes the newly selected bank, between two bursts. The gap counts from when the engine was last
// ready with the old generation (ready_ns): the end of its last burst, the start of the loop in
// which the port had nothing, or the wake-up from sleep.
static void bank_take(struct soft_port *port, uint64_t select)
{
	struct transition *transition = &port->transition;
	transition->old_first_ns = atomic_load_explicit(&port->first_ns, memory_order_relaxed);
	transition->old_last_ns = port->last_ns;
	transition->given_before = port->given;
	port_stats(port->port, &transition->before);
	atomic_store_explicit(&port->first_ns, 0, memory_order_relaxed);
	port->last_ns = 0;
	port->selected = select;
	port->slot = port->bank[select & 1];
	uint64_t now_ns = clock_ns();
	transition->gap_ns = now_ns > port->ready_ns ? now_ns - port->ready_ns : 0;
}

// Whether other workers can take a burst from us. A worker that falls behind for a moment holds our
// input back, so that nothing is lost; one that falls behind for long does not.
static bool rings_have_room(struct worker *worker)
{
	struct soft_card *card = worker->card;
	for (uint32_t to = 0; to < card->worker_count; to++) {
		struct ring *ring = soft_ring(card, worker->number, to);
		if (!ring || ring_room(ring, BURST_MAX) >= BURST_MAX)
			continue;
		if (!worker->held_ns)
			worker->held_ns = worker->loop_ns;
		return worker->loop_ns - worker->held_ns > HOLD_NS;
	}
	worker->held_ns = 0;
	return true;
}

static uint32_t port_input(struct worker *worker, struct soft_port *port)
{
	uint32_t count = 0;
	if (port->not_before_ns <= worker->loop_ns && rings_have_room(worker))
		count = port_receive(port->port, worker->packets, port->burst_max);
	if (count) {
		burst(worker, port, count);
		return count;
	}
	port->ready_ns = worker->loop_ns;
	bool finished = port_finished(port->port);
	atomic_store_explicit(&port->finished, finished, memory_order_relaxed);
	if (finished && port->is_interface)
		atomic_store_explicit(&port->down, true, memory_order_relaxed);
	return 0;
}

uint32_t port_turn(struct worker *worker, struct soft_port *port)
{
	uint64_t select = atomic_load_explicit(&port->select, memory_order_acquire);
	bool changed = select != port->selected;
	if (changed)
		bank_take(port, select);
	uint32_t count = port_input(worker, port);
	if (changed) {
		port->transition.given_after = port->given;
		port_stats(port->port, &port->transition.after);
		atomic_store_explicit(&port->taken, select, memory_order_release);
	}
	return count;
}

// Sends runs of one generation to one port.
static void departures_send(struct worker *worker, struct departure *entries, uint32_t count)
{
	for (uint32_t done = 0; done < count;) {
		struct slot *slot = entries[done].slot;
		uint8_t out = entries[done].packet.out;
		struct soft_port *port = &worker->card->ports[out];
		uint32_t n = 0;
		while (done < count && entries[done].slot == slot &&
		        entries[done].packet.out == out)
			port->group[n++] = entries[done++].packet;
		port_send(worker, port, slot, port->group, n);
	}
}

uint32_t rings_drain(struct worker *worker)
{
	struct soft_card *card = worker->card;
	uint32_t moved = 0;
	for (uint32_t from = 0; from < card->worker_count; from++) {
		struct ring *ring = soft_ring(card, from, worker->number);
		uint32_t count = ring ? BURST_MAX : 0, here = 0;
		while (count && here < RING_SIZE) {
			struct departure *entries = ring_peek(ring, BURST_MAX, &count);
			if (!count)
				break;
			worker->now_ns = clock_ns();
			departures_send(worker, entries, count);
			ring_release(ring, count);
			here += count;
		}
		moved += here;
	}
	return moved;
}
