// SPDX-License-Identifier: Apache-2.0
// Memory for machine code, one region a space. It is reserved before a process gives up the right
// to make executable memory (card/confine.c), and only ever mapped readable and executable: code is
// written through the file behind it, so that no address can be written and executed, not even for
// a moment.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct code;
struct code_memory;
struct error;

#define CODE_MEMORY_SIZE (64u << 20) // of address space; memory is taken where code is put

// -ENOMEM. Where the system refuses executable memory, there is none in it.
int code_memory_new(struct code_memory **memory);
void code_memory_free(struct code_memory **memory);
// 0, or why there is none: -errno, and the system's words in *err.
int code_memory_offered(const struct code_memory *memory, struct error *err);

// Places finished code in a block of its own and gives the block's address; it may be run by all
// threads from then on. Thread-safe. Errors: those of code_error(); ENOMEM where the region or the
// machine's memory is full; those of code_memory_offered().
int code_memory_put(struct code_memory *memory, const struct code *code, const uint8_t **block,
        struct error *err);
// A block that no thread runs any more, or NULL. What stood there traps from then on. Thread-safe.
void code_memory_drop(struct code_memory *memory, const uint8_t *block);
// Bytes in blocks.
size_t code_memory_used(struct code_memory *memory);
