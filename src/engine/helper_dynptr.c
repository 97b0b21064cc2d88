// SPDX-License-Identifier: Apache-2.0
// Dynptrs: 16 bytes of the program's memory that say where something lies. The program can write
// them as it likes, so they grant nothing: whatever they name is checked again at each use, like
// any pointer.
#include <errno.h>
#include <string.h>

#include "engine/helpers.h"

#define DYNPTR_MAX 0xffffffu // the kernel counts sizes in 24 bits

enum dynptr_kind { DYNPTR_NONE, DYNPTR_MEMORY, DYNPTR_RECORD, DYNPTR_PACKET };

struct dynptr {
	uint32_t address; // 0 for the packet: it may move
	uint32_t size;
	uint32_t kind;
	uint32_t zero;
};
_Static_assert(sizeof(struct dynptr) == sizeof(struct bpf_dynptr), "dynptr");

static bool dynptr_load(struct engine *engine, uint64_t address, struct dynptr *dynptr)
{
	const uint8_t *from = helper_in(engine, address, sizeof(*dynptr));
	if (!from)
		return false;
	memcpy(dynptr, from, sizeof(*dynptr));
	if (dynptr->kind == DYNPTR_PACKET && engine->packet) {
		dynptr->address = (uint32_t)engine->packet_start;
		dynptr->size = (uint32_t)engine->packet_size;
	}
	return true;
}

static bool dynptr_store(struct engine *engine, uint64_t address, const struct dynptr *dynptr)
{
	uint8_t *to = helper_out(engine, address, sizeof(*dynptr));
	if (to)
		memcpy(to, dynptr, sizeof(*dynptr));
	return to != NULL;
}

static bool in_range(const struct dynptr *dynptr, uint64_t offset, uint64_t size)
{
	return size <= dynptr->size && offset <= dynptr->size - size;
}

// R1 memory, R2 its size, R3 flags, R4 the dynptr.
uint64_t helper_dynptr_from_mem(struct engine *engine, const uint64_t args[5])
{
	struct dynptr dynptr = {(uint32_t)args[0], (uint32_t)args[1], DYNPTR_MEMORY, 0};
	if (!helper_out(engine, args[0], args[1]))
		return 0;
	int64_t error = args[1] > DYNPTR_MAX ? -E2BIG : args[2] ? -EINVAL : 0;
	if (error)
		dynptr = (struct dynptr){0};
	return dynptr_store(engine, args[3], &dynptr) ? (uint64_t)error : 0;
}

// R1 ring buffer, R2 size, R3 flags, R4 the dynptr. Where it fails the dynptr is empty, and may be
// submitted.
uint64_t helper_dynptr_reserve(struct engine *engine, const uint64_t args[5])
{
	struct dynptr dynptr = {.kind = DYNPTR_NONE};
	if (!dynptr_store(engine, args[3], &dynptr))
		return 0;
	if (args[2])
		return (uint64_t)-EINVAL;
	if (args[1] > DYNPTR_MAX)
		return (uint64_t)-E2BIG;
	uint64_t address = helper_ring_reserve(engine, args);
	if (!address)
		return engine->fault ? 0 : (uint64_t)-EINVAL;
	dynptr = (struct dynptr){(uint32_t)address, (uint32_t)args[1], DYNPTR_RECORD, 0};
	dynptr_store(engine, args[3], &dynptr);
	return 0;
}

static uint64_t finish(struct engine *engine, const uint64_t args[5], bool discard)
{
	struct dynptr dynptr;
	const struct dynptr empty = {0};
	if (!dynptr_load(engine, args[0], &dynptr) || !dynptr_store(engine, args[0], &empty))
		return 0;
	if (dynptr.kind == DYNPTR_NONE)
		return 0;
	if (dynptr.kind != DYNPTR_RECORD)
		return helper_fault(engine, args[0]);
	const uint64_t record[5] = {dynptr.address, args[1], 0, 0, 0};
	return discard ? helper_ring_discard(engine, record) : helper_ring_submit(engine, record);
}

uint64_t helper_dynptr_submit(struct engine *engine, const uint64_t args[5])
{
	return finish(engine, args, false);
}

uint64_t helper_dynptr_discard(struct engine *engine, const uint64_t args[5])
{
	return finish(engine, args, true);
}

// R1, R2 where to; R3 the dynptr, R4 offset, R5 flags.
uint64_t helper_dynptr_read(struct engine *engine, const uint64_t args[5])
{
	struct dynptr dynptr;
	uint8_t *to = helper_out(engine, args[0], args[1]);
	if (!to || !dynptr_load(engine, args[2], &dynptr) || !helper_charge(engine, args[1] / 32))
		return 0;
	if (dynptr.kind == DYNPTR_NONE || args[4])
		return (uint64_t)-EINVAL;
	if (!in_range(&dynptr, args[3], args[1]))
		return (uint64_t)-E2BIG;
	const uint8_t *from = helper_in(engine, dynptr.address + args[3], args[1]);
	if (from)
		memmove(to, from, args[1]);
	return 0;
}

// R1 the dynptr, R2 offset; R3, R4 where from; R5 flags.
uint64_t helper_dynptr_write(struct engine *engine, const uint64_t args[5])
{
	struct dynptr dynptr;
	const uint8_t *from = helper_in(engine, args[2], args[3]);
	if (!from || !dynptr_load(engine, args[0], &dynptr) || !helper_charge(engine, args[3] / 32))
		return 0;
	if (dynptr.kind == DYNPTR_NONE || args[4])
		return (uint64_t)-EINVAL;
	if (!in_range(&dynptr, args[1], args[3]))
		return (uint64_t)-E2BIG;
	uint8_t *to = helper_out(engine, dynptr.address + args[1], args[3]);
	if (to)
		memmove(to, from, args[3]);
	return 0;
}

// R1 the dynptr, R2 offset, R3 size: a pointer to so much of it, or NULL. Not of a packet: that is
// a slice.
uint64_t helper_dynptr_data(struct engine *engine, const uint64_t args[5])
{
	struct dynptr dynptr;
	if (!dynptr_load(engine, args[0], &dynptr))
		return 0;
	if (dynptr.kind == DYNPTR_NONE || dynptr.kind == DYNPTR_PACKET ||
	        !in_range(&dynptr, args[1], args[2]))
		return 0;
	return dynptr.address + args[1];
}

// R1 the context, R2 flags, R3 the dynptr.
uint64_t kfunc_dynptr_from_xdp(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	struct dynptr dynptr = {.kind = args[1] ? DYNPTR_NONE : DYNPTR_PACKET};
	if (!dynptr_store(engine, args[2], &dynptr))
		return 0;
	return args[1] ? (uint64_t)-EINVAL : 0;
}

// R1 the dynptr, R2 offset, R3 buffer (may be NULL), R4 size: a pointer, or NULL. All that a card
// has is in one piece, so that the buffer is never needed.
uint64_t kfunc_dynptr_slice(struct engine *engine, const uint64_t args[5])
{
	struct dynptr dynptr;
	if (!dynptr_load(engine, args[0], &dynptr))
		return 0;
	if (dynptr.kind == DYNPTR_NONE || !in_range(&dynptr, (uint32_t)args[1], (uint32_t)args[3]))
		return 0;
	return dynptr.address + (uint32_t)args[1];
}

uint64_t kfunc_dynptr_slice_rdwr(struct engine *engine, const uint64_t args[5])
{
	return kfunc_dynptr_slice(engine, args);
}
