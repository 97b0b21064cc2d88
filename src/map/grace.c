// SPDX-License-Identifier: Apache-2.0
// Read-side sections and deferred freeing, by liburcu's bulletproof flavour: threads need not be
// registered, a section costs two stores, and the price of the waiting side (membarrier) is paid by
// the thread that gives back. That thread sleeps on a futex while there is nothing to give back.
#include "map/grace.h"

#include <urcu-bp.h>

#include "map/map.h"

void map_enter(void)
{
	urcu_bp_read_lock();
}

void map_leave(void)
{
	urcu_bp_read_unlock();
}

void map_start(void)
{
	urcu_bp_get_default_call_rcu_data();
}

_Static_assert(sizeof(struct rcu_head) == sizeof(struct grace), "grace");

void grace_defer(struct grace *grace, void (*run)(struct grace *))
{
	urcu_bp_call_rcu((struct rcu_head *)grace, (void (*)(struct rcu_head *))run);
}
