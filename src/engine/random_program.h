// SPDX-License-Identifier: Apache-2.0
// Random programs for differential tests, and their reduction to what makes a difference. For tests
// only.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#define RANDOM_INSNS_MAX   400
#define RANDOM_PACKET_SIZE 64u // of the packet that the programs expect
#define RANDOM_ENTRIES     8u  // of the maps; keys are below twice as many

struct random {
	uint64_t state; // not 0
};
uint32_t random_pick(struct random *random, uint32_t below);

// LDDWs with BPF_PSEUDO_MAP_FD have 0 (a hash) or 1 (an array) as imm.
struct random_program {
	struct bpf_insn insns[RANDOM_INSNS_MAX];
	bool kept[RANDOM_INSNS_MAX]; // writes what others may read: not to be left out
	uint32_t count;
};

void random_program_write(struct random_program *program, struct random *random);

// Leaves out instructions for as long as `matters` says that the rest still shows what is looked
// for. It is asked about programs of all kinds, also ones that no verifier would pass.
void random_program_reduce(struct random_program *program,
        bool (*matters)(void *context, const struct random_program *program), void *context);
