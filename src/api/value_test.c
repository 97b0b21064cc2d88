// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "api/value.h"
#include "api/value_bits.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/nearest.h"
#include "ebpf/image.h"

static const char *format(const struct image_layout *layout, uint32_t size, unsigned flags,
        const void *bytes, struct buffer *buffer)
{
	buffer_free(buffer);
	value_format(layout, size, flags, bytes, buffer);
	buffer_u8(buffer, 0);
	assert_false(buffer->failed);
	return (const char *)buffer->data;
}

static struct image_layout layout_of(const struct image_field *fields, uint32_t count)
{
	return (struct image_layout){(struct image_field *)fields, count, 0};
}
#define LAYOUT(...)                                                                                \
	layout_of((const struct image_field[]){__VA_ARGS__},                                       \
	        ARRAY_SIZE(((const struct image_field[]){__VA_ARGS__})))

// One bare scalar: its bytes, its text, and back.
static void expect_scalar(struct image_field field, const char *bytes, const char *text)
{
	uint32_t size = (field.bit_offset + field.bits * field.count + 7) / 8;
	struct image_layout layout = {&field, 1, 0};
	cleanup(buffer_free) struct buffer buffer = {0};
	assert_string_equal(format(&layout, size, 0, bytes, &buffer), text);
	uint8_t back[64] = {0};
	struct error err = {0};
	if (value_parse(&layout, size, 0, text, back, &err))
		fail_msg("%s: %s", text, err.text);
	assert_memory_equal(back, bytes, size);
}

static void writes_each_kind_as_people_do(void **state)
{
	expect_scalar(
	        (struct image_field){"", IMAGE_UINT, 0, 32, 1}, "\xff\xff\xff\xff", "4294967295");
	expect_scalar((struct image_field){"", IMAGE_UINT, 0, 64, 1},
	        "\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
	expect_scalar((struct image_field){"", IMAGE_INT, 0, 8, 1}, "\x80", "-128");
	expect_scalar((struct image_field){"", IMAGE_INT, 0, 64, 1}, "\0\0\0\0\0\0\0\x80",
	        "-9223372036854775808");
	expect_scalar((struct image_field){"", IMAGE_BOOL, 0, 8, 1}, "\1", "true");
	expect_scalar((struct image_field){"", IMAGE_BOOL, 0, 8, 1}, "\2", "2");
	expect_scalar((struct image_field){"", IMAGE_CHAR, 0, 8, 8}, "a\"\\,\n\xff\0\0",
	        "\"a\\\"\\\\,\\x0a\\xff\"");
	expect_scalar((struct image_field){"", IMAGE_BE, 0, 16, 1}, "\x01\xbb", "443");
	expect_scalar((struct image_field){"", IMAGE_IPV4, 0, 32, 1}, "\x0a\0\0\1", "10.0.0.1");
	expect_scalar((struct image_field){"", IMAGE_IPV6, 0, 128, 1},
	        "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", "2001:db8::1");
	expect_scalar((struct image_field){"", IMAGE_MAC, 0, 48, 1}, "\2\0\0\0\0\xab",
	        "02:00:00:00:00:ab");
	expect_scalar((struct image_field){"", IMAGE_BYTES, 0, 8, 3}, "\1\2\xff", "0x0102ff");
	expect_scalar((struct image_field){"", IMAGE_UINT, 0, 16, 3}, "\1\0\2\0\3\0", "[1 2 3]");
	expect_scalar(
	        (struct image_field){"", IMAGE_BYTES, 0, 16, 2}, "\1\2\3\4", "[0x0102 0x0304]");
	expect_scalar((struct image_field){"", IMAGE_UINT, 3, 4, 1}, "\x50", "10");
}

static void reads_other_ways_to_write_the_same(void **state)
{
	uint8_t bytes[8] = {0};
	struct image_layout u32 = LAYOUT({"", IMAGE_UINT, 0, 32, 1});
	assert_int_equal(value_parse(&u32, 4, 0, "  0xFF ", bytes, NULL), 0);
	assert_memory_equal(bytes, "\xff\0\0\0", 4);
	struct image_layout mac = LAYOUT({"", IMAGE_MAC, 0, 48, 1});
	assert_int_equal(value_parse(&mac, 6, 0, "02-00-00-00-00-AB", bytes, NULL), 0);
	assert_memory_equal(bytes, "\2\0\0\0\0\xab", 6);
	struct image_layout name = LAYOUT({"name", IMAGE_CHAR, 0, 8, 8});
	assert_int_equal(value_parse(&name, 8, 0, "name=eth0", bytes, NULL), 0);
	assert_memory_equal(bytes, "eth0\0\0\0\0", 8);
	assert_int_equal(value_parse(&name, 8, 0, "\"a=b\\t\"", bytes, NULL), 0);
	assert_memory_equal(bytes, "a=b\t\0\0\0\0", 8);
	struct image_layout port = LAYOUT({"port", IMAGE_UINT, 0, 16, 1});
	assert_int_equal(value_parse(&port, 2, 0, "7", bytes, NULL), 0);
	assert_memory_equal(bytes, "\7\0", 2);
}

static const struct image_field route_fields[] = {
        {"port", IMAGE_UINT, 0, 16, 1},
        {"next.mac", IMAGE_MAC, 16, 48, 1},
        {"next.name", IMAGE_CHAR, 64, 8, 8},
        {"weights", IMAGE_UINT, 128, 8, 3},
};

static void writes_structs_by_their_fields(void **state)
{
	struct image_layout layout = layout_of(route_fields, 4);
	const uint8_t bytes[20] = "\1\0\2\0\0\0\0\1a, b=c\0\0\1\2\3";
	cleanup(buffer_free) struct buffer buffer = {0};
	const char *text = format(&layout, 20, 0, bytes, &buffer);
	assert_string_equal(
	        text, "port=1, next.mac=02:00:00:00:00:01, next.name=\"a, b=c\", weights=[1 2 3]");
	uint8_t back[20];
	assert_int_equal(value_parse(&layout, 20, VALUE_KEY, text, back, NULL), 0);
	assert_memory_equal(back, bytes, 20);
	// In any order; what a value leaves out is zero.
	assert_int_equal(value_parse(&layout, 20, 0, "weights = [3,2, 1],port = 9", back, NULL), 0);
	assert_memory_equal(back, "\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3\2\1", 20);
	// The whole in hex.
	assert_int_equal(value_parse(&layout, 20, 0, "0x0100020000000001612c20623d63000001020300",
	                         back, NULL),
	        0);
	assert_memory_equal(back, bytes, 20);
}

static void expect_error(const struct image_layout *layout, uint32_t size, unsigned flags,
        const char *text, const char *message)
{
	struct error err = {0};
	uint8_t bytes[64];
	memset(bytes, 0x55, sizeof(bytes));
	assert_int_equal(value_parse(layout, size, flags, text, bytes, &err), -EINVAL);
	if (!strstr(err.text, message))
		fail_msg("%s: expected '%s' in: %s", text, message, err.text);
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0x55);
}

