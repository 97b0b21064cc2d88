// SPDX-License-Identifier: Apache-2.0
// Raw bytes on the server's socket: what is well framed is answered, what two readers could
// understand differently is refused and the connection closed, and nothing stops the server.
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/http.h"
#include "agent/loop.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"

struct bench {
	char directory[64];
	struct sockaddr_un address;
	pid_t server;
};

// Answers what the body's JSON says: {"x": 1}, or streams three lines for /v1/events.
static void handle(void *context, struct request *request)
{
	json_t *json;
	(void)context;
	if (request_route(request) == ROUTE_EVENTS) {
		if (request_stream(request, "text/event-stream", NULL, NULL)) {
			for (int i = 0; i < 3; i++)
				request_write(request, "line\n", 5);
			request_end(request);
		}
	} else if (request_route(request) == ROUTE_RUN_CREATE) {
		if (request_json(request, &json) == 0)
			request_reply_json(request, 201, json);
	} else {
		request_reply(request, 200, "text/plain", request_name(request),
		        strlen(request_name(request)));
	}
}

static void serve(int fd)
{
	struct loop *loop;
	struct http *http;
	struct error err;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (loop_new(&loop, &err))
		_exit(1);
	struct http_options options = {
	        .loop = loop, .listen_fd = fd, .handle = handle, .head_ns = NS_PER_S};
	_exit(http_new(&options, &http, &err) ? 1 : loop_run(loop));
}

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	strcpy(bench->directory, "/tmp/raio-http-XXXXXX");
	assert_non_null(mkdtemp(bench->directory));
	bench->address.sun_family = AF_UNIX;
	snprintf(
	        bench->address.sun_path, sizeof(bench->address.sun_path), "%s/s", bench->directory);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&bench->address, sizeof(bench->address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	bench->server = fork();
	if (bench->server == 0)
		serve(fd);
	close(fd);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	int how;
	assert_int_equal(waitpid(bench->server, &how, WNOHANG), 0); // it still runs
	kill(bench->server, SIGKILL);
	waitpid(bench->server, &how, 0);
	unlink(bench->address.sun_path);
	rmdir(bench->directory);
	free(bench);
	return 0;
}

