// SPDX-License-Identifier: Apache-2.0
// The disassembler: instructions in the pseudo-C form of the kernel's verifier and llvm-objdump.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buffer;
struct image;
struct image_program;

// One instruction ("r1 += r2", "call bpf_map_lookup_elem#1", "r1 = map[flows]") into `text`.
// Returns the slots it takes: 2 for LDDW, else 1.
uint32_t disasm_insn(const struct image *image, const struct image_program *program, uint32_t insn,
        char *text, size_t size);
// A whole program, a line an instruction, with functions, jump targets and source lines between.
void disasm_program(
        const struct image *image, const struct image_program *program, struct buffer *buffer);
