// SPDX-License-Identifier: Apache-2.0
// Commands of the noun `map`. Keys and values are text in both directions (docs/api.md): the agent
// knows the fields that a map's C types have.
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/dry.h"
#include "cli/report.h"
#include "cli/table.h"

#define RULES_MAX (64u << 20)

static void print_maps(const json_t *list)
{
	cleanup(table_free) struct table *table = NULL;
	const json_t *item;
	size_t i;
	char text[NUMBER_SIZE];
	if (table_new("MAP TYPE +ENTRIES +CAPACITY +KEY +VALUE +MEMORY RUN FUNCTION", &table) < 0)
		return;
	json_array_foreach(list, i, item)
	{
		table_add(table, member_text(item, "name"));
		table_add(table, member_text(item, "type"));
		table_add(table, number_grouped(member_count(item, "count"), text));
		table_add(table, number_grouped(member_count(item, "max_entries"), text));
		table_printf(table, "%llu B", (unsigned long long)member_count(item, "key_size"));
		table_printf(table, "%llu B", (unsigned long long)member_count(item, "value_size"));
		table_add(table, number_scaled(member_real(item, "memory"), "B", text));
		table_add(table, member_text(item, "run"));
		table_add(table, member_text(item, "function"));
	}
	table_print(table, stdout, "");
}

int map_list(struct cli *cli)
{
	const char *run = args_value(&cli->args, "run");
	char path[256] = "/v1/maps", escaped[128];
	if (run)
		snprintf(path, sizeof(path), "/v1/maps?run=%s",
		        client_escape(run, escaped, sizeof(escaped)));
	return cli_watch(cli, path, print_maps, "no maps: nothing that has one runs");
}

// The map that the first argument names, and "/v1/maps/NAME?run=ID".
static int map_find(struct cli *cli, struct cli_map *map, char *path, size_t size)
{
	char name[480], run[192];
	int code = cli_map(cli, args_word(&cli->args, 0), args_value(&cli->args, "run"), map);
	if (code != EXIT_DONE)
		return code;
	client_escape(map->name, name, sizeof(name));
	client_escape(map->run, run, sizeof(run));
	snprintf(path, size, "/v1/maps/%s?%s%s", name, *map->run ? "run=" : "", run);
	return EXIT_DONE;
}

int map_show(struct cli *cli)
{
	const char *key = args_value(&cli->args, "key");
	char path[2048];
	struct cli_map found;
	long limit = 0;
	autojson json_t *map = NULL;
	if (!args_word(&cli->args, 0))
		return map_list(cli);
	int code = cli_number(cli, "limit", 1, 100000000, &limit);
	if (code == EXIT_DONE)
		code = map_find(cli, &found, path, sizeof(path));
	if (code != EXIT_DONE)
		return code;
	size_t at = strlen(path);
	if (key) {
		char escaped[1024];
		at += (size_t)snprintf(path + at, sizeof(path) - at, "&key=%s",
		        client_escape(key, escaped, sizeof(escaped)));
	}
	if (limit)
		snprintf(path + at, sizeof(path) - at, "&limit=%ld", limit);
	code = cli_request(cli, "GET", path, NULL, &map);
	if (code != EXIT_DONE)
		return code;
	json_t *entries = json_object_get(map, "entries");
	report_sort(entries);
	if (cli->is_json) {
		cli_json(map, false);
		return EXIT_DONE;
	}
	cli_note(cli, "%s: %s, %zu of %llu entries", member_text(map, "name"),
	        member_text(map, "type"), json_array_size(entries),
	        (unsigned long long)member_count(map, "max_entries"));
	report_entries(entries, stdout);
	return EXIT_DONE;
}

// One edit of a map: what is sent, and the same as rules, by which a dry run checks it.
struct edit {
	const char *method, *path;
	json_t *body;
	const struct cli_map *map;
	const char *file, *rules; // NULL: nothing to check
	const char *what;
};

static int edit_send(struct cli *cli, const struct edit *edit)
{
	autojson json_t *answer = NULL;
	bool is_dry = args_has(&cli->args, "dry-run");
	int code = EXIT_DONE;
	if (!is_dry)
		code = cli_request(cli, edit->method, edit->path, edit->body, &answer);
	else if (edit->rules)
		code = dry_function_rules(
		        cli, edit->map->function, edit->file, edit->rules, strlen(edit->rules));
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json && is_dry && edit->body)
		cli_json(edit->body, false);
	else if (cli->is_json)
		cli_json(answer ? answer : json_true(), false);
	else
		printf("%s%s\n", is_dry ? "would be " : "", edit->what);
	return EXIT_DONE;
}

