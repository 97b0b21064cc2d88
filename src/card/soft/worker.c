// SPDX-License-Identifier: Apache-2.0
// A worker: a thread that drives one or more ports in a loop, and sleeps in ppoll() when they have
// nothing. Whoever gives a sleeping worker work (a departure in its ring, a swap, the end) writes
// its eventfd. Work is published, then `sleeping` is read; a worker sets `sleeping`, then looks for
// work once more: one of the two sees the other (all four accesses are sequentially consistent).
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "card/soft/soft.h"

#define EMPTY_LOOPS   24u               // without work before it sleeps
#define SPIN_NS       (10 * NS_PER_US)  // not worth a sleep
#define RETRY_NS      (100 * NS_PER_US) // when a transmit queue is full
#define RECLAIM_NS    (2 * NS_PER_MS)   // while a driver holds frames that it has sent
#define DOWN_RETRY_NS (200 * NS_PER_MS) // looks at a port whose descriptor reports an error

void worker_wake(struct worker *worker)
{
	uint64_t one = 1;
	ssize_t written = write(worker->wake_fd, &one, sizeof(one));
	(void)written; // full: it is awake in any case
}

static bool has_news(struct worker *worker)
{
	struct soft_card *card = worker->card;
	if (atomic_load(&card->stop))
		return true;
	for (uint32_t i = 0; i < worker->port_count; i++)
		if (atomic_load(&worker->ports[i]->select) != worker->ports[i]->selected)
			return true;
	for (uint32_t from = 0; from < card->worker_count; from++) {
		struct ring *ring = soft_ring(card, from, worker->number);
		if (ring && !ring_is_empty(ring))
			return true;
	}
	return false;
}

// When this port must be served although no descriptor becomes ready.
static uint64_t port_deadline(struct soft_port *port, uint64_t now_ns)
{
	uint64_t deadline = port_next_ns(port->port), other = UINT64_MAX;
	if (port->backlog_head != port->backlog_tail)
		other = now_ns + RETRY_NS;
	else if (!port_drained(port->port))
		other = now_ns + RECLAIM_NS;
	else if (atomic_load_explicit(&port->down, memory_order_relaxed))
		other = now_ns + DOWN_RETRY_NS;
	if (port->not_before_ns > now_ns)
		deadline = port->not_before_ns;
	return deadline < other ? deadline : other;
}

// Gathers what to wait for. Returns the number of descriptors; [0] is the worker's own.
static uint32_t gather(
        struct worker *worker, struct pollfd *fds, uint64_t now_ns, uint64_t *deadline_ns)
{
	uint32_t count = 1;
	fds[0] = (struct pollfd){.fd = worker->wake_fd, .events = POLLIN};
	*deadline_ns = UINT64_MAX;
	for (uint32_t i = 0; i < worker->port_count; i++) {
		struct soft_port *port = worker->ports[i];
		atomic_store_explicit(
		        &port->finished, port_finished(port->port), memory_order_relaxed);
		uint64_t deadline = port_deadline(port, now_ns);
		if (deadline < *deadline_ns)
			*deadline_ns = deadline;
		int polled[2];
		uint32_t n = port_poll_fds(port->port, polled);
		if (atomic_load_explicit(&port->down, memory_order_relaxed))
			continue; // its descriptor would report the error at once, for ever
		for (uint32_t k = 0; k < n; k++)
			fds[count++] = (struct pollfd){.fd = polled[k], .events = POLLIN};
	}
	return count;
}

// A port whose descriptor reports an error has lost its interface.
static void note_errors(struct worker *worker, const struct pollfd *fds, uint32_t count)
{
	for (uint32_t i = 0; i < worker->port_count; i++) {
		struct soft_port *port = worker->ports[i];
		int polled[2];
		uint32_t n = port_poll_fds(port->port, polled);
		bool down = false;
		for (uint32_t k = 0; k < n; k++)
			for (uint32_t f = 1; f < count; f++)
				if (fds[f].fd == polled[k] &&
				        (fds[f].revents & (POLLERR | POLLHUP | POLLNVAL)))
					down = true;
		atomic_store_explicit(&port->down, down, memory_order_relaxed);
	}
}

