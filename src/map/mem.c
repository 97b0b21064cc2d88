// SPDX-License-Identifier: Apache-2.0
// A block's place and size stand in the cache line in front of it. Big blocks come from the kernel
// one by one, not from the heap: a heap clears what it gives a second time, and so touches it all.
#include "map/mem.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LINE     64u
#define BIG_MIN  (64u << 10)
#define BIG_PAGE (2ull << 20)
#define HOT_MIN  (2 * BIG_PAGE) // smaller ones fit the processor's memory of addresses

struct header {
	void *block;
	size_t bytes;
};

static struct header *header_of(void *memory)
{
	return (struct header *)((uint8_t *)memory - LINE);
}

// `front`: bytes in front of the memory, at least a line, so that it begins at a multiple of
// itself.
static void *new (size_t count, size_t size, size_t front)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - 2 * front)
		return NULL;
	bytes = round_up(bytes, LINE) + front + (front > LINE ? LINE : 0);
	uint8_t *block;
	if (bytes < BIG_MIN) {
		block = aligned_alloc(LINE, bytes);
		if (!block)
			return NULL;
		memset(block, 0, bytes);
	} else {
		block = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (block == MAP_FAILED)
			return NULL;
	}
	void *memory = (void *)round_up((uintptr_t)block + LINE, front);
	*header_of(memory) = (struct header){block, bytes};
	return memory;
}

void *mem_new(size_t count, size_t size)
{
	return new (count, size, LINE);
}

// The header stands outside the big pages: a table that nobody fills costs one small one.
void *mem_new_hot(size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes < HOT_MIN)
		return mem_new(count, size);
	void *memory = new (count, size, BIG_PAGE);
	if (memory)
		mem_hot(memory, bytes);
	return memory;
}

void mem_free(void *memory)
{
	if (!memory)
		return;
	struct header header = *header_of(memory);
	if (header.bytes < BIG_MIN)
		free(header.block);
	else
		munmap(header.block, header.bytes);
}

void mem_hot(void *memory, size_t size)
{
	uintptr_t start = round_up((uintptr_t)memory, BIG_PAGE);
	uintptr_t end = ((uintptr_t)memory + size) / BIG_PAGE * BIG_PAGE;
	if (size >= HOT_MIN && end > start)
		madvise((void *)start, end - start, MADV_HUGEPAGE); // or small ones, slower
}
