// SPDX-License-Identifier: Apache-2.0
// CO-RE: relocations that clang leaves where a program asks for the offset, size or existence of a
// type's field, or for an enum's value, resolved against the types of the kernel that runs or,
// without one, against the object's own.
//
// A kernel that lacks the type or field makes "exists" 0; the other answers are then the object's
// own, so that code which a program skips stays legal.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct btf;
struct error;

struct core {
	const struct btf *local, *target; // target is NULL for the object's own types
	uint32_t *heads, *next;           // of target's types, hashed by name
	uint32_t head_mask;
	uint32_t budget; // steps that are left: what bounds the work on hostile types
};

// Errors: ENOMEM.
int core_open(const struct btf *local, const struct btf *target, struct core *core);
void core_close(struct core *core);
// Patches `insn` (insn[1] too if `left` is over 1 and it is an LDDW) by one relocation.
// Errors: EINVAL with what is wrong; the caller adds the place.
int core_apply(struct core *core, const struct bpf_core_relo *relocation, struct bpf_insn *insn,
        uint32_t left, struct error *err);