int map_set(struct cli *cli)
{
	const char *key = args_word(&cli->args, 1), *value = args_word(&cli->args, 2);
	const char *flags = args_value(&cli->args, "flags");
	if (flags && strcmp(flags, "any") != 0 && strcmp(flags, "new") != 0 &&
	        strcmp(flags, "exist") != 0)
		return cli_usage(cli, "--flags %s: any, new or exist", flags);
	char path[1024], what[512], rules[4096];
	struct cli_map map;
	int code = map_find(cli, &map, path, sizeof(path));
	if (code != EXIT_DONE)
		return code;
	autojson json_t *body = json_pack("{s:[{s:s, s:s}], s:s}", "entries", "key", key, "value",
	        value, "flags", flags ? flags : "any");
	if (!body)
		return cli_fail(cli, EXIT_USAGE, "key and value must be UTF-8 text");
	snprintf(what, sizeof(what), "set: %s -> %s", key, value);
	snprintf(rules, sizeof(rules), "%s %s = %s", map.name, key, value);
	return edit_send(cli, &(struct edit){"POST", path, body, &map, "the entry", rules, what});
}

int map_delete_entries(struct cli *cli)
{
	const char *key = args_word(&cli->args, 1);
	char path[2560], escaped[1024], what[512], rules[4096];
	struct cli_map map;
	bool is_all = args_has(&cli->args, "all");
	if (is_all == (key != NULL))
		return cli_usage(cli, "give either a KEY or --all");
	int code = map_find(cli, &map, path, 1024);
	if (code != EXIT_DONE)
		return code;
	size_t at = strlen(path);
	if (is_all)
		snprintf(path + at, sizeof(path) - at, "&all=1");
	else
		snprintf(path + at, sizeof(path) - at, "&key=%s",
		        client_escape(key, escaped, sizeof(escaped)));
	snprintf(what, sizeof(what), "deleted: %s", is_all ? "all entries" : key);
	snprintf(rules, sizeof(rules), "-%s %s", map.name, key ? key : "");
	return edit_send(cli,
	        &(struct edit){"DELETE", path, NULL, &map, "the entry", key ? rules : NULL, what});
}

int map_load(struct cli *cli)
{
	const char *file = args_word(&cli->args, 1);
	char path[1024], what[512];
	struct cli_map map;
	autofree uint8_t *text = NULL;
	struct error err = {0};
	size_t size;
	int code = map_find(cli, &map, path, sizeof(path));
	if (code != EXIT_DONE)
		return code;
	if (file_read(file, RULES_MAX, &text, &size, &err) < 0)
		return cli_fail(
		        cli, err.code == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "%s", err.text);
	autojson json_t *body = json_object();
	if (json_object_set_new(body, "rules", json_stringn((const char *)text, size)) < 0)
		return cli_fail(cli, EXIT_FAILED, "%s: the rules are not UTF-8 text", file);
	snprintf(what, sizeof(what), "loaded: %.400s", file);
	return edit_send(
	        cli, &(struct edit){"POST", path, body, &map, file, (const char *)text, what});
}

struct records {
	struct cli *cli;
	uint64_t count;
};

static bool print_record(void *context, const char *line)
{
	struct records *records = context;
	autojson json_t *item = json_loads(line, 0, NULL);
	if (!item)
		return true;
	records->count++;
	if (records->cli->is_json)
		puts(line);
	else
		printf("%s%s%s  %s\n", cli_color(records->cli, COLOR_DIM),
		        member_text(item, "time"), cli_color(records->cli, COLOR_PLAIN),
		        member_text(item, "value"));
	return fflush(stdout) == 0;
}

int map_events(struct cli *cli)
{
	char name[480], path[1024];
	struct cli_map map;
	long count = 0;
	int code = cli_number(cli, "count", 1, 1000000000, &count);
	if (code == EXIT_DONE)
		code = map_find(cli, &map, path, sizeof(path));
	if (code != EXIT_DONE)
		return code;
	client_escape(map.name, name, sizeof(name));
	bool follows = args_has(&cli->args, "follow");
	int at = snprintf(
	        path, sizeof(path), "/v1/maps/%s/events?run=%s&follow=%d", name, map.run, follows);
	if (count)
		snprintf(path + at, sizeof(path) - (size_t)at, "&count=%ld", count);
	struct records records = {.cli = cli};
	const struct client_stream stream = {.context = &records, .line = print_record};
	if (client_follow(cli_client(cli), "GET", path, NULL, &stream, &cli->failure) != EXIT_DONE)
		return cli_failure(cli);
	if (!records.count && !follows)
		cli_note(cli, "%s: no records", map.name);
	return EXIT_DONE;
}
