// SPDX-License-Identifier: Apache-2.0
// The map benchmark where DPDK is not installed: its sides are left out.
#include "maps_bench.h"

int dpdk_start(void)
{
	return -1;
}

struct dpdk_side *dpdk_open(const struct table *table, struct bench *bench)
{
	(void)table, (void)bench;
	return NULL;
}

void dpdk_sample(struct dpdk_side *dpdk, const char *name, struct bench *bench)
{
	(void)dpdk, (void)name, (void)bench;
}

void dpdk_close(struct dpdk_side *dpdk)
{
	(void)dpdk;
}
