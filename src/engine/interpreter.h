// SPDX-License-Identifier: Apache-2.0
// The reference interpreter: what every other engine is compared with. RFC 9669 to the letter.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bpf_insn;
struct engine;

#define REGISTERS 16 // r0 to r10; the rest can be named by no checked program

// Runs engine->program from `pc` in the frame at engine->depth until that frame exits. False: a
// fault, which stands in `engine` with its place.
bool interpret(struct engine *engine, const struct bpf_insn *pc, uint64_t r[REGISTERS]);
