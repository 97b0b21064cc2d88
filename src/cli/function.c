// SPDX-License-Identifier: Apache-2.0
// Commands of the noun `function` that talk to the agent.
#include <errno.h>
#include <string.h>

#include "api/paths.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/dry.h"
#include "cli/report.h"
#include "cli/source.h"
#include "cli/table.h"
#include "ebpf/image.h"
#include "engine/generation.h"

#define RULES_MAX (64u << 20)

// The settings and rules among the options, into a create or update body.
static int put_settings(struct cli *cli, json_t *body)
{
	json_t *settings = json_object();
	const char *rules = args_value(&cli->args, "rules");
	const char *program = args_value(&cli->args, "program");
	long budget = 0;
	int code = cli_slice(cli, "slice", settings, "slice_s");
	if (code == EXIT_DONE)
		code = cli_ports(cli, settings);
	if (code == EXIT_DONE)
		code = cli_maps(cli, settings);
	if (code == EXIT_DONE)
		code = cli_number(cli, "budget", 1, GENERATION_BUDGET_MAX, &budget);
	if (budget)
		json_object_set_new(settings, "budget", json_integer(budget));
	if (json_object_size(settings))
		json_object_set_new(body, "settings", settings);
	else
		json_decref(settings);
	if (program)
		json_object_set_new(body, "program", json_string(program));
	if (code == EXIT_DONE && rules) {
		autofree uint8_t *text = NULL;
		struct error err = {0};
		size_t size;
		if (file_read(rules, RULES_MAX, &text, &size, &err) < 0)
			return cli_fail(cli, err.code == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED,
			        "%s", err.text);
		json_t *value = json_stringn((const char *)text, size);
		if (!value)
			return cli_fail(
			        cli, EXIT_FAILED, "%s: the rules are not UTF-8 text", rules);
		json_object_set_new(body, "rules", value);
	}
	return code;
}

static void print_swapped(struct cli *cli, const json_t *function)
{
	const json_t *receipt;
	size_t i;
	json_array_foreach(json_object_get(function, "swapped"), i, receipt)
	{
		char gap[NUMBER_SIZE];
		cli_note(cli, "live run %s goes on with the new code: packets lost: %llu, gap %s",
		        member_text(json_object_get(receipt, "new"), "run"),
		        (unsigned long long)member_count(receipt, "lost"),
		        number_time(member_real(receipt, "gap_ns"), gap));
	}
}

// Compiles, checks, and says what would be done. Rules alone are checked against the code that is
// there.
static int dry_run(struct cli *cli, const char *verb, const char *name, const struct source *source,
        json_t *body)
{
	cleanup(image_free) struct image *image = NULL;
	const json_t *rules = json_object_get(body, "rules");
	int code = dry_ports(cli, json_object_get(json_object_get(body, "settings"), "ports"));
	if (code == EXIT_DONE && source->data)
		code = source_image(cli, source, args_value(&cli->args, "program"), &image);
	else if (code == EXIT_DONE && rules)
		code = source_any(cli, name, args_value(&cli->args, "program"), &image);
	if (code == EXIT_DONE && rules)
		code = dry_rules(cli, image, args_value(&cli->args, "rules"),
		        json_string_value(rules), json_string_length(rules));
	if (code != EXIT_DONE)
		return code;
	json_object_del(body, "source");
	json_object_del(body, "object");
	if (cli->is_json) {
		json_object_set_new(body, "dry_run", json_true());
		cli_json(body, false);
	} else {
		printf("would %s function %s\n", verb, name);
	}
	return EXIT_DONE;
}

int function_create(struct cli *cli)
{
	const char *name = args_word(&cli->args, 0), *file = args_word(&cli->args, 1);
	cleanup(source_free) struct source source = {0};
	autojson json_t *body = json_object(), *answer = NULL, *there = NULL;
	if (!name_is_valid(name))
		return cli_usage(cli,
		        "'%s' is no function name: lower-case letters, digits, and - between "
		        "them, at most 63",
		        name);
	json_object_set_new(body, "name", json_string(name));
	int code = put_settings(cli, body);
	if (code == EXIT_DONE)
		code = source_read(cli, file, &source);
	if (code == EXIT_DONE)
		code = source_put(cli, &source, body);
	if (code != EXIT_DONE)
		return code;
	if (args_has(&cli->args, "dry-run")) {
		char path[128];
		snprintf(path, sizeof(path), "/v1/functions/%s", name);
		if (client_request(cli_client(cli), "GET", path, NULL, &there, &cli->failure) ==
		        EXIT_DONE)
			return cli_fail(cli, EXIT_BUSY,
			        "function '%s' exists; change it with `raio update %s`", name,
			        name);
		return dry_run(cli, "create", name, &source, body);
	}
	code = cli_request(cli, "POST", "/v1/functions", body, &answer);
	if (code != EXIT_DONE) {
		if (strcmp(cli->failure.code, "exists") == 0 && !*cli->failure.hint)
			cli_hint("`raio update %s %s` changes it", name, file);
		return code;
	}
	if (cli->is_json)
		cli_json(answer, false);
	else
		printf("%s created, version %.12s, %llu instructions\n", name,
		        member_text(answer, "version"),
		        (unsigned long long)member_count(answer, "instructions"));
	cli_note(cli, "run it with `raio run %s`", name);
	return EXIT_DONE;
}