static void names_the_field_and_what_was_expected(void **state)
{
	struct image_layout route = layout_of(route_fields, 4);
	expect_error(
	        &route, 20, 0, "port=65536", "field port: '65536' is not a number from 0 to 65535");
	expect_error(&route, 20, 0, "port=-1", "is not a number");
	expect_error(&route, 20, 0, "port=", "field port: '' is not a number");
	expect_error(&route, 20, 0, "port=1, next.mac=2:0:0:0:0:1",
	        "field next.mac: '2:0:0:0:0:1' is not a MAC");
	expect_error(&route, 20, 0, "prot=1", "no field 'prot': did you mean port?");
	expect_error(&route, 20, 0, "zzzzzzzz=1", "the fields are port, next.mac");
	expect_error(&route, 20, 0, "port=1, port=2", "field port is given twice");
	expect_error(&route, 20, 0, "1", "is not field=value");
	expect_error(&route, 20, 0, "", "is not field=value");
	expect_error(&route, 20, 0, "port=1,", "is not field=value");
	expect_error(&route, 20, 0, "next.name=\"123456789\"", "a text of at most 8 bytes");
	expect_error(&route, 20, 0, "next.name=\"abc", "a text that ends with");
	expect_error(&route, 20, 0, "next.name=\"\\q\"", "a text whose \\ begins");
	expect_error(&route, 20, 0, "weights=[1 2]", "an array of 3 elements");
	expect_error(&route, 20, 0, "weights=[1 2 3 4]", "an array of 3 elements");
	expect_error(&route, 20, 0, "weights=[1 2 256]",
	        "field weights: '256' is not a number from 0 to 255");
	expect_error(&route, 20, 0, "weights=7", "an array of 3 elements");
	expect_error(&route, 20, VALUE_KEY, "port=1", "field next.mac is missing");
	struct image_layout s8 = LAYOUT({"", IMAGE_INT, 0, 8, 1});
	expect_error(&s8, 1, 0, "128", "a number from -128 to 127");
	expect_error(&s8, 1, 0, "-129", "a number from -128 to 127");
	expect_error(&s8, 1, 0, "1, 2", "without commas");
	expect_error(&s8, 1, 0, "99999999999999999999", "a number from");
	struct image_layout v4 = LAYOUT({"", IMAGE_IPV4, 0, 32, 1});
	expect_error(&v4, 4, 0, "10.0.0.256", "an IPv4 address such as");
	struct image_layout flag = LAYOUT({"", IMAGE_BOOL, 0, 1, 1});
	expect_error(&flag, 1, 0, "yes", "true or false");
}

