// SPDX-License-Identifier: Apache-2.0
// Random programs for differential tests, and their reduction to what makes a difference. For tests
// only.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "ebpf/image.h"

struct error;

#define RANDOM_INSNS_MAX   2000
#define RANDOM_PACKET_SIZE 64u // of the packet that programs for the kernel expect
#define RANDOM_ENTRIES     8u  // of most maps; keys are below twice as many
#define RANDOM_PORTS       7u  // mask of the ports that programs own

struct random {
	uint64_t state; // not 0
};
uint32_t random_pick(struct random *random, uint32_t below);

// LDDWs with BPF_PSEUDO_MAP_FD have an index into random_maps as imm.
struct random_program {
	struct bpf_insn insns[RANDOM_INSNS_MAX];
	bool kept[RANDOM_INSNS_MAX]; // writes what others may read: not to be left out
	uint32_t count;
	uint32_t second; // where a second program begins, for tail calls; 0: there is none
	bool large;      // its maps are so large that engines fetch what they need ahead
};

// The maps that all of them may use.
enum {
	RANDOM_HASH,
	RANDOM_ARRAY,
	RANDOM_GLOBAL, // an array of one entry, as globals are
	RANDOM_HASH_WIDE,
	RANDOM_HASH_FLOW, // keys as of a connection
	RANDOM_TRIE,
	RANDOM_KERNEL_MAPS, // those before it mean the same in the kernel
	RANDOM_LRU = RANDOM_KERNEL_MAPS,
	RANDOM_PERCPU_ARRAY,
	RANDOM_PERCPU_HASH,
	RANDOM_PROGRAMS, // 0 and 3: the program itself, 1: the second one
	RANDOM_DEVMAP,
	RANDOM_RING,
	RANDOM_OUTER,     // 0: the array, 1 and 3: the hash, 2: nothing
	RANDOM_CONSTANTS, // a global that is read only: byte i is i * 37
	RANDOM_MAPS,
};
extern const struct image_map random_maps[RANDOM_MAPS];

enum random_style {
	RANDOM_FOR_KERNEL, // keeps to what the kernel's verifier passes, mostly
	RANDOM_FREE,       // that, with whatever else can be in a program
};
void random_program_write(
        struct random_program *program, struct random *random, enum random_style style);
// Short ones, all joins of paths, for what is said of programs beforehand (random_dense.c).
void random_program_write_dense(struct random_program *program, struct random *random);
// The image of a program; maps that it does not name are left out. NULL where it makes none.
struct image *random_program_image(const struct random_program *program, struct error *err);

// Leaves out instructions for as long as `matters` says that the rest still shows what is looked
// for. It is asked about programs of all kinds, also ones that no check would pass.
void random_program_reduce(struct random_program *program,
        bool (*matters)(void *context, const struct random_program *program), void *context);
