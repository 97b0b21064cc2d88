// SPDX-License-Identifier: Apache-2.0
// A file in memory, mapped once, readable and executable, near this program's own text so that code
// can call it in the shortest form. Blocks are listed by address, as the windows of a space are,
// and found first fit; each begins a cache line, and traps stand between its
// end and the next.
#include "engine/native/code_memory.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/native/asm.h"

#define LINE 64u
// A byte of which instructions are made that trap: int3 of x86-64; all zeros is aarch64's udf.
#ifdef __x86_64__
#define TRAP 0xcc
#else
#define TRAP 0
#endif
#define PAGE 4096u
// Where a mapping is tried: in steps away from the text, on both sides of it. All of them are
// within reach of a call of x86-64 (2 GiB), the first within that of aarch64 (128 MiB).
#define NEAR_STEP  (16u << 20)
#define NEAR_STEPS 100

struct block {
	uint32_t start, end;
};

struct code_memory {
	uint8_t *code; // NULL where the system refuses
	int fd;
	struct error refused;
	pthread_mutex_t lock; // of what follows
	struct block *blocks;
	uint32_t count, capacity;
	size_t used;
};

static bool is_near(uintptr_t address, uintptr_t text)
{
	uintptr_t distance = address > text ? address + CODE_MEMORY_SIZE - text : text - address;
	return distance <= (uintptr_t)NEAR_STEPS * NEAR_STEP + CODE_MEMORY_SIZE;
}

// Near the text where that can be had, else anywhere.
static void *map_code(int fd)
{
	uintptr_t text = (uintptr_t)&map_code & ~(uintptr_t)(NEAR_STEP - 1);
	for (uintptr_t i = 0; i <= NEAR_STEPS; i++) {
		uintptr_t below = text - CODE_MEMORY_SIZE - i / 2 * NEAR_STEP;
		uintptr_t above = text + (i / 2 + 1) * NEAR_STEP;
		uintptr_t hint = i == NEAR_STEPS ? 0 : i % 2 ? above : below;
		void *code = mmap(
		        (void *)hint, CODE_MEMORY_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
		if (code == MAP_FAILED || !hint || is_near((uintptr_t)code, text))
			return code;
		munmap(code, CODE_MEMORY_SIZE);
	}
	return MAP_FAILED;
}

static int reserve(struct code_memory *memory)
{
	static const char advice[] = "programs are interpreted, which is slower; allow it to run "
	                             "them as machine code";
	struct rlimit limit; // of files; to go over it is a signal
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < CODE_MEMORY_SIZE)
		return error_set(&memory->refused, EFBIG,
		        "no room for machine code: files may have %llu bytes here (ulimit -f), "
		        "it takes %u; %s",
		        (unsigned long long)limit.rlim_cur, CODE_MEMORY_SIZE, advice);
	memory->fd = memfd_create("raio-code", MFD_CLOEXEC);
	if (memory->fd < 0 || ftruncate(memory->fd, CODE_MEMORY_SIZE))
		return error_set(&memory->refused, errno,
		        "cannot make a file in memory for machine code (memfd_create): %s; %s",
		        strerror(errno), advice);
	void *code = map_code(memory->fd);
	if (code == MAP_FAILED)
		return error_set(&memory->refused, errno,
		        "the system refuses executable memory (mmap with PROT_EXEC): %s; %s",
		        strerror(errno), advice);
	memory->code = code;
	// Cores that run may hold what stood where code is put: see publish(). Refused where the
	// kernel knows none of it.
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
	return 0;
}

int code_memory_new(struct code_memory **memory)
{
	struct code_memory *new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->fd = -1;
	reserve(new);
	pthread_mutex_init(&new->lock, NULL);
	*memory = new;
	return 0;
}

void code_memory_free(struct code_memory **memory)
{
	if (!*memory)
		return;
	if ((*memory)->code)
		munmap((*memory)->code, CODE_MEMORY_SIZE);
	cleanup_close(&(*memory)->fd);
	pthread_mutex_destroy(&(*memory)->lock);
	free((*memory)->blocks);
	free(*memory);
	*memory = NULL;
}

int code_memory_offered(const struct code_memory *memory, struct error *err)
{
	if (memory->code)
		return 0;
	return error_set(err, memory->refused.code, "%s", memory->refused.text);
}

// All of it, or -errno.
static int write_at(int fd, const uint8_t *bytes, size_t size, size_t at)
{
	while (size) {
		ssize_t written = pwrite(fd, bytes, size, (off_t)at);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written ? -errno : -EIO;
		bytes += written;
		size -= (size_t)written;
		at += (size_t)written;
	}
	return 0;
}