static void keeps_other_peoples_text_out_of_messages(void **state)
{
	struct image_layout u8 = LAYOUT({"", IMAGE_UINT, 0, 8, 1});
	expect_error(&u8, 1, 0, "\x1b[2J\xc3", "'?[2J?' is not");
	char text[3000];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	expect_error(&u8, 1, 0, text, "xxx...' is not");
}

static void writes_lpm_keys_as_prefixes(void **state)
{
	struct image_layout v4 =
	        LAYOUT({"length", IMAGE_UINT, 0, 32, 1}, {"address", IMAGE_IPV4, 32, 32, 1});
	struct image_layout none = {0};
	cleanup(buffer_free) struct buffer buffer = {0};
	uint8_t back[20];
	const struct {
		struct image_layout layout;
		uint32_t size;
		const char *bytes, *text;
	} cases[] = {
	        {v4, 8, "\x08\0\0\0\x0a\0\0\0", "10.0.0.0/8"},
	        {none, 8, "\x08\0\0\0\x0a\0\0\0", "10.0.0.0/8"},
	        {none, 20, "\x20\0\0\0\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\0", "2001:db8::/32"},
	        {none, 6, "\x0c\0\0\0\x0a\x10", "0x0a10/12"},
	        {v4, 8, "\x21\0\0\0\x0a\0\0\0", "0x210000000a000000"}, // longer than the address
	};
	for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(format(&cases[i].layout, cases[i].size, VALUE_LPM | VALUE_KEY,
		                            cases[i].bytes, &buffer),
		        cases[i].text);
		assert_int_equal(value_parse(&cases[i].layout, cases[i].size, VALUE_LPM | VALUE_KEY,
		                         cases[i].text, back, NULL),
		        0);
		assert_memory_equal(back, cases[i].bytes, cases[i].size);
	}
	assert_int_equal(value_parse(&v4, 8, VALUE_LPM, "10.0.0.1", back, NULL), 0);
	assert_memory_equal(back, "\x20\0\0\0\x0a\0\0\1", 8);
	assert_int_equal(
	        value_parse(&v4, 8, VALUE_LPM, "length=8, address=10.0.0.0", back, NULL), 0);
	assert_memory_equal(back, "\x08\0\0\0\x0a\0\0\0", 8);
	expect_error(&v4, 8, VALUE_LPM, "10.0.0.0/33", "'33' is not a prefix length from 0 to 32");
	expect_error(&v4, 8, VALUE_LPM, "10.0.0.0/", "a prefix length from 0 to 32");
	expect_error(&v4, 8, VALUE_LPM, "10.0.0/8", "an IPv4 prefix such as");
	expect_error(&none, 20, VALUE_LPM, "10.0.0.0/8", "an IPv6 prefix such as");
	expect_error(&none, 6, VALUE_LPM, "10/8", "a prefix: write 0x, 4 hex digits");
	expect_error(&none, 8, VALUE_LPM, "", "an IPv4 prefix");
}

