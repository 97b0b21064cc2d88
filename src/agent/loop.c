// SPDX-License-Identifier: Apache-2.0
// One event is taken from the kernel at a time, so that a handler may remove any watch.
#include "agent/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

struct loop {
	int epoll_fd, timer_fd;
	struct timer *timers; // by instant, earliest first
	bool stop;
};

int loop_new(struct loop **out, struct error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return error_set(err, ENOMEM, "no memory for the event loop");
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	if (loop->epoll_fd < 0 || loop->timer_fd < 0 ||
	        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event)) {
		int rc = error_set(err, errno, "cannot make the event loop: %s", strerror(errno));
		loop_free(&loop);
		return rc;
	}
	*out = loop;
	return 0;
}

void loop_free(struct loop **loop)
{
	if (!*loop)
		return;
	if ((*loop)->epoll_fd >= 0)
		close((*loop)->epoll_fd);
	if ((*loop)->timer_fd >= 0)
		close((*loop)->timer_fd);
	free(*loop);
	*loop = NULL;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events, struct error *err)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event))
		return error_set(err, errno, "cannot wait for descriptor %d: %s", watch->fd,
		        strerror(errno));
	return 0;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

static void arm(struct loop *loop)
{
	struct itimerspec when = {0};
	if (loop->timers) {
		uint64_t at = loop->timers->at_ns ? loop->timers->at_ns : 1; // 0 would disarm
		when.it_value.tv_sec = (time_t)(at / NS_PER_S);
		when.it_value.tv_nsec = (long)(at % NS_PER_S);
	}
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void loop_timer(struct loop *loop, struct timer *timer, uint64_t at_ns)
{
	struct timer **at = &loop->timers;
	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
	timer->at_ns = at_ns;
	timer->next = NULL;
	if (at_ns != UINT64_MAX) {
		for (at = &loop->timers; *at && (*at)->at_ns <= at_ns;)
			at = &(*at)->next;
		timer->next = *at;
		*at = timer;
	}
	arm(loop);
}

static void fire_due(struct loop *loop)
{
	uint64_t count;
	ssize_t ignored = read(loop->timer_fd, &count, sizeof(count));
	(void)ignored;
	uint64_t now = clock_ns();
	while (loop->timers && loop->timers->at_ns <= now) {
		struct timer *timer = loop->timers;
		loop->timers = timer->next;
		timer->at_ns = UINT64_MAX;
		timer->next = NULL;
		timer->fire(timer);
	}
	arm(loop);
}

int loop_run(struct loop *loop)
{
	loop->stop = false;
	while (!loop->stop) {
		struct epoll_event event;
		int got = epoll_wait(loop->epoll_fd, &event, 1, -1);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got <= 0)
			continue;
		struct watch *watch = event.data.ptr;
		if (watch)
			watch->ready(watch, event.events);
		else
			fire_due(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}
