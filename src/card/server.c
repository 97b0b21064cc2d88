// SPDX-License-Identifier: Apache-2.0
// Serves a card on a listening Unix socket. One connection has control; others that come meanwhile
// are told so and closed. A client that dies closes its end, which frees the place for the next.
// Nothing that a client does, or leaves undone, touches the packet path: that belongs to other
// threads.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/protocol.h"

#define STOP_POLL_MS    250
#define SEND_TIMEOUT_MS 5000
#define READ_SIZE       (64u << 10)
#define GREETING_MAX    64u // a body may be this long before the hello

struct server {
	struct card *card;
	int listen_fd, client_fd;
	struct session session;
	struct buffer input; // bytes of requests that are not answered yet
};

static void client_close(struct server *server)
{
	if (server->client_fd >= 0)
		close(server->client_fd);
	server->client_fd = -1;
	buffer_free(&server->input);
}

// Sends all, or gives the client up: one that does not read its replies has control of nothing.
static int send_all(int fd, const uint8_t *data, size_t size)
{
	uint64_t deadline_ns = clock_ns() + SEND_TIMEOUT_MS * NS_PER_MS;
	while (size) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			data += sent;
			size -= (size_t)sent;
		} else if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
			struct pollfd poller = {.fd = fd, .events = POLLOUT};
			if (clock_ns() > deadline_ns)
				return -ETIMEDOUT;
			poll(&poller, 1, STOP_POLL_MS);
		} else {
			return -EPIPE;
		}
	}
	return 0;
}

static int send_reply(int fd, const struct message_header *request, const struct buffer *body)
{
	struct message_header header = {.size = (uint32_t)body->size,
	        .id = request->id,
	        .type = request->type | MESSAGE_REPLY};
	uint8_t bytes[MESSAGE_HEADER];
	message_header_put(&header, bytes);
	int rc = send_all(fd, bytes, sizeof(bytes));
	return rc ? rc : send_all(fd, body->data, body->size);
}

// Answers the requests that stand whole in the input. Negative: the connection must end.
static int answer_whole(struct server *server)
{
	size_t at = 0;
	int rc = 0;
	while (!rc && server->input.size - at >= MESSAGE_HEADER) {
		struct message_header header;
		uint32_t max = server->session.greeted ? MESSAGE_MAX : GREETING_MAX;
		rc = message_header_get(server->input.data + at, max, &header);
		if (rc || server->input.size - at - MESSAGE_HEADER < header.size)
			break;
		cleanup(buffer_free) struct buffer reply = {0};
		session_answer(&server->session, server->card, header.type,
		        server->input.data + at + MESSAGE_HEADER, header.size, &reply);
		rc = reply.failed || reply.size > MESSAGE_MAX
		             ? -ENOMEM
		             : send_reply(server->client_fd, &header, &reply);
		at += MESSAGE_HEADER + header.size;
	}
	if (at == server->input.size) {
		buffer_free(&server->input); // a large image does not stay resident
	} else if (at) {
		memmove(server->input.data, server->input.data + at, server->input.size - at);
		server->input.size -= at;
	}
	return rc;
}

static void client_read(struct server *server)
{
	uint8_t bytes[READ_SIZE];
	ssize_t got = recv(server->client_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		buffer_put(&server->input, bytes, (size_t)got);
	if (got <= 0 || server->input.failed || answer_whole(server))
		client_close(server);
}

static void refuse(int fd)
{
	cleanup(buffer_free) struct buffer reply = {0};
	buffer_u32(&reply, EBUSY);
	buffer_str(&reply, "the card is controlled by another client: one agent a card; end that "
	                   "agent first");
	struct message_header request = {.type = MESSAGE_HELLO};
	if (!reply.failed)
		send_reply(fd, &request, &reply);
	close(fd);
}

static bool client_is_dead(int fd)
{
	struct pollfd poller = {.fd = fd};
	return poll(&poller, 1, 0) > 0 && (poller.revents & (POLLHUP | POLLERR));
}

static void client_accept(struct server *server)
{
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	// One that said nothing yet controls nothing.
	if (server->client_fd >= 0 && server->session.greeted &&
	        !client_is_dead(server->client_fd)) {
		refuse(fd);
		return;
	}
	client_close(server);
	server->client_fd = fd;
	server->session = (struct session){0};
}

int card_serve(struct card *card, int listen_fd, const volatile int *stop, struct error *err)
{
	autofree struct server *server = calloc(1, sizeof(*server));
	if (!server)
		return error_set(err, ENOMEM, "no memory to serve the card");
	*server = (struct server){.card = card, .listen_fd = listen_fd, .client_fd = -1};
	int rc = 0;
	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) { // set by a signal, or by a thread
		struct pollfd pollers[2] = {{.fd = listen_fd, .events = POLLIN},
		        {.fd = server->client_fd, .events = POLLIN}};
		int ready = poll(pollers, 2, STOP_POLL_MS);
		if (ready < 0 && errno != EINTR) {
			rc = error_set(err, errno, "cannot wait for clients: %s", strerror(errno));
			break;
		}
		if (ready <= 0)
			continue;
		if (pollers[1].revents)
			client_read(server);
		if (pollers[0].revents & (POLLERR | POLLHUP | POLLNVAL)) {
			rc = error_set(err, EBADF, "the card's socket is gone");
			break;
		}
		if (pollers[0].revents)
			client_accept(server);
	}
	client_close(server);
	return rc;
}
