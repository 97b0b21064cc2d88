// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/paths.h"
#include "api/routes.h"
#include "api/status.h"

static void every_route_is_found_by_its_own_path(void **state)
{
	for (int i = 0; i < ROUTE_COUNT; i++) {
		char path[256], name[ROUTE_NAME_MAX], allow[64];
		assert_non_null(route_table[i].path);
		assert_int_equal(route_path((enum route_id)i, "a-1", path, sizeof(path)), 0);
		assert_int_equal(
		        route_find(route_table[i].method, path, name, allow, sizeof(allow)), i);
		assert_string_equal(name, strchr(route_table[i].path, '*') ? "a-1" : "");
	}
}

static void unknown_path_allows_no_method(void **state)
{
	char name[ROUTE_NAME_MAX], allow[64];
	static const char *const paths[] = {"", "/", "/v1", "/v1/functions/", "/v1/functions/a/b",
	        "/v1/functions//object", "/v1/runs/a/renew/"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(
		        route_find("GET", paths[i], name, allow, sizeof(allow)), ROUTE_NONE);
		assert_string_equal(allow, "");
	}
}

static void wrong_method_tells_the_right_ones(void **state)
{
	char name[ROUTE_NAME_MAX], allow[64];
	assert_int_equal(
	        route_find("PATCH", "/v1/functions/x", name, allow, sizeof(allow)), ROUTE_NONE);
	assert_string_equal(allow, "GET, PUT, DELETE");
}

static void path_encodes_what_is_not_plain(void **state)
{
	char path[64];
	assert_int_equal(route_path(ROUTE_MAP_GET, "a/b .bss", path, sizeof(path)), 0);
	assert_string_equal(path, "/v1/maps/a%2Fb%20.bss");
	assert_int_equal(route_path(ROUTE_MAP_GET, "abcdef", path, 12), -ENAMETOOLONG);
}

static void names_follow_the_grammar(void **state)
{
	static const char *const bad[] = {"", "-a", "a-", "A", "a_b", "a/b", "..", "a b",
	        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_is_valid(bad[i]));
	assert_true(name_is_valid("a"));
	assert_true(name_is_valid("9-a"));
	assert_true(
	        name_is_valid("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void socket_comes_from_the_environment(void **state)
{
	char path[64];
	setenv("RAIO_SOCKET", "/x/y.sock", 1);
	assert_int_equal(path_socket(path, sizeof(path)), 0);
	assert_string_equal(path, "/x/y.sock");
	unsetenv("RAIO_SOCKET");
	assert_int_equal(path_socket(path, 3), -ENAMETOOLONG);
}

static void every_code_has_its_row(void **state)
{
	for (int i = 0; i < STATUS_COUNT; i++)
		assert_ptr_equal(status_find(status_table[i].name), &status_table[i]);
	assert_null(status_find("teapot"));
	assert_int_equal(status_of_errno(ENOSPC), STATUS_NO_SPACE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_route_is_found_by_its_own_path),
	        cmocka_unit_test(unknown_path_allows_no_method),
	        cmocka_unit_test(wrong_method_tells_the_right_ones),
	        cmocka_unit_test(path_encodes_what_is_not_plain),
	        cmocka_unit_test(names_follow_the_grammar),
	        cmocka_unit_test(socket_comes_from_the_environment),
	        cmocka_unit_test(every_code_has_its_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
