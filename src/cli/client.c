// SPDX-License-Identifier: Apache-2.0
// Requests over cli/http.h. A stream is looked at, and can be ended, between its lines.
#include "cli/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/paths.h"
#include "api/status.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/http.h"

#define ANSWER_MAX (256u << 20)
#define TICK_MS    250

struct client {
	char socket[256];
	uint64_t deadline_ns;
};

// One request under way.
struct request {
	struct buffer body;
	const struct client_stream *stream; // lines go here once the status is known to be good
	struct http http;
	bool ended;     // the stream's reader has had enough
	bool too_large; // the answer
};

void client_socket(const char *given, char *path, size_t size)
{
	if (given)
		snprintf(path, size, "%s", given);
	else if (path_socket(path, size) < 0)
		snprintf(path, size, "/run/raio/raiod.sock");
}

int client_new(const char *socket, struct client **client)
{
	struct client *new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	snprintf(new->socket, sizeof(new->socket), "%s", socket);
	*client = new;
	return 0;
}

void client_free(struct client **client)
{
	free(*client);
	*client = NULL;
}

void client_deadline(struct client *client, uint64_t deadline_ns)
{
	client->deadline_ns = deadline_ns;
}

const char *client_escape(const char *text, char *escaped, size_t size)
{
	size_t at = 0;
	for (; *text && at + 4 < size; text++) {
		unsigned char c = (unsigned char)*text;
		if (isalnum(c) || strchr("-._~", c))
			escaped[at++] = (char)c;
		else
			at += (size_t)snprintf(escaped + at, size - at, "%%%02X", c);
	}
	escaped[at] = 0;
	return escaped;
}

// Hands on the whole lines that have come.
static void request_lines(struct request *request)
{
	uint8_t *end;
	while (!request->ended && request->body.size &&
	        (end = memchr(request->body.data, '\n', request->body.size))) {
		*end = 0;
		size_t used = (size_t)(end - request->body.data) + 1;
		if (used > 1 && !request->stream->line(
		                        request->stream->context, (const char *)request->body.data))
			request->ended = true;
		memmove(request->body.data, end + 1, request->body.size - used);
		request->body.size -= used;
	}
}

static bool request_body(void *context, const void *data, size_t size)
{
	struct request *request = context;
	if (request->body.size + size > ANSWER_MAX) {
		request->too_large = true;
		return false;
	}
	buffer_put(&request->body, data, size);
	if (request->stream && request->http.status < 300)
		request_lines(request);
	return !request->body.failed && !request->ended;
}

static enum cli_exit fail(
        struct failure *failure, enum cli_exit code, const char *text, const char *hint)
{
	failure->exit = code;
	snprintf(failure->text, sizeof(failure->text), "%s", text);
	snprintf(failure->hint, sizeof(failure->hint), "%s", hint);
	return code;
}

// `rc`: what http_open() or http_read() returned.
static enum cli_exit fail_transport(const struct client *client, int rc, struct failure *failure)
{
	char text[512];
	switch (rc) {
	case -EACCES:
	case -EPERM:
		snprintf(text, sizeof(text), "no permission to open %s", client->socket);
		return fail(failure, EXIT_DENIED, text,
		        "join the group that owns the socket, or ask who runs the agent");
	case -ENOENT:
	case -ECONNREFUSED:
	case -ENOTSOCK:
	case -ENOTDIR:
	case -EMSGSIZE:
		snprintf(text, sizeof(text), "the agent is not running: nobody answers on %s",
		        client->socket);
		return fail(failure, EXIT_NO_AGENT, text,
		        "start it with `raiod`, or name its socket with --socket or RAIO_SOCKET");
	case -ETIMEDOUT:
		return fail(failure, EXIT_TIMEOUT, "the time given with --timeout is over",
		        "what the agent has begun goes on");
	case -EFBIG:
		return fail(failure, EXIT_FAILED, "the agent's answer is too large", "");
	case -EPROTO:
		return fail(failure, EXIT_FAILED, "the agent's answer is no HTTP",
		        "is it a raiod that listens on this socket?");
	default:
		snprintf(text, sizeof(text), "the agent's answer broke off: %s", strerror(-rc));
		return fail(failure, EXIT_FAILED, text, "the agent may have stopped; see its log");
	}
}