// What was written is what all cores run.
static void publish(const struct code_memory *memory, uint8_t *start, size_t size)
{
	__builtin___clear_cache((char *)start, (char *)start + size);
#ifdef __aarch64__
	// qemu-aarch64 before 8.1 ignores that, and sees no write that does not go through the
	// mapping. Mapping the same pages once more, which Linux does at once or, behind a filter
	// of system calls, not at all, makes it look again.
	uint8_t *page = start - (uintptr_t)start % PAGE;
	mmap(page, (size_t)(start + size - page), PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
	        memory->fd, page - memory->code);
#endif
	(void)memory;
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

// The place in the list, and the start, of the first hole of `size` bytes.
static bool find_hole(
        const struct code_memory *memory, uint32_t size, uint32_t *place, uint32_t *start)
{
	uint32_t at = 0;
	for (uint32_t i = 0; i <= memory->count; i++) {
		uint32_t limit = i < memory->count ? memory->blocks[i].start : CODE_MEMORY_SIZE;
		if (size <= limit - at) {
			*place = i;
			*start = at;
			return true;
		}
		at = memory->blocks[i].end;
	}
	return false;
}

// A block of `size` bytes, a multiple of LINE.
static int take(struct code_memory *memory, uint32_t size, uint32_t *start, struct error *err)
{
	uint32_t place;
	if (!find_hole(memory, size, &place, start))
		return error_set(err, ENOMEM,
		        "no room for %u bytes of machine code: the programs on this card hold %zu "
		        "of %u; remove functions that are not needed",
		        size, memory->used, CODE_MEMORY_SIZE);
	if (memory->count == memory->capacity) {
		uint32_t capacity = memory->capacity ? 2 * memory->capacity : 32;
		struct block *blocks = reallocarray(memory->blocks, capacity, sizeof(*blocks));
		if (!blocks)
			return error_set(err, ENOMEM, "out of memory for the list of code blocks");
		memory->blocks = blocks;
		memory->capacity = capacity;
	}
	memmove(&memory->blocks[place + 1], &memory->blocks[place],
	        (memory->count - place) * sizeof(memory->blocks[0]));
	memory->blocks[place] = (struct block){*start, *start + size};
	memory->count++;
	memory->used += size;
	return 0;
}

// The place in the list of the block that begins at `start`.
static uint32_t find(const struct code_memory *memory, uint32_t start)
{
	uint32_t low = 0, high = memory->count;
	while (low + 1 < high) {
		uint32_t middle = (low + high) / 2;
		if (memory->blocks[middle].start <= start)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int code_memory_put(struct code_memory *memory, const struct code *code, const uint8_t **block,
        struct error *err)
{
	int rc = code_memory_offered(memory, err);
	if (rc)
		return rc;
	rc = code_error(code);
	if (rc)
		return error_set(err, -rc,
		        rc == -ENOMEM ? "out of memory for machine code"
		                      : "machine code with a jump that leads nowhere or too far");
	uint32_t size = code_size(code), whole = (size / LINE + 1) * LINE, start = 0;
	autofree uint8_t *bytes = malloc(whole);
	if (!bytes)
		return error_set(err, ENOMEM, "out of memory for machine code");
	pthread_mutex_lock(&memory->lock);
	rc = take(memory, whole, &start, err);
	pthread_mutex_unlock(&memory->lock);
	if (rc)
		return rc;
	uint8_t *to = memory->code + start;
	code_place(code, bytes, (uintptr_t)to);
	memset(bytes + size, TRAP, whole - size);
	rc = write_at(memory->fd, bytes, whole, start);
	if (rc) {
		code_memory_drop(memory, to);
		return error_set(err, -rc, "cannot write %u bytes of machine code: %s", whole,
		        strerror(-rc));
	}
	publish(memory, to, whole);
	*block = to;
	return 0;
}

void code_memory_drop(struct code_memory *memory, const uint8_t *block)
{
	if (!block)
		return;
	uint8_t traps[4096];
	memset(traps, TRAP, sizeof(traps));
	uint32_t start = (uint32_t)(block - memory->code);
	pthread_mutex_lock(&memory->lock);
	uint32_t end = memory->blocks[find(memory, start)].end;
	pthread_mutex_unlock(&memory->lock);
	for (uint32_t at = start; at < end; at += sizeof(traps)) {
		uint32_t size = end - at < sizeof(traps) ? end - at : sizeof(traps);
		write_at(memory->fd, traps, size, at); // the memory is there
	}
	publish(memory, memory->code + start, end - start);
	pthread_mutex_lock(&memory->lock);
	uint32_t place = find(memory, start);
	memory->used -= end - start;
	memory->count--;
	memmove(&memory->blocks[place], &memory->blocks[place + 1],
	        (memory->count - place) * sizeof(memory->blocks[0]));
	pthread_mutex_unlock(&memory->lock);
}

size_t code_memory_used(struct code_memory *memory)
{
	pthread_mutex_lock(&memory->lock);
	size_t used = memory->used;
	pthread_mutex_unlock(&memory->lock);
	return used;
}
