// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/store.h"
#include "base/error.h"
#include "base/file.h"

struct bench {
	char directory[64], path[96];
	struct store *store;
};

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	strcpy(bench->directory, "/tmp/raio-store-XXXXXX");
	assert_non_null(mkdtemp(bench->directory));
	snprintf(bench->path, sizeof(bench->path), "%s/db", bench->directory);
	assert_int_equal(store_open(bench->path, &bench->store, NULL), 0);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	char command[128];
	store_close(&bench->store);
	snprintf(command, sizeof(command), "rm -r %s", bench->directory);
	assert_int_equal(system(command), 0);
	free(bench);
	return 0;
}

static int put(
        struct store *store, const char *name, const char *version, size_t size, struct error *err)
{
	uint8_t *bytes = calloc(1, size);
	struct function function = {.created_wall_ns = 1,
	        .updated_wall_ns = 2,
	        .settings = "{}",
	        .summary = "{\"x\":1}",
	        .rules = "r",
	        .object = bytes,
	        .object_size = size,
	        .image = bytes,
	        .image_size = 1};
	snprintf(function.name, sizeof(function.name), "%s", name);
	snprintf(function.version, sizeof(function.version), "%s", version);
	int rc = store_function_put(store, &function, err);
	free(bytes);
	return rc;
}

static void functions_come_back_as_they_were(void **state)
{
	struct bench *bench = *state;
	struct function got = {0};
	struct error err;
	assert_int_equal(put(bench->store, "a", "v1", 100, &err), 0);
	store_close(&bench->store);
	assert_int_equal(store_open(bench->path, &bench->store, &err), 0);
	assert_int_equal(store_function_get(bench->store, "a", NULL, 1, &got, &err), 0);
	assert_string_equal(got.version, "v1");
	assert_string_equal(got.rules, "r");
	assert_string_equal(got.summary, "{\"x\":1}");
	assert_int_equal(got.object_size, 100);
	assert_null(got.source);
	function_free(&got);
}

static void old_versions_stay_for_a_while(void **state)
{
	struct bench *bench = *state;
	struct function got = {0};
	struct error err;
	char version[16];
	for (int i = 0; i < 40; i++) {
		snprintf(version, sizeof(version), "v%d", i);
		assert_int_equal(put(bench->store, "a", version, 10, &err), 0);
	}
	assert_int_equal(store_function_get(bench->store, "a", NULL, 0, &got, &err), 0);
	assert_string_equal(got.version, "v39");
	function_free(&got);
	assert_int_equal(store_function_get(bench->store, "a", "v30", 0, &got, &err), 0);
	function_free(&got);
	assert_int_equal(store_function_get(bench->store, "a", "v3", 0, &got, &err), -ENOENT);
}

static int count_names(void *context, const char *name)
{
	strcat(context, name);
	return 0;
}

static void deleted_function_is_gone_with_its_versions(void **state)
{
	struct bench *bench = *state;
	struct function got = {0};
	struct error err;
	char names[32] = "";
	assert_int_equal(put(bench->store, "b", "v1", 10, &err), 0);
	assert_int_equal(put(bench->store, "a", "v1", 10, &err), 0);
	assert_int_equal(store_function_list(bench->store, count_names, names, &err), 0);
	assert_string_equal(names, "ab");
	assert_int_equal(store_function_delete(bench->store, "a", &err), 0);
	assert_int_equal(store_function_delete(bench->store, "a", &err), -ENOENT);
	assert_int_equal(store_function_get(bench->store, "a", "v1", 0, &got, &err), -ENOENT);
}

static int take_body(void *context, const struct stored_run *run)
{
	snprintf(context, 64, "%s %s", run->state, run->body);
	return 0;
}

// The child writes and dies without closing, as an agent under kill -9: its log is left behind.
static void what_was_committed_survives_kill_9(void **state)
{
	struct bench *bench = *state;
	struct error err;
	char body[64] = "";
	store_close(&bench->store);
	pid_t child = fork();
	if (child == 0) {
		struct store *store;
		uint64_t id = 0;
		if (store_open(bench->path, &store, &err) == 0 &&
		        store_run_put(store, &id, "a", "queued", "one", &err) == 0 &&
		        store_run_put(store, &id, "a", "running", "two", &err) == 0)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	int how;
	waitpid(child, &how, 0);
	assert_true(WIFSIGNALED(how));
	assert_int_equal(store_open(bench->path, &bench->store, &err), 0);
	assert_int_equal(store_run_list(bench->store, 1, NULL, NULL, 1, take_body, body, &err), 0);
	assert_string_equal(body, "running two");
}

static void full_store_says_so_and_keeps_what_it_has(void **state)
{
	struct bench *bench = *state;
	struct function got = {0};
	struct error err;
	assert_int_equal(put(bench->store, "a", "v1", 10, &err), 0);
	assert_int_equal(store_limit(bench->store, 256 << 10, &err), 0);
	assert_int_equal(put(bench->store, "b", "v1", 1 << 20, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "no space left"));
	assert_int_equal(store_function_get(bench->store, "b", NULL, 0, &got, &err), -ENOENT);
	assert_int_equal(store_function_get(bench->store, "a", NULL, 0, &got, &err), 0);
	function_free(&got);
	assert_int_equal(store_limit(bench->store, 64 << 20, &err), 0);
	assert_int_equal(put(bench->store, "b", "v1", 1 << 20, &err), 0);
}

static void file_of_another_schema_is_refused(void **state)
{
	struct bench *bench = *state;
	struct error err;
	char command[160];
	store_close(&bench->store);
	// The user version stands in the header at offset 60, big endian.
	snprintf(command, sizeof(command),
	        "printf '\\000\\000\\000\\143' | dd of=%s bs=1 seek=60 conv=notrunc status=none",
	        bench->path);
	assert_int_equal(system(command), 0);
	assert_int_equal(store_open(bench->path, &bench->store, &err), -EINVAL);
	assert_non_null(strstr(err.text, "schema 99"));
	assert_int_equal(file_write(bench->path, "no database at all, but long enough to look at",
	                         46, 0600, &err),
	        0);
	assert_true(store_open(bench->path, &bench->store, &err) < 0);
}

static int last_id(void *context, const struct stored_log *log)
{
	*(uint64_t *)context = log->id;
	return 0;
}

static void log_gives_its_tail_in_order(void **state)
{
	struct bench *bench = *state;
	struct error err;
	uint64_t id = 0;
	for (int i = 0; i < 10; i++)
		assert_int_equal(
		        store_log_add(bench->store, i % 2 ? "a" : "b", 0, 1, "text", &err), 0);
	assert_int_equal(store_log_list(bench->store, "b", 0, 2, last_id, &id, &err), 0);
	assert_int_equal(id, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(functions_come_back_as_they_were),
	        TEST(old_versions_stay_for_a_while),
	        TEST(deleted_function_is_gone_with_its_versions),
	        TEST(what_was_committed_survives_kill_9),
	        TEST(full_store_says_so_and_keeps_what_it_has),
	        TEST(file_of_another_schema_is_refused),
	        TEST(log_gives_its_tail_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
