// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "api/rules.h"
#include "api/slot.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/image.h"

static struct image_field prefix_fields[] = {
        {"length", IMAGE_UINT, 0, 32, 1}, {"address", IMAGE_IPV4, 32, 32, 1}};
static struct image_field route_fields[] = {
        {"port", IMAGE_UINT, 0, 16, 1}, {"mac", IMAGE_MAC, 16, 48, 1}};
static struct image_field service_fields[] = {
        {"protocol", IMAGE_UINT, 0, 16, 1}, {"port", IMAGE_BE, 16, 16, 1}};
static struct image_field number_fields[] = {{"", IMAGE_UINT, 0, 32, 1}};
static struct image_field name_fields[] = {{"", IMAGE_CHAR, 0, 8, 8}};

static struct image_map maps[] = {
        {.name = "routes",
                .type = BPF_MAP_TYPE_LPM_TRIE,
                .key_size = 8,
                .value_size = 8,
                .key = {prefix_fields, 2},
                .value = {route_fields, 2}},
        {.name = "services",
                .type = BPF_MAP_TYPE_HASH,
                .key_size = 4,
                .value_size = 4,
                .key = {service_fields, 2},
                .value = {number_fields, 1}},
        {.name = "raio_ports",
                .type = BPF_MAP_TYPE_DEVMAP,
                .key_size = 4,
                .value_size = 4,
                .key = {number_fields, 1},
                .value = {number_fields, 1}},
        {.name = "settings",
                .type = BPF_MAP_TYPE_ARRAY,
                .key_size = 4,
                .value_size = 4,
                .key = {number_fields, 1},
                .value = {number_fields, 1}},
        {.name = "jumps", .type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4},
        {.name = ".rodata",
                .type = BPF_MAP_TYPE_ARRAY,
                .key_size = 4,
                .value_size = 4,
                .is_readonly = true},
        {.name = "names",
                .type = BPF_MAP_TYPE_HASH,
                .key_size = 8,
                .value_size = 4,
                .key = {name_fields, 1},
                .value = {number_fields, 1}},
        {.name = "inner",
                .type = BPF_MAP_TYPE_ARRAY,
                .key_size = 4,
                .value_size = 4,
                .is_template = true},
        {.name = "tables",
                .type = BPF_MAP_TYPE_HASH_OF_MAPS,
                .key_size = 4,
                .value_size = 4,
                .inner = 7,
                .key = {number_fields, 1}},
        {.name = "events", .type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096},
};

static struct image_program programs[] = {{.name = "enter"}, {.name = "parse_ipv4"}};
static const struct image image = {
        .programs = programs, .program_count = 2, .maps = maps, .map_count = ARRAY_SIZE(maps)};

static struct rules *parse(const char *text)
{
	struct rules *rules = NULL;
	struct error err = {0};
	if (rules_parse(text, strlen(text), &image, &rules, &err))
		fail_msg("%s", err.text);
	return rules;
}

static void expect_error(const char *text, const char *message)
{
	struct rules *rules = NULL;
	struct error err = {0};
	assert_int_equal(rules_parse(text, strlen(text), &image, &rules, &err), -EINVAL);
	assert_null(rules);
	if (!strstr(err.text, message))
		fail_msg("expected '%s' in: %s", message, err.text);
}

static void reads_a_rules_file(void **state)
{
	cleanup(rules_free) struct rules *rules =
	        parse("\xef\xbb\xbf# routes of the lab\r\n"
	              "\r\n"
	              "routes 10.0.0.0/8 = port=1, mac=02:00:00:00:00:01 # east\r\n"
	              "\tservices  protocol=6, port=80 = 1000\n"
	              "-routes 10.1.0.0/16\n"
	              "- names \"a # = b\"\n"
	              "names \"x = y\" = 5\n"
	              "settings 0=60");
	assert_int_equal(rules->count, 6);
	assert_int_equal(rules->rules[0].line, 3);
	assert_int_equal(rules->rules[0].map, 0);
	assert_memory_equal(rules->rules[0].key, "\x08\0\0\0\x0a\0\0\0", 8);
	assert_memory_equal(rules->rules[0].value, "\1\0\2\0\0\0\0\1", 8);
	assert_int_equal(rules->rules[1].map, 1);
	assert_memory_equal(rules->rules[1].key, "\6\0\0\x50", 4);
	assert_memory_equal(rules->rules[1].value, "\xe8\3\0\0", 4);
	assert_true(rules->rules[2].remove);
	assert_null(rules->rules[2].value);
	assert_memory_equal(rules->rules[2].key, "\x10\0\0\0\x0a\1\0\0", 8);
	assert_memory_equal(rules->rules[3].key, "a # = b", 8);
	assert_memory_equal(rules->rules[4].key, "x = y\0\0\0", 8);
	assert_int_equal(rules->rules[5].line, 8);
	assert_memory_equal(rules->rules[5].value, "\x3c\0\0\0", 4);
}

