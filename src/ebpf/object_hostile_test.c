// SPDX-License-Identifier: Apache-2.0
// Objects that are cut, mutated, or met by a machine without memory: an error or an image that is
// sound, never a crash. Each input is a block of its exact size, so that a sanitizer sees the first
// byte beyond it. Allocations are counted and failed through the linker's --wrap.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "ebpf/check.h"
#include "ebpf/image.h"
#include "ebpf/object_test.h"

#define MUTATIONS 4000 // of each object
#define BUDGET_NS (20 * NS_PER_S)
#define FLIPS_MAX 8

static const char *const names[] = {"maps_btf", "maps_inner", "maps_prog_array",
        "subprogram_static", "core_fields", "globals", "externs", "maps_iproute",
        "function_pointer", "strings"};

static int64_t allocations_until_failure = INT64_MAX, allocations_live;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *block);

static bool allocation_fails(void)
{
	return allocations_until_failure-- <= 0;
}

void *__wrap_malloc(size_t size)
{
	void *block = allocation_fails() ? NULL : __real_malloc(size);
	allocations_live += block != NULL;
	return block;
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *block = allocation_fails() ? NULL : __real_calloc(count, size);
	allocations_live += block != NULL;
	return block;
}

void *__wrap_realloc(void *old, size_t size)
{
	void *block = allocation_fails() ? NULL : __real_realloc(old, size);
	allocations_live += block && !old;
	return block;
}

char *__wrap_strndup(const char *text, size_t size)
{
	char *block = allocation_fails() ? NULL : __real_strndup(text, size);
	allocations_live += block != NULL;
	return block;
}

void __wrap_free(void *block)
{
	allocations_live -= block != NULL;
	__real_free(block);
}

// Reads hostile bytes; what comes out must be fit for its encoding and must not stop the check.
static void read_hostile(
        const uint8_t *bytes, size_t size, const uint8_t *kernel, size_t kernel_size)
{
	struct error err = {0};
	struct image *image = NULL, *again = NULL;
	struct buffer encoded = {0};
	uint8_t *exact = malloc(size ? size : 1);
	memcpy(exact, bytes, size);
	int rc = object_read(exact, size, NULL, kernel, kernel_size, &image, &err);
	if (rc) {
		assert_null(image);
		assert_int_equal(err.code, -rc);
		assert_true(err.text[0]);
	} else {
		check_image(image, &err);
		image_encode(image, &encoded);
		assert_false(encoded.failed);
		if (image_decode(encoded.data, encoded.size, &again, &err))
			fail_msg("decode: %s", err.text);
	}
	image_free(&image);
	image_free(&again);
	buffer_free(&encoded);
	free(exact);
}

static void survives_objects_cut_at_every_byte(void **state)
{
	const char *const cut[] = {"maps_inner", "subprogram_static", "core_context"};
	for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
		size_t size;
		autofree uint8_t *data = object_load(cut[i], "v3", &size);
		for (size_t at = 0; at <= size; at++)
			read_hostile(data, at, NULL, 0);
	}
}

// xorshift64*: the same mutations in every run.
static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 2685821657736338717ull;
}

static void mutate(uint8_t *data, size_t size, uint64_t *seed)
{
	static const uint8_t special[] = {0, 1, 7, 8, 0x7f, 0x80, 0xfe, 0xff};
	uint64_t flips = random_next(seed) % FLIPS_MAX + 1;
	for (uint64_t i = 0; i < flips; i++) {
		size_t at = random_next(seed) % size;
		// Headers decide most: half of the flips go to the section headers, which stand
		// last.
		if (random_next(seed) & 1)
			at = size - 1 - random_next(seed) % (size < 1600 ? size : 1600);
		if (random_next(seed) & 1)
			data[at] = special[random_next(seed) % sizeof(special)];
		else
			data[at] ^= (uint8_t)(1u << random_next(seed) % 8);
	}
}

static void survives_random_mutations(void **state)
{
	uint64_t seed = 0x5261696fu, end_ns = clock_ns() + BUDGET_NS;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t size;
		autofree uint8_t *data = object_load(names[i], "v3", &size);
		autofree uint8_t *changed = malloc(size);
		for (int k = 0; k < MUTATIONS && clock_ns() < end_ns; k++) {
			memcpy(changed, data, size);
			mutate(changed, size, &seed);
			read_hostile(changed, size, NULL, 0);
		}
	}
}

// The first BTF in an object, which stands behind its magic number.
static const uint8_t *btf_in(const uint8_t *data, size_t size, size_t *left)
{
	const uint8_t *at = memmem(data, size, "\x9f\xeb\x01\x00\x18\x00\x00\x00", 8);
	assert_non_null(at);
	*left = size - (size_t)(at - data);
	return at;
}

static void survives_mutated_types_of_the_kernel(void **state)
{
	uint64_t seed = 0x6b65726eu;
	size_t size, left;
	autofree uint8_t *data = object_load("core_fields", "v3", &size);
	const uint8_t *types = btf_in(data, size, &left);
	autofree uint8_t *changed = malloc(left);
	for (int k = 0; k < MUTATIONS; k++) {
		memcpy(changed, types, left);
		mutate(changed, left, &seed);
		read_hostile(data, size, changed, left);
	}
}

static void fails_cleanly_when_any_allocation_fails(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t size, left;
		autofree uint8_t *data = object_load(names[i], "v3", &size);
		const uint8_t *types = btf_in(data, size, &left);
		int rc = -1;
		for (int64_t limit = 0; rc; limit++) {
			struct error err = {0};
			struct image *image = NULL;
			int64_t live = allocations_live;
			allocations_until_failure = limit;
			rc = object_read(data, size, NULL, types, left, &image, &err);
			bool failed = allocations_until_failure < 0;
			allocations_until_failure = INT64_MAX;
			if (!failed && rc)
				fail_msg("%s: %s", names[i], err.text);
			if (failed) {
				assert_int_equal(rc, -ENOMEM);
				assert_null(image);
			}
			image_free(&image);
			assert_int_equal(allocations_live, live);
			assert_true(limit < 100000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(survives_objects_cut_at_every_byte),
	        cmocka_unit_test(survives_random_mutations),
	        cmocka_unit_test(survives_mutated_types_of_the_kernel),
	        cmocka_unit_test(fails_cleanly_when_any_allocation_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