static enum cli_exit exit_of(const char *code, long status)
{
	const struct status *row = status_find(code);
	if (row)
		return (enum cli_exit)row->exit;
	return status == 401 || status == 403 ? EXIT_DENIED
	       : status == 404                ? EXIT_NOT_FOUND
	       : status == 409                ? EXIT_BUSY
	                                      : EXIT_FAILED;
}

// Reads the agent's error document.
static enum cli_exit fail_answer(
        const struct request *request, long status, struct failure *failure)
{
	json_t *answer = json_loadb((const char *)request->body.data, request->body.size, 0, NULL);
	const char *code = "", *text = NULL, *hint = "", *file = "";
	int line = 0;
	json_unpack(answer, "{s:{s?s, s?s, s?s, s?s, s?i}}", "error", "code", &code, "message",
	        &text, "hint", &hint, "file", &file, "line", &line);
	char plain[64];
	snprintf(plain, sizeof(plain), "the agent answered with HTTP status %ld", status);
	fail(failure, exit_of(code, status), text ? text : plain, hint);
	failure->status = status;
	failure->line = line;
	snprintf(failure->file, sizeof(failure->file), "%s", file);
	snprintf(failure->code, sizeof(failure->code), "%s", code);
	json_decref(answer);
	return failure->exit;
}

// Drives the request to its end. 0 also where the stream's reader ended it.
static int drive(struct client *client, struct request *request)
{
	const struct client_stream *stream = request->stream;
	uint64_t tick_ns = clock_ns() + TICK_MS * NS_PER_MS;
	for (;;) {
		uint64_t now_ns = clock_ns(), until_ns = tick_ns;
		if (client->deadline_ns && client->deadline_ns < until_ns)
			until_ns = client->deadline_ns;
		// Rounded up, so that the wait does not end just before the instant.
		int wait_ms = until_ns > now_ns ? (int)((until_ns - now_ns) / NS_PER_MS) + 1 : 0;
		int rc = http_read(&request->http, wait_ms, request_body, request);
		if (request->too_large)
			return -EFBIG;
		if (rc <= 0 && rc != -EINTR)
			return rc;
		now_ns = clock_ns();
		if (client->deadline_ns && now_ns >= client->deadline_ns)
			return -ETIMEDOUT;
		if (now_ns < tick_ns)
			continue;
		tick_ns = now_ns + TICK_MS * NS_PER_MS;
		if (stream && stream->tick && !stream->tick(stream->context)) {
			request->ended = true;
			return 0;
		}
	}
}

static enum cli_exit perform(struct client *client, const char *method, const char *path,
        const json_t *body, struct request *request, struct failure *failure)
{
	autofree char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	*failure = (struct failure){0};
	int rc = http_open(
	        &request->http, client->socket, method, path, text, text ? strlen(text) : 0);
	if (!rc)
		rc = drive(client, request);
	http_close(&request->http);
	if (rc)
		return fail_transport(client, rc, failure);
	if (request->http.status >= 300)
		return fail_answer(request, request->http.status, failure);
	return EXIT_DONE;
}

enum cli_exit client_get(
        struct client *client, const char *path, char **data, size_t *size, struct failure *failure)
{
	struct request request = {0};
	enum cli_exit code = perform(client, "GET", path, NULL, &request, failure);
	*size = request.body.size;
	buffer_u8(&request.body, 0);
	*data = (char *)TAKE_PTR(request.body.data);
	buffer_free(&request.body);
	return code;
}

enum cli_exit client_request(struct client *client, const char *method, const char *path,
        const json_t *body, json_t **answer, struct failure *failure)
{
	struct request request = {0};
	enum cli_exit code = perform(client, method, path, body, &request, failure);
	if (answer)
		*answer = NULL;
	if (code == EXIT_DONE && answer && request.body.size) {
		json_error_t where;
		*answer = json_loadb((const char *)request.body.data, request.body.size,
		        JSON_DECODE_ANY, &where);
		if (!*answer)
			code = fail(failure, EXIT_FAILED, "the agent's answer is no JSON",
			        "is it a raiod that listens on this socket?");
	}
	buffer_free(&request.body);
	return code;
}

enum cli_exit client_follow(struct client *client, const char *method, const char *path,
        const json_t *body, const struct client_stream *stream, struct failure *failure)
{
	struct request request = {.stream = stream};
	enum cli_exit code = perform(client, method, path, body, &request, failure);
	if (code == EXIT_DONE && !request.ended && request.body.size) {
		buffer_u8(&request.body, '\n'); // a last line without its end
		request_lines(&request);
	}
	buffer_free(&request.body);
	return code;
}