int function_update(struct cli *cli)
{
	const char *file = args_word(&cli->args, 1);
	cleanup(source_free) struct source source = {0};
	autojson json_t *body = json_object(), *answer = NULL;
	char name[64], path[128];
	int code = put_settings(cli, body);
	if (code == EXIT_DONE && file)
		code = source_read(cli, file, &source);
	if (code == EXIT_DONE && file)
		code = source_put(cli, &source, body);
	if (code == EXIT_DONE && !json_object_size(body))
		return cli_usage(cli, "nothing to change: give a file, --rules, or a setting");
	if (code == EXIT_DONE)
		code = cli_function(cli, args_word(&cli->args, 0), false, name, sizeof(name));
	if (code != EXIT_DONE)
		return code;
	if (args_has(&cli->args, "dry-run"))
		return dry_run(cli, "update", name, &source, body);
	snprintf(path, sizeof(path), "/v1/functions/%s", name);
	code = cli_request(cli, "PUT", path, body, &answer);
	if (code != EXIT_DONE)
		return code;
	print_swapped(cli, answer);
	if (cli->is_json)
		cli_json(answer, false);
	else
		printf("%s updated, version %.12s\n", name, member_text(answer, "version"));
	return EXIT_DONE;
}

int function_delete(struct cli *cli)
{
	char name[64], path[128];
	autojson json_t *answer = NULL;
	int code = cli_function(cli, args_word(&cli->args, 0), true, name, sizeof(name));
	if (code != EXIT_DONE)
		return code;
	snprintf(path, sizeof(path), "/v1/functions/%s", name);
	bool is_dry = args_has(&cli->args, "dry-run");
	code = cli_request(cli, is_dry ? "GET" : "DELETE", path, NULL, &answer);
	if (code != EXIT_DONE)
		return code;
	const char *live = member_text(answer, "live");
	if (cli->is_json) {
		autojson json_t *done =
		        json_pack("{s:s}", is_dry ? "would_delete" : "deleted", name);
		cli_json(done, false);
	} else if (is_dry) {
		printf("would delete function %s%s%s\n", name,
		        *live ? " and end its live run " : "", live);
	} else {
		printf("%s deleted\n", name);
	}
	return EXIT_DONE;
}

static const char *slice_text(const json_t *settings, char text[NUMBER_SIZE])
{
	const json_t *slice = json_object_get(settings, "slice_s");
	if (json_is_string(slice))
		return json_string_value(slice);
	snprintf(text, NUMBER_SIZE, "%g s", json_number_value(slice));
	return json_is_number(slice) ? text : "-";
}

static void print_functions(const json_t *list)
{
	cleanup(table_free) struct table *table = NULL;
	const json_t *item;
	size_t i;
	char slice[NUMBER_SIZE], ports[256];
	if (table_new("NAME VERSION +INSTRUCTIONS +MAPS SLICE PORTS LIVE UPDATED", &table) < 0)
		return;
	json_array_foreach(list, i, item)
	{
		const json_t *settings = json_object_get(item, "settings");
		table_add(table, member_text(item, "name"));
		table_printf(table, "%.12s", member_text(item, "version"));
		table_printf(table, "%llu", (unsigned long long)member_count(item, "instructions"));
		table_printf(table, "%zu", json_array_size(json_object_get(item, "maps")));
		table_add(table, slice_text(settings, slice));
		table_add(table,
		        report_list(json_object_get(settings, "ports"), ports, sizeof(ports)));
		table_add(table, member_text(item, "live"));
		table_add(table, member_text(item, "updated"));
	}
	table_print(table, stdout, "");
}

int function_list(struct cli *cli)
{
	return cli_watch(cli, "/v1/functions", print_functions,
	        "no functions yet: `raio new NAME` writes a first one");
}

