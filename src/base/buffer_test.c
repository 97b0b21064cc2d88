// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"

static void reads_back_what_was_put(void **state)
{
	cleanup(buffer_free) struct buffer buffer = {0};
	buffer_u8(&buffer, 0x12);
	buffer_u16(&buffer, 0x3456);
	buffer_u32(&buffer, 0x789abcde);
	buffer_u64(&buffer, 0x1122334455667788);
	buffer_str(&buffer, "wire");
	buffer_blob(&buffer, "\0\1", 2);
	assert_false(buffer.failed);
	struct cursor cursor = cursor_of(buffer.data, buffer.size);
	assert_int_equal(cursor_u8(&cursor), 0x12);
	assert_int_equal(cursor_u16(&cursor), 0x3456);
	assert_int_equal(cursor_u32(&cursor), 0x789abcde);
	assert_int_equal(cursor_u64(&cursor), 0x1122334455667788);
	char text[8];
	cursor_str(&cursor, text, sizeof(text));
	assert_string_equal(text, "wire");
	uint32_t size;
	assert_memory_equal(cursor_blob(&cursor, &size), "\0\1", 2);
	assert_int_equal(size, 2);
	assert_true(cursor_done(&cursor));
}

static void refuses_to_read_past_the_end(void **state)
{
	struct cursor cursor = cursor_of("\xff\xff\xff\xff", 4);
	uint32_t size;
	assert_null(cursor_blob(&cursor, &size));
	assert_true(cursor.failed);
	assert_int_equal(size, 0);
	assert_int_equal(cursor_u8(&cursor), 0);
	assert_false(cursor_done(&cursor));
}

static void refuses_strings_that_do_not_fit_or_hold_a_nul(void **state)
{
	char text[4];
	struct cursor cursor = cursor_of("\4\0\0\0wire", 8);
	cursor_str(&cursor, text, sizeof(text));
	assert_true(cursor.failed);
	cursor = cursor_of("\2\0\0\0w\0", 6);
	cursor_str(&cursor, text, sizeof(text));
	assert_true(cursor.failed);
}

static void prefixes_an_error(void **state)
{
	struct error err = {0};
	assert_int_equal(error_set(&err, 22, "line %d: no such port", 3), -22);
	assert_int_equal(error_prefix(&err, "rules.txt"), -22);
	assert_string_equal(err.text, "rules.txt: line 3: no such port");
}

static void prints_a_time_and_a_digest(void **state)
{
	char text[CLOCK_TEXT_SIZE], digest[DIGEST_TEXT_SIZE];
	assert_string_equal(
	        clock_rfc3339(1700000000123000000ull, text), "2023-11-14T22:13:20.123Z");
	digest_sha256("abc", 3, digest);
	assert_string_equal(
	        digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads_back_what_was_put),
	        cmocka_unit_test(refuses_to_read_past_the_end),
	        cmocka_unit_test(refuses_strings_that_do_not_fit_or_hold_a_nul),
	        cmocka_unit_test(prefixes_an_error),
	        cmocka_unit_test(prints_a_time_and_a_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
