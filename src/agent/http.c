// SPDX-License-Identifier: Apache-2.0
// Framing that two readers could understand in two ways is refused before anything else is looked
// at (RFC 9112 sections 6 and 9); after a 400 the connection is closed.
#include "agent/http.h"

#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/loop.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#define REQUEST_DEADLINE_NS (60 * NS_PER_S)
#define STREAM_BACKLOG_MAX  (8u << 20)
#define IDLE_TIMEOUT_S      60u
#define HEAD_DEADLINE_NS    (30 * NS_PER_S) // from connection, or the answer before, to a whole head

struct request {
	struct http *http;
	struct MHD_Connection *connection;
	struct request *next, **link;
	enum route_id route;
	char name[ROUTE_NAME_MAX];
	struct buffer body;
	uint64_t started_ns;
	bool too_large, dispatched, suspended, answered, queued;
	int reply_status;
	const char *reply_type;
	struct buffer reply;
	bool streaming, ended;
	size_t sent; // of reply, for a stream
	void (*gone)(void *context);
	void *gone_context;
};

// A connection, with or without a request in it.
struct peer {
	int fd;
	uint64_t waits_ns; // since when it owes us a head; UINT64_MAX: it does not
	struct peer *next, **link;
};

struct http {
	struct MHD_Daemon *daemon;
	struct peer *peers;
	struct loop *loop;
	struct watch watch;
	struct timer timer;
	struct http_options options;
	struct request *requests;
	uint64_t request_count;
	bool running;
};

static unsigned connections(const struct http *http)
{
	const union MHD_DaemonInfo *info =
	        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
	return info ? info->num_connections : 0;
}

// Ends connections that keep us waiting for a request, also those that send it byte by byte.
// Returns when to look again.
static uint64_t hang_up(struct http *http)
{
	uint64_t now_ns = clock_ns(), next_ns = UINT64_MAX;
	for (struct peer *peer = http->peers; peer; peer = peer->next) {
		if (peer->waits_ns == UINT64_MAX)
			continue;
		uint64_t end_ns = peer->waits_ns + http->options.head_ns;
		if (end_ns <= now_ns) {
			shutdown(peer->fd, SHUT_RDWR); // the library meets its end, and closes it
			peer->waits_ns = UINT64_MAX;
		} else if (end_ns < next_ns) {
			next_ns = end_ns;
		}
	}
	return next_ns;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
        enum MHD_ConnectionNotificationCode what)
{
	struct http *http = context;
	struct peer *peer = *slot;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info =
		        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		peer = info ? calloc(1, sizeof(*peer)) : NULL;
		if (!peer)
			return;
		*peer = (struct peer){info->connect_fd, clock_ns(), http->peers, &http->peers};
		if (peer->next)
			peer->next->link = &peer->next;
		http->peers = peer;
	} else if (peer) {
		*peer->link = peer->next;
		if (peer->next)
			peer->next->link = peer->link;
		free(peer);
	}
	*slot = peer;
}

static void peer_waits(struct MHD_Connection *connection, uint64_t since_ns)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct peer *peer = info ? info->socket_context : NULL;
	if (peer)
		peer->waits_ns = since_ns;
}

static void turn(struct http *http)
{
	if (http->running)
		return;
	http->running = true;
	unsigned before = connections(http);
	MHD_run(http->daemon);
	// At its limit the library listens no more; only the turn after the one in which
	// connections ended takes that up again, and no event asks for it.
	if (connections(http) < before)
		MHD_run(http->daemon);
	http->running = false;
	MHD_UNSIGNED_LONG_LONG wait_ms;
	uint64_t at = hang_up(http);
	if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES &&
	        clock_ns() + wait_ms * NS_PER_MS < at)
		at = clock_ns() + wait_ms * NS_PER_MS;
	loop_timer(http->loop, &http->timer, at);
}

static void on_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	turn((struct http *)((char *)watch - offsetof(struct http, watch)));
}

static void on_timer(struct timer *timer)
{
	turn((struct http *)((char *)timer - offsetof(struct http, timer)));
}

static void wake(struct request *request)
{
	if (request->suspended) {
		request->suspended = false;
		MHD_resume_connection(request->connection);
		loop_timer(request->http->loop, &request->http->timer, 0);
	}
}

struct framing {
	unsigned lengths, encodings;
	bool bad;
};