static void writes_hex_without_a_layout(void **state)
{
	struct image_layout none = {0};
	cleanup(buffer_free) struct buffer buffer = {0};
	uint8_t back[8];
	assert_string_equal(format(&none, 3, 0, "\1\2\xff", &buffer), "0x0102ff");
	assert_int_equal(value_parse(&none, 3, 0, "0x0102FF", back, NULL), 0);
	assert_memory_equal(back, "\1\2\xff", 3);
	assert_int_equal(value_parse(&none, 4, 0, "258", back, NULL), 0);
	assert_memory_equal(back, "\2\1\0\0", 4);
	expect_error(&none, 3, 0, "0x01", "3 bytes in hex: write 0x and 6 digits");
	expect_error(&none, 4, 0, "0x01", "4 bytes in hex: write 0x and 8 digits");
	expect_error(&none, 3, 0, "7", "3 bytes in hex");
	assert_string_equal(format(&none, 0, 0, "", &buffer), "0x");
	assert_int_equal(value_parse(&none, 0, 0, "0x", back, NULL), 0);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

// A field of a random kind at `offset` bits; its end, or 0 where it does not fit `size` bytes.
static uint32_t random_field(uint64_t *random, uint32_t number, uint32_t offset, uint32_t size,
        struct image_field *field)
{
	enum image_kind kind = random_next(random) % (IMAGE_BYTES + 1);
	static const uint32_t widths[] = {8, 16, 32, 64};
	uint32_t width = widths[random_next(random) % 4];
	field->kind = kind;
	field->bits = kind == IMAGE_IPV4   ? 32
	              : kind == IMAGE_IPV6 ? 128
	              : kind == IMAGE_MAC  ? 48
	              : kind == IMAGE_CHAR ? 8
	                                   : width;
	field->count = random_next(random) % 2 ? 1 : 1 + random_next(random) % 5;
	if (kind <= IMAGE_BOOL && random_next(random) % 3 == 0) { // a bit field
		field->bits = 1 + random_next(random) % 64;
		field->count = 1;
	} else {
		offset = (offset + 7) / 8 * 8;
	}
	field->bit_offset = offset;
	snprintf(field->name, sizeof(field->name), "s.f%u[%u]", number, number % 3);
	return image_field_fits(field, size) ? offset + field->bits * field->count : 0;
}

// Random layouts over random bytes: what is printed reads back to the same bytes (padding zero).
static void reads_back_whatever_it_prints(void **state)
{
	uint64_t random = 0x9e3779b97f4a7c15;
	cleanup(buffer_free) struct buffer buffer = {0};
	for (uint32_t round = 0; round < 20000; round++) {
		struct image_field fields[8];
		struct image_layout layout = {fields, 0, 0};
		uint32_t size = 1 + random_next(&random) % 64, end = 0;
		uint8_t bytes[64] = {0}, back[64];
		uint32_t wanted = random_next(&random) % (ARRAY_SIZE(fields) + 1);
		while (layout.field_count < wanted) {
			struct image_field *field = &fields[layout.field_count];
			uint32_t next = random_field(&random, layout.field_count, end, size, field);
			if (!next)
				break;
			for (uint32_t bit = field->bit_offset; bit < next; bit++)
				bits_set(bytes, bit, 1, random_next(&random) >> 20 & 1);
			end = next;
			layout.field_count++;
		}
		if (layout.field_count == 1 && round % 2)
			fields[0].name[0] = '\0';
		for (uint32_t i = 0; !layout.field_count && i < size; i++)
			bytes[i] = (uint8_t)random_next(&random);
		unsigned flags = round % 3 ? VALUE_KEY : 0;
		if (round % 5 == 0 && !layout.field_count && size > 4) {
			flags |= VALUE_LPM;
			bytes[1] = bytes[2] = bytes[3] = 0;
		}
		struct error err = {0};
		const char *text = format(&layout, size, flags, bytes, &buffer);
		if (value_parse(&layout, size, flags, text, back, &err))
			fail_msg("round %u: %s: %s", round, text, err.text);
		if (memcmp(back, bytes, size))
			fail_msg("round %u: %s read back differently", round, text);
	}
}

static void ignores_fields_outside_the_value(void **state)
{
	struct image_layout layout =
	        LAYOUT({"a", IMAGE_UINT, 0, 32, 1}, {"b", IMAGE_UINT, 32, 64, 1});
	cleanup(buffer_free) struct buffer buffer = {0};
	uint8_t back[8];
	assert_string_equal(format(&layout, 4, 0, "\1\0\0\0", &buffer), "a=1");
	assert_int_equal(value_parse(&layout, 4, VALUE_KEY, "a=1", back, NULL), 0);
	expect_error(&layout, 4, 0, "b=1", "there is no field 'b'");
}

static void sets_and_clears_bits_in_place(void **state)
{
	uint8_t bytes[3] = {0xff, 0xff, 0xff};
	bits_set(bytes, 6, 5, 0x0a);
	assert_memory_equal(bytes, "\xbf\xfa\xff", 3);
	assert_int_equal(bits_get(bytes, 6, 5), 0x0a);
	assert_int_equal(bits_swap(0x1234, 16), 0x3412);
}

static void measures_how_near_names_are(void **state)
{
	assert_int_equal(name_distance("routes", "routes"), 0);
	assert_int_equal(name_distance("rout", "routes"), 2);
	assert_int_equal(name_distance("kitten", "sitting"), 3);
	assert_int_equal(name_distance("", "abc"), 3);
	char longer[200];
	memset(longer, 'a', sizeof(longer));
	longer[199] = 0;
	assert_int_equal(name_distance(longer, longer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(writes_each_kind_as_people_do),
	        cmocka_unit_test(reads_other_ways_to_write_the_same),
	        cmocka_unit_test(writes_structs_by_their_fields),
	        cmocka_unit_test(names_the_field_and_what_was_expected),
	        cmocka_unit_test(keeps_other_peoples_text_out_of_messages),
	        cmocka_unit_test(writes_lpm_keys_as_prefixes),
	        cmocka_unit_test(writes_hex_without_a_layout),
	        cmocka_unit_test(reads_back_whatever_it_prints),
	        cmocka_unit_test(ignores_fields_outside_the_value),
	        cmocka_unit_test(sets_and_clears_bits_in_place),
	        cmocka_unit_test(measures_how_near_names_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
