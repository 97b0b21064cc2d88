// SPDX-License-Identifier: Apache-2.0
// Hostile C and hostile objects in the boxes: each fails cleanly, in time, and leaks nothing.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/box.h"
#include "agent/loop.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"

struct bench {
	struct loop *loop;
	struct box *box;
	char secret[64]; // a file that only a leak can show
};

struct outcome {
	struct loop *loop;
	int code;
	unsigned line;
	char message[512], file[64];
	char *text;
	uint8_t *data;
	size_t size;
};

static void take(void *context, struct box_result *result)
{
	struct outcome *outcome = context;
	outcome->code = result->code;
	outcome->line = result->line;
	snprintf(outcome->message, sizeof(outcome->message), "%s", result->message);
	snprintf(outcome->file, sizeof(outcome->file), "%s", result->file);
	outcome->text = TAKE_PTR(result->text);
	outcome->data = TAKE_PTR(result->data);
	outcome->size = result->size;
	loop_stop(outcome->loop);
}

// A fresh loop a job, since a stopped one stays stopped.
static struct outcome compile(struct bench *bench, const char *source)
{
	struct error err = {0};
	struct outcome outcome = {0};
	assert_int_equal(loop_new(&outcome.loop, &err), 0);
	box_attach(bench->box, outcome.loop);
	assert_int_equal(
	        box_compile(bench->box, source, strlen(source), "wire.c", take, &outcome, &err), 0);
	assert_int_equal(loop_run(outcome.loop), 0);
	loop_free(&outcome.loop);
	return outcome;
}

static struct outcome read_object(struct bench *bench, const void *data, size_t size)
{
	struct error err = {0};
	struct outcome outcome = {0};
	assert_int_equal(loop_new(&outcome.loop, &err), 0);
	box_attach(bench->box, outcome.loop);
	assert_int_equal(box_read_object(bench->box, data, size, NULL, take, &outcome, &err), 0);
	assert_int_equal(loop_run(outcome.loop), 0);
	loop_free(&outcome.loop);
	return outcome;
}

static void drop(struct outcome *outcome)
{
	free(outcome->text);
	free(outcome->data);
}

static bool has_secret(const struct outcome *outcome)
{
	static const char mark[] = "c29tZXNlY3JldA";
	return (outcome->data && memmem(outcome->data, outcome->size, mark, strlen(mark))) ||
	       (outcome->text && strstr(outcome->text, mark));
}

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	char headers[256];
	snprintf(headers, sizeof(headers), "%s/include", getenv("RAIO_SOURCE_DIR"));
	assert_int_equal(box_start(headers, &bench->box, NULL), 0);
	strcpy(bench->secret, "/tmp/raio-secret-XXXXXX");
	int fd = mkstemp(bench->secret);
	assert_int_equal(write(fd, "c29tZXNlY3JldA\n", 15), 15);
	close(fd);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	box_free(&bench->box);
	unlink(bench->secret);
	free(bench);
	return 0;
}

static const char good[] =
        "#include <raio/raio.h>\n"
        "#include <linux/if_ether.h>\n"
        "SEC(\"xdp\") int f(struct xdp_md *ctx) { return raio_port(ctx) ? XDP_PASS : XDP_DROP; }\n";

static void good_source_becomes_a_checked_image(void **state)
{
	struct outcome object = compile(*state, good);
	assert_string_equal(object.message, "");
	assert_int_equal(object.code, 0);
	assert_memory_equal(object.data, "\177ELF", 4);
	struct outcome image = read_object(*state, object.data, object.size);
	assert_string_equal(image.message, "");
	assert_int_equal(image.code, 0);
	assert_true(image.size > 0);
	drop(&object);
	drop(&image);
}

static void error_has_file_line_and_message(void **state)
{
	struct outcome outcome = compile(*state, "int a;\nint f(void) { return b; }\n");
	assert_int_equal(outcome.code, EBADMSG);
	assert_string_equal(outcome.file, "wire.c");
	assert_int_equal(outcome.line, 2);
	assert_non_null(strstr(outcome.message, "undeclared identifier 'b'"));
	drop(&outcome);
}

static void files_cannot_be_put_into_the_object(void **state)
{
	struct bench *bench = *state;
	char source[256];
	snprintf(source, sizeof(source), "asm(\".section x\\n.incbin \\\"%s\\\"\\n\");\nint a;\n",
	        bench->secret);
	struct outcome outcome = compile(bench, source);
	assert_int_not_equal(outcome.code, 0);
	assert_false(has_secret(&outcome));
	drop(&outcome);
	outcome = compile(bench, "asm(\".incbin \\\"/etc/shadow\\\"\");\nint a;\n");
	assert_int_not_equal(outcome.code, 0);
	drop(&outcome);
}

