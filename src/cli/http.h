// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 exchange (RFC 9112) with the agent over its Unix socket: as much of a client as a
// local agent needs, in place of a library whose loading takes longer than the request
// (docs/rationale.md). A connection serves one exchange.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum http_state {
	HTTP_STATUS,
	HTTP_HEADERS,
	HTTP_BODY,
	HTTP_CHUNK_SIZE,
	HTTP_CHUNK_END,
	HTTP_TRAILERS,
	HTTP_DONE
};

struct http {
	int fd;
	struct buffer in; // what has come and was not yet understood
	size_t at;        // read so far of it
	enum http_state state;
	int status; // 0 until the status line is there
	bool is_chunked, has_length;
	uint64_t left; // bytes of the body or of the chunk
};

// Takes a piece of the body. False ends the exchange.
typedef bool (*http_body)(void *context, const void *data, size_t size);

// Connects to `socket` and sends the request; `body` may be NULL. http_close() in any case.
// Errors: those of connect(2) and send(2); -EMSGSIZE for a path that is too long.
int http_open(struct http *http, const char *socket, const char *method, const char *target,
        const void *body, size_t size);
// Waits at most `wait_ms` for more of the answer and hands on what it has of the body. Returns 1
// while there may be more (also after the wait), 0 at the answer's end or where `take` returned
// false. Errors: -EPROTO for what is no HTTP, -ECONNRESET where the answer broke off, -EINTR.
int http_read(struct http *http, int wait_ms, http_body take, void *context);
void http_close(struct http *http);
