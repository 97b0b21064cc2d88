// SPDX-License-Identifier: Apache-2.0
// The soft card: making it, ending it, and what one reads from it.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "card/soft/soft.h"
#include "engine/space.h"

#define FRAMES_A_PORT 2048u
#define DRAIN_NS      (200 * NS_PER_MS) // how long the end waits for packets on their way

static int soft_info(struct card *base, struct card_info *info, struct error *err)
{
	(void)err;
	struct soft_card *card = soft_card_of(base);
	*info = (struct card_info){
	        .kind = "soft",
	        .version = RAIO_VERSION,
	        .started_wall_ns = card->started_wall_ns,
	        .port_count = card->port_count,
	        .worker_count = card->worker_count,
	        .pid = (uint32_t)getpid(),
	};
	return 0;
}

static int soft_ports(struct card *base, struct card_port *ports, uint32_t max, uint32_t *count,
        struct error *err)
{
	(void)err;
	struct soft_card *card = soft_card_of(base);
	uint32_t n = card->port_count < max ? card->port_count : max;
	for (uint32_t i = 0; i < n; i++) {
		struct soft_port *port = &card->ports[i];
		struct card_port *out = &ports[i];
		*out = (struct card_port){
		        .number = port->number,
		        .active = port->active->id,
		        .idle = port->idle ? port->idle->id : 0,
		        .bank = atomic_load_explicit(&port->select, memory_order_relaxed) & 1,
		        .r0 = atomic_load_explicit(&port->r0, memory_order_relaxed),
		        .finished = atomic_load_explicit(&port->finished, memory_order_relaxed),
		        .up = !atomic_load_explicit(&port->down, memory_order_relaxed),
		        .total = port->past,
		};
		snprintf(out->spec, sizeof(out->spec), "%s", port_spec(port->port));
		memcpy(out->description, port->description, sizeof(out->description));
		port_stats(port->port, &out->stats);
		for (struct slot *slot = card->slots; slot; slot = slot->next)
			if (slot->counters[port->number])
				port_counters_sum(slot->counters[port->number], &out->total);
	}
	*count = n;
	return 0;
}

static int soft_generations(struct card *base, struct card_generation *list, uint32_t max,
        uint32_t *count, struct error *err)
{
	(void)err;
	*count = 0;
	for (struct slot *slot = soft_card_of(base)->slots; slot && *count < max;
	        slot = slot->next) {
		struct card_generation *out = &list[(*count)++];
		*out = (struct card_generation){
		        .id = slot->id,
		        .ports = slot->ports,
		        .swapped_in_ns = slot->swapped_in_ns,
		        .swapped_out_ns = slot->swapped_out_ns,
		        .active = slot->state == SLOT_ACTIVE,
		        .map_count = slot->map_count,
		};
		memcpy(out->tag, slot->tag, sizeof(out->tag));
		memcpy(out->name, slot->name, sizeof(out->name));
	}
	return 0;
}

static int soft_counters(struct card *base, uint64_t id, struct card_counters counters[PORTS_MAX],
        struct card_fault *faults, uint32_t *fault_count, struct error *err)
{
	struct slot *slot = slot_find(soft_card_of(base), id);
	if (!slot)
		return error_set(err, ENOENT,
		        "no generation %llu: the counters of the last %u that were swapped out are "
		        "kept",
		        (unsigned long long)id, SLOTS_KEPT);
	memset(counters, 0, PORTS_MAX * sizeof(counters[0]));
	uint32_t n = slot->fault_count;
	if (n)
		memcpy(faults, slot->faults, n * sizeof(faults[0]));
	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		if (!slot->counters[i])
			continue;
		port_counters_sum(slot->counters[i], &counters[i]);
		if (slot->generation)
			port_counters_faults(
			        slot->counters[i], generation_image(slot->generation), faults, &n);
	}
	*fault_count = n;
	return 0;
}

static int soft_trace(
        struct card *base, char *text, uint32_t size, uint32_t *got, struct error *err)
{
	(void)err;
	struct soft_card *card = soft_card_of(base);
	*got = 0;
	for (uint32_t i = 0; i < card->worker_count; i++)
		*got += trace_take(&card->workers[i].trace, text + *got, size - *got);
	return 0;
}

