// SPDX-License-Identifier: Apache-2.0
// Maps: the tables that packets' programs share with each other and with the control plane, with
// the kernel's semantics for flags and errors (Documentation/bpf/map_*.rst).
//
// Engines call the data path (map_lookup, map_update, map_delete) from several threads while the
// control side does the same. Look-ups take no lock. Values stand at stable addresses inside one
// area that the caller gives, apart from keys and links, so that a program may be given a window
// onto values only. As in the kernel's preallocated maps, an entry deleted under a reader may be
// reused under it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct map;

struct map_def {
	uint32_t type; // enum bpf_map_type
	uint32_t key_size, value_size, max_entries, flags;
	uint64_t extra;
	uint32_t cpu_count; // copies that per-CPU types hold: one an engine, at least 1
};

// Bytes that the area for the values must have; 0 for an impossible definition. For ring buffers
// the area holds the data pages; for prog arrays and maps in maps, values are u32 indices that no
// program sees, and the area is the map's own (size 0: pass NULL).
size_t map_area_size(const struct map_def *def);
// Checks `def` as the kernel would and makes the map over `area` (borrowed; zeroed by the caller;
// page aligned; map_area_size() bytes). Errors: EINVAL with what is wrong, ENOTSUP, E2BIG, ENOMEM.
int map_new(const struct map_def *def, void *area, struct map **map, struct error *err);
// Its values (of an array or hash that is not per-CPU) have a struct bpf_spin_lock at `offset`, a
// multiple of 4: updates leave the word alone, new entries and reads have it 0, and BPF_F_LOCK
// takes it. To be said before the map is used. Errors: EINVAL, as the kernel, for other types.
int map_set_lock(struct map *map, uint32_t offset);
void map_free(struct map **map);
const struct map_def *map_def(const struct map *map);
size_t map_memory(const struct map *map);  // bytes it holds, area included
uint32_t map_count(const struct map *map); // entries now; max_entries for arrays

// The read-side section that look-ups run in, so that what they read is not given back under them.
// It may be nested, costs nothing much, and must not be held where a thread waits. The functions of
// this header enter it themselves; who looks up many times in a row, or through inline.h, holds it
// around.
void map_enter(void);
void map_leave(void);
// Starts the thread that gives memory back once no look-up can be in it. The first map that needs
// it does so, too; a process that will not be allowed to start threads does it before.
void map_start(void);

// Data path. `cpu` chooses the copy of per-CPU types and is below cpu_count.
// The value (inside the area), or NULL.
void *map_lookup(struct map *map, const void *key, uint32_t cpu);
// Flags BPF_ANY, BPF_NOEXIST, BPF_EXIST. Returns 0 or -errno as the kernel does: -EEXIST, -ENOENT,
// -E2BIG full (or index out of range), -EINVAL flags (BPF_F_LOCK where values have no lock),
// -ENOMEM; -EBUSY where the lock is never let go.
int map_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu);
int map_delete(struct map *map, const void *key); // 0, -ENOENT, -EINVAL where the type has none

// Control side, as the bpf(2) commands. Per-CPU values are cpu_count copies of
// round_up(value_size, 8) bytes; map_io_size() is the size of what read and write take.
size_t map_io_size(const struct map *map);
int map_read(
        struct map *map, const void *key, void *value, uint64_t flags); // flags: BPF_F_LOCK or 0
int map_write(struct map *map, const void *key, const void *value, uint64_t flags);
// The key that follows `key` (NULL, or one that is gone: the first) into `next`; -ENOENT at the
// end. Every entry that stands during the whole walk is met once.
int map_next_key(struct map *map, const void *key, void *next);
// As map_next_key(), but what followed a key that is gone still follows it, so that a walk never
// goes back (and meets nobody twice), and it looks at no more than *steps places: *steps is what is
// left of them. -EAGAIN where that was too few.
int map_follow(struct map *map, const void *key, void *next, uint64_t *steps);
// What an operation on `key` may take beyond the usual, in instructions of a program; counting it
// stops at `limit`. Tries only: lengths that are tried one by one, entries that a change rewrites.
uint64_t map_effort(struct map *map, const void *key, bool changes, uint64_t limit);
int map_freeze(
        struct map *map); // afterwards map_write and map_delete by the control side fail, -EPERM

// Prog array, array of maps, hash of maps: the index stored under key, or UINT32_MAX. Which program
// or map an index means is the caller's affair.
uint32_t map_slot(struct map *map, const void *key);

// Ring buffer (BPF_MAP_TYPE_RINGBUF). Reserve gives an address inside the area, or NULL when full.
void *ringbuf_reserve(struct map *map, uint64_t size, uint64_t flags);
// -EINVAL unless `sample` is what a reserve gave and it was not yet submitted or discarded.
int ringbuf_commit(struct map *map, void *sample, uint64_t flags, bool discard);
uint64_t ringbuf_query(struct map *map, uint64_t flags); // BPF_RB_AVAIL_DATA and others
// The bytes that a program may touch behind a reserved sample, or 0 if it is none.
uint32_t ringbuf_sample_size(struct map *map, const void *sample);
// Perf event array: -ENOENT unless `index` is below cpu_count; -E2BIG over 64 KiB; -ENOSPC full
// (counted lost).
int perf_output(struct map *map, uint32_t index, const void *data, uint32_t size);
// Either kind: takes the oldest record that is ready, at most `max` bytes of it. Returns its size
// (maybe over `max`), 0 when none is ready. One reader at a time.
uint32_t map_consume(struct map *map, void *data, uint32_t max);
uint64_t map_lost(const struct map *map); // records that found no room
