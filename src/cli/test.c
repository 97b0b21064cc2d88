// SPDX-License-Identifier: Apache-2.0
// `raio test`: a function over a capture, offline, and what left compared with what should have.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/offline.h"
#include "cli/offline_maps.h"
#include "cli/report.h"
#include "cli/source.h"
#include "cli/table.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "engine/generation.h"

#define PORTS_DEFAULT 0xfull
#define VERDICTS      5

static const char *const verdict_names[VERDICTS] = {"aborted", "drop", "pass", "tx", "redirect"};

// All that one `raio test` holds.
struct test {
	struct cli *cli;
	struct capture in, want;
	struct offline *offline;
	struct offline_result result;
	struct compare compare;
	bool has_want;
};

static void test_free(struct test *test)
{
	offline_result_free(&test->result);
	offline_free(&test->offline);
	capture_free(&test->in);
	capture_free(&test->want);
}

static void print_trace(void *context, const char *line)
{
	(void)context;
	fprintf(stderr, "printk: %s\n", line);
}

static const char *ports_text(uint64_t ports, char *text, size_t size)
{
	size_t at = 0;
	text[0] = 0;
	for (unsigned port = 0; port < PORTS_MAX && at + 4 < size; port++)
		if (ports >> port & 1)
			at += (size_t)snprintf(text + at, size - at, "%s%u", at ? "," : "", port);
	return text;
}

// "ddos.c:31", and the line or instruction there.
static void fault_place(const struct test *test, const struct verdict *verdict, char *place,
        size_t size, char *text, size_t text_size)
{
	const struct image *image = generation_image(offline_generation(test->offline));
	const struct image_program *program = &image->programs[verdict->program];
	const struct image_line *line = image_line_of(program, verdict->insn);
	image_place(program, verdict->insn, place, size);
	if (line)
		snprintf(text, text_size, "%s", line->text + strspn(line->text, " \t"));
	else
		disasm_insn(image, program, verdict->insn, text, text_size);
}

static bool is_same_fault(const struct verdict *a, const struct verdict *b)
{
	return a->fault == b->fault && a->program == b->program && a->insn == b->insn;
}

// Calls `each` for each different fault, with how many packets met it.
static void each_fault(const struct test *test,
        void (*each)(const struct test *, const struct verdict *, size_t count, void *context),
        void *context)
{
	const struct offline_result *result = &test->result;
	size_t shown = 0;
	for (size_t i = 0; i < result->count && shown < 32; i++) {
		const struct verdict *verdict = &result->verdicts[i];
		size_t count = 0, first = 0;
		if (verdict->verdict != XDP_ABORTED)
			continue;
		while (first < i && (result->verdicts[first].verdict != XDP_ABORTED ||
		                            !is_same_fault(&result->verdicts[first], verdict)))
			first++;
		if (first < i)
			continue;
		for (size_t j = i; j < result->count; j++)
			count += result->verdicts[j].verdict == XDP_ABORTED &&
			         is_same_fault(&result->verdicts[j], verdict);
		each(test, verdict, count, context);
		shown++;
	}
}

static void print_fault(
        const struct test *test, const struct verdict *verdict, size_t count, void *context)
{
	char place[192], text[256];
	(void)context;
	fault_place(test, verdict, place, sizeof(place), text, sizeof(text));
	printf("  %s: %s, %zu packet%s\n      %s\n", place, fault_name(verdict->fault), count,
	        count == 1 ? "" : "s", text);
}

static void json_fault(
        const struct test *test, const struct verdict *verdict, size_t count, void *context)
{
	char place[192], text[256];
	fault_place(test, verdict, place, sizeof(place), text, sizeof(text));
	json_array_append_new(
	        context, json_pack("{s:s, s:s, s:s, s:I}", "cause", fault_name(verdict->fault),
	                         "place", place, "text", text, "count", (json_int_t)count));
}

static void count_verdicts(
        const struct test *test, uint64_t packets[VERDICTS], uint64_t bytes[VERDICTS])
{
	for (size_t i = 0; i < test->result.count; i++) {
		unsigned verdict = test->result.verdicts[i].verdict % VERDICTS;
		packets[verdict]++;
		bytes[verdict] += test->in.packets[i].size;
	}
}

