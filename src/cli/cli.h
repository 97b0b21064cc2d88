// SPDX-License-Identifier: Apache-2.0
// What a command has in hand: its arguments, where output goes and how, the way to the agent.
// Results go to stdout, everything said beside them to stderr. Handlers return the process's exit
// code.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cli/args.h"
#include "cli/client.h"

struct cli {
	struct args args;
	bool is_json;         // -o json
	bool is_quiet;        // no progress, no notes
	bool has_color;       // on stdout
	bool is_terminal;     // stdout
	bool has_progress;    // stderr is a terminal
	bool is_ascii;        // the locale has no UTF-8: no block characters
	uint64_t deadline_ns; // of --timeout; 0 = none
	char socket[256];
	struct client *client;  // made on first use
	struct failure failure; // of the last request
};

enum color { COLOR_PLAIN, COLOR_BOLD, COLOR_DIM, COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_CYAN };
// The terminal's sequence for a color, or "" where there is none. COLOR_PLAIN ends one.
const char *cli_color(const struct cli *cli, enum color color);

// Says what went wrong on stderr ("raio: …"). Returns `code`.
int cli_fail(struct cli *cli, enum cli_exit code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
// A wrong use of the command: the text, and how it is used. Returns EXIT_USAGE.
int cli_usage(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A remark on stderr; not where quiet.
void cli_note(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
// What to do next, behind a failure.
void cli_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Says cli->failure on stderr. Returns its exit code.
int cli_failure(struct cli *cli);

struct client *cli_client(struct cli *cli);
// A request; where it fails, says so. *answer may be NULL. Returns the exit code.
int cli_request(
        struct cli *cli, const char *method, const char *path, const json_t *body, json_t **answer);
// One JSON document, indented, on stdout; or a line where `is_line`.
void cli_json(const json_t *value, bool is_line);

// Waits, or less where the command's time is over (EXIT_TIMEOUT, said).
int cli_pause(struct cli *cli, double seconds);

// GETs an array and prints it by `print`, or as JSON; with --watch again whenever it has changed.
// `none` is said where it is empty.
int cli_watch(
        struct cli *cli, const char *path, void (*print)(const json_t *list), const char *none);

// Frees with `autojson json_t *x = NULL;`.
static inline void cli_json_free(json_t **value)
{
	json_decref(*value);
}
#define autojson cleanup(cli_json_free)

// Names. Each resolves a unique prefix, says what is wrong and what may have been meant, and
// returns the exit code. `exact` takes whole names only.
int cli_function(struct cli *cli, const char *text, bool exact, char *name, size_t size);
// A map of a live run, or of run `run` where not NULL.
struct cli_map {
	char name[160], run[64], function[64];
};
int cli_map(struct cli *cli, const char *text, const char *run, struct cli_map *map);

// Option readers. Each says what is wrong and returns EXIT_USAGE, or EXIT_DONE.
// "7", "30s", "forever" -> body[key]; nothing where the option is absent.
int cli_slice(struct cli *cli, const char *option, json_t *body, const char *key);
int cli_ports(struct cli *cli, json_t *body); // --ports 0,2-3|all -> "ports"
int cli_maps(struct cli *cli, json_t *body);  // --maps fresh|carry|a,b -> "maps"
int cli_number(struct cli *cli, const char *option, long least, long most, long *number);
// "30", "30s", "500ms", "2m" -> seconds
bool text_seconds(const char *text, double *seconds);
// "0,2-3" -> a mask of ports below 64; false where it is none
bool text_ports(const char *text, uint64_t *ports);

// Members of answers, with an obvious default where they are absent.
const char *member_text(const json_t *object, const char *key);
double member_real(const json_t *object, const char *key);
uint64_t member_count(const json_t *object, const char *key);
