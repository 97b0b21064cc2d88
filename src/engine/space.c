// SPDX-License-Identifier: Apache-2.0
// One reservation of 4 GiB, and the list of the windows in it, sorted by address. Windows are few
// (maps, engines, packet memory) and made by control code: the list is walked, first fit.
//
// Invariants: windows are page aligned; behind each, and in front of the first, lies at least one
// page that is not accessible; the last page of the space is never given out, so that no access of
// 8 bytes that begins in a window can wrap.
#include "engine/space.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/native/code_memory.h"

#define SPACE_SIZE  (1ull << 32)
#define SPACE_FIRST (1u << 16)

struct region {
	uint64_t start, end; // end includes no guard
};

struct space {
	uint8_t *base; // first: space_base() reads it
	pthread_mutex_t lock;
	uint64_t page;
	struct region *regions;
	uint32_t count, capacity;
	uint64_t promised, limit;
	uint64_t secret[4];
	struct code_memory *code;
};

int space_new(struct space **space, struct error *err)
{
	struct space *new = calloc(1, sizeof(*new));
	if (!new)
		return error_set(err, ENOMEM, "out of memory for a card address space");
	if (getrandom(new->secret, sizeof(new->secret), 0) != sizeof(new->secret)) {
		free(new);
		return error_set(err, EIO, "the system has no random numbers");
	}
	// Never swapped, dumped or counted as memory before a window is made.
	void *base = mmap(
	        NULL, SPACE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		int code = errno;
		free(new);
		return error_set(err, code,
		        "cannot reserve 4 GiB of virtual memory for the card address space: %s; "
		        "raise "
		        "the limit on address space (ulimit -v)",
		        strerror(code));
	}
	new->base = base;
	new->page = (uint64_t)sysconf(_SC_PAGESIZE);
	new->limit = (uint64_t)sysconf(_SC_PHYS_PAGES) * new->page / 2;
	if (code_memory_new(&new->code)) {
		munmap(base, SPACE_SIZE);
		free(new);
		return error_set(err, ENOMEM, "out of memory for a card address space");
	}
	pthread_mutex_init(&new->lock, NULL);
	*space = new;
	return 0;
}

const uint64_t *space_secret(const struct space *space)
{
	return space->secret;
}

struct code_memory *space_code(struct space *space)
{
	return space->code;
}

void space_free(struct space **space)
{
	if (!*space)
		return;
	munmap((*space)->base, SPACE_SIZE);
	code_memory_free(&(*space)->code);
	pthread_mutex_destroy(&(*space)->lock);
	free((*space)->regions);
	free(*space);
	*space = NULL;
}

static int grow(struct space *space)
{
	if (space->count < space->capacity)
		return 0;
	uint32_t capacity = space->capacity ? 2 * space->capacity : 32;
	struct region *regions = reallocarray(space->regions, capacity, sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	space->regions = regions;
	space->capacity = capacity;
	return 0;
}

// The place in the list, and the address, of a hole for `size` bytes and a guard on either side.
static int find_hole(const struct space *space, uint64_t size, uint32_t *place, uint64_t *start,
        uint64_t *largest)
{
	uint64_t at = SPACE_FIRST + space->page;
	*largest = 0;
	for (uint32_t i = 0; i <= space->count; i++) {
		uint64_t limit = i < space->count ? space->regions[i].start : SPACE_SIZE;
		if (limit >= at + space->page && limit - at - space->page > *largest)
			*largest = limit - at - space->page;
		if (size <= *largest) {
			*place = i;
			*start = at;
			return 0;
		}
		if (i < space->count)
			at = space->regions[i].end + space->page;
	}
	return -ENOMEM;
}

static int map_locked(struct space *space, uint64_t size, uint32_t *address, struct error *err)
{
	uint32_t place;
	uint64_t start, largest;
	if (find_hole(space, size, &place, &start, &largest))
		return error_set(err, ENOMEM,
		        "the card address space has no room for %llu bytes: the largest hole has "
		        "%llu; "
		        "make maps smaller",
		        (unsigned long long)size, (unsigned long long)largest);
	if (grow(space))
		return error_set(err, ENOMEM, "out of memory for the list of windows");
	if (mprotect(space->base + start, size, PROT_READ | PROT_WRITE))
		return error_set(err, ENOMEM, "cannot map a window of %llu bytes: %s",
		        (unsigned long long)size, strerror(errno));
	memmove(&space->regions[place + 1], &space->regions[place],
	        (space->count - place) * sizeof(space->regions[0]));
	space->regions[place] = (struct region){start, start + size};
	space->count++;
	*address = (uint32_t)start;
	return 0;
}

int space_map(struct space *space, size_t size, uint32_t *address, struct error *err)
{
	if (!size || size >= SPACE_SIZE)
		return error_set(err, ENOMEM,
		        "a window of %zu bytes does not fit the card address space of 4 GiB", size);
	uint64_t whole = (size + space->page - 1) & ~(space->page - 1);
	pthread_mutex_lock(&space->lock);
	int r = map_locked(space, whole, address, err);
	pthread_mutex_unlock(&space->lock);
	return r;
}

void space_unmap(struct space *space, uint32_t address)
{
	pthread_mutex_lock(&space->lock);
	for (uint32_t i = 0; i < space->count; i++) {
		struct region region = space->regions[i];
		if (region.start != address)
			continue;
		// A fresh mapping in place of the old one: the next window there begins as zeros.
		mmap(space->base + region.start, region.end - region.start, PROT_NONE,
		        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		space->count--;
		memmove(&space->regions[i], &space->regions[i + 1],
		        (space->count - i) * sizeof(space->regions[0]));
		break;
	}
	pthread_mutex_unlock(&space->lock);
}

int space_promise(struct space *space, uint64_t bytes, struct error *err)
{
	pthread_mutex_lock(&space->lock);
	uint64_t left = space->promised < space->limit ? space->limit - space->promised : 0;
	bool fits = bytes <= left;
	if (fits)
		space->promised += bytes;
	pthread_mutex_unlock(&space->lock);
	if (fits)
		return 0;
	return error_set(err, ENOMEM,
	        "full it would take %llu MiB, and the maps of the card have %llu MiB left of "
	        "%llu (half of the machine's memory): lower max_entries",
	        (unsigned long long)(bytes >> 20), (unsigned long long)(left >> 20),
	        (unsigned long long)(space->limit >> 20));
}

void space_release(struct space *space, uint64_t bytes)
{
	pthread_mutex_lock(&space->lock);
	space->promised -= bytes;
	pthread_mutex_unlock(&space->lock);
}

void space_limit(struct space *space, uint64_t bytes)
{
	space->limit = bytes;
}
