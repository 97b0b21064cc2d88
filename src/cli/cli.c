// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/help.h"

const char *cli_color(const struct cli *cli, enum color color)
{
	static const char *const sequence[] = {
	        [COLOR_PLAIN] = "\033[0m",
	        [COLOR_BOLD] = "\033[1m",
	        [COLOR_DIM] = "\033[2m",
	        [COLOR_RED] = "\033[31m",
	        [COLOR_GREEN] = "\033[32m",
	        [COLOR_YELLOW] = "\033[33m",
	        [COLOR_CYAN] = "\033[36m",
	};
	return cli->has_color ? sequence[color] : "";
}

static void say(const char *prefix, const char *format, va_list args)
{
	fflush(stdout);
	autofree char *text = NULL;
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	// Arguments and the agent's answers may hold what a terminal would obey.
	for (char *at = text; at && *at; at++)
		if (iscntrl((unsigned char)*at) && *at != '\n' && *at != '\t')
			*at = '?';
	fprintf(stderr, "%s%s\n", prefix, text ? text : "out of memory");
}

int cli_fail(struct cli *cli, enum cli_exit code, const char *format, ...)
{
	(void)cli;
	va_list args;
	va_start(args, format);
	say("raio: ", format, args);
	va_end(args);
	return (int)code;
}

int cli_usage(struct cli *cli, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say("raio: ", format, args);
	va_end(args);
	help_usage(cli->args.command, stderr);
	return EXIT_USAGE;
}

void cli_note(const struct cli *cli, const char *format, ...)
{
	if (cli->is_quiet)
		return;
	va_list args;
	va_start(args, format);
	say("", format, args);
	va_end(args);
}

void cli_hint(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say("hint: ", format, args);
	va_end(args);
}

int cli_failure(struct cli *cli)
{
	const struct failure *failure = &cli->failure;
	const char *rules = args_value(&cli->args, "rules"), *file = failure->file;
	char place[512] = "", line[32];
	// The agent knows the rules' text, not the name of their file.
	if (strcmp(file, "rules") == 0 && rules)
		file = rules;
	snprintf(line, sizeof(line), "line %d:", failure->line);
	// The text of a compiler has its place already.
	if (*file && strstr(failure->text, line))
		snprintf(place, sizeof(place), "%s: ", file);
	else if (*file && !strstr(failure->text, file))
		snprintf(place, sizeof(place), failure->line ? "%s:%d: " : "%s: ", file,
		        failure->line);
	cli_fail(cli, failure->exit, "%s%s", place, failure->text);
	if (*failure->hint)
		cli_hint("%s", failure->hint);
	return (int)failure->exit;
}

struct client *cli_client(struct cli *cli)
{
	if (!cli->client && client_new(cli->socket, &cli->client) < 0) {
		fputs("raio: out of memory\n", stderr);
		exit(EXIT_FAILED);
	}
	client_deadline(cli->client, cli->deadline_ns);
	return cli->client;
}

int cli_request(
        struct cli *cli, const char *method, const char *path, const json_t *body, json_t **answer)
{
	if (client_request(cli_client(cli), method, path, body, answer, &cli->failure) != EXIT_DONE)
		return cli_failure(cli);
	return EXIT_DONE;
}

void cli_json(const json_t *value, bool is_line)
{
	json_dumpf(value, stdout, JSON_ENCODE_ANY | (is_line ? JSON_COMPACT : JSON_INDENT(2)));
	fputc('\n', stdout);
	if (is_line)
		fflush(stdout);
}

const char *member_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

double member_real(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

uint64_t member_count(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (json_is_real(value))
		return json_real_value(value) > 0 ? (uint64_t)json_real_value(value) : 0;
	return (uint64_t)json_integer_value(value);
}

int cli_pause(struct cli *cli, double seconds)
{
	uint64_t now = clock_ns(), end = now + (uint64_t)(seconds * 1e9);
	bool is_over = cli->deadline_ns && end > cli->deadline_ns;
	end = is_over ? cli->deadline_ns : end;
	struct timespec until = {
	        .tv_sec = (time_t)(end / NS_PER_S), .tv_nsec = (long)(end % NS_PER_S)};
	while (end > now && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
	if (is_over)
		return cli_fail(cli, EXIT_TIMEOUT, "the time given with --timeout is over");
	return EXIT_DONE;
}

int cli_watch(
        struct cli *cli, const char *path, void (*print)(const json_t *list), const char *none)
{
	bool is_watch = args_has(&cli->args, "watch");
	autojson json_t *last = NULL;
	int code;
	do {
		json_t *list = NULL;
		code = cli_request(cli, "GET", path, NULL, &list);
		if (code != EXIT_DONE)
			return code;
		if (!last || !json_equal(last, list)) {
			if (cli->is_json)
				cli_json(list, is_watch);
			else
				print(list);
			if (!json_array_size(list))
				cli_note(cli, "%s", none);
			fflush(stdout);
		}
		json_decref(last);
		last = list;
		if (is_watch)
			code = cli_pause(cli, 0.5);
	} while (is_watch && code == EXIT_DONE);
	return code;
}
