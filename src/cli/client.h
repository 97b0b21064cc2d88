// SPDX-License-Identifier: Apache-2.0
// The agent's HTTP interface (docs/api.md) over its Unix socket. Knows nothing of commands or
// output.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct client;

// How a command ended: the process's exit code (docs/api.md gives each error code one).
enum cli_exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_BUSY = 4,
	EXIT_REJECTED = 5,
	EXIT_TIMEOUT = 6,
	EXIT_MISMATCH = 7,
	EXIT_DENIED = 8,
	EXIT_NO_AGENT = 9,
	EXIT_ROLLED_BACK = 10,
	EXIT_INTERRUPTED = 130, // by Ctrl-C, as a shell has it
};

// What the agent, or the way to it, said instead of an answer.
struct failure {
	enum cli_exit exit;
	long status; // of HTTP; 0 where no answer came
	char code[32];
	char text[4096], hint[1024], file[256];
	int line;
};

// Where the agent listens: `given`, else $RAIO_SOCKET, else the default of docs/api.md, into
// `path`.
void client_socket(const char *given, char *path, size_t size);
int client_new(const char *socket, struct client **client);
void client_free(struct client **client);
// Requests end with EXIT_TIMEOUT at monotonic instant `deadline_ns`; 0 = never.
void client_deadline(struct client *client, uint64_t deadline_ns);

// One request with an answer of JSON. `body` (borrowed) may be NULL; so may `answer`. *answer is
// NULL for an answer without a body. Returns EXIT_DONE or failure->exit.
enum cli_exit client_request(struct client *client, const char *method, const char *path,
        const json_t *body, json_t **answer, struct failure *failure);
// The same with an answer of any type; the caller frees *data, which has a NUL behind it.
enum cli_exit client_get(struct client *client, const char *path, char **data, size_t *size,
        struct failure *failure);

struct client_stream {
	void *context;
	bool (*line)(void *context, const char *line); // false ends the stream
	// Every quarter of a second; false ends. Asks the agent through a client of its own only.
	// May be NULL.
	bool (*tick)(void *context);
};
// A request whose answer is lines (NDJSON) that come as they are written.
enum cli_exit client_follow(struct client *client, const char *method, const char *path,
        const json_t *body, const struct client_stream *stream, struct failure *failure);

// Percent-encodes `text` into a word of a path or query.
const char *client_escape(const char *text, char *escaped, size_t size);
