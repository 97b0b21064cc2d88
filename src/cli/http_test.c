// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/http.h"

// A server that takes one connection, reads what is asked, and answers `answer` in pieces of
// `piece` bytes.
struct server {
	char path[64], asked[4096];
	const char *answer;
	size_t size, piece;
	int listener;
	pthread_t thread;
};

static void *serve(void *context)
{
	struct server *server = context;
	int fd = accept(server->listener, NULL, NULL);
	ssize_t got = recv(fd, server->asked, sizeof(server->asked) - 1, 0);
	server->asked[got > 0 ? got : 0] = 0;
	for (size_t at = 0; at < server->size; at += server->piece) {
		size_t left = server->size - at;
		if (send(fd, server->answer + at, left < server->piece ? left : server->piece,
		            MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
	return NULL;
}

static bool keep(void *context, const void *data, size_t size)
{
	buffer_put(context, data, size);
	return true;
}

// Asks the server and reads to the end. Returns http_read()'s last value; status and body are left.
static int ask(const char *answer, size_t size, size_t piece, int *status, struct buffer *body)
{
	struct server server = {.answer = answer, .size = size, .piece = piece};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct http http;
	snprintf(server.path, sizeof(server.path), "/tmp/http_test.%d", (int)getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server.path);
	server.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server.listener, 1), 0);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
	assert_int_equal(http_open(&http, server.path, "POST", "/v1/runs", "{}", 2), 0);
	int rc;
	do {
		rc = http_read(&http, 5000, keep, body);
	} while (rc == 1);
	*status = http.status;
	http_close(&http);
	pthread_join(server.thread, NULL);
	close(server.listener);
	unlink(server.path);
	assert_non_null(strstr(server.asked, "POST /v1/runs HTTP/1.1\r\n"));
	assert_non_null(strstr(server.asked, "Content-Length: 2\r\n"));
	return rc;
}

static void reads_answers_in_pieces_of_any_size(void **state)
{
	static const struct {
		const char *answer, *body;
		int status;
	} cases[] = {
	        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200},
	        {"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n"
	         "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n",
	                "hello", 201},
	        {"HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end", 200},
	        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "", 204},
	        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "", 404},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t piece = 1; piece < 80; piece += 13) {
			struct buffer body = {0};
			int status;
			assert_int_equal(ask(cases[i].answer, strlen(cases[i].answer), piece,
			                         &status, &body),
			        0);
			assert_int_equal(status, cases[i].status);
			assert_int_equal(body.size, strlen(cases[i].body));
			if (body.size)
				assert_memory_equal(body.data, cases[i].body, body.size);
			buffer_free(&body);
		}
	}
}

static void refuses_what_is_no_http_or_breaks_off(void **state)
{
	static const struct {
		const char *answer;
		int error;
	} cases[] = {
	        {"", -ECONNRESET},
	        {"SSH-2.0-OpenSSH\r\n", -EPROTO},
	        {"HTTP/1.1 99\r\n\r\n", -EPROTO},
	        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", -EPROTO},
	        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", -EPROTO},
	        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -EPROTO},
	        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -EPROTO},
	        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", -EPROTO},
	        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", -ECONNRESET},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer body = {0};
		int status;
		assert_int_equal(ask(cases[i].answer, strlen(cases[i].answer), 7, &status, &body),
		        cases[i].error);
		buffer_free(&body);
	}
	static char endless[200000];
	memset(endless, 'x', sizeof(endless));
	struct buffer body = {0};
	int status;
	assert_int_equal(ask(endless, sizeof(endless), 4096, &status, &body), -EPROTO);
	buffer_free(&body);
}

static void says_that_nobody_listens(void **state)
{
	struct http http;
	assert_int_equal(http_open(&http, "/nonexistent/socket", "GET", "/", NULL, 0), -ENOENT);
	http_close(&http);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads_answers_in_pieces_of_any_size),
	        cmocka_unit_test(refuses_what_is_no_http_or_breaks_off),
	        cmocka_unit_test(says_that_nobody_listens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
