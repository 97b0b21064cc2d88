// SPDX-License-Identifier: Apache-2.0
// A small assembler for tests: one instruction a line (or parted by ';'), '#' begins a comment.
//
// clang-format off
//	add r0 r1 | add32 r0 -1          also sub mul div sdiv or and lsh rsh mod smod xor mov arsh
//	movs8 r0 r1 | neg32 r0 | be16 r0 | le32 r0 | bswap64 r0 | lddw r0 0x1122334455667788
//	ldxw r0 [r1+4] | ldxsh r0 [r1+4] | stxdw [r10-8] r1 | stb [r1+0] 255
//	atomic_add32 [r1+0] r2 | atomic_fetch_add64 [r1+0] r2 (also or and xor) | xchg64 … | cmpxchg32 …
//	load_acqw r0 [r1+0] | store_relw [r1+0] r0
//	jeq r0 r1 label | jsgt32 r0 -5 label | ja label | jal label | label:
//	call 1 | kcall 0 | callf label | exit
//	map r1 0 | value r1 0 8 | func r2 label | word 0x0000000000000095
// clang-format on
//
// For tests only; linked into no executable that is installed.
#pragma once

#include <linux/bpf.h>
#include <stdint.h>

#define ASSEMBLER_MAX 4096u

// Returns how many slots were written, or -1 with what is wrong in `wrong` (256 bytes).
int assemble(const char *text, struct bpf_insn insns[ASSEMBLER_MAX], char *wrong);
