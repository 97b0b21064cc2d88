// SPDX-License-Identifier: Apache-2.0
// Commands of the nouns `run` and `queue`.
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/dry.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/table.h"

static int put_run(struct cli *cli, json_t *body)
{
	const char *confirm = args_value(&cli->args, "confirm"),
	           *rules = args_value(&cli->args, "rules");
	long priority = 0;
	double seconds;
	int code = cli_slice(cli, "slice", body, "slice_s");
	if (code == EXIT_DONE)
		code = cli_ports(cli, body);
	if (code == EXIT_DONE)
		code = cli_maps(cli, body);
	if (code == EXIT_DONE)
		code = cli_number(cli, "priority", -1000, 1000, &priority);
	if (code != EXIT_DONE)
		return code;
	if (priority)
		json_object_set_new(body, "priority", json_integer(priority));
	if (args_has(&cli->args, "return-maps"))
		json_object_set_new(body, "return_maps", json_true());
	if (confirm) {
		if (!text_seconds(confirm, &seconds) || seconds < 1)
			return cli_usage(cli,
			        "--confirm %s: a time of at least a second, as in 30s", confirm);
		json_object_set_new(body, "confirm_s", json_integer((long)(seconds + 0.999)));
	}
	if (rules) {
		autofree uint8_t *text = NULL;
		struct error err = {0};
		size_t size;
		if (file_read(rules, 64u << 20, &text, &size, &err) < 0)
			return cli_fail(cli, err.code == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED,
			        "%s", err.text);
		json_object_set_new(body, "rules", json_stringn((const char *)text, size));
	}
	return EXIT_DONE;
}

// How a run that has ended makes the command end.
static int run_exit(const json_t *run)
{
	const json_t *error = json_object_get(run, "error");
	const char *state = member_text(run, "state"), *code = member_text(error, "code");
	if (strcmp(state, "finished") == 0)
		return EXIT_DONE;
	if (strcmp(code, "rolled_back") == 0 || json_is_true(json_object_get(run, "rolled_back")) ||
	        (strcmp(state, "expired") == 0 && json_is_object(json_object_get(run, "report"))))
		return EXIT_ROLLED_BACK;
	return strcmp(code, "rejected") == 0 ? EXIT_REJECTED : EXIT_FAILED;
}

struct wait {
	struct cli *cli;
	struct progress *progress;
	json_t *run; // as last heard
};

static bool wait_line(void *context, const char *line)
{
	struct wait *wait = context;
	json_t *run = json_loads(line, 0, NULL);
	if (!json_is_object(run)) {
		json_decref(run);
		return true;
	}
	if (args_has(&wait->cli->args, "watch") && wait->cli->is_json)
		cli_json(run, true);
	progress_state(wait->progress, run);
	json_decref(wait->run);
	wait->run = run;
	return true;
}

static bool wait_tick(void *context)
{
	struct wait *wait = context;
	progress_tick(wait->progress);
	return !progress_interrupted();
}

static int wait_for(struct cli *cli, json_t *body)
{
	struct wait wait = {.cli = cli};
	const struct client_stream stream = {
	        .context = &wait, .line = wait_line, .tick = wait_tick};
	if (progress_new(cli, &wait.progress) < 0)
		return cli_fail(cli, EXIT_FAILED, "out of memory");
	enum cli_exit code = client_follow(
	        cli_client(cli), "POST", "/v1/runs?wait=1", body, &stream, &cli->failure);
	progress_free(&wait.progress);
	autojson json_t *run = wait.run;
	const char *id = member_text(run, "id");
	if (code != EXIT_DONE) {
		if (code == EXIT_TIMEOUT && *id)
			snprintf(cli->failure.hint, sizeof(cli->failure.hint),
			        "run %s goes on; `raio run describe %s` shows it, `raio run cancel "
			        "%s` ends it",
			        id, id, id);
		return cli_failure(cli);
	}
	if (progress_interrupted()) {
		cli_note(cli,
		        "run %s goes on; `raio run describe %s` shows it, `raio run cancel %s` "
		        "ends it",
		        id, id, id);
		return EXIT_INTERRUPTED;
	}
	if (!*member_text(run, "ended"))
		return cli_fail(
		        cli, EXIT_FAILED, "the agent's answer ended before the run %s did", id);
	if (!cli->is_json)
		report_run(cli, run, stdout);
	else if (!args_has(&cli->args, "watch"))
		cli_json(run, false);
	return run_exit(run);
}

static int dry_run(struct cli *cli, const char *name, json_t *body)
{
	const json_t *rules = json_object_get(body, "rules");
	int code = dry_ports(cli, json_object_get(body, "ports"));
	if (code == EXIT_DONE && rules)
		code = dry_function_rules(cli, name, args_value(&cli->args, "rules"),
		        json_string_value(rules), json_string_length(rules));
	if (code != EXIT_DONE)
		return code;
	json_object_set_new(body, "dry_run", json_true());
	if (cli->is_json)
		cli_json(body, false);
	else
		printf("would run function %s\n", name);
	return EXIT_DONE;
}

