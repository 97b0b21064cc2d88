// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/copies.h"
#include "cli/table.h"

static void aligns_columns_numbers_to_the_right(void **state)
{
	cleanup(table_free) struct table *table = NULL;
	autofree char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(table_new("NAME +COUNT WHERE", &table), 0);
	table_add(table, "über");
	table_printf(table, "%d", 7);
	table_add(table, "here");
	table_add(table, "a");
	table_printf(table, "%d", 123456);
	table_add(table, NULL);
	assert_int_equal(table_rows(table), 2);
	table_print(table, out, "> ");
	fclose(out);
	assert_string_equal(text, "> NAME   COUNT  WHERE\n"
	                          "> über       7  here\n"
	                          "> a     123456  -\n");
}

static void prints_nothing_for_no_rows_and_defuses_control_bytes(void **state)
{
	cleanup(table_free) struct table *table = NULL;
	autofree char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(table_new("A", &table), 0);
	table_print(table, out, "");
	fflush(out);
	assert_int_equal(size, 0);
	table_add(table, "\033[31mred");
	table_print(table, out, "");
	fclose(out);
	assert_string_equal(text, "A\n?[31mred\n");
}

static void prints_numbers_as_people_read_them(void **state)
{
	char text[NUMBER_SIZE], bar[64];
	assert_string_equal(number_grouped(0, text), "0");
	assert_string_equal(number_grouped(999, text), "999");
	assert_string_equal(number_grouped(1234567, text), "1,234,567");
	assert_string_equal(number_scaled(0, "pps", text), "0 pps");
	assert_string_equal(number_scaled(999, "pps", text), "999 pps");
	assert_string_equal(number_scaled(14880000, "pps", text), "14.9 Mpps");
	assert_string_equal(number_scaled(999600, "b/s", text), "1.00 Mb/s");
	assert_string_equal(number_time(1200, text), "1.20 us");
	assert_string_equal(number_time(5e9, text), "5.00 s");
	assert_string_equal(number_time(84, text), "84 ns");
	assert_string_equal(number_bar(0.5, 4, true, bar, sizeof(bar)), "##..");
	assert_string_equal(number_bar(2.0, 2, false, bar, sizeof(bar)), "██");
	assert_string_equal(number_bar(-1, 2, true, bar, sizeof(bar)), "..");
}

static void reads_times_and_ports(void **state)
{
	double seconds = 0;
	uint64_t ports = 0;
	assert_true(text_seconds("30", &seconds) && seconds == 30);
	assert_true(text_seconds("500ms", &seconds) && seconds == 0.5);
	assert_true(text_seconds("2m", &seconds) && seconds == 120);
	assert_false(text_seconds("", &seconds));
	assert_false(text_seconds("-1", &seconds));
	assert_false(text_seconds("5 parsecs", &seconds));
	assert_false(text_seconds("nan", &seconds));
	assert_true(text_ports("0,2-3", &ports) && ports == 0xd);
	assert_true(text_ports("63", &ports) && ports == 1ull << 63);
	assert_false(text_ports("64", &ports));
	assert_false(text_ports("3-1", &ports));
	assert_false(text_ports("0,", &ports));
	assert_false(text_ports("", &ports));
	assert_false(text_ports("0-", &ports));
}

static void adds_up_what_engines_counted(void **state)
{
	char text[256];
	json_t *value = json_pack("[s, s]", "sent=3, mac=02:00:00:00:00:01, name=10",
	        "sent=4, mac=02:00:00:00:00:02, name=10");
	assert_string_equal(copies_text(value, text, sizeof(text)),
	        "sent=7, mac=02:00:00:00:00:01 | 02:00:00:00:00:02, name=20");
	json_decref(value);
	value = json_pack("[s, s, s]", "18446744073709551614", "1", "0");
	assert_string_equal(copies_text(value, text, sizeof(text)), "18446744073709551615");
	json_decref(value);
	value = json_string("port=1");
	assert_string_equal(copies_text(value, text, sizeof(text)), "port=1");
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(adds_up_what_engines_counted),
	        cmocka_unit_test(aligns_columns_numbers_to_the_right),
	        cmocka_unit_test(prints_nothing_for_no_rows_and_defuses_control_bytes),
	        cmocka_unit_test(prints_numbers_as_people_read_them),
	        cmocka_unit_test(reads_times_and_ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