static void takes_an_empty_file_and_the_ports_of_the_card(void **state)
{
	cleanup(rules_free) struct rules *none = parse("");
	assert_int_equal(none->count, 0);
	cleanup(rules_free) struct rules *comments = parse("# a\n\n   # b");
	assert_int_equal(comments->count, 0);
	cleanup(rules_free) struct rules *ports = parse("raio_ports 1 = 2\n-raio_ports 3");
	assert_int_equal(ports->count, 2);
}

static void says_line_text_and_what_was_expected(void **state)
{
	expect_error("\n\nroutes 10.0.0.0/33 = port=1",
	        "line 3: `routes 10.0.0.0/33 = port=1`: key of "
	        "routes: '33' is not a prefix length");
	expect_error("routes 10.0.0.0/8 = port=99999", "value of routes: field port: '99999'");
	expect_error("rout 10.0.0.0/8 = port=1", "there is no map 'rout': did you mean routes?");
	expect_error("zzzzzzzzzz 1 = 1",
	        "the function's maps: routes, services, raio_ports, settings, jumps, names, "
	        "tables, events");
	expect_error("inner 0 = 1", "there is no map 'inner'");
	expect_error("routes", "a key is missing: write routes KEY = VALUE");
	expect_error("-routes", "a key is missing: write -routes KEY");
	expect_error("-", "there is no map ''");
	expect_error("services protocol=6,port=80", "a blank on both sides of the =");
	expect_error("settings 0", "a value is missing");
	expect_error("settings 0 =", "value of settings: '' is not a number");
	expect_error("services protocol=6 = 1", "key of services: field port is missing");
	expect_error("-settings 0", "array, whose entries always stand");
	expect_error("events 0 = 1", "map events is a ringbuf, which programs write");
	expect_error(".rodata 0 = 1", ".rodata is read only");
}

static void names_programs_and_maps_as_values(void **state)
{
	cleanup(rules_free) struct rules *rules =
	        parse("jumps 0x00000000 = parse_ipv4\n-jumps 0x01000000\ntables 7 = settings");
	assert_int_equal(rules->count, 3);
	assert_memory_equal(rules->rules[0].value, "\1\0\0\0", 4);
	assert_true(rules->rules[1].remove);
	assert_memory_equal(rules->rules[2].value, "\3\0\0\0", 4);
	cleanup(buffer_free) struct buffer text = {0};
	slot_format(&image, &maps[4], 1, &text);
	slot_format(&image, &maps[8], 3, &text);
	slot_format(&image, &maps[4], 2, &text); // none of its programs
	slot_format(NULL, &maps[4], 1, &text);
	assert_int_equal(text.size, strlen("parse_ipv4settings21"));
	assert_memory_equal(text.data, "parse_ipv4settings21", text.size);
	expect_error("jumps 0x00000000 = 1", "no program '1': write one of enter, parse_ipv4");
	expect_error("tables 7 = enter", "value of tables: the object has no map 'enter': write "
	                                 "one of settings");
	expect_error("tables 7 = routes", "map routes has not the type, key and value size");
	expect_error("tables 7 = inner", "no map 'inner'");
	expect_error("tables 7 = tables", "no map 'tables'");
}

static void refuses_a_nul_byte_with_its_line(void **state)
{
	struct rules *rules = NULL;
	struct error err = {0};
	assert_int_equal(rules_parse("a\n\0b", 4, &image, &rules, &err), -EINVAL);
	assert_non_null(strstr(err.text, "line 2: a NUL byte"));
}

static void bounds_the_memory_that_a_small_file_takes(void **state)
{
	struct image_map big = {.name = "b",
	        .type = BPF_MAP_TYPE_ARRAY,
	        .key_size = 4,
	        .value_size = 1 << 20,
	        .key = {number_fields, 1},
	        .value = {number_fields, 1}};
	const struct image one = {.maps = &big, .map_count = 1};
	char text[6 * 300 + 1] = "";
	for (uint32_t i = 0; i < 300; i++)
		memcpy(text + 6 * i, "b 0=1\n", 6);
	struct rules *rules = NULL;
	struct error err = {0};
	assert_int_equal(rules_parse(text, 6 * 300, &one, &rules, &err), -E2BIG);
	assert_null(rules);
	assert_non_null(strstr(err.text, "line 256"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads_a_rules_file),
	        cmocka_unit_test(takes_an_empty_file_and_the_ports_of_the_card),
	        cmocka_unit_test(says_line_text_and_what_was_expected),
	        cmocka_unit_test(names_programs_and_maps_as_values),
	        cmocka_unit_test(refuses_a_nul_byte_with_its_line),
	        cmocka_unit_test(bounds_the_memory_that_a_small_file_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