// Sends the bytes and reads until the server closes or is silent; the status of the first answer,
// 0: none.
static int talk(struct bench *bench, const char *bytes, size_t size, char *answer, size_t max)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), status = 0;
	size_t used = 0;
	assert_int_equal(
	        connect(fd, (struct sockaddr *)&bench->address, sizeof(bench->address)), 0);
	for (size_t at = 0; at < size;) {
		ssize_t put = send(fd, bytes + at, size - at, MSG_NOSIGNAL);
		if (put <= 0)
			break;
		at += (size_t)put;
	}
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	while (used + 1 < max && poll(&wait, 1, used ? 150 : 700) > 0) {
		ssize_t got = read(fd, answer + used, max - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	answer[used] = 0;
	sscanf(answer, "HTTP/1.1 %d", &status);
	close(fd);
	return status;
}

#define HOST "Host: x\r\n"

static const struct {
	const char *what, *request;
	int status; // 0: any refusal, an answer of 4xx or a closed connection
} cases[] = {
        {"plain", "GET /v1/functions/ab HTTP/1.1\r\n" HOST "\r\n", 200},
        {"body", "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n{\"x\":1}", 201},
        {"chunked",
                "POST /v1/runs HTTP/1.1\r\n" HOST
                "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"x\":1}\r\n0\r\n\r\n",
                201},
        {"stream", "GET /v1/events HTTP/1.1\r\n" HOST "\r\n", 200},
        {"percent", "GET /v1/functions/a%2562 HTTP/1.1\r\n" HOST "\r\n", 200},
        {"unknown path", "GET /etc/passwd HTTP/1.1\r\n" HOST "\r\n", 404},
        {"dots", "GET /v1/functions/../../etc/passwd HTTP/1.1\r\n" HOST "\r\n", 404},
        {"method", "BREW /v1/runs HTTP/1.1\r\n" HOST "\r\n", 400},
        {"length and chunked",
                "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 7\r\nTransfer-Encoding: "
                "chunked\r\n\r\n7\r\n{\"x\":1}\r\n0\r\n\r\n",
                400},
        {"two lengths",
                "POST /v1/runs HTTP/1.1\r\n" HOST
                "Content-Length: 7\r\nContent-Length: 7\r\n\r\n{\"x\":1}",
                400},
        {"signed length", "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: +7\r\n\r\n{\"x\":1}",
                0},
        {"hex length", "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 0x7\r\n\r\n{\"x\":1}", 0},
        {"empty length", "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\n{\"x\":1}", 0},
        {"huge length", "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n", 0},
        {"other coding", "POST /v1/runs HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 0},
        {"coding list",
                "POST /v1/runs HTTP/1.1\r\n" HOST
                "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
                0},
        {"chunk size",
                "POST /v1/runs HTTP/1.1\r\n" HOST
                "Transfer-Encoding: chunked\r\n\r\n-7\r\n{\"x\":1}\r\n0\r\n\r\n",
                0},
        {"blank before colon", "GET /v1/runs HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400},
        {"lone CR", "GET /v1/runs HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n", 400},
        {"no host", "GET /healthz HTTP/1.1\r\n\r\n", 0},
        {"no version", "GET /healthz\r\n\r\n", 0},
        {"rubbish", "\001\002\003\r\n\r\n", 0},
        {"no body", "POST /v1/runs HTTP/1.1\r\n" HOST "\r\n", 400},
        {"no JSON", "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{]", 400},
        {"array", "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n[]", 400},
        {"twice a member",
                "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 13\r\n\r\n{\"a\":1,\"a\":2}",
                400},
};

static void each_request_is_answered_or_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char answer[4096];
		int status = talk(
		        *state, cases[i].request, strlen(cases[i].request), answer, sizeof(answer));
		if (cases[i].status ? status != cases[i].status
		                    : status != 0 && (status < 400 || status > 599))
			fail_msg("%s: HTTP %d, expected %d: %s", cases[i].what, status,
			        cases[i].status, answer);
	}
}

static void refusal_closes_the_connection(void **state)
{
	char answer[4096];
	static const char two[] = "POST /v1/runs HTTP/1.1\r\n" HOST
	                          "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	                          "GET /v1/functions/smuggled HTTP/1.1\r\n" HOST "\r\n";
	assert_int_equal(talk(*state, two, sizeof(two) - 1, answer, sizeof(answer)), 400);
	assert_null(strstr(answer, "smuggled"));
	assert_null(strstr(answer, "HTTP/1.1 200"));
}

static void json_depth_and_header_size_are_bounded(void **state)
{
	char answer[4096];
	size_t size = 200000;
	char *request = malloc(size);
	int used = snprintf(
	        request, size, "POST /v1/runs HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\n");
	memset(request + used, '[', 50000);
	assert_int_equal(talk(*state, request, (size_t)used + 50000, answer, sizeof(answer)), 400);
	assert_non_null(strstr(answer, "nested"));
	used = snprintf(request, size, "GET /healthz HTTP/1.1\r\n" HOST "X: ");
	memset(request + used, 'a', 150000);
	memcpy(request + used + 150000, "\r\n\r\n", 4);
	int status = talk(*state, request, (size_t)used + 150004, answer, sizeof(answer));
	assert_true(status == 0 || (status >= 400 && status < 600));
	free(request);
}

static void random_bytes_stop_nothing(void **state)
{
	unsigned seed = 1;
	for (int i = 0; i < 40; i++) {
		char bytes[256], answer[1024];
		size_t size = (size_t)snprintf(bytes, sizeof(bytes), "%s", cases[i % 3].request);
		for (int change = 0; change < 3; change++)
			bytes[(size_t)rand_r(&seed) % size] = (char)rand_r(&seed);
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		struct bench *bench = *state;
		assert_int_equal(
		        connect(fd, (struct sockaddr *)&bench->address, sizeof(bench->address)), 0);
		send(fd, bytes, size, MSG_NOSIGNAL);
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		if (poll(&wait, 1, 10) > 0)
			assert_true(read(fd, answer, sizeof(answer)) >= -1);
		close(fd);
	}
	char answer[4096];
	assert_int_equal(
	        talk(*state, cases[0].request, strlen(cases[0].request), answer, sizeof(answer)),
	        200);
}

static int open_peer(struct bench *bench)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
	        connect(fd, (struct sockaddr *)&bench->address, sizeof(bench->address)), 0);
	return fd;
}

static void listens_again_after_too_many_connections(void **state)
{
	int fds[HTTP_CONNECTIONS_MAX + 4];
	char answer[4096];
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = open_peer(*state);
	usleep(50000);
	struct bench *bench = *state;
	kill(bench->server, SIGSTOP); // so that it meets all their ends in one turn
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	kill(bench->server, SIGCONT);
	usleep(50000);
	assert_int_equal(
	        talk(*state, cases[0].request, strlen(cases[0].request), answer, sizeof(answer)),
	        200);
}

// A byte now and then keeps no connection open: the head as a whole has a deadline.
static void a_head_that_comes_byte_by_byte_is_given_up(void **state)
{
	int fd = open_peer(*state);
	static const char head[] = "GET /v1/functions/ab HTTP/1.1\r\n" HOST "A: ";
	assert_int_equal(send(fd, head, sizeof(head) - 1, 0), sizeof(head) - 1);
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int drips = 0;
	while (drips < 40 && poll(&wait, 1, 100) == 0)
		drips += (int)send(fd, "a", 1, MSG_NOSIGNAL) == 1;
	close(fd);
	assert_in_range(drips, 5, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(each_request_is_answered_or_refused),
	        TEST(refusal_closes_the_connection),
	        TEST(json_depth_and_header_size_are_bounded),
	        TEST(listens_again_after_too_many_connections),
	        TEST(a_head_that_comes_byte_by_byte_is_given_up),
	        TEST(random_bytes_stop_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
