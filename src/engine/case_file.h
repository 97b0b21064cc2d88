// SPDX-License-Identifier: Apache-2.0
// Reads tests/data/isa/*.case into programs, one for each thing that a line says. For tests only.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

#define CASE_MEMORY 64

struct isa_case {
	char name[96];
	struct bpf_insn *insns;
	uint32_t insn_count;
	uint8_t memory[CASE_MEMORY], after[CASE_MEMORY];
	uint32_t memory_size;
	uint64_t result;
	enum fault fault;
};

struct case_list {
	struct isa_case *cases;
	uint32_t count;
};

// Appends the cases of `file` (below tests/data/isa); fails the running test where it does not
// parse.
void case_file_read(const char *file, struct case_list *list);
void case_list_free(struct case_list *list);