// RFC 9110 section 5.6.2, and what no value may hold (section 5.5). libmicrohttpd lets all of it
// pass.
static bool is_sound(const char *key, size_t key_size, const char *value, size_t size)
{
	for (size_t i = 0; i < key_size; i++)
		if (!isalnum((unsigned char)key[i]) && !memchr("!#$%&'*+-.^_`|~", key[i], 15))
			return false;
	for (size_t i = 0; i < size; i++)
		if (value[i] == '\r' || value[i] == '\n' || !value[i])
			return false;
	return key_size > 0;
}

static enum MHD_Result look_at_header(void *context, enum MHD_ValueKind kind, const char *key,
        size_t key_size, const char *value, size_t size)
{
	(void)kind;
	struct framing *framing = context;
	if (!key || !is_sound(key, key_size, value, value ? size : 0)) {
		framing->bad = true;
	} else if (strcasecmp(key, "Content-Length") == 0) {
		framing->lengths++;
		framing->bad |= !value || !*value || strspn(value, "0123456789") != strlen(value);
	} else if (strcasecmp(key, "Transfer-Encoding") == 0) {
		framing->encodings++;
		framing->bad |= !value || strcasecmp(value, "chunked") != 0;
	}
	return MHD_YES;
}

// Decodes once and in place. What would end a name early stays as it came, so that nothing is found
// under it.
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context, (void)connection;
	char *to = text;
	for (const char *from = text; *from; to++) {
		char hex[3] = {0};
		if (*from == '%' && isxdigit((unsigned char)from[1]) &&
		        isxdigit((unsigned char)from[2]))
			memcpy(hex, from + 1, 2);
		char byte = (char)strtoul(hex, NULL, 16);
		*to = byte ? byte : *from;
		from += byte ? 3 : 1;
	}
	*to = '\0';
	return (size_t)(to - text);
}

// 0 to go on, or the status of what has been answered.
static void check_head(struct request *request, const char *url, const char *method)
{
	struct framing framing = {0};
	MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, look_at_header, &framing);
	if (framing.bad || framing.lengths + framing.encodings > 1) {
		request_error(request, STATUS_INVALID, NULL,
		        "a header of the request, or its length, can be understood in two ways");
		return;
	}
	const char *length =
	        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Content-Length");
	if (length && (strlen(length) > 9 || strtoul(length, NULL, 10) > HTTP_BODY_MAX)) {
		request_error(request, STATUS_TOO_LARGE, NULL, "the body is larger than %u MiB",
		        HTTP_BODY_MAX >> 20);
		return;
	}
	char allow[64];
	request->route = route_find(method, url, request->name, allow, sizeof(allow));
	if (request->route != ROUTE_NONE)
		return;
	if (*allow)
		request_error(request, STATUS_INVALID, NULL,
		        "%.16s is not for this path, which takes %s", method, allow);
	else
		request_error(request, STATUS_NOT_FOUND, "see docs/api.md for the paths",
		        "the agent has nothing at %.200s", url);
}

static struct request *request_new(struct http *http, struct MHD_Connection *connection)
{
	struct request *request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	request->http = http;
	request->connection = connection;
	request->route = ROUTE_NONE;
	request->started_ns = clock_ns();
	request->next = http->requests;
	request->link = &http->requests;
	if (request->next)
		request->next->link = &request->next;
	http->requests = request;
	http->request_count++;
	return request;
}

static void request_free(struct request *request)
{
	if (request->link) {
		*request->link = request->next;
		if (request->next)
			request->next->link = request->link;
	}
	buffer_free(&request->body);
	buffer_free(&request->reply);
	free(request);
}

