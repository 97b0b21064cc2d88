// SPDX-License-Identifier: Apache-2.0
// The agent's event loop: descriptors and timers of one thread, over epoll and one timerfd. Watches
// and timers live inside what uses them; the loop only borrows them until they are removed.
#pragma once

#include <stdint.h>

struct error;
struct loop;

struct watch {
	void (*ready)(struct watch *watch, uint32_t events); // EPOLLIN and others
	int fd;
};

struct timer {
	void (*fire)(struct timer *timer);
	uint64_t at_ns; // CLOCK_MONOTONIC; UINT64_MAX = not set
	struct timer *next;
};

int loop_new(struct loop **loop, struct error *err);
void loop_free(struct loop **loop);
int loop_add(struct loop *loop, struct watch *watch, uint32_t events, struct error *err);
void loop_remove(struct loop *loop, struct watch *watch); // its fd stays open
// Sets or moves a timer; an instant in the past fires at the next turn. UINT64_MAX takes it out.
void loop_timer(struct loop *loop, struct timer *timer, uint64_t at_ns);
// Turns until loop_stop(). Returns 0, or -errno when the kernel refuses to wait.
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
