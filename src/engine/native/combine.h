// SPDX-License-Identifier: Apache-2.0
// Rewrites a program for the compiler: what clang must spell out byte by byte, because a machine of
// eBPF may not load a word at an odd address, becomes one load, store or compare where the proofs
// allow it; loads from frozen globals become constants, and jumps on constants are decided.
#pragma once

#include <stdint.h>

struct analysis;
struct bpf_insn;
struct fact;
struct generation;

// Works on copies that the compiler owns: `insns`, as linked (engine/link.h), and `facts`, both of
// analysis->insn_count slots. An instruction that is no longer needed becomes a jump by 0. What a
// slot holds afterwards may do the work of several, always at the last of them, and never reaches
// over an instruction at which the interpreter could take over: an access that is not proven, a
// call, a leader. So whatever can be seen from outside (memory, live registers, the places of
// faults, counts) is as before at each of those. Facts of rewritten slots are brought up to date.
// Errors: ENOMEM.
int combine(const struct generation *generation, const struct analysis *analysis,
        struct bpf_insn *insns, struct fact *facts);
