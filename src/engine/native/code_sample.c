// SPDX-License-Identifier: Apache-2.0
#include "engine/native/code_sample.h"

#include <assert.h>
#include <stddef.h>

#include "engine/native/asm.h"

typedef uint64_t enter_function(
        void *engine, uint8_t *base, uint8_t *frame, const void *function, const uint64_t args[5]);

bool sample_offered(void)
{
	return asm_offered();
}

struct sample sample_new(uint32_t value, uint32_t padding)
{
	struct sample sample;
	int rc = code_new(&sample.code);
	assert(!rc);
	(void)rc;
	asm_entry(sample.code, 0);
	sample.function = code_size(sample.code);
	asm_function_begin(sample.code, 0);
	asm_constant(sample.code, REG_R0, value);
	asm_function_end(sample.code, 0);
	for (uint32_t i = 0; i < padding; i++)
		asm_constant(sample.code, REG_R1, 0x123456789abcdef + i);
	sample.size = code_size(sample.code);
	return sample;
}

struct sample sample_unfinished(void)
{
	struct sample sample = sample_new(0, 0);
	asm_jump(sample.code, asm_label(sample.code));
	return sample;
}

uint64_t sample_run(const struct sample *sample, const uint8_t *block)
{
	static const uint64_t args[5];
	uint64_t engine = 0;
	enter_function *enter = (enter_function *)(uintptr_t)block;
	return enter(&engine, NULL, NULL, block + sample->function, args);
}

void sample_free(struct sample *sample)
{
	code_free(&sample->code);
}
