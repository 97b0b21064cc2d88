// SPDX-License-Identifier: Apache-2.0
#include "engine/native/code.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_BYTES 4096u
#define FIRST_ITEMS 64u

int code_new(struct code **code)
{
	struct code *new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->bytes = malloc(FIRST_BYTES);
	if (!new->bytes) {
		free(new);
		return -ENOMEM;
	}
	new->capacity = FIRST_BYTES;
	new->features = asm_features();
	*code = new;
	return 0;
}

void code_free(struct code **code)
{
	if (!*code)
		return;
	free((*code)->bytes);
	free((*code)->labels);
	free((*code)->fixes);
	free((*code)->calls);
	free(*code);
	*code = NULL;
}

void code_grow(struct code *code)
{
	uint8_t *bytes = code->error || code->capacity >= CODE_MAX
	                         ? NULL
	                         : realloc(code->bytes, 2 * (size_t)code->capacity);
	if (bytes) {
		code->bytes = bytes;
		code->capacity *= 2;
		return;
	}
	code->error = -ENOMEM;
	code->size = 0;
}

// Room for one item more in a list. False: there is none, and the error is kept.
static bool make_room(
        struct code *code, void **items, uint32_t count, uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return true;
	uint32_t more = *capacity ? 2 * *capacity : FIRST_ITEMS;
	void *grown = code->error ? NULL : reallocarray(*items, more, size);
	if (!grown) {
		code->error = -ENOMEM;
		return false;
	}
	*items = grown;
	*capacity = more;
	return true;
}

uint32_t asm_label(struct code *code)
{
	if (!make_room(code, (void **)&code->labels, code->label_count, &code->label_capacity,
	            sizeof(code->labels[0])))
		return CODE_UNBOUND;
	code->labels[code->label_count] = CODE_UNBOUND;
	return code->label_count++;
}

void asm_bind(struct code *code, uint32_t label)
{
	if (label < code->label_count)
		code->labels[label] = code->size;
	code->bound = code->size;
}

uint32_t asm_position(const struct code *code, uint32_t label)
{
	return code_label(code, label);
}

void code_fix(struct code *code, uint32_t at, uint32_t label, uint32_t kind)
{
	if (make_room(code, (void **)&code->fixes, code->fix_count, &code->fix_capacity,
	            sizeof(code->fixes[0])))
		code->fixes[code->fix_count++] = (struct fix){at, label, kind};
}

void code_host_call(struct code *code, uint32_t at, const void *function)
{
	if (make_room(code, (void **)&code->calls, code->call_count, &code->call_capacity,
	            sizeof(code->calls[0])))
		code->calls[code->call_count++] = (struct host_call){at, function};
}

static int64_t distance_of(const struct code *code, const struct fix *fix)
{
	return (int64_t)code_label(code, fix->label) - fix->at;
}

int code_error(const struct code *code)
{
	if (code->error)
		return code->error;
	for (uint32_t i = 0; i < code->fix_count; i++) {
		const struct fix *fix = &code->fixes[i];
		if (code_label(code, fix->label) == CODE_UNBOUND ||
		        !asm_fix_reaches(fix->kind, distance_of(code, fix)))
			return -ERANGE;
	}
	return 0;
}

uint32_t code_size(const struct code *code)
{
	return code->size;
}

void code_place(const struct code *code, uint8_t *to, uintptr_t address)
{
	memcpy(to, code->bytes, code->size);
	for (uint32_t i = 0; i < code->fix_count; i++) {
		const struct fix *fix = &code->fixes[i];
		asm_fix(to + fix->at, fix->kind, distance_of(code, fix));
	}
	for (uint32_t i = 0; i < code->call_count; i++) {
		const struct host_call *call = &code->calls[i];
		asm_fix_host_call(to + call->at, address + call->at, call->function);
	}
}
