// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/image.h"

static void *copy_of(const void *data, size_t size)
{
	void *copy = malloc(size);
	assert_non_null(copy);
	memcpy(copy, data, size);
	return copy;
}
#define COPY(...) copy_of((__VA_ARGS__), sizeof(__VA_ARGS__))

// Two programs, a hash map, a prog array that leads to the second, a global.
static struct image *sample(void)
{
	struct image *image = calloc(1, sizeof(*image));
	assert_non_null(image);
	image->strings = COPY((char *[]){strdup("src/wire.c"), strdup("return f(ctx);")});
	image->string_count = 2;
	image->programs = COPY((struct image_program[]){
	        {.name = "wire",
	                .section = "xdp",
	                .insn_count = 3,
	                .function_count = 2,
	                .line_count = 1},
	        {.name = "next", .section = "xdp/1", .insn_count = 1, .function_count = 1},
	});
	image->program_count = 2;
	struct image_program *wire = &image->programs[0], *next = &image->programs[1];
	wire->insns = COPY((struct bpf_insn[]){{.code = 0x95},
	        {.code = 0xb7, .dst_reg = 3, .off = -2, .imm = -1}, {.code = 0x95}});
	wire->functions = COPY((struct image_function[]){{"wire", 0}, {"f", 1}});
	wire->lines = COPY((struct image_line[]){{1, 12, 3, image->strings[0], image->strings[1]}});
	next->insns = COPY((struct bpf_insn[]){{.code = 0x95}});
	next->functions = COPY((struct image_function[]){{"next", 0}});
	image->maps = COPY((struct image_map[]){
	        {.name = "flows",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = 100,
	                .flags = 1,
	                .extra = 5,
	                .inner = IMAGE_NONE},
	        {.name = "jumps",
	                .type = BPF_MAP_TYPE_PROG_ARRAY,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 8,
	                .inner = IMAGE_NONE,
	                .slot_count = 1},
	        {.name = ".rodata",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 1,
	                .inner = IMAGE_NONE,
	                .is_global = true,
	                .is_readonly = true},
	});
	image->map_count = 3;
	image->maps[0].key = (struct image_layout){
	        COPY((struct image_field[]){{"", IMAGE_IPV4, 0, 32, 1}}), 1, 0};
	image->maps[1].slots = COPY((struct image_slot[]){{3, 1}});
	image->maps[2].data = COPY((uint8_t[]){1, 2, 3, 4});
	image->kfuncs = calloc(1, sizeof(*image->kfuncs));
	strcpy(image->kfuncs[0], "bpf_dynptr_slice");
	image->kfunc_count = 1;
	strcpy(image->license, "GPL");
	return image;
}

static void decodes_what_it_encoded(void **state)
{
	cleanup(image_free) struct image *image = sample(), *again = NULL;
	cleanup(buffer_free) struct buffer first = {0}, second = {0};
	image_encode(image, &first);
	assert_false(first.failed);
	struct error err = {0};
	assert_int_equal(image_decode(first.data, first.size, &again, &err), 0);
	assert_int_equal(again->program_count, 2);
	assert_memory_equal(again->programs[0].insns, image->programs[0].insns, 24);
	assert_string_equal(again->programs[0].lines[0].text, "return f(ctx);");
	assert_int_equal(again->maps[1].slots[0].index, 3);
	assert_memory_equal(again->maps[2].data, "\1\2\3\4", 4);
	assert_int_equal(again->maps[0].key.fields[0].kind, IMAGE_IPV4);
	assert_string_equal(again->kfuncs[0], "bpf_dynptr_slice");
	image_encode(again, &second);
	assert_int_equal(first.size, second.size);
	assert_memory_equal(first.data, second.data, first.size);
}