static void print_packets(const struct test *test)
{
	cleanup(table_free) struct table *table = NULL;
	char ports[192], place[192], text[256];
	if (table_new("+PACKET +PORT +BYTES VERDICT OUT WHY", &table) < 0)
		return;
	for (size_t i = 0; i < test->result.count; i++) {
		const struct verdict *verdict = &test->result.verdicts[i];
		table_printf(table, "%zu", i + 1);
		table_printf(table, "%u", test->in.packets[i].port);
		table_printf(table, "%u", test->in.packets[i].size);
		table_add(table, verdict_names[verdict->verdict % VERDICTS]);
		if (verdict->verdict == XDP_PASS)
			table_add(table, "host");
		else
			table_add(table, ports_text(verdict->ports, ports, sizeof(ports)));
		if (verdict->verdict == XDP_ABORTED) {
			fault_place(test, verdict, place, sizeof(place), text, sizeof(text));
			table_printf(table, "%s: %s", place, fault_name(verdict->fault));
		} else {
			table_add(table, "");
		}
	}
	table_print(table, stdout, "");
	puts("");
}

static void print_mismatch(const struct test *test)
{
	size_t place = test->compare.place;
	const struct capture *out = &test->result.out, *want = &test->want;
	printf("\n%sMISMATCH%s at packet %zu that leaves", cli_color(test->cli, COLOR_RED),
	        cli_color(test->cli, COLOR_PLAIN), place + 1);
	if (place < out->count)
		printf(" (input packet %zu)", test->result.from[place] + 1);
	printf(": %s\n", test->compare.what);
	const struct capture_packet none = {0};
	if (place < out->count || place < want->count)
		compare_print(place < out->count ? &out->packets[place] : &none,
		        place < want->count ? &want->packets[place] : &none, stdout);
}

static void print_result(const struct test *test)
{
	cleanup(table_free) struct table *table = NULL;
	uint64_t packets[VERDICTS] = {0}, bytes[VERDICTS] = {0};
	static const unsigned order[VERDICTS] = {
	        XDP_PASS, XDP_TX, XDP_REDIRECT, XDP_DROP, XDP_ABORTED};
	if (args_has(&test->cli->args, "verbose"))
		print_packets(test);
	if (table_new("VERDICT +PACKETS +BYTES", &table) < 0)
		return;
	count_verdicts(test, packets, bytes);
	for (size_t i = 0; i < VERDICTS; i++) {
		table_add(table, verdict_names[order[i]]);
		table_printf(table, "%llu", (unsigned long long)packets[order[i]]);
		table_printf(table, "%llu", (unsigned long long)bytes[order[i]]);
	}
	printf("%zu packets in, %zu out\n", test->result.count, test->result.out.count);
	table_print(table, stdout, "  ");
	if (packets[XDP_ABORTED])
		puts("\naborted packets");
	each_fault(test, print_fault, NULL);
	if (!test->has_want)
		return;
	if (test->compare.is_equal)
		printf("\n%sMATCH%s: the %zu packets that leave are those expected\n",
		        cli_color(test->cli, COLOR_GREEN), cli_color(test->cli, COLOR_PLAIN),
		        test->want.count);
	else
		print_mismatch(test);
}

static json_t *packets_json(const struct test *test)
{
	json_t *list = json_array();
	for (size_t i = 0; i < test->result.count; i++) {
		const struct verdict *verdict = &test->result.verdicts[i];
		json_t *out = json_array();
		for (int port = 0; port < (int)PORTS_MAX; port++)
			if (verdict->ports >> port & 1)
				json_array_append_new(out, json_integer(port));
		json_array_append_new(
		        list, json_pack("{s:I, s:i, s:I, s:s, s:o}", "packet", (json_int_t)(i + 1),
		                      "port", (int)test->in.packets[i].port, "bytes",
		                      (json_int_t)test->in.packets[i].size, "verdict",
		                      verdict_names[verdict->verdict % VERDICTS], "out", out));
	}
	return list;
}

static json_t *mismatch_json(const struct test *test)
{
	size_t place = test->compare.place;
	json_t *mismatch = json_pack(
	        "{s:I, s:s}", "place", (json_int_t)(place + 1), "what", test->compare.what);
	if (place < test->result.out.count)
		json_object_set_new(mismatch, "packet",
		        json_integer((json_int_t)(test->result.from[place] + 1)));
	return mismatch;
}

static void print_result_json(const struct test *test, json_t *maps)
{
	uint64_t packets[VERDICTS] = {0}, bytes[VERDICTS] = {0};
	autojson json_t *answer = json_object();
	json_t *verdicts = json_object(), *aborts = json_array();
	count_verdicts(test, packets, bytes);
	for (size_t i = 0; i < VERDICTS; i++)
		json_object_set_new(verdicts, verdict_names[i],
		        json_pack("{s:I, s:I}", "packets", (json_int_t)packets[i], "bytes",
		                (json_int_t)bytes[i]));
	each_fault(test, json_fault, aborts);
	json_object_set_new(answer, "in", json_integer((json_int_t)test->result.count));
	json_object_set_new(answer, "out", json_integer((json_int_t)test->result.out.count));
	json_object_set_new(answer, "verdicts", verdicts);
	json_object_set_new(answer, "aborts", aborts);
	if (args_has(&test->cli->args, "verbose"))
		json_object_set_new(answer, "packets", packets_json(test));
	if (maps)
		json_object_set(answer, "maps", maps);
	if (test->has_want)
		json_object_set_new(answer, "match", json_boolean(test->compare.is_equal));
	if (test->has_want && !test->compare.is_equal)
		json_object_set_new(answer, "mismatch", mismatch_json(test));
	cli_json(answer, false);
}

