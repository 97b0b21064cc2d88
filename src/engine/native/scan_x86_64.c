// SPDX-License-Identifier: Apache-2.0
// The pass: for each instruction, what each register may hold, as a set of kinds; sets only grow,
// over a few sweeps, until nothing changes. Then each instruction is judged.
#include "engine/native/scan_x86_64.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/native/asm.h"
#include "engine/native/compile.h"
#include "engine/native/native.h"
#include "engine/state.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12 };
#define BASE   R12
#define FRAME  RBP
#define ENGINE R9

enum {
	NUMBER = 1,  // any 64 bits
	CARD = 2,    // below 2^32
	HOST = 4,    // an address in the card's space, as the host sees it
	TABLE = 8,   // a constant over 32 bits, or that and a number: a map's, the engine's own
	TRUSTED = 16 // an address that C gave
};
#define POINTER (HOST | TABLE | TRUSTED)

#define SP_ROOM      (ASM_SCRATCH + 24u)
#define SWEEPS_MAX   64
#define TRUSTED_ROOM 1024 // bytes around such an address

// The first instruction and the end of this executable.
extern const char __executable_start, etext;

struct scan {
	const uint8_t *code;
	uint32_t size;
	struct scanned *insns;  // by position; length 0 where none begins
	uint8_t (*kinds)[16];   // by position, before it
	bool *reached, *access; // access: the function that begins here is native_access()'s
	bool changed;
	char *wrong;
	size_t room;
};