// Lets packets on their way leave, then ends the workers.
static void workers_stop(struct soft_card *card)
{
	atomic_store(&card->stop, 1);
	for (uint32_t i = 0; i < card->worker_count; i++)
		worker_wake(&card->workers[i]);
	uint64_t deadline_ns = clock_ns() + DRAIN_NS;
	bool drained = false;
	while (!drained && clock_ns() < deadline_ns) {
		struct timespec pause = {.tv_nsec = 200000};
		nanosleep(&pause, NULL);
		drained = true;
		for (uint32_t i = 0; i < card->worker_count; i++)
			if (card->workers[i].started && !atomic_load(&card->workers[i].drained))
				drained = false;
	}
	atomic_store(&card->stop, 2);
	for (uint32_t i = 0; i < card->worker_count; i++)
		if (card->workers[i].started)
			pthread_join(card->workers[i].thread, NULL);
}

static void soft_free(struct card *base)
{
	struct soft_card *card = soft_card_of(base);
	if (card->workers)
		workers_stop(card);
	for (uint32_t i = 0; card->ports && i < card->port_count; i++)
		port_close(&card->ports[i].port);
	for (struct slot *slot = card->slots, *next; slot; slot = next) {
		next = slot->next;
		slot_free(&slot);
	}
	for (uint32_t i = 0; card->ports && i < card->port_count; i++)
		engine_free(&card->ports[i].engine);
	fib_free(&card->fib);
	for (uint32_t i = 0; card->workers && i < card->worker_count; i++)
		if (card->workers[i].wake_fd >= 0)
			close(card->workers[i].wake_fd);
	for (uint32_t i = 0; card->rings && i < card->worker_count * card->worker_count; i++)
		free(card->rings[i]);
	receipts_clear(&card->receipts);
	free(card->rings);
	free(card->workers);
	free(card->ports);
	packet_memory_free(&card->memory);
	space_free(&card->space);
	free(card);
}

static const struct card_ops soft_ops = {
        .free = soft_free,
        .info = soft_info,
        .ports = soft_ports,
        .load = soft_load,
        .swap = soft_swap,
        .unload = soft_unload,
        .generations = soft_generations,
        .counters = soft_counters,
        .receipt = soft_receipt,
        .maps = soft_maps,
        .map_dump = soft_map_dump,
        .map_lookup = soft_map_lookup,
        .map_apply = soft_map_apply,
        .map_consume = soft_map_consume,
        .trace = soft_trace,
};

static void *zeroed_lines(size_t count, size_t size)
{
	void *block = aligned_alloc(64, count * size); // sizes are multiples of 64 by their members
	if (block)
		memset(block, 0, count * size);
	return block;
}

static uint32_t workers_wanted(const struct soft_card_options *options)
{
	uint32_t wanted = options->worker_count;
	if (!wanted) {
		cpu_set_t allowed;
		CPU_ZERO(&allowed);
		wanted = sched_getaffinity(0, sizeof(allowed), &allowed)
		                 ? 1
		                 : (uint32_t)CPU_COUNT(&allowed);
	}
	return wanted < options->port_count ? wanted : options->port_count;
}

static int memory_make(
        struct soft_card *card, const struct soft_card_options *options, struct error *err)
{
	int rc = space_new(&card->space, err);
	if (rc)
		return rc;
	uint32_t frames = options->frame_count;
	if (!frames)
		frames = card->port_count * FRAMES_A_PORT;
	return packet_memory_new(card->space, frames, &card->memory, err);
}

static int workers_make(struct soft_card *card, struct error *err)
{
	uint32_t n = card->worker_count;
	card->workers = zeroed_lines(n, sizeof(card->workers[0]));
	card->rings = calloc((size_t)n * n, sizeof(card->rings[0]));
	if (!card->workers || !card->rings)
		return error_set(err, ENOMEM, "no memory for %u workers", n);
	for (uint32_t i = 0; i < n; i++) {
		struct worker *worker = &card->workers[i];
		worker->card = card;
		worker->number = i;
		worker->wake_fd = -1;
	}
	for (uint32_t i = 0; i < n; i++) {
		card->workers[i].wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (card->workers[i].wake_fd < 0)
			return error_set(
			        err, errno, "worker %u: no eventfd: %s", i, strerror(errno));
	}
	for (uint32_t i = 0; i < n * n; i++)
		if (i / n != i % n && !(card->rings[i] = zeroed_lines(1, sizeof(struct ring))))
			return error_set(err, ENOMEM, "no memory for rings between workers");
	return 0;
}

