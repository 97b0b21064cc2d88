// SPDX-License-Identifier: Apache-2.0
// libcurl's multi interface drives each request, so that a stream can be looked at and ended
// between its lines. A connection is reused from request to request.
#include "cli/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "api/paths.h"
#include "api/status.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define ANSWER_MAX (256u << 20)
#define TICK_MS    250

struct client {
	CURLM *multi;
	char socket[256];
	uint64_t deadline_ns;
};

// One request under way.
struct request {
	struct buffer body;
	const struct client_stream *stream; // lines go here once the status is known to be good
	CURL *easy;
	bool ended; // the stream's reader has had enough
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
	new->multi = curl_multi_init();
	if (!new->multi) {
		free(new);
		return -ENOMEM;
	}
	*client = new;
	return 0;
}

void client_free(struct client **client)
{
	if (!*client)
		return;
	curl_multi_cleanup((*client)->multi);
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

static size_t request_write(char *data, size_t size, size_t count, void *context)
{
	struct request *request = context;
	size *= count;
	if (request->body.size + size > ANSWER_MAX)
		return 0;
	buffer_put(&request->body, data, size);
	long status = 0;
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (request->stream && status < 300)
		request_lines(request);
	return request->body.failed ? 0 : size;
}

static enum cli_exit fail(
        struct failure *failure, enum cli_exit code, const char *text, const char *hint)
{
	failure->exit = code;
	snprintf(failure->text, sizeof(failure->text), "%s", text);
	snprintf(failure->hint, sizeof(failure->hint), "%s", hint);
	return code;
}

static enum cli_exit fail_transport(
        const struct client *client, CURLcode code, long os_errno, struct failure *failure)
{
	char text[512];
	struct stat info;
	const char *start =
	        "start it with `raiod`, or name its socket with --socket or RAIO_SOCKET";
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		if (os_errno == EACCES || (stat(client->socket, &info) < 0 && errno == EACCES)) {
			snprintf(text, sizeof(text), "no permission to open %s", client->socket);
			return fail(failure, EXIT_DENIED, text,
			        "join the group that owns the socket, or ask who runs the agent");
		}
		snprintf(text, sizeof(text), "the agent is not running: nobody answers on %s",
		        client->socket);
		return fail(failure, EXIT_NO_AGENT, text, start);
	case CURLE_OPERATION_TIMEDOUT:
		return fail(failure, EXIT_TIMEOUT, "the time given with --timeout is over",
		        "what the agent has begun goes on");
	case CURLE_WRITE_ERROR:
		return fail(failure, EXIT_FAILED, "the agent's answer is too large", "");
	default:
		snprintf(text, sizeof(text), "the agent's answer broke off: %s",
		        curl_easy_strerror(code));
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

// Drives the request to its end. CURLE_OK also where the stream's reader ended it.
static CURLcode drive(struct client *client, struct request *request)
{
	const struct client_stream *stream = request->stream;
	uint64_t tick_ns = clock_ns() + TICK_MS * NS_PER_MS;
	CURLcode result = CURLE_OK;
	int running = 1;
	curl_multi_add_handle(client->multi, request->easy);
	while (running && !request->ended) {
		curl_multi_perform(client->multi, &running);
		if (!running || request->ended)
			break;
		curl_multi_poll(client->multi, NULL, 0, TICK_MS, NULL);
		uint64_t now = clock_ns();
		if (client->deadline_ns && now >= client->deadline_ns) {
			result = CURLE_OPERATION_TIMEDOUT;
			break;
		}
		if (stream && stream->tick && now >= tick_ns) {
			tick_ns = now + TICK_MS * NS_PER_MS;
			request->ended = !stream->tick(stream->context);
		}
	}
	int left;
	CURLMsg *message;
	while ((message = curl_multi_info_read(client->multi, &left)))
		if (message->msg == CURLMSG_DONE && message->easy_handle == request->easy &&
		        !request->ended)
			result = message->data.result;
	return result;
}

static enum cli_exit perform(struct client *client, const char *method, const char *path,
        const json_t *body, struct request *request, struct failure *failure)
{
	char url[4096];
	snprintf(url, sizeof(url), "http://localhost%s", path);
	autofree char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	*failure = (struct failure){0};
	CURL *easy = request->easy = curl_easy_init();
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, request_write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	if (text || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, text ? text : "");
	CURLcode code = drive(client, request);
	long status = 0, os_errno = 0;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
	curl_multi_remove_handle(client->multi, easy);
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return fail_transport(client, code, os_errno, failure);
	if (status >= 300)
		return fail_answer(request, status, failure);
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