static bool fail(struct scan *scan, uint32_t at, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
static bool fail(struct scan *scan, uint32_t at, const char *format, ...)
{
	int used = snprintf(scan->wrong, scan->room, "at %#x:", at);
	for (uint32_t i = at; i < at + 12 && i < scan->size; i++)
		used += snprintf(
		        scan->wrong + used, scan->room - (size_t)used, " %02x", scan->code[i]);
	used += snprintf(scan->wrong + used, scan->room - (size_t)used, ": ");
	va_list args;
	va_start(args, format);
	vsnprintf(scan->wrong + used, scan->room - (size_t)used, format, args);
	va_end(args);
	return false;
}

static bool decode_all(struct scan *scan)
{
	uint32_t at = 0;
	while (at < scan->size) {
		struct scanned *it = &scan->insns[at];
		if (!scan_decode(scan->code + at, scan->size - at, it))
			return fail(scan, at, "an instruction that the assembler does not write");
		at += it->length;
	}
	return true;
}

static uint8_t kind_of(const uint8_t kinds[16], unsigned reg)
{
	return reg == BASE || reg == FRAME   ? HOST
	       : reg == ENGINE || reg == RSP ? TRUSTED
	                                     : kinds[reg];
}

static uint32_t size_of(const struct scanned *it)
{
	switch (it->opcode) {
	case 0x88:
	case 0xc6:
	case 0x0fb6:
	case 0x0fbe:
	case 0x0f3a20:
		return 1;
	case 0x0fb7:
	case 0x0fbf:
	case 0x0fc4:
		return 2;
	case 0x0f6f:
		return 16;
	case 0x0f7e:
	case 0x0fd6:
	case 0x8f:
	case 0xff:
		return 8;
	default:
		return it->wide ? 8 : it->prefix == 0x66 ? 2 : 4;
	}
}

static bool writes_memory(const struct scanned *it)
{
	switch (it->opcode) {
	case 0x01:
	case 0x09:
	case 0x21:
	case 0x29:
	case 0x31:
	case 0x87:
	case 0x88:
	case 0x89:
	case 0x8f:
	case 0xc6:
	case 0xc7:
	case 0x0fb1:
	case 0x0fc1:
	case 0x0fd6:
		return true;
	case 0x81:
	case 0x83:
		return it->middle != 7;
	default:
		return false;
	}
}

// Where a program can read what is written.
static bool is_visible(const struct scanned *it, const uint8_t kinds[16])
{
	if (it->base == BASE || it->index == BASE || it->base == FRAME)
		return true;
	return it->base != ENGINE && it->base != RSP && (kinds[it->base] & HOST);
}

static bool within(int64_t offset, uint32_t size, int64_t from, int64_t to)
{
	return offset >= from && offset + size <= to;
}

static bool judge_place(struct scan *scan, uint32_t at, const uint8_t kinds[16])
{
	const struct scanned *it = &scan->insns[at];
	uint32_t size = size_of(it);
	bool alone = it->index == SCAN_NONE;
	if (it->base == BASE || it->index == BASE)
		return !alone || fail(scan, at, "a constant address of the card's space");
	if (it->base == FRAME)
		return (alone && within(it->disp, size, -(int64_t)STACK_FRAME, 0)) ||
		       fail(scan, at, "outside the frame");
	if (it->base == RSP)
		return (alone && within(it->disp, size, 0, SP_ROOM)) ||
		       fail(scan, at, "outside the machine frame");
	if (it->base == ENGINE)
		return (alone && within(it->disp, size, 0, sizeof(struct engine))) ||
		       fail(scan, at, "outside the engine");
	switch (kinds[it->base]) {
	case HOST:
		return (alone && !it->disp) || fail(scan, at, "beside a checked address");
	case TRUSTED:
		return (alone && within(it->disp, size, -TRUSTED_ROOM, TRUSTED_ROOM)) ||
		       fail(scan, at, "far from what C gave");
	case TABLE:
		return !writes_memory(it) || it->opcode == 0xc6 ||
		       fail(scan, at, "a table is written");
	default:
		return fail(scan, at, "memory at what may be any number (kinds %#x of r%u)",
		        kinds[it->base], it->base);
	}
}

static bool judge_leak(struct scan *scan, uint32_t at, const uint8_t kinds[16])
{
	const struct scanned *it = &scan->insns[at];
	bool stores_register = writes_memory(it) && it->opcode != 0xc6 && it->opcode != 0xc7 &&
	                       it->opcode != 0x81 && it->opcode != 0x83 && it->opcode != 0x0fd6 &&
	                       it->opcode != 0x8f;
	if (stores_register && is_visible(it, kinds) && (kind_of(kinds, it->reg) & POINTER))
		return fail(scan, at, "an address of the host where a program can read it");
	return true;
}

// The machine's own registers change in a few ways only.
static bool judge_fixed(struct scan *scan, uint32_t at, bool entry)
{
	const struct scanned *it = &scan->insns[at];
	bool by_rm = it->opcode == 0x89 || it->opcode == 0x01 || it->opcode == 0x09 ||
	             it->opcode == 0x21 || it->opcode == 0x29 || it->opcode == 0x31 ||
	             it->opcode == 0xc7 || it->opcode == 0xc1 || it->opcode == 0xb8;
	bool grouped = (it->opcode == 0x81 || it->opcode == 0x83) && it->middle != 7;
	bool loads = it->opcode == 0x8b || it->opcode == 0x8d || it->opcode == 0x63 ||
	             (it->opcode >= 0x0fb6 && it->opcode <= 0x0fbf) || it->opcode == 0x0faf;
	unsigned changed = loads                                  ? it->reg
	                   : !it->is_memory && (by_rm || grouped) ? it->rm
	                                                          : SCAN_NONE;
	switch (changed) {
	case RSP:
		return grouped || (it->opcode == 0x8b && it->base == ENGINE) ||
		       fail(scan, at, "the machine's stack pointer changes");
	case FRAME:
		return (grouped && it->imm % STACK_FRAME == 0) || entry ||
		       fail(scan, at, "the frame pointer changes");
	case ENGINE:
		return (it->opcode == 0x8b && it->base == RSP) || entry ||
		       fail(scan, at, "the engine's register changes");
	case BASE:
		return entry || fail(scan, at, "the base of the card's space changes");
	default:
		return true;
	}
}

// The function of the executable that a call in emitted code goes to, or 0.
static uintptr_t host_target(const struct scan *scan, uint32_t at)
{
	const struct scanned *it = &scan->insns[at];
	if (it->flow == FLOW_CALL) {
		int64_t to = (int64_t)at + it->length + it->target;
		return to >= 0 && to < scan->size ? 0 : (uintptr_t)scan->code + (uint64_t)to;
	}
	const struct scanned *before = at >= 10 ? &scan->insns[at - 10] : NULL;
	if (it->flow != FLOW_CALL_BY || it->rm != R11 || !before || before->length != 10 ||
	        before->opcode != 0xb8 || before->rm != R11)
		return 0;
	return before->imm;
}

static bool judge_flow(struct scan *scan, uint32_t at, const uint8_t kinds[16])
{
	const struct scanned *it = &scan->insns[at];
	int64_t next = (int64_t)at + it->length, to = next + it->target;
	uintptr_t host = host_target(scan, at);
	switch (it->flow) {
	case FLOW_NEXT:
		return next < scan->size || fail(scan, at, "the code ends here");
	case FLOW_JUMP:
	case FLOW_BRANCH:
		return (to >= 0 && to < scan->size && scan->insns[to].length) ||
		       fail(scan, at, "a jump to no instruction");
	case FLOW_RETURN:
		return !(kinds[RAX] & POINTER) ||
		       fail(scan, at, "r0 may be an address of the host");
	case FLOW_JUMP_BY:
		return kinds[it->rm] == TRUSTED || fail(scan, at, "a jump to what may be anything");
	default:
		break;
	}
	if (host)
		return (host >= (uintptr_t)&__executable_start && host < (uintptr_t)&etext) ||
		       fail(scan, at, "a call of no function");
	if (it->flow == FLOW_CALL_BY)
		return kinds[it->rm] == TRUSTED || fail(scan, at, "a call of what may be anything");
	return scan->insns[to].length || fail(scan, at, "a call into an instruction");
}

// Sets of kinds reach `to`.
static void reach(struct scan *scan, uint32_t to, const uint8_t kinds[16])
{
	if (to >= scan->size)
		return;
	if (!scan->reached[to])
		scan->changed = scan->reached[to] = true;
	for (unsigned r = 0; r < 16; r++) {
		uint8_t all = scan->kinds[to][r] | kinds[r];
		scan->changed |= all != scan->kinds[to][r];
		scan->kinds[to][r] = all;
	}
}

static uint8_t sum_of(uint8_t a, uint8_t b)
{
	uint8_t pointer = (a | b) & POINTER;
	return pointer ? pointer : NUMBER;
}

static uint8_t loaded(const struct scanned *it)
{
	bool loop = it->base == RSP && within(it->disp, 8, SCRATCH_LOOP, SCRATCH_LOOP + 16);
	bool packet = it->base == ENGINE && it->disp == (int32_t)offsetof(struct engine, packet);
	return it->wide && (loop || packet) ? TRUSTED : it->wide ? NUMBER : CARD;
}

static uint8_t address_of(const struct scanned *it, const uint8_t kinds[16])
{
	uint8_t base = kind_of(kinds, it->base);
	return it->index == SCAN_NONE && base == NUMBER ? NUMBER
	       : it->index == SCAN_NONE                 ? sum_of(base, 0)
	                                                : sum_of(base, kind_of(kinds, it->index));
}

// r/m = r/m OP reg, both registers.
static uint8_t combined(const struct scanned *it, const uint8_t kinds[16])
{
	uint8_t old = kinds[it->rm], with = kind_of(kinds, it->reg);
	if (it->opcode == 0x89)
		return it->wide ? with : CARD;
	if (!it->wide)
		return CARD;
	if (it->opcode == 0x01 && it->reg == BASE)
		return old == CARD ? HOST : NUMBER | HOST;
	if (it->opcode == 0x01)
		return sum_of(old, with);
	if (it->opcode == 0x29 && it->reg == BASE && old == HOST)
		return CARD;
	return NUMBER;
}

static void clobber_call(uint8_t kinds[16])
{
	static const uint8_t lost[] = {RAX, RCX, RDX, RSI, RDI, R8, R10, R11};
	for (size_t i = 0; i < sizeof(lost); i++)
		kinds[lost[i]] = NUMBER;
}

static void step_call(struct scan *scan, uint32_t at, uint8_t kinds[16])
{
	const struct scanned *it = &scan->insns[at];
	uintptr_t host = host_target(scan, at);
	uint32_t to = (uint32_t)(at + it->length + it->target);
	if (!host && it->flow == FLOW_CALL && scan->access[to]) {
		kinds[R10] = HOST;
		kinds[R11] = NUMBER;
		return;
	}
	clobber_call(kinds);
	if (host == (uintptr_t)native_tail)
		kinds[RAX] = TRUSTED;
	if (host == (uintptr_t)native_access)
		kinds[RAX] = HOST;
}

// What an instruction that is no call makes of the registers.
static void step(const struct scanned *it, uint8_t kinds[16])
{
	uint8_t result = it->wide ? NUMBER : CARD;
	switch (it->opcode) {
	case 0x01:
	case 0x09:
	case 0x21:
	case 0x29:
	case 0x31:
	case 0x89:
		if (!it->is_memory)
			kinds[it->rm] = combined(it, kinds);
		break;
	case 0x8b:
		kinds[it->reg] = it->is_memory ? loaded(it) : kind_of(kinds, it->rm);
		break;
	case 0x8d:
		kinds[it->reg] = it->wide ? address_of(it, kinds) : CARD;
		break;
	case 0x81:
	case 0x83:
		if (it->is_memory || it->middle == 7)
			break;
		kinds[it->rm] = it->wide && (it->middle == 0 || it->middle == 5)
		                        ? sum_of(kinds[it->rm], 0)
		                        : result;
		break;
	case 0x05:
	case 0x0d:
	case 0x25:
	case 0x2d:
	case 0x35:
		kinds[RAX] = result;
		break;
	case 0x58:
		kinds[it->rm] = NUMBER;
		break;
	case 0xb8:
		kinds[it->rm] = it->imm > UINT32_MAX ? TABLE : CARD;
		break;
	case 0xc1:
	case 0xd1:
	case 0xd3:
	case 0xc7:
	case 0x0fc8:
		if (!it->is_memory)
			kinds[it->rm] = result;
		break;
	case 0xf7:
		if (it->middle >= 4)
			kinds[RAX] = kinds[RDX] = NUMBER;
		else if (it->middle >= 2)
			kinds[it->rm] = result;
		break;
	case 0x99:
		kinds[RDX] = NUMBER;
		break;
	case 0x63:
	case 0x69:
	case 0x6b:
	case 0x87:
	case 0x0faf:
	case 0x0fb6:
	case 0x0fb7:
	case 0x0fbc:
	case 0x0fbe:
	case 0x0fbf:
	case 0x0fc1:
	case 0x0f50:
	case 0xc4f7:
		kinds[it->reg] = result;
		break;
	case 0xc4f6:
		kinds[it->reg] = kinds[it->imm] = NUMBER;
		break;
	case 0x0fb1:
		kinds[RAX] = NUMBER;
		break;
	case 0x0f7e:
		if (it->prefix == 0x66 && !it->is_memory)
			kinds[it->rm] = result;
		break;
	case 0x0f3a14:
	case 0x0f3a15:
	case 0x0f3a16:
		kinds[it->rm] = result;
		break;
	default:
		break;
	}
}

static void sweep(struct scan *scan)
{
	for (uint32_t at = 0; at < scan->size; at += scan->insns[at].length) {
		const struct scanned *it = &scan->insns[at];
		uint32_t next = at + it->length, to = (uint32_t)(next + it->target);
		uint8_t kinds[16];
		if (!scan->reached[at])
			continue;
		memcpy(kinds, scan->kinds[at], sizeof(kinds));
		switch (it->flow) {
		case FLOW_JUMP:
			reach(scan, to, kinds);
			break;
		case FLOW_BRANCH:
			reach(scan, to, kinds);
			reach(scan, next, kinds);
			break;
		case FLOW_CALL:
		case FLOW_CALL_BY:
			step_call(scan, at, kinds);
			reach(scan, next, kinds);
			break;
		case FLOW_NEXT:
			step(it, kinds);
			reach(scan, next, kinds);
			break;
		default:
			break;
		}
	}
}

// A function begins with pushes and room on the machine's stack: what it is given may be anything,
// but for the loop over a burst, which C gives its arguments.
static void begin_functions(struct scan *scan)
{
	uint8_t kinds[16];
	uint32_t start = 0, function = 0;
	bool pushes = false;
	memset(kinds, NUMBER, sizeof(kinds));
	for (uint32_t at = 0; at < scan->size; at += scan->insns[at].length) {
		const struct scanned *it = &scan->insns[at];
		bool push = it->opcode == 0x50;
		if (!pushes)
			start = at;
		pushes = push;
		if (it->opcode == 0x81 && it->middle == 5 && it->rm == RSP && !it->is_memory) {
			reach(scan, start, kinds);
			function = start;
		}
		if (it->opcode == 0x89 && it->is_memory && it->base == RSP && it->reg == RDX &&
		        it->disp == SCRATCH_LOOP + 8) // where the packets end
			scan->kinds[function][RDI] = scan->kinds[function][RSI] = TRUSTED;
		if (host_target(scan, at) == (uintptr_t)native_access)
			scan->access[function] = true;
	}
	kinds[RDI] = kinds[RSI] = kinds[RDX] = kinds[RCX] = kinds[R8] = TRUSTED;
	reach(scan, 0, kinds);
	for (unsigned r = 0; r < 16; r++)
		scan->kinds[0][r] = kinds[r];
}

static bool judge_all(struct scan *scan)
{
	bool entry = true;
	for (uint32_t at = 0; at < scan->size; at += scan->insns[at].length) {
		const struct scanned *it = &scan->insns[at];
		const uint8_t *kinds = scan->kinds[at];
		if (!judge_fixed(scan, at, entry))
			return false;
		entry &= it->flow != FLOW_RETURN;
		if (!scan->reached[at])
			continue;
		if (!judge_flow(scan, at, kinds))
			return false;
		if (!it->is_memory || it->opcode == 0x8d || it->opcode == 0x0f1f)
			continue;
		if (!judge_place(scan, at, kinds) || !judge_leak(scan, at, kinds))
			return false;
	}
	return true;
}

bool scan_code(const uint8_t *code, uint32_t size, char *wrong, size_t room)
{
	struct scan scan = {.code = code, .size = size, .wrong = wrong, .room = room};
	scan.insns = calloc(size + 1, sizeof(scan.insns[0]));
	scan.kinds = calloc(size + 1, sizeof(scan.kinds[0]));
	scan.reached = calloc(size + 1, sizeof(bool));
	scan.access = calloc(size + 1, sizeof(bool));
	if (!scan.insns || !scan.kinds || !scan.reached || !scan.access)
		abort();
	bool good = decode_all(&scan);
	if (good) {
		begin_functions(&scan);
		for (int i = 0; i < SWEEPS_MAX; i++) {
			scan.changed = false;
			sweep(&scan);
			if (!scan.changed)
				break;
		}
		good = !scan.changed ? judge_all(&scan) : fail(&scan, 0, "does not settle");
	}
	free(scan.insns);
	free(scan.kinds);
	free(scan.reached);
	free(scan.access);
	return good;
}
