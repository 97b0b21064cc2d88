// SPDX-License-Identifier: Apache-2.0
// Sources: Linux, Documentation/bpf/map_*.rst and the *_alloc_check() functions of kernel/bpf/.
#include "ebpf/maptype.h"

#include <linux/bpf.h>
#include <stddef.h>

#include "base/cleanup.h"

#define PROG_ACCESS (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)
#define USER_ACCESS (BPF_F_RDONLY | BPF_F_WRONLY)
#define ACCESS      (PROG_ACCESS | USER_ACCESS)
#define NUMA        BPF_F_NUMA_NODE
#define HASH        (BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED | ACCESS)
#define LRU         (BPF_F_NO_COMMON_LRU | BPF_F_ZERO_SEED | ACCESS)
#define ARRAY       (NUMA | BPF_F_MMAPABLE | BPF_F_INNER_MAP | ACCESS)
#define FD_ARRAY    (NUMA | USER_ACCESS)
#define DEVICE      (NUMA | USER_ACCESS)

#define LOOK   MAP_LOOKUP
#define CHANGE (LOOK | MAP_UPDATE | MAP_DELETE)
#define ALL    (CHANGE | MAP_WALK)

// The row of type N is row N. Key and value sizes that are 0 are not fixed by the type alone.
// clang-format off
const struct map_type map_type_table[] = {
	// type                              name                     offered per-CPU no delete key value flags operations
	{BPF_MAP_TYPE_UNSPEC,                "unspec",                false, false, false, 0, 0, 0, 0},
	{BPF_MAP_TYPE_HASH,                  "hash",                  true,  false, false, 0, 0, HASH | NUMA, ALL},
	{BPF_MAP_TYPE_ARRAY,                 "array",                 true,  false, true,  4, 0, ARRAY, ALL},
	{BPF_MAP_TYPE_PROG_ARRAY,            "prog_array",            true,  false, false, 4, 4, FD_ARRAY, 0},
	{BPF_MAP_TYPE_PERF_EVENT_ARRAY,      "perf_event_array",      true,  false, false, 4, 4, FD_ARRAY | BPF_F_PRESERVE_ELEMS, 0},
	{BPF_MAP_TYPE_PERCPU_HASH,           "percpu_hash",           true,  true,  false, 0, 0, HASH, ALL},
	{BPF_MAP_TYPE_PERCPU_ARRAY,          "percpu_array",          true,  true,  true,  4, 0, ACCESS, ALL},
	{BPF_MAP_TYPE_STACK_TRACE,           "stack_trace",           false, false, false, 4, 0, 0, 0},
	{BPF_MAP_TYPE_CGROUP_ARRAY,          "cgroup_array",          false, false, false, 4, 4, 0, 0},
	{BPF_MAP_TYPE_LRU_HASH,              "lru_hash",              true,  false, false, 0, 0, LRU | NUMA, ALL},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH,       "lru_percpu_hash",       true,  true,  false, 0, 0, LRU, ALL},
	{BPF_MAP_TYPE_LPM_TRIE,              "lpm_trie",              true,  false, false, 0, 0,
		BPF_F_NO_PREALLOC | NUMA | ACCESS, CHANGE},
	{BPF_MAP_TYPE_ARRAY_OF_MAPS,         "array_of_maps",         true,  false, false, 4, 4, FD_ARRAY, LOOK},
	{BPF_MAP_TYPE_HASH_OF_MAPS,          "hash_of_maps",          true,  false, false, 0, 4, HASH | NUMA, LOOK},
	{BPF_MAP_TYPE_DEVMAP,                "devmap",                true,  false, false, 4, 0, DEVICE, LOOK},
	{BPF_MAP_TYPE_SOCKMAP,               "sockmap",               false, false, false, 4, 0, 0, 0},
	{BPF_MAP_TYPE_CPUMAP,                "cpumap",                true,  false, false, 4, 0, NUMA, 0},
	{BPF_MAP_TYPE_XSKMAP,                "xskmap",                true,  false, false, 4, 4, DEVICE, LOOK},
	{BPF_MAP_TYPE_SOCKHASH,              "sockhash",              false, false, false, 0, 0, 0, 0},
	{BPF_MAP_TYPE_CGROUP_STORAGE,        "cgroup_storage",        false, false, false, 0, 0, 0, 0},
	{BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,   "reuseport_sockarray",   false, false, false, 4, 0, 0, 0},
	{BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, "percpu_cgroup_storage", false, true,  false, 0, 0, 0, 0},
	{BPF_MAP_TYPE_QUEUE,                 "queue",                 false, false, false, 0, 0, 0, 0},
	{BPF_MAP_TYPE_STACK,                 "stack",                 false, false, false, 0, 0, 0, 0},
	{BPF_MAP_TYPE_SK_STORAGE,            "sk_storage",            false, false, false, 4, 0, 0, 0},
	{BPF_MAP_TYPE_DEVMAP_HASH,           "devmap_hash",           true,  false, false, 4, 0, DEVICE, LOOK},
	{BPF_MAP_TYPE_STRUCT_OPS,            "struct_ops",            false, false, false, 4, 0, 0, 0},
	{BPF_MAP_TYPE_RINGBUF,               "ringbuf",               true,  false, false, 0, 0, NUMA, 0},
	{BPF_MAP_TYPE_INODE_STORAGE,         "inode_storage",         false, false, false, 4, 0, 0, 0},
	{BPF_MAP_TYPE_TASK_STORAGE,          "task_storage",          false, false, false, 4, 0, 0, 0},
	{BPF_MAP_TYPE_BLOOM_FILTER,          "bloom_filter",          false, false, false, 0, 0, 0, 0},
	{BPF_MAP_TYPE_USER_RINGBUF,          "user_ringbuf",          false, false, false, 0, 0, 0, 0},
	{32,                                 "cgrp_storage",          false, false, false, 4, 0, 0, 0},
	{33,                                 "arena",                 false, false, false, 0, 0, 0, 0},
	{34,                                 "insn_array",            false, false, false, 4, 0, 0, 0},
};
// clang-format on
const uint32_t map_type_count = ARRAY_SIZE(map_type_table);

const struct map_type *map_type_find(uint32_t type)
{
	return type < map_type_count ? &map_type_table[type] : NULL;
}