static ssize_t read_stream(void *context, uint64_t position, char *data, size_t max)
{
	(void)position;
	struct request *request = context;
	size_t left = request->reply.size - request->sent;
	if (left == 0 && request->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (left == 0) {
		request->suspended = true;
		MHD_suspend_connection(request->connection);
		return 0;
	}
	size_t size = left < max ? left : max;
	memcpy(data, request->reply.data + request->sent, size);
	request->sent += size;
	if (request->sent == request->reply.size)
		request->sent = request->reply.size = 0;
	return (ssize_t)size;
}

static enum MHD_Result queue_answer(struct request *request)
{
	struct MHD_Response *response =
	        request->streaming ? MHD_create_response_from_callback(
	                                     MHD_SIZE_UNKNOWN, 16384, read_stream, request, NULL)
	                           : MHD_create_response_from_buffer(request->reply.size,
	                                     request->reply.data, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, request->reply_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (request->reply_status == 400 || request->reply_status == 413)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	enum MHD_Result result =
	        MHD_queue_response(request->connection, (unsigned)request->reply_status, response);
	MHD_destroy_response(response);
	request->queued = true;
	return result;
}

static enum MHD_Result take_body(struct request *request, const char *data, size_t *size)
{
	if (request->body.size + *size > HTTP_BODY_MAX)
		request->too_large = true;
	else
		buffer_put(&request->body, data, *size);
	*size = 0;
	return clock_ns() - request->started_ns > REQUEST_DEADLINE_NS ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
        const char *method, const char *version, const char *data, size_t *size, void **slot)
{
	struct http *http = context;
	struct request *request = *slot;
	(void)version;
	if (!request) {
		peer_waits(connection, UINT64_MAX);
		*slot = request = request_new(http, connection);
		if (!request)
			return MHD_NO;
		check_head(request, url, method);
		return request->answered ? queue_answer(request) : MHD_YES;
	}
	if (*size && !request->answered)
		return take_body(request, data, size);
	*size = 0;
	if (!request->dispatched) {
		request->dispatched = true;
		if (request->too_large)
			request_error(request, STATUS_TOO_LARGE, NULL,
			        "the body is larger than %u MiB", HTTP_BODY_MAX >> 20);
		else if (request->body.failed)
			request_error(request, STATUS_INTERNAL, NULL, "no memory for the body");
		else
			http->options.handle(http->options.context, request);
	}
	if (request->answered)
		return request->queued ? MHD_YES : queue_answer(request);
	request->suspended = true;
	MHD_suspend_connection(connection);
	return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
        enum MHD_RequestTerminationCode why)
{
	struct request *request = *slot;
	(void)context, (void)why;
	peer_waits(connection, clock_ns());
	if (!request)
		return;
	*slot = NULL;
	request->connection = NULL;
	request->suspended = false;
	bool waits = request->dispatched && !request->answered;
	if (request->streaming && request->gone)
		request->gone(request->gone_context);
	if (!waits)
		request_free(request); // else by whoever answers it
}

int http_new(const struct http_options *options, struct http **out, struct error *err)
{
	struct http *http = calloc(1, sizeof(*http));
	if (!http)
		return error_set(err, ENOMEM, "no memory for the HTTP server");
	http->options = *options;
	if (!http->options.head_ns)
		http->options.head_ns = HEAD_DEADLINE_NS;
	http->loop = options->loop;
	http->timer = (struct timer){.fire = on_timer, .at_ns = UINT64_MAX};
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
	        on_access, http, MHD_OPTION_LISTEN_SOCKET, options->listen_fd,
	        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
	        on_connection, http, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
	        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_STRICT_FOR_CLIENT, 1,
	        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536, MHD_OPTION_UNESCAPE_CALLBACK,
	        unescape, NULL, MHD_OPTION_END);
	if (!http->daemon) {
		free(http);
		return error_set(err, EIO, "cannot start the HTTP server on descriptor %d",
		        options->listen_fd);
	}
	const union MHD_DaemonInfo *info =
	        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	http->watch = (struct watch){.ready = on_ready, .fd = info ? info->epoll_fd : -1};
	int rc = loop_add(http->loop, &http->watch, EPOLLIN, err);
	if (rc)
		http_free(&http);
	else
		*out = http;
	return rc;
}

void http_free(struct http **out)
{
	struct http *http = *out;
	if (!http)
		return;
	for (struct request *at = http->requests; at; at = at->next) {
		at->ended = true;
		if (!at->answered && at->dispatched)
			request_error(at, STATUS_INTERNAL, NULL, "the agent is stopping");
		wake(at);
	}
	turn(http);
	loop_remove(http->loop, &http->watch);
	loop_timer(http->loop, &http->timer, UINT64_MAX);
	MHD_stop_daemon(http->daemon);
	while (http->requests)
		request_free(http->requests);
	free(http);
	*out = NULL;
}

uint64_t http_request_count(const struct http *http)
{
	return http->request_count;
}

enum route_id request_route(const struct request *request)
{
	return request->route;
}

const char *request_name(const struct request *request)
{
	return request->name;
}

const char *request_query(struct request *request, const char *key)
{
	return request->connection ? MHD_lookup_connection_value(
	                                     request->connection, MHD_GET_ARGUMENT_KIND, key)
	                           : NULL;
}

bool request_flag(struct request *request, const char *key)
{
	const char *value = request_query(request, key);
	return value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

int64_t request_number(struct request *request, const char *key, int64_t fallback, int64_t max)
{
	const char *value = request_query(request, key);
	if (!value)
		return fallback;
	if (!*value || strlen(value) > 18 || strspn(value, "0123456789") != strlen(value))
		return -1;
	int64_t number = strtoll(value, NULL, 10);
	return number <= max ? number : max;
}

// jansson recurses; the depth of a stranger's text is bounded before it is parsed.
static bool too_deep(const char *text, size_t size)
{
	unsigned depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < size; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
			continue;
		}
		in_string = text[i] == '"';
		if (text[i] == '[' || text[i] == '{') {
			if (++depth > HTTP_JSON_DEPTH_MAX)
				return true;
		} else if ((text[i] == ']' || text[i] == '}') && depth) {
			depth--;
		}
	}
	return false;
}

