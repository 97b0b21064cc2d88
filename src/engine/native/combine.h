// SPDX-License-Identifier: Apache-2.0
// Rewrites a program for the compiler: what clang must spell out byte by byte, because a machine of
// eBPF may not load a word at an odd address, becomes one load, store or compare where the proofs
// allow it; loads from frozen globals become constants, and jumps on constants are decided.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct analysis;
struct bpf_insn;
struct fact;
struct generation;

// Works on copies that the compiler owns: `insns`, as linked (engine/link.h), and `facts`, both of
// analysis->insn_count slots. An instruction that is no longer needed becomes a jump by 0; an LDDW,
// which has two slots and counts once, stays, with nobody to read it (fact.live). A jump that is
// decided becomes one that is always taken, or by 0; what nothing leads to any more is not
// fact.reached, and what nothing jumps to is no fact.leader. What a
// slot holds afterwards may do the work of several, always at the last of them, and never reaches
// over an instruction at which the interpreter could take over: an access that is not proven, a
// call, a leader. So whatever can be seen from outside (memory, live registers, the places of
// faults, counts) is as before at each of those. Facts of rewritten slots are brought up to date.
// Errors: ENOMEM.
int combine(const struct generation *generation, const struct analysis *analysis,
        struct bpf_insn *insns, struct fact *facts);

// The instructions [at, end), which compare `size` bytes (4 to 16) at a + a_offset with those at
// b + b_offset, one load of each at a time, and jump where they differ. If all are equal, they all
// run, and leave no register that is still used: whoever finds that out before may go on at `end`,
// counting them. They are left as they are for where the bytes differ, since what is counted then
// depends on the first that does. Both places are proven, by no branch, and not on the stack; each
// byte may be loaded more than once.
struct filter {
	uint32_t end;
	uint8_t a, b; // registers
	int16_t a_offset, b_offset;
	uint32_t size;
};
// Of `count` instructions that combine() has rewritten; false: none begins at `at`.
bool combine_find_filter(const struct bpf_insn *insns, const struct fact *facts, uint32_t count,
        uint32_t at, struct filter *filter);
