// SPDX-License-Identifier: Apache-2.0
// The card address space (docs/internals.md): 32-bit addresses in which everything that a program
// may touch has a window, and all between is a hole. One range of 4 GiB of virtual memory backs it,
// so that host address = base + card address. Nothing is mapped at the first 64 KiB; every window
// has at least an unmapped page on either side.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct code_memory;
struct error;
struct space;

int space_new(struct space **space, struct error *err);
void space_free(struct space **space);
// A window of `size` zeroed bytes at a page boundary; its first card address into *address.
// Thread-safe. Errors: ENOMEM with the sizes asked and left.
int space_map(struct space *space, size_t size, uint32_t *address, struct error *err);
void space_unmap(struct space *space, uint32_t address);

// Memory that maps may come to use is promised before it is touched, so that a function that fills
// its maps finds it, and the card is not killed for want of it. All promises together stay within a
// limit: half of the machine's memory, or what space_limit() says. Errors: ENOMEM.
int space_promise(struct space *space, uint64_t bytes, struct error *err);
void space_release(struct space *space, uint64_t bytes);
void space_limit(struct space *space, uint64_t bytes);

// Four words of chance that all engines of the card share, and nobody else knows.
const uint64_t *space_secret(const struct space *space);

// Memory for machine code (engine/native/code_memory.h), reserved with the space.
struct code_memory *space_code(struct space *space);

// Host address of card address 0. (The first field of struct space, for speed.)
static inline uint8_t *space_base(const struct space *space)
{
	return *(uint8_t *const *)space;
}