static void refuses_every_truncation(void **state)
{
	cleanup(image_free) struct image *image = sample(), *again = NULL;
	cleanup(buffer_free) struct buffer buffer = {0};
	image_encode(image, &buffer);
	for (size_t size = 0; size < buffer.size; size++) {
		struct error err = {0};
		// A copy of exactly this size, so that a sanitizer sees a read behind it.
		autofree uint8_t *cut = malloc(size + 1);
		memcpy(cut, buffer.data, size);
		assert_int_equal(image_decode(cut, size, &again, &err), -EINVAL);
		assert_non_null(strstr(err.text, "program image"));
		assert_null(again);
	}
	buffer_u8(&buffer, 0);
	assert_int_equal(image_decode(buffer.data, buffer.size, &again, NULL), -EINVAL);
}

static void survives_every_changed_byte(void **state)
{
	cleanup(image_free) struct image *image = sample();
	cleanup(buffer_free) struct buffer buffer = {0};
	image_encode(image, &buffer);
	for (size_t at = 0; at < buffer.size; at++) {
		for (unsigned change = 1; change < 256; change = change * 2 + 1) {
			cleanup(image_free) struct image *again = NULL;
			buffer.data[at] ^= (uint8_t)change;
			image_decode(buffer.data, buffer.size, &again, NULL);
			buffer.data[at] ^= (uint8_t)change;
		}
	}
}

static void expect_refused(struct image *image, const char *text)
{
	cleanup(buffer_free) struct buffer buffer = {0};
	cleanup(image_free) struct image *again = NULL;
	struct error err = {0};
	image_encode(image, &buffer);
	assert_false(buffer.failed);
	assert_int_equal(image_decode(buffer.data, buffer.size, &again, &err), -EINVAL);
	if (!strstr(err.text, text))
		fail_msg("expected '%s' in: %s", text, err.text);
}

static void refuses_references_to_what_is_not_there(void **state)
{
	cleanup(image_free) struct image *image = sample();
	image->entry = 2;
	expect_refused(image, "no such program to enter");
	image->entry = 0;
	image->maps[0].inner = 3;
	expect_refused(image, "no such inner map");
	image->maps[0].inner = IMAGE_NONE;
	image->maps[1].slots[0].target = 2;
	expect_refused(image, "no such target");
	image->maps[1].slots[0].target = 1;
	image->programs[0].functions[1].insn = 3;
	expect_refused(image, "a function out of order");
	image->programs[0].functions[1].insn = 0;
	expect_refused(image, "a function out of order");
	image->programs[0].functions[1].insn = 1;
	image->programs[0].lines[0].insn = 3;
	expect_refused(image, "a line out of order");
	image->programs[0].lines[0].insn = 1;
	image->maps[0].key.fields[0].bit_offset = 8;
	expect_refused(image, "a field that is outside");
	image->maps[0].key.fields[0].bit_offset = 0;
	image->maps[0].key.fields[0].bits = 8;
	image->maps[0].key.fields[0].count = 4;
	expect_refused(image, "a field that is outside"); // an IPv4 address of 8 bits
	image->maps[0].key.fields[0] = (struct image_field){"", IMAGE_IPV4, 0, 32, 1};
	image->maps[1].type = BPF_MAP_TYPE_HASH;
	expect_refused(image, "initial entries of a map that has none");
	image->maps[1].type = BPF_MAP_TYPE_PROG_ARRAY;
	image->maps[0].name[0] = '\n';
	expect_refused(image, "control character");
	image->maps[0].name[0] = 'f';
	image->maps[2].is_global = false;
	expect_refused(image, "a global without content");
}

static void refuses_fields_that_overlap(void **state)
{
	cleanup(image_free) struct image *image = sample();
	free(image->maps[0].key.fields);
	image->maps[0].key =
	        (struct image_layout){COPY((struct image_field[]){{"a", IMAGE_UINT, 0, 32, 1},
	                                      {"b", IMAGE_UINT, 0, 8, 1}}),
	                2, 0};
	expect_refused(image, "fields that overlap");
}

