// SPDX-License-Identifier: Apache-2.0
// Private to the assemblers: the bytes that are made, the labels in them, and the places that are
// filled in when the code is placed. What a place looks like only the machine's assembler knows;
// the three functions at the end are its part.
//
// Nothing here fails at once. Where memory ends, the error is kept and writing begins again at the
// start of the buffer that stands, so that emitters need no checks: code_place() is not called
// where code_error() is not 0.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/native/asm.h"

#define CODE_ROOM    64u         // what code_room() promises
#define CODE_MAX     (64u << 20) // bytes; far more than any program's
#define CODE_UNBOUND UINT32_MAX

// A place that names a label. `kind` is the assembler's own.
struct fix {
	uint32_t at, label, kind;
};

struct host_call {
	uint32_t at;
	const void *function;
};

struct code {
	uint8_t *bytes;
	uint32_t size, capacity;
	int error;         // -ENOMEM, sticky
	uint32_t features; // of this machine: asm_features()
	uint32_t *labels;  // positions, or CODE_UNBOUND
	uint32_t label_count, label_capacity;
	struct fix *fixes;
	uint32_t fix_count, fix_capacity;
	struct host_call *calls;
	uint32_t call_count, call_capacity;
	uint32_t bound; // position of the label that was bound last
	// Of aarch64.c: behind the last island, and the fixes that it looked after; what the
	// address register is the sum of, and the end of the instruction that made it so, or 0.
	uint32_t island_end, fixes_near;
	uint32_t sum_base, sum_index, sum_end;
};

void code_grow(struct code *code);
// Where the next bytes go: CODE_ROOM of them may be written, then counted by code_wrote().
static inline uint8_t *code_room(struct code *code)
{
	if (code->capacity - code->size < CODE_ROOM)
		code_grow(code);
	return code->bytes + code->size;
}
static inline void code_wrote(struct code *code, uint32_t bytes)
{
	code->size += bytes;
}
static inline void code_u32(struct code *code, uint32_t value)
{
	memcpy(code_room(code), &value, sizeof(value));
	code_wrote(code, sizeof(value));
}

// The place at `at`, which is emitted with zeros in it, is to lead to `label`.
void code_fix(struct code *code, uint32_t at, uint32_t label, uint32_t kind);
// The call at `at`, emitted with room for its longest form, is to be one of `function`.
void code_host_call(struct code *code, uint32_t at, const void *function);
// Position of a label, or CODE_UNBOUND.
static inline uint32_t code_label(const struct code *code, uint32_t label)
{
	return label < code->label_count ? code->labels[label] : CODE_UNBOUND;
}

// The machine's part. Which of its extensions are there, for code->features;
uint32_t asm_features(void);
// whether a place of that kind can lead `distance` bytes on, counted from `fix.at`;
bool asm_fix_reaches(uint32_t kind, int64_t distance);
// lead it there;
void asm_fix(uint8_t *place, uint32_t kind, int64_t distance);
// fill in a call, that will run at `address`.
void asm_fix_host_call(uint8_t *place, uintptr_t address, const void *function);
