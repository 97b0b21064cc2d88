// SPDX-License-Identifier: Apache-2.0
#include "cli/http.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384u

static int send_all(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;
	while (size) {
		ssize_t put = send(fd, at, size, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		size -= (size_t)put;
	}
	return 0;
}

int http_open(struct http *http, const char *socket_path, const char *method, const char *target,
        const void *body, size_t size)
{
	*http = (struct http){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (http->fd < 0)
		return -errno;
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path) >=
	        (int)sizeof(address.sun_path))
		return -EMSGSIZE;
	if (connect(http->fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	struct buffer head = {0};
	buffer_printf(&head,
	        "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	        "Accept: application/json\r\n",
	        method, target);
	if (body)
		buffer_printf(&head, "Content-Type: application/json\r\n");
	if (body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
		buffer_printf(&head, "Content-Length: %zu\r\n", size);
	buffer_printf(&head, "\r\n");
	buffer_put(&head, body, size);
	int rc = head.failed ? -ENOMEM : send_all(http->fd, head.data, head.size);
	buffer_free(&head);
	// An agent that refuses early answers and closes: the answer counts, not the pipe.
	return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}

void http_close(struct http *http)
{
	if (http->fd >= 0)
		close(http->fd);
	http->fd = -1;
	buffer_free(&http->in);
}

// The next line without its end, NUL terminated in place, or NULL where it has not all come yet.
static char *take_line(struct http *http)
{
	char *line = (char *)http->in.data + http->at;
	size_t size = http->in.size - http->at;
	char *end = size ? memchr(line, '\n', size) : NULL;
	if (!end)
		return NULL;
	http->at += (size_t)(end - line) + 1;
	if (end > line && end[-1] == '\r')
		end--;
	*end = 0;
	return line;
}

static int read_header(struct http *http, char *line)
{
	char *value = strchr(line, ':');
	if (!value)
		return -EPROTO;
	*value++ = 0;
	value += strspn(value, " \t");
	if (strcasecmp(line, "Transfer-Encoding") == 0) {
		if (strcasecmp(value, "chunked") != 0)
			return -EPROTO;
		http->is_chunked = true;
	} else if (strcasecmp(line, "Content-Length") == 0) {
		if (!isdigit((unsigned char)*value))
			return -EPROTO;
		http->has_length = true;
		http->left = strtoull(value, NULL, 10);
	}
	return 0;
}

// The state behind the empty line that ends the headers.
static enum http_state after_headers(struct http *http)
{
	if (http->status / 100 == 1) { // an interim answer: the true one follows
		http->status = 0;
		return HTTP_STATUS;
	}
	if (http->status == 204 || http->status == 304)
		return HTTP_DONE;
	if (http->is_chunked)
		return HTTP_CHUNK_SIZE;
	if (!http->has_length)
		http->left = UINT64_MAX; // until the connection ends
	return http->left ? HTTP_BODY : HTTP_DONE;
}

static int read_line(struct http *http, char *line)
{
	char *end;
	switch (http->state) {
	case HTTP_STATUS:
		if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12)
			return -EPROTO;
		http->status = atoi(line + 9);
		if (http->status < 100 || http->status > 999)
			return -EPROTO;
		http->state = HTTP_HEADERS;
		return 0;
	case HTTP_HEADERS:
		if (*line)
			return read_header(http, line);
		http->state = after_headers(http);
		return 0;
	case HTTP_CHUNK_SIZE:
		http->left = strtoull(line, &end, 16);
		if (end == line || (*end && *end != ';'))
			return -EPROTO;
		http->state = http->left ? HTTP_BODY : HTTP_TRAILERS;
		return 0;
	case HTTP_CHUNK_END:
		http->state = HTTP_CHUNK_SIZE;
		return *line ? -EPROTO : 0;
	default: // HTTP_TRAILERS
		if (!*line)
			http->state = HTTP_DONE;
		return 0;
	}
}

// Understands all that has come. Returns 0, or 1 where `take` has had enough.
static int understand(struct http *http, http_body take, void *context)
{
	while (http->state != HTTP_DONE) {
		if (http->state == HTTP_BODY) {
			uint64_t size = http->in.size - http->at;
			size = size < http->left ? size : http->left;
			if (!size)
				break;
			if (!take(context, http->in.data + http->at, (size_t)size))
				return 1;
			http->at += (size_t)size;
			if (http->left != UINT64_MAX)
				http->left -= size;
			if (!http->left)
				http->state = http->is_chunked ? HTTP_CHUNK_END : HTTP_DONE;
			continue;
		}
		char *line = take_line(http);
		if (!line)
			break;
		int rc = read_line(http, line);
		if (rc)
			return rc;
	}
	if (http->at) {
		memmove(http->in.data, http->in.data + http->at, http->in.size - http->at);
		http->in.size -= http->at;
		http->at = 0;
	}
	return http->state != HTTP_DONE && http->in.size > LINE_MAX_BYTES ? -EPROTO : 0;
}

int http_read(struct http *http, int wait_ms, http_body take, void *context)
{
	struct pollfd wait = {.fd = http->fd, .events = POLLIN};
	int ready = poll(&wait, 1, wait_ms);
	if (ready < 0)
		return -errno;
	if (!ready)
		return 1;
	uint8_t block[65536];
	ssize_t got = recv(http->fd, block, sizeof(block), 0);
	if (got < 0)
		return errno == EINTR ? 1 : -ECONNRESET;
	if (got == 0) {
		bool is_whole = http->state == HTTP_BODY && http->left == UINT64_MAX;
		return is_whole || http->state == HTTP_DONE ? 0 : -ECONNRESET;
	}
	buffer_put(&http->in, block, (size_t)got);
	if (http->in.failed)
		return -ENOMEM;
	int rc = understand(http, take, context);
	if (rc < 0)
		return rc;
	return rc == 1 || http->state == HTTP_DONE ? 0 : 1;
}