static void print_described(const json_t *function, const json_t *runs)
{
	cleanup(table_free) struct table *maps = NULL, *table = NULL;
	const json_t *settings = json_object_get(function, "settings"), *item;
	char slice[NUMBER_SIZE], text[512];
	size_t i;
	printf("name          %s\nversion       %s\ncreated       %s\nupdated       %s\n",
	        member_text(function, "name"), member_text(function, "version"),
	        member_text(function, "created"), member_text(function, "updated"));
	printf("programs      %s\n",
	        report_list(json_object_get(function, "programs"), text, sizeof(text)));
	printf("instructions  %llu\n", (unsigned long long)member_count(function, "instructions"));
	printf("slice         %s\n", slice_text(settings, slice));
	printf("ports         %s\n",
	        report_list(json_object_get(settings, "ports"), text, sizeof(text)));
	printf("maps kept     %s\n",
	        report_list(json_object_get(settings, "maps"), text, sizeof(text)));
	printf("rules         %s\n",
	        json_is_true(json_object_get(function, "has_rules")) ? "yes" : "no");
	printf("live run      %s\n",
	        *member_text(function, "live") ? member_text(function, "live") : "-");
	if (table_new("MAP TYPE +KEY +VALUE +CAPACITY", &maps) < 0 ||
	        table_new("RUN STATE ASKED STARTED ENDED", &table) < 0)
		return;
	json_array_foreach(json_object_get(function, "maps"), i, item)
	{
		table_add(maps, member_text(item, "name"));
		table_add(maps, member_text(item, "type"));
		table_printf(maps, "%llu B", (unsigned long long)member_count(item, "key_size"));
		table_printf(maps, "%llu B", (unsigned long long)member_count(item, "value_size"));
		table_printf(maps, "%llu", (unsigned long long)member_count(item, "max_entries"));
	}
	json_array_foreach(runs, i, item)
	{
		table_add(table, member_text(item, "id"));
		table_add(table, member_text(item, "state"));
		table_add(table, member_text(item, "asked"));
		table_add(table, member_text(item, "started"));
		table_add(table, member_text(item, "ended"));
	}
	if (table_rows(maps))
		puts("");
	table_print(maps, stdout, "");
	if (table_rows(table))
		puts("");
	table_print(table, stdout, "");
}

int function_describe(struct cli *cli)
{
	char name[64], path[160];
	autojson json_t *function = NULL, *runs = NULL;
	int code = cli_function(cli, args_word(&cli->args, 0), false, name, sizeof(name));
	if (code != EXIT_DONE)
		return code;
	snprintf(path, sizeof(path), "/v1/functions/%s", name);
	code = cli_request(cli, "GET", path, NULL, &function);
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json) {
		cli_json(function, false);
		return EXIT_DONE;
	}
	snprintf(path, sizeof(path), "/v1/runs?function=%s&limit=5", name);
	code = cli_request(cli, "GET", path, NULL, &runs);
	if (code == EXIT_DONE)
		print_described(function, runs);
	return code;
}

struct logs {
	struct cli *cli;
	const char *run;
};

static bool print_log(void *context, const char *line)
{
	struct logs *logs = context;
	autojson json_t *item = json_loads(line, 0, NULL);
	if (!item || (logs->run && strcmp(member_text(item, "run"), logs->run) != 0))
		return true;
	if (logs->cli->is_json)
		puts(line);
	else
		printf("%s%s%s  %-4s  %s\n", cli_color(logs->cli, COLOR_DIM),
		        member_text(item, "time"), cli_color(logs->cli, COLOR_PLAIN),
		        member_text(item, "run"), member_text(item, "text"));
	return fflush(stdout) == 0;
}

int function_logs(struct cli *cli)
{
	char name[64], path[160];
	long tail = -1;
	int code = cli_number(cli, "tail", 0, 1000000, &tail);
	if (code == EXIT_DONE)
		code = cli_function(cli, args_word(&cli->args, 0), false, name, sizeof(name));
	if (code != EXIT_DONE)
		return code;
	int at = snprintf(path, sizeof(path), "/v1/functions/%s/logs?follow=%d", name,
	        args_has(&cli->args, "follow"));
	if (tail >= 0)
		snprintf(path + at, sizeof(path) - (size_t)at, "&tail=%ld", tail);
	struct logs logs = {cli, args_value(&cli->args, "run")};
	const struct client_stream stream = {.context = &logs, .line = print_log};
	if (client_follow(cli_client(cli), "GET", path, NULL, &stream, &cli->failure) != EXIT_DONE)
		return cli_failure(cli);
	return EXIT_DONE;
}
