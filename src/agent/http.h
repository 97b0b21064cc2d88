// SPDX-License-Identifier: Apache-2.0
// The HTTP server: libmicrohttpd turned by the agent's event loop. A request is handed over once,
// when its body is complete and within bounds; whoever takes it answers it exactly once, now or
// later, with a reply or with a stream. A client that goes away is no error: answers to it are
// dropped.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/routes.h"
#include "api/status.h"

struct error;
struct http;
struct loop;
struct request;

#define HTTP_BODY_MAX        (16u << 20)
#define HTTP_CONNECTIONS_MAX 128
#define HTTP_JSON_DEPTH_MAX  64

struct http_options {
	struct loop *loop;
	int listen_fd; // listening socket; the server closes it
	void (*handle)(void *context, struct request *request);
	void *context;
	uint64_t head_ns; // how long a connection may owe a whole head; 0: 30 s
};

int http_new(const struct http_options *options, struct http **http, struct error *err);
void http_free(struct http **http); // ends every stream, drops unanswered requests
uint64_t http_request_count(const struct http *http);

enum route_id request_route(const struct request *request);
const char *request_name(const struct request *request); // what stands for "*" in the route's path
// An argument of the query, percent-decoded, or NULL.
const char *request_query(struct request *request, const char *key);
bool request_flag(struct request *request, const char *key); // set, and neither "0" nor "false"
// The argument as a whole number below `max`, `fallback` where it is absent. -1: it is something
// else.
int64_t request_number(struct request *request, const char *key, int64_t fallback, int64_t max);
// The body as a JSON object (bounded depth, no duplicate members). On failure the request has been
// answered.
int request_json(struct request *request, json_t **json);

void request_reply(
        struct request *request, int http, const char *type, const void *data, size_t size);
void request_reply_json(struct request *request, int http, json_t *json); // takes the reference
__attribute__((format(printf, 4, 5))) void request_error(
        struct request *request, enum status_code code, const char *hint, const char *format, ...);
// The same, where the source is at fault at a line.
void request_error_at(struct request *request, enum status_code code, const char *message,
        const char *hint, const char *file, unsigned line);
void request_fail(struct request *request, const struct error *err); // code from err->code

// Streams: begin, write often, end. `gone` runs once when the client has left or the stream has
// been ended; the request must not be touched afterwards. A client that does not read is cut off.
// False: the client has left already, the request is gone, `gone` was not called.
bool request_stream(
        struct request *request, const char *type, void (*gone)(void *context), void *context);
void request_write(struct request *request, const void *data, size_t size);
void request_write_json(struct request *request, json_t *json); // a line; takes the reference
void request_end(struct request *request);