int request_json(struct request *request, json_t **json)
{
	json_error_t error;
	const char *text = (const char *)request->body.data;
	if (request->body.size == 0) {
		request_error(request, STATUS_INVALID, NULL,
		        "the request needs a JSON object as its body");
		return -EINVAL;
	}
	if (too_deep(text, request->body.size)) {
		request_error(request, STATUS_INVALID, NULL,
		        "the JSON body is nested more than %d deep", HTTP_JSON_DEPTH_MAX);
		return -EINVAL;
	}
	json_t *read = json_loadb(text, request->body.size, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(read)) {
		if (read)
			request_error(
			        request, STATUS_INVALID, NULL, "the body must be a JSON object");
		else
			request_error(request, STATUS_INVALID, NULL,
			        "the body is no JSON: line %d: %s", error.line, error.text);
		json_decref(read);
		return -EINVAL;
	}
	*json = read;
	return 0;
}

// Marks the request answered; one whose client has gone is freed, and false returned.
static bool answer(struct request *request, int status, const char *type)
{
	request->answered = true;
	request->reply_status = status;
	request->reply_type = type;
	if (request->connection)
		return true;
	request_free(request);
	return false;
}

void request_reply(
        struct request *request, int http, const char *type, const void *data, size_t size)
{
	buffer_put(&request->reply, data, size);
	if (answer(request, http, type))
		wake(request);
}

void request_reply_json(struct request *request, int http, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (!text) {
		static const char none[] = "{\"error\":{\"code\":\"internal\",\"message\":\"no "
		                           "memory for the answer\"}}\n";
		request_reply(request, 500, "application/json", none, sizeof(none) - 1);
		return;
	}
	request_reply(request, http, "application/json", text, strlen(text));
	free(text);
}

void request_error_at(struct request *request, enum status_code code, const char *message,
        const char *hint, const char *file, unsigned line)
{
	json_t *error = json_object();
	json_object_set_new(error, "code", json_string(status_table[code].name));
	json_t *text = json_string(message);
	json_object_set_new(
	        error, "message", text ? text : json_string("an error without readable text"));
	if (hint)
		json_object_set_new(error, "hint", json_string(hint));
	if (file)
		json_object_set_new(error, "file", json_string(file));
	if (line)
		json_object_set_new(error, "line", json_integer(line));
	request_reply_json(request, status_table[code].http, json_pack("{s:o}", "error", error));
}

void request_error(
        struct request *request, enum status_code code, const char *hint, const char *format, ...)
{
	char text[2 * ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	request_error_at(request, code, text, hint, NULL, 0);
}

void request_fail(struct request *request, const struct error *err)
{
	request_error_at(request, status_of_errno(err->code), err->text, NULL, NULL, 0);
}

bool request_stream(
        struct request *request, const char *type, void (*gone)(void *context), void *context)
{
	request->streaming = true;
	request->gone = gone;
	request->gone_context = context;
	if (!answer(request, 200, type))
		return false;
	wake(request);
	return true;
}

void request_write(struct request *request, const void *data, size_t size)
{
	if (request->ended)
		return;
	if (request->reply.size + size > STREAM_BACKLOG_MAX || request->reply.failed)
		request->ended = true; // it does not read: what it has is cut off
	else
		buffer_put(&request->reply, data, size);
	wake(request);
}

void request_write_json(struct request *request, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (text) {
		request_write(request, text, strlen(text));
		request_write(request, "\n", 1);
	}
	free(text);
}

void request_end(struct request *request)
{
	request->ended = true;
	wake(request);
}
