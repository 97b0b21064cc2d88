// SPDX-License-Identifier: Apache-2.0
// A function's own C source for DPDK's rte_bpf: see rte/raio/raio.h. Compiled once for each, with
// -DFUNCTION=NAME and -DSOURCE="…/NAME.c", and rte/ first among the include directories.

// The functions' struct xdp_md is ours.
#define xdp_md linux_xdp_md
#include <linux/bpf.h>
#undef xdp_md

#include "maps_of.h"

#include SOURCE

#define EXTERNS(name)                                                                              \
	extern void *lookup_##name(const void *key);                                               \
	extern long update_##name(const void *key, const void *value, __u64 flags);                \
	extern long delete_##name(const void *key);
MAPS(EXTERNS)

static __always_inline void *bpf_map_lookup_elem(const void *map, const void *key)
{
#define LOOKUP(name)                                                                               \
	if (map == &name)                                                                          \
		return lookup_##name(key);
	MAPS(LOOKUP)
	return 0;
}

static __always_inline long bpf_map_update_elem(
        const void *map, const void *key, const void *value, __u64 flags)
{
#define UPDATE(name)                                                                               \
	if (map == &name)                                                                          \
		return update_##name(key, value, flags);
	MAPS(UPDATE)
	return -1;
}

static __always_inline long bpf_map_delete_elem(const void *map, const void *key)
{
#define DELETE(name)                                                                               \
	if (map == &name)                                                                          \
		return delete_##name(key);
	MAPS(DELETE)
	return -1;
}