static void worker_sleep(struct worker *worker)
{
	struct pollfd fds[1 + 2 * PORTS_MAX];
	uint64_t now_ns = clock_ns(), deadline_ns;
	uint32_t count = gather(worker, fds, now_ns, &deadline_ns);
	if (deadline_ns < now_ns + SPIN_NS)
		return;
	struct timespec left = {0}, *timeout = NULL;
	if (deadline_ns != UINT64_MAX) {
		left.tv_sec = (time_t)((deadline_ns - now_ns) / NS_PER_S);
		left.tv_nsec = (long)((deadline_ns - now_ns) % NS_PER_S);
		timeout = &left;
	}
	atomic_store(&worker->sleeping, true);
	if (!has_news(worker)) {
		int ready = ppoll(fds, count, timeout, NULL);
		for (uint32_t f = 1; ready > 0 && f < count; f++)
			if (fds[f].revents & (POLLERR | POLLHUP | POLLNVAL)) {
				note_errors(worker, fds, count);
				break;
			}
		if (ready > 0 && fds[0].revents) {
			uint64_t wakes;
			ssize_t got = read(worker->wake_fd, &wakes, sizeof(wakes));
			(void)got; // its value does not matter
		}
	}
	atomic_store(&worker->sleeping, false);
	now_ns = clock_ns();
	for (uint32_t i = 0; i < worker->port_count; i++) // all were ready until now
		worker->ports[i]->ready_ns = now_ns;
}

// One round over rings and ports. Returns how many packets moved.
static uint32_t worker_round(struct worker *worker, bool receiving)
{
	worker->loop_ns = clock_ns();
	uint32_t moved = rings_drain(worker);
	for (uint32_t i = 0; i < worker->port_count; i++) {
		struct soft_port *port = worker->ports[i];
		moved += port_backlog_send(worker, port);
		if (receiving)
			moved += port_turn(worker, port);
	}
	for (uint32_t i = 0; i < worker->port_count; i++)
		port_flush(worker->ports[i]->port);
	return moved;
}

// Stopping: what is on its way still leaves.
static void worker_drain(struct worker *worker)
{
	while (atomic_load(&worker->card->stop) < 2) {
		bool rest = worker_round(worker, false) != 0;
		for (uint32_t i = 0; i < worker->port_count; i++) {
			struct soft_port *port = worker->ports[i];
			if (port->backlog_head != port->backlog_tail || !port_drained(port->port))
				rest = true;
		}
		atomic_store(&worker->drained, !rest);
		sched_yield();
	}
	for (uint32_t i = 0; i < worker->port_count; i++) {
		struct soft_port *port = worker->ports[i];
		for (; port->backlog_head != port->backlog_tail; port->backlog_head++)
			frames_give(worker->card->memory,
			        &port->backlog[port->backlog_head % BACKLOG_SIZE].packet, 1);
	}
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	prctl(PR_SET_TIMERSLACK, 1ul);
	uint32_t empty = 0;
	while (!atomic_load_explicit(&worker->card->stop, memory_order_acquire)) {
		if (worker_round(worker, true) || worker->held_ns)
			empty = 0;
		else if (++empty > EMPTY_LOOPS && !worker->card->busy_poll) {
			worker_sleep(worker);
			empty = EMPTY_LOOPS - 1;
		}
	}
	worker_drain(worker);
	return NULL;
}

static void worker_pin(struct worker *worker)
{
	cpu_set_t allowed, one;
	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) || !CPU_COUNT(&allowed))
		return;
	int wanted = (int)worker->number % CPU_COUNT(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || wanted--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(worker->thread, sizeof(one), &one);
		return;
	}
}

int worker_start(struct worker *worker, struct error *err)
{
	uint64_t now_ns = clock_ns();
	for (uint32_t i = 0; i < worker->port_count; i++)
		worker->ports[i]->ready_ns = now_ns;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals are the control thread's
	int rc = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return error_set(err, rc, "worker %u: cannot start its thread: %s", worker->number,
		        strerror(rc));
	worker->started = true;
	char name[16];
	snprintf(name, sizeof(name), "worker %u", worker->number);
	pthread_setname_np(worker->thread, name);
	if (worker->card->pin)
		worker_pin(worker);
	return 0;
}