// Reads the captures; remarks on what in them no port could have brought.
static int read_captures(struct test *test, uint8_t port)
{
	const char *in = args_value(&test->cli->args, "pcap");
	const char *want = args_value(&test->cli->args, "expect");
	struct error err = {0};
	size_t cut = 0;
	if (!in)
		return cli_usage(test->cli, "which packets? --pcap FILE");
	test->has_want = want;
	if (capture_read(in, port, &test->in, &err) < 0 ||
	        (want && capture_read(want, 0, &test->want, &err) < 0))
		return cli_fail(test->cli, err.code == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "%s",
		        err.text);
	for (size_t i = 0; i < test->in.count; i++)
		cut += test->in.packets[i].size < test->in.packets[i].original_size;
	if (cut)
		cli_note(test->cli,
		        "%zu packets were cut when %s was captured; the function sees what is "
		        "left of them",
		        cut, in);
	return EXIT_DONE;
}

static int make_offline(struct test *test, const char *word)
{
	struct cli *cli = test->cli;
	const char *ports = args_value(&cli->args, "ports");
	struct offline_options options = {.ports = PORTS_DEFAULT, .trace = print_trace};
	struct image *image = NULL;
	struct error err = {0};
	long budget = 0;
	int code = cli_number(cli, "budget", 1, GENERATION_BUDGET_MAX, &budget);
	if (code != EXIT_DONE)
		return code;
	if (ports && !text_ports(ports, &options.ports))
		return cli_usage(cli, "--ports %s: ports are numbers below 64, as in 0,2-3", ports);
	options.budget = (uint64_t)budget;
	for (size_t i = 0; i < test->in.count; i++)
		options.ports |= 1ull << test->in.packets[i].port;
	code = source_any(cli, word, args_value(&cli->args, "program"), &image);
	if (code != EXIT_DONE)
		return code;
	if (offline_new(image, &options, &test->offline, &err) < 0)
		return cli_fail(cli, EXIT_REJECTED, "%s: %s", word, err.text);
	return EXIT_DONE;
}

static int finish(struct test *test)
{
	struct cli *cli = test->cli;
	const char *out = args_value(&cli->args, "out");
	struct generation *generation = offline_generation(test->offline);
	autojson json_t *maps = args_has(&cli->args, "show-maps") ? offline_maps(generation) : NULL;
	struct error err = {0};
	const char *name;
	json_t *entries;
	json_object_foreach(maps, name, entries) report_sort(entries);
	if (test->result.oversize)
		cli_note(cli, "%zu packets are longer than a frame holds and were dropped",
		        test->result.oversize);
	if (test->has_want)
		compare_captures(&test->result.out, &test->want, &test->compare);
	if (out && capture_write(out, &test->result.out, &err) < 0)
		return cli_fail(cli, EXIT_FAILED, "%s", err.text);
	if (cli->is_json)
		print_result_json(test, maps);
	else
		print_result(test);
	if (!cli->is_json)
		json_object_foreach(maps, name, entries)
		{
			printf("\nmap %s, %zu entries\n", name, json_array_size(entries));
			report_entries(entries, stdout);
		}
	return test->has_want && !test->compare.is_equal ? EXIT_MISMATCH : EXIT_DONE;
}

int function_test(struct cli *cli)
{
	cleanup(test_free) struct test test = {.cli = cli};
	const char *rules = args_value(&cli->args, "rules");
	struct error err = {0};
	long port = 0;
	int code = cli_number(cli, "port", 0, 63, &port);
	if (code == EXIT_DONE)
		code = read_captures(&test, (uint8_t)port);
	if (code == EXIT_DONE)
		code = make_offline(&test, args_word(&cli->args, 0));
	if (code != EXIT_DONE)
		return code;
	if (rules && offline_rules(offline_generation(test.offline), rules, &err) < 0)
		return cli_fail(
		        cli, err.code == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "%s", err.text);
	if (offline_run(test.offline, &test.in, &test.result, &err) < 0)
		return cli_fail(cli, EXIT_FAILED, "%s", err.text);
	return finish(&test);
}
