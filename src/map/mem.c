// SPDX-License-Identifier: Apache-2.0
// A block's size stands in the cache line in front of it. Big blocks come from the kernel one by
// one, not from the heap: a heap clears what it gives a second time, and so touches it all.
#include "map/mem.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LINE    64u
#define BIG_MIN (64u << 10)

void *mem_new(size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) ||
	        __builtin_add_overflow(bytes, LINE, &bytes) || bytes > PTRDIFF_MAX - LINE)
		return NULL;
	bytes = round_up(bytes, LINE);
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
	memcpy(block, &bytes, sizeof(bytes));
	return block + LINE;
}

void mem_free(void *memory)
{
	if (!memory)
		return;
	uint8_t *block = (uint8_t *)memory - LINE;
	size_t bytes;
	memcpy(&bytes, block, sizeof(bytes));
	if (bytes < BIG_MIN)
		free(block);
	else
		munmap(block, bytes);
}