static void files_cannot_be_put_into_diagnostics(void **state)
{
	struct bench *bench = *state;
	char source[256];
	snprintf(source, sizeof(source), "#include \"%s\"\nint a;\n", bench->secret);
	struct outcome outcome = compile(bench, source);
	assert_int_equal(outcome.code, EBADMSG);
	assert_false(has_secret(&outcome));
	drop(&outcome);
	outcome = compile(bench, "#include \"/etc/passwd\"\nint a;\n");
	assert_int_equal(outcome.code, EBADMSG);
	assert_null(strstr(outcome.text, "root:"));
	drop(&outcome);
	outcome = compile(bench, "#include \"/proc/self/environ\"\nint a;\n");
	assert_int_equal(outcome.code, EBADMSG);
	drop(&outcome);
}

static void fifo_does_not_hang_it(void **state)
{
	struct bench *bench = *state;
	char source[128], path[80];
	snprintf(path, sizeof(path), "%s.fifo", bench->secret);
	assert_int_equal(mkfifo(path, 0666), 0);
	snprintf(source, sizeof(source), "#include \"%s\"\n", path);
	uint64_t start = clock_ns();
	struct outcome outcome = compile(bench, source);
	unlink(path);
	assert_int_equal(outcome.code, EBADMSG);
	assert_true(clock_ns() - start < 5 * NS_PER_S);
	drop(&outcome);
}

static void bombs_end_within_their_limits(void **state)
{
	cleanup(buffer_free) struct buffer macro = {0}, deep = {0};
	buffer_printf(&macro, "#define A0 a a a a a a a a a a\n");
	for (int i = 1; i < 12; i++)
		buffer_printf(&macro, "#define A%d A%d A%d A%d A%d A%d A%d A%d A%d A%d A%d\n", i,
		        i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	buffer_printf(&macro, "int x = A11;\n");
	buffer_u8(&macro, 0);
	buffer_printf(&deep, "int f(int a) { return ");
	for (int i = 0; i < 30000; i++)
		buffer_printf(&deep, "a ? %d : (", i);
	buffer_printf(&deep, "0");
	for (int i = 0; i < 30000; i++)
		buffer_printf(&deep, ")");
	buffer_printf(&deep, "; }\n");
	buffer_u8(&deep, 0);
	const char *const sources[] = {(const char *)macro.data, (const char *)deep.data,
	        "char a[1ul << 33] = {1};\n", "#include __FILE__\n#include \"wire.c\"\n"};
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		uint64_t start = clock_ns();
		struct outcome outcome = compile(*state, sources[i]);
		assert_int_not_equal(outcome.code, 0);
		assert_true(clock_ns() - start < 25 * NS_PER_S);
		drop(&outcome);
	}
	struct outcome outcome = compile(*state, good); // and the next one is not disturbed
	assert_int_equal(outcome.code, 0);
	drop(&outcome);
}

static void diagnostics_are_printable_and_bounded(void **state)
{
	cleanup(buffer_free) struct buffer source = {0};
	for (int i = 0; i < 3000; i++)
		buffer_printf(&source, "#warning \033[31m red %d\n", i);
	buffer_printf(&source, "#error end\n");
	buffer_u8(&source, 0);
	struct outcome outcome = compile(*state, (const char *)source.data);
	assert_int_equal(outcome.code, EBADMSG);
	assert_true(strlen(outcome.text) <= 64 << 10);
	assert_null(strchr(outcome.text, '\033'));
	drop(&outcome);
}

static void hostile_objects_are_refused(void **state)
{
	struct outcome object = compile(*state, good), outcome;
	outcome = read_object(*state, "no ELF", 6);
	assert_int_not_equal(outcome.code, 0);
	drop(&outcome);
	outcome = read_object(*state, "", 0);
	assert_int_not_equal(outcome.code, 0);
	drop(&outcome);
	for (size_t cut = 64; cut < object.size; cut += object.size / 8) {
		outcome = read_object(*state, object.data, cut);
		assert_int_not_equal(outcome.code, 0);
		assert_true(strlen(outcome.message) > 0);
		drop(&outcome);
	}
	drop(&object);
}

static void more_jobs_than_slots_wait_and_are_all_done(void **state)
{
	struct bench *bench = *state;
	struct error err = {0};
	struct outcome outcomes[6] = {0};
	struct loop *loop;
	assert_int_equal(loop_new(&loop, &err), 0);
	box_attach(bench->box, loop);
	for (int i = 0; i < 6; i++) {
		outcomes[i].loop = loop;
		outcomes[i].code = -1;
		assert_int_equal(box_compile(bench->box, good, strlen(good), "wire.c", take,
		                         &outcomes[i], &err),
		        0);
	}
	for (int i = 0; i < 6; i++) {
		while (outcomes[i].code < 0)
			loop_run(loop); // until the next one is done
		assert_int_equal(outcomes[i].code, 0);
		drop(&outcomes[i]);
	}
	loop_free(&loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(good_source_becomes_a_checked_image),
	        TEST(error_has_file_line_and_message),
	        TEST(files_cannot_be_put_into_the_object),
	        TEST(files_cannot_be_put_into_diagnostics),
	        TEST(fifo_does_not_hang_it),
	        TEST(bombs_end_within_their_limits),
	        TEST(diagnostics_are_printable_and_bounded),
	        TEST(hostile_objects_are_refused),
	        TEST(more_jobs_than_slots_wait_and_are_all_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