int run_start(struct cli *cli)
{
	autojson json_t *body = json_object(), *run = NULL;
	char name[64];
	int code = put_run(cli, body);
	if (code == EXIT_DONE)
		code = cli_function(cli, args_word(&cli->args, 0), false, name, sizeof(name));
	if (code != EXIT_DONE)
		return code;
	json_object_set_new(body, "function", json_string(name));
	if (args_has(&cli->args, "dry-run"))
		return dry_run(cli, name, body);
	if (!args_has(&cli->args, "no-wait"))
		return wait_for(cli, body);
	code = cli_request(cli, "POST", "/v1/runs", body, &run);
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json)
		cli_json(run, false);
	else
		printf("%s\n", member_text(run, "id"));
	cli_note(cli, "run %s of %s is %s; `raio run describe %s` shows it", member_text(run, "id"),
	        name, member_text(run, "state"), member_text(run, "id"));
	return EXIT_DONE;
}

static void run_path(struct cli *cli, const char *verb, char *path, size_t size)
{
	char id[192];
	const char *word = args_word(&cli->args, 0);
	// "7" means "r7".
	bool is_number = *word && strspn(word, "0123456789") == strlen(word);
	client_escape(word, id, sizeof(id));
	snprintf(path, size, "/v1/runs/%s%s%s", is_number ? "r" : "", id, verb);
}

static int run_done(struct cli *cli, const json_t *run, const char *done)
{
	if (cli->is_json && run)
		cli_json(run, false);
	else if (!cli->is_json)
		printf("%s %s\n", args_word(&cli->args, 0), done);
	return EXIT_DONE;
}

int run_cancel(struct cli *cli)
{
	char path[256];
	autojson json_t *run = NULL;
	run_path(cli, "", path, sizeof(path));
	int code = cli_request(cli, "DELETE", path, NULL, &run);
	return code == EXIT_DONE ? run_done(cli, run, "cancelled") : code;
}

int run_renew(struct cli *cli)
{
	char path[256];
	autojson json_t *body = json_object(), *run = NULL;
	int code = cli_slice(cli, "slice", body, "slice_s");
	if (code != EXIT_DONE)
		return code;
	if (!json_object_size(body))
		return cli_usage(cli, "for how long? --slice TIME, counted from now");
	run_path(cli, "/renew", path, sizeof(path));
	code = cli_request(cli, "POST", path, body, &run);
	return code == EXIT_DONE ? run_done(cli, run, "renewed") : code;
}

int run_confirm(struct cli *cli)
{
	char path[256];
	autojson json_t *run = NULL;
	run_path(cli, "/confirm", path, sizeof(path));
	int code = cli_request(cli, "POST", path, NULL, &run);
	return code == EXIT_DONE ? run_done(cli, run, "confirmed") : code;
}

int run_describe(struct cli *cli)
{
	char path[256];
	autojson json_t *run = NULL;
	run_path(cli, "", path, sizeof(path));
	int code = cli_request(cli, "GET", path, NULL, &run);
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json)
		cli_json(run, false);
	else
		report_run(cli, run, stdout);
	return EXIT_DONE;
}

static void print_runs(const json_t *list)
{
	cleanup(table_free) struct table *table = NULL;
	const json_t *item;
	size_t i;
	char ports[256];
	if (table_new("RUN FUNCTION STATE +SLICE PORTS +PRIORITY +POSITION ASKED STARTED ENDS",
	            &table) < 0)
		return;
	json_array_foreach(list, i, item)
	{
		const json_t *slice = json_object_get(item, "slice_s"),
		             *ends = json_object_get(item, "ended");
		table_add(table, member_text(item, "id"));
		table_add(table, member_text(item, "function"));
		table_add(table, member_text(item, "state"));
		if (json_is_string(slice))
			table_add(table, json_string_value(slice));
		else
			table_printf(table, "%.4g s", json_number_value(slice));
		table_add(table, report_list(json_object_get(item, "ports"), ports, sizeof(ports)));
		table_printf(table, "%lld",
		        (long long)json_integer_value(json_object_get(item, "priority")));
		if (member_count(item, "position"))
			table_printf(
			        table, "%llu", (unsigned long long)member_count(item, "position"));
		else
			table_add(table, "-");
		table_add(table, member_text(item, "asked"));
		table_add(table, member_text(item, "started"));
		table_add(table,
		        json_is_string(ends) ? json_string_value(ends) : member_text(item, "ends"));
	}
	table_print(table, stdout, "");
}

int run_list(struct cli *cli)
{
	const char *state = args_value(&cli->args, "state"),
	           *function = args_value(&cli->args, "function");
	char path[640] = "/v1/runs?", name[64], escaped[256];
	long limit = 20;
	int code = cli_number(cli, "limit", 1, 100000, &limit);
	if (code == EXIT_DONE && function)
		code = cli_function(cli, function, false, name, sizeof(name));
	if (code != EXIT_DONE)
		return code;
	size_t at = (size_t)snprintf(path, sizeof(path), "/v1/runs?limit=%ld", limit);
	if (state)
		at += (size_t)snprintf(path + at, sizeof(path) - at, "&state=%s",
		        client_escape(state, escaped, sizeof(escaped)));
	if (function)
		snprintf(path + at, sizeof(path) - at, "&function=%s", name);
	return cli_watch(cli, path, print_runs, "no such runs");
}

int queue_list(struct cli *cli)
{
	return cli_watch(cli, "/v1/runs?state=queued,loading,running", print_runs,
	        "nothing is queued and nothing runs; the card has its default function");
}
