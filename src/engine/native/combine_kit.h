// SPDX-License-Identifier: Apache-2.0
// What the tests of combine() share: a program in assembler text, with places to load from and
// store to, and what it is rewritten to.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct analysis;
struct fact;
struct generation;
struct image;
struct kit;

struct rewritten {
	struct analysis *analysis; // of what it was
	struct bpf_insn *insns;
	struct fact *facts;
	uint32_t count;
};

void rewrite(const struct generation *generation, uint32_t index, struct rewritten *it);
void rewritten_clear(struct rewritten *it);

// A jump by 0: what stands where an instruction has gone.
bool is_nothing(const struct bpf_insn *insn);
// Instructions from `from` on, "; " between, without those that do nothing.
void print_from(const struct image *image, const struct rewritten *it, uint32_t from, char *text,
        size_t size);

#define BODY 35u // where the body begins
// A program around `body`. r6: the packet's data, of which 48 bytes are there; r7 and r8: values of
// 48 bytes of two maps; r9: another value of r7's map, which may be the same; r1 to r5: 0.
void load_body(struct kit *kit, const char *body);