static void refuses_a_lock_outside_its_value(void **state)
{
	cleanup(image_free) struct image *image = sample();
	image->maps[0].value.lock = image->maps[0].value_size;
	expect_refused(image, "a lock that is outside");
}

static void makes_source_text_harmless_to_a_terminal(void **state)
{
	cleanup(image_free) struct image *image = sample(), *again = NULL;
	cleanup(buffer_free) struct buffer buffer = {0};
	image->strings[1][0] = '\x1b';
	image->strings[1][1] = '\t';
	image_encode(image, &buffer);
	assert_int_equal(image_decode(buffer.data, buffer.size, &again, NULL), 0);
	assert_memory_equal(again->programs[0].lines[0].text, " \tt", 3);
}

static void tells_places_by_line_and_else_by_function(void **state)
{
	cleanup(image_free) struct image *image = sample();
	const struct image_program *wire = &image->programs[0];
	char text[64];
	assert_string_equal(image_place(wire, 0, text, sizeof(text)), "wire+0");
	assert_string_equal(image_place(wire, 2, text, sizeof(text)), "wire.c:12");
	assert_string_equal(image_function_of(wire, 2)->name, "f");
	assert_null(image_line_of(wire, 0));
	assert_ptr_equal(image_map_find(image, "jumps"), &image->maps[1]);
	assert_null(image_map_find(image, "jump"));
}

static void does_not_lend_a_functions_line_to_the_next_function(void **state)
{
	cleanup(image_free) struct image *image = sample();
	char text[64];
	image->programs[0].lines[0].insn = 0;
	assert_string_equal(image_place(&image->programs[0], 0, text, sizeof(text)), "wire.c:12");
	assert_string_equal(image_place(&image->programs[0], 2, text, sizeof(text)), "f+1");
}

static void judges_whether_a_field_fits(void **state)
{
	const struct image_field good[] = {
	        {"", IMAGE_UINT, 0, 32, 1},
	        {"", IMAGE_UINT, 3, 5, 1},
	        {"", IMAGE_IPV6, 0, 128, 1},
	        {"", IMAGE_MAC, 16, 48, 1},
	        {"", IMAGE_CHAR, 0, 8, 16},
	        {"", IMAGE_BYTES, 0, 128, 1},
	        {"", IMAGE_BE, 64, 16, 4},
	};
	const struct image_field bad[] = {
	        {"", IMAGE_UINT, 0, 0, 1},
	        {"", IMAGE_UINT, 0, 65, 1},
	        {"", IMAGE_UINT, 0, 5, 2},
	        {"", IMAGE_IPV6, 8, 128, 1},
	        {"", IMAGE_MAC, 0, 32, 1},
	        {"", IMAGE_CHAR, 0, 8, 17},
	        {"", IMAGE_BYTES, 4, 8, 1},
	        {"", IMAGE_UINT, 0, 8, 0},
	        {"", IMAGE_UINT, UINT32_MAX - 7, 8, 1},
	        {"", IMAGE_UINT, 0, 64, UINT32_MAX},
	        {"", IMAGE_BYTES, 0, UINT32_MAX - 7, UINT32_MAX},
	        {"", (enum image_kind)9, 0, 8, 1},
	};
	for (uint32_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(image_field_fits(&good[i], 16));
	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(image_field_fits(&bad[i], 16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(decodes_what_it_encoded),
	        cmocka_unit_test(refuses_every_truncation),
	        cmocka_unit_test(survives_every_changed_byte),
	        cmocka_unit_test(refuses_references_to_what_is_not_there),
	        cmocka_unit_test(refuses_fields_that_overlap),
	        cmocka_unit_test(refuses_a_lock_outside_its_value),
	        cmocka_unit_test(makes_source_text_harmless_to_a_terminal),
	        cmocka_unit_test(tells_places_by_line_and_else_by_function),
	        cmocka_unit_test(does_not_lend_a_functions_line_to_the_next_function),
	        cmocka_unit_test(judges_whether_a_field_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