static int port_make(struct soft_card *card, uint32_t i, const char *spec, struct error *err)
{
	struct soft_port *port = &card->ports[i];
	port->number = (uint8_t)i;
	port->burst_max = BURST_MAX;
	// Neighbours share a worker where they can: what goes from port 0 to 1 and back, the common
	// case, then stays on its CPU.
	port->worker = &card->workers[(uint64_t)i * card->worker_count / card->port_count];
	port->worker->ports[port->worker->port_count++] = port;
	const struct port_options port_options = {.memory = card->memory, .number = (uint8_t)i};
	int rc = port_open(spec, &port_options, &port->port, err);
	if (rc) {
		if (err)
			error_prefix(err, "port %u", i);
		return rc;
	}
	int fds[2];
	port->is_interface = port_poll_fds(port->port, fds) > 0;
	port_describe(port->port, port->description, sizeof(port->description));
	return 0;
}

// The host's routes, where a port is an interface of the host.
static int fib_make(struct soft_card *card, struct error *err)
{
	uint32_t interfaces[PORTS_MAX][2] = {0};
	uint32_t found = 0;
	for (uint32_t i = 0; i < card->port_count; i++)
		found += port_interfaces(card->ports[i].port, interfaces[i]);
	return found ? fib_new(interfaces, card->port_count, &card->fib, err) : 0;
}

static int engine_make(struct soft_card *card, uint32_t i, struct error *err)
{
	struct soft_port *port = &card->ports[i];
	struct engine_options options = {.kind = card->kind,
	        .number = i,
	        .trace = trace_put,
	        .trace_context = &port->worker->trace};
	if (card->fib) {
		options.fib = fib_lookup;
		options.mtu = fib_mtu;
		options.fib_context = fib_reader(card->fib, i);
	}
	return engine_new(card->space, &options, &port->engine, err);
}

// The built-in pass stands in every port's first bank.
static int pass_make(struct soft_card *card, struct error *err)
{
	card->pass = card->slots = slot_new(card, 0, card->port_mask, err);
	if (!card->pass)
		return -ENOMEM;
	strcpy(card->pass->name, "pass");
	card->pass->state = SLOT_ACTIVE;
	card->pass->swapped_in_ns = clock_ns();
	for (uint32_t i = 0; i < card->port_count; i++) {
		struct soft_port *port = &card->ports[i];
		port->bank[0] = port->slot = port->active = card->pass;
	}
	return 0;
}

static int parts_make(
        struct soft_card *card, const struct soft_card_options *options, struct error *err)
{
	int rc = memory_make(card, options, err);
	if (!rc)
		rc = workers_make(card, err);
	if (rc)
		return rc;
	card->ports = zeroed_lines(card->port_count, sizeof(card->ports[0]));
	if (!card->ports)
		return error_set(err, ENOMEM, "no memory for %u ports", card->port_count);
	for (uint32_t i = 0; i < card->port_count; i++)
		card->ports[i].number = (uint8_t)i;
	for (uint32_t i = 0; !rc && i < card->port_count; i++)
		rc = port_make(card, i, options->port_specs[i], err);
	if (!rc)
		rc = fib_make(card, err);
	for (uint32_t i = 0; !rc && i < card->port_count; i++)
		rc = engine_make(card, i, err);
	if (!rc)
		rc = pass_make(card, err);
	if (!rc && options->confine)
		rc = options->confine(options->confine_context, err);
	if (!rc && card->fib)
		rc = fib_start(card->fib, err);
	for (uint32_t i = 0; !rc && i < card->worker_count; i++)
		rc = worker_start(&card->workers[i], err);
	return rc;
}

int soft_card_new(const struct soft_card_options *options, struct card **card, struct error *err)
{
	if (!options->port_count || options->port_count > PORTS_MAX)
		return error_set(err, EINVAL, "a card has 1 to %u ports, not %u", PORTS_MAX,
		        options->port_count);
	struct soft_card *made = calloc(1, sizeof(*made));
	if (!made)
		return error_set(err, ENOMEM, "no memory for a card");
	made->card.ops = &soft_ops;
	made->port_count = options->port_count;
	made->port_mask = options->port_count == 64 ? ~0ull : (1ull << options->port_count) - 1;
	made->worker_count = workers_wanted(options);
	made->busy_poll = options->busy_poll;
	made->pin = options->pin;
	made->kind = options->engine;
	made->started_wall_ns = clock_wall_ns();
	made->next_id = made->next_sequence = 1;
	int rc = parts_make(made, options, err);
	if (rc) {
		soft_free(&made->card);
		return rc;
	}
	*card = &made->card;
	return 0;
}
