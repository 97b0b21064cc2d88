// SPDX-License-Identifier: Apache-2.0
// A card that is a process: each operation is a request over its socket and the reply. A card that
// does not answer in time, or answers nonsense, is given up: the connection is closed and every
// later call says so; whoever holds the card frees it and connects again.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/protocol.h"

#define TIMEOUT_NS (5 * NS_PER_S)

struct client {
	struct card card;
	int fd;
	uint32_t next_id;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct map_sizes sizes;
};

// A request that is being made, and its reply.
struct exchange {
	struct buffer request, reply;
	struct cursor cursor;
	struct wire args, results;
};

static void exchange_free(struct exchange *exchange)
{
	buffer_free(&exchange->request);
	buffer_free(&exchange->reply);
}

#define EXCHANGE(name)                                                                             \
	cleanup(exchange_free) struct exchange name = {0};                                         \
	name.args.out = &name.request;                                                             \
	name.results.in = &name.cursor

static struct client *client_of(struct card *card)
{
	return (struct client *)card;
}

static int give_up(struct client *client, int code, const char *why, struct error *err)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	return error_set(err, code, "the card at %s does not answer: %s", client->path, why);
}

// Waits for the descriptor. Returns 0, or -ETIMEDOUT.
static int wait_ready(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now_ns = clock_ns();
		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		struct pollfd poller = {.fd = fd, .events = events};
		int ready = poll(&poller, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_bytes(int fd, const uint8_t *data, size_t size, uint64_t deadline_ns)
{
	while (size) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			data += sent;
			size -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		int rc = wait_ready(fd, POLLOUT, deadline_ns);
		if (rc)
			return rc;
	}
	return 0;
}

// Reads exactly `size` bytes into `buffer`, which grows as they come.
static int receive_bytes(int fd, struct buffer *buffer, size_t size, uint64_t deadline_ns)
{
	uint8_t bytes[64 << 10];
	while (size) {
		int rc = wait_ready(fd, POLLIN, deadline_ns);
		if (rc)
			return rc;
		size_t wanted = size < sizeof(bytes) ? size : sizeof(bytes);
		ssize_t got = recv(fd, bytes, wanted, MSG_DONTWAIT);
		if (got == 0)
			return -ECONNRESET;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (got > 0) {
			buffer_put(buffer, bytes, (size_t)got);
			size -= (size_t)got;
		}
		if (buffer->failed)
			return -ENOMEM;
	}
	return 0;
}

static int receive_reply(
        struct client *client, struct exchange *exchange, uint16_t type, uint64_t deadline_ns)
{
	struct message_header header;
	cleanup(buffer_free) struct buffer head = {0};
	int rc = receive_bytes(client->fd, &head, MESSAGE_HEADER, deadline_ns);
	if (!rc)
		rc = message_header_get(head.data, MESSAGE_MAX, &header);
	if (!rc && header.type != (type | MESSAGE_REPLY))
		rc = -EPROTO;
	if (!rc && header.id != client->next_id && header.id) // id 0: refused at the door
		rc = -EPROTO;
	return rc ? rc : receive_bytes(client->fd, &exchange->reply, header.size, deadline_ns);
}

static const char *reason(int rc)
{
	switch (rc) {
	case -ETIMEDOUT:
		return "no reply within 5 s; it may be stopped or very busy";
	case -ECONNRESET:
	case -EPIPE:
		return "its process has ended";
	case -EPROTO:
	case -EINVAL:
		return "its reply is not one of the card protocol";
	}
	return strerror(-rc);
}

// Sends the request and takes the reply apart: its status first. On success the results are to be
// read from exchange->results, and then exchange_end() says whether they were whole.
static int exchange_do(
        struct client *client, uint16_t type, struct exchange *exchange, struct error *err)
{
	if (client->fd < 0)
		return error_set(err, ENOTCONN,
		        "the connection to the card at %s was given up: connect again",
		        client->path);
	if (exchange->request.failed)
		return error_set(err, ENOMEM, "no memory for a request to the card");
	if (exchange->request.size > MESSAGE_MAX)
		return error_set(err, EFBIG, "the request has %zu bytes, a card takes %u",
		        exchange->request.size, MESSAGE_MAX);
	uint64_t deadline_ns = clock_ns() + TIMEOUT_NS;
	struct message_header header = {
	        .size = (uint32_t)exchange->request.size, .id = ++client->next_id, .type = type};
	uint8_t bytes[MESSAGE_HEADER];
	message_header_put(&header, bytes);
	int rc = send_bytes(client->fd, bytes, sizeof(bytes), deadline_ns);
	if (!rc)
		rc = send_bytes(
		        client->fd, exchange->request.data, exchange->request.size, deadline_ns);
	// A card that refuses us may have closed already: what it said still stands in the socket.
	if (!rc || rc == -EPIPE)
		rc = receive_reply(client, exchange, type, deadline_ns);
	if (rc)
		return give_up(client, rc == -EINVAL ? EPROTO : -rc, reason(rc), err);
	exchange->cursor = cursor_of(exchange->reply.data, exchange->reply.size);
	uint32_t code = cursor_u32(&exchange->cursor);
	if (!code)
		return 0;
	char text[ERROR_TEXT_MAX];
	wire_text(&exchange->results, text, sizeof(text));
	if (exchange->cursor.failed || code > 4095)
		return give_up(client, EPROTO, reason(-EPROTO), err);
	return error_set(err, (int)code, "%s", text);
}

static int exchange_end(struct client *client, struct exchange *exchange, struct error *err)
{
	if (cursor_done(&exchange->cursor))
		return 0;
	return give_up(client, EPROTO, reason(-EPROTO), err);
}

static void client_free(struct card *card)
{
	struct client *client = client_of(card);
	if (client->fd >= 0)
		close(client->fd);
	free(client);
}

static int client_info(struct card *card, struct card_info *info, struct error *err)
{
	EXCHANGE(exchange);
	int rc = exchange_do(client_of(card), MESSAGE_INFO, &exchange, err);
	if (rc)
		return rc;
	wire_info(&exchange.results, info);
	return exchange_end(client_of(card), &exchange, err);
}

static int client_ports(struct card *card, struct card_port *ports, uint32_t max, uint32_t *count,
        struct error *err)
{
	EXCHANGE(exchange);
	int rc = exchange_do(client_of(card), MESSAGE_PORTS, &exchange, err);
	if (rc)
		return rc;
	autofree struct card_port *port = malloc(sizeof(*port));
	if (!port)
		return error_set(err, ENOMEM, "no memory for the list of ports");
	uint32_t told = 0;
	wire_count(&exchange.results, &told, PORTS_MAX);
	for (uint32_t i = 0; i < told; i++) {
		wire_port(&exchange.results, i < max ? &ports[i] : port);
	}
	*count = told < max ? told : max;
	return exchange_end(client_of(card), &exchange, err);
}

static int client_load(struct card *card, const struct image *image, const struct card_load *load,
        uint64_t *id, struct error *err)
{
	EXCHANGE(exchange);
	struct card_load copy = *load;
	wire_u64(&exchange.args, &copy.ports);
	wire_text(&exchange.args, copy.tag, sizeof(copy.tag));
	wire_bool(&exchange.args, &copy.carry_all);
	wire_u64(&exchange.args, &copy.budget);
	wire_u32(&exchange.args, &copy.carry_count);
	for (uint32_t i = 0; i < copy.carry_count; i++)
		buffer_str(&exchange.request, copy.carry[i]);
	cleanup(buffer_free) struct buffer encoded = {0};
	image_encode(image, &encoded);
	buffer_blob(&exchange.request, encoded.data, encoded.size);
	exchange.request.failed |= encoded.failed;
	int rc = exchange_do(client_of(card), MESSAGE_LOAD, &exchange, err);
	if (rc)
		return rc;
	uint64_t made = 0;
	wire_u64(&exchange.results, &made);
	rc = exchange_end(client_of(card), &exchange, err);
	if (!rc)
		*id = made;
	return rc;
}

static int read_receipt(struct client *client, struct exchange *exchange, struct receipt *receipt,
        struct error *err)
{
	memset(receipt, 0, sizeof(*receipt));
	wire_receipt(&exchange->results, receipt);
	return exchange_end(client, exchange, err);
}

static int client_swap(struct card *card, uint64_t id, uint64_t ports, uint64_t at_ns,
        struct receipt *receipt, struct error *err)
{
	EXCHANGE(exchange);
	wire_u64(&exchange.args, &id);
	wire_u64(&exchange.args, &ports);
	wire_u64(&exchange.args, &at_ns);
	int rc = exchange_do(client_of(card), MESSAGE_SWAP, &exchange, err);
	return rc ? rc : read_receipt(client_of(card), &exchange, receipt, err);
}

static int client_unload(struct card *card, uint64_t id, struct error *err)
{
	EXCHANGE(exchange);
	wire_u64(&exchange.args, &id);
	int rc = exchange_do(client_of(card), MESSAGE_UNLOAD, &exchange, err);
	return rc ? rc : exchange_end(client_of(card), &exchange, err);
}

static int client_generations(struct card *card, struct card_generation *list, uint32_t max,
        uint32_t *count, struct error *err)
{
	EXCHANGE(exchange);
	if (max > 1024)
		max = 1024;
	wire_u32(&exchange.args, &max);
	int rc = exchange_do(client_of(card), MESSAGE_GENERATIONS, &exchange, err);
	if (rc)
		return rc;
	uint32_t told = 0;
	wire_count(&exchange.results, &told, max);
	for (uint32_t i = 0; i < told; i++)
		wire_generation(&exchange.results, &list[i]);
	*count = told;
	return exchange_end(client_of(card), &exchange, err);
}

static int client_counters(struct card *card, uint64_t id, struct card_counters counters[PORTS_MAX],
        struct card_fault *faults, uint32_t *fault_count, struct error *err)
{
	EXCHANGE(exchange);
	wire_u64(&exchange.args, &id);
	int rc = exchange_do(client_of(card), MESSAGE_COUNTERS, &exchange, err);
	if (rc)
		return rc;
	memset(counters, 0, PORTS_MAX * sizeof(counters[0]));
	uint64_t used = 0;
	wire_u64(&exchange.results, &used);
	for (uint32_t i = 0; i < PORTS_MAX; i++)
		if (used >> i & 1)
			wire_counters(&exchange.results, &counters[i]);
	wire_count(&exchange.results, fault_count, CARD_FAULTS_MAX);
	for (uint32_t i = 0; i < *fault_count; i++)
		wire_fault(&exchange.results, &faults[i]);
	return exchange_end(client_of(card), &exchange, err);
}

static int client_receipt(
        struct card *card, uint64_t sequence, struct receipt *receipt, struct error *err)
{
	EXCHANGE(exchange);
	wire_u64(&exchange.args, &sequence);
	int rc = exchange_do(client_of(card), MESSAGE_RECEIPT, &exchange, err);
	return rc ? rc : read_receipt(client_of(card), &exchange, receipt, err);
}

static int client_maps(struct card *card, uint64_t id, struct card_map *maps, uint32_t max,
        uint32_t *count, struct error *err)
{
	EXCHANGE(exchange);
	wire_u64(&exchange.args, &id);
	int rc = exchange_do(client_of(card), MESSAGE_MAPS, &exchange, err);
	if (rc)
		return rc;
	uint32_t told = 0;
	wire_count(&exchange.results, &told, IMAGE_MAPS_MAX);
	for (uint32_t i = 0; i < told; i++) {
		struct card_map spare = {0};
		struct card_map *map = i < max ? &maps[i] : &spare;
		*map = (struct card_map){0};
		wire_map(&exchange.results, map);
		card_map_free(&spare);
	}
	uint32_t kept = told < max ? told : max;
	rc = exchange_end(client_of(card), &exchange, err);
	while (rc && kept)
		card_map_free(&maps[--kept]);
	*count = kept;
	return rc;
}

static int sizes_of(struct card *card, uint64_t id, uint32_t map, uint32_t *key, uint32_t *io,
        struct error *err)
{
	return map_sizes_of(&client_of(card)->sizes, card, id, map, key, io, err);
}

// One message of a dump, at most `size` bytes of pairs.
static int dump_chunk(struct card *card, uint64_t id, uint32_t map, const uint8_t *after,
        uint8_t *data, uint32_t size, uint32_t key, uint32_t pair, uint32_t *count,
        struct error *err)
{
	EXCHANGE(exchange);
	bool has_after = after;
	wire_u64(&exchange.args, &id);
	wire_u32(&exchange.args, &map);
	wire_u32(&exchange.args, &size);
	wire_bool(&exchange.args, &has_after);
	if (after)
		buffer_put(&exchange.request, after, key);
	int rc = exchange_do(client_of(card), MESSAGE_MAP_DUMP, &exchange, err);
	if (rc)
		return rc;
	wire_count(&exchange.results, count, size / pair);
	const void *pairs = cursor_take(&exchange.cursor, (size_t)*count * pair);
	if (pairs)
		memcpy(data, pairs, (size_t)*count * pair);
	return exchange_end(client_of(card), &exchange, err);
}

static int client_map_dump(struct card *card, uint64_t id, uint32_t map, const void *after,
        void *data, uint32_t size, uint32_t *count, struct error *err)
{
	uint32_t key, io, total = 0;
	int rc = sizes_of(card, id, map, &key, &io, err);
	if (rc)
		return rc;
	uint32_t pair = key + io, room = size;
	if (!pair)
		return error_set(err, ENOTSUP, "map %u has no entries to read", map);
	uint8_t *out = data;
	while (room >= pair || !total) {
		uint32_t got = 0, chunk = room < MESSAGE_CHUNK || pair > MESSAGE_CHUNK
		                                  ? room
		                                  : MESSAGE_CHUNK;
		if (pair > MESSAGE_CHUNK && chunk > pair)
			chunk = pair;
		rc = dump_chunk(card, id, map, after, out, chunk, key, pair, &got, err);
		if (rc)
			return rc;
		total += got;
		if (!got || got < chunk / pair)
			break;
		out += (size_t)got * pair;
		room -= got * pair;
		after = out - pair;
	}
	*count = total;
	return 0;
}

static int client_map_lookup(struct card *card, uint64_t id, uint32_t map, const void *key,
        void *value, struct error *err)
{
	uint32_t key_size, io;
	int rc = sizes_of(card, id, map, &key_size, &io, err);
	if (rc)
		return rc;
	EXCHANGE(exchange);
	wire_u64(&exchange.args, &id);
	wire_u32(&exchange.args, &map);
	buffer_put(&exchange.request, key, key_size);
	rc = exchange_do(client_of(card), MESSAGE_MAP_LOOKUP, &exchange, err);
	if (rc)
		return rc;
	const void *found = cursor_take(&exchange.cursor, io);
	rc = exchange_end(client_of(card), &exchange, err);
	if (!rc)
		memcpy(value, found, io);
	return rc;
}

static int apply_chunk(struct card *card, uint64_t id, uint32_t map, uint8_t op, uint64_t flags,
        const struct card_entry *entries, uint32_t count, uint32_t key, uint32_t io, uint32_t *done,
        struct error *err)
{
	EXCHANGE(exchange);
	wire_u64(&exchange.args, &id);
	wire_u32(&exchange.args, &map);
	wire_u8(&exchange.args, &op);
	wire_u64(&exchange.args, &flags);
	wire_u32(&exchange.args, &count);
	for (uint32_t i = 0; i < count; i++) {
		buffer_put(&exchange.request, entries[i].key, key);
		if (op == CARD_MAP_UPDATE)
			buffer_put(&exchange.request, entries[i].value, io);
	}
	int rc = exchange_do(client_of(card), MESSAGE_MAP_APPLY, &exchange, err);
	if (rc)
		return rc;
	uint32_t applied = 0, code = 0;
	char text[ERROR_TEXT_MAX];
	wire_count(&exchange.results, &applied, count);
	wire_count(&exchange.results, &code, 4095);
	wire_text(&exchange.results, text, sizeof(text));
	rc = exchange_end(client_of(card), &exchange, err);
	if (rc)
		return rc;
	*done += applied;
	return code ? error_set(err, (int)code, "%s", text) : 0;
}

static int client_map_apply(struct card *card, uint64_t id, uint32_t map, enum card_map_op op,
        uint64_t flags, const struct card_entry *entries, uint32_t count, uint32_t *done,
        struct error *err)
{
	uint32_t key, io;
	*done = 0;
	int rc = sizes_of(card, id, map, &key, &io, err);
	if (rc)
		return rc;
	uint32_t pair = key + io, most = pair && pair < MESSAGE_CHUNK ? MESSAGE_CHUNK / pair : 1;
	for (uint32_t at = 0; !rc && at < count; at += most) {
		uint32_t n = count - at < most ? count - at : most;
		rc = apply_chunk(
		        card, id, map, (uint8_t)op, flags, entries + at, n, key, io, done, err);
	}
	return rc;
}

static int client_map_consume(struct card *card, uint64_t id, uint32_t map, void *data,
        uint32_t size, uint32_t *got, struct error *err)
{
	EXCHANGE(exchange);
	if (size > MESSAGE_CHUNK)
		size = MESSAGE_CHUNK;
	wire_u64(&exchange.args, &id);
	wire_u32(&exchange.args, &map);
	wire_u32(&exchange.args, &size);
	int rc = exchange_do(client_of(card), MESSAGE_MAP_CONSUME, &exchange, err);
	if (rc)
		return rc;
	uint32_t told = cursor_u32(&exchange.cursor), here = told < size ? told : size;
	const void *record = cursor_take(&exchange.cursor, here);
	rc = exchange_end(client_of(card), &exchange, err);
	if (rc)
		return rc;
	memcpy(data, record, here);
	*got = told;
	return 0;
}

static int client_trace(
        struct card *card, char *text, uint32_t size, uint32_t *got, struct error *err)
{
	EXCHANGE(exchange);
	if (size > MESSAGE_CHUNK)
		size = MESSAGE_CHUNK;
	wire_u32(&exchange.args, &size);
	int rc = exchange_do(client_of(card), MESSAGE_TRACE, &exchange, err);
	if (rc)
		return rc;
	uint32_t told;
	const void *lines = cursor_blob(&exchange.cursor, &told);
	if (told > size)
		exchange.cursor.failed = true;
	rc = exchange_end(client_of(card), &exchange, err);
	if (rc)
		return rc;
	if (told)
		memcpy(text, lines, told);
	*got = told;
	return 0;
}

static const struct card_ops client_ops = {
        .free = client_free,
        .info = client_info,
        .ports = client_ports,
        .load = client_load,
        .swap = client_swap,
        .unload = client_unload,
        .generations = client_generations,
        .counters = client_counters,
        .receipt = client_receipt,
        .maps = client_maps,
        .map_dump = client_map_dump,
        .map_lookup = client_map_lookup,
        .map_apply = client_map_apply,
        .map_consume = client_map_consume,
        .trace = client_trace,
};

static int greet(struct client *client, struct error *err)
{
	EXCHANGE(exchange);
	uint32_t magic = PROTOCOL_MAGIC, version = PROTOCOL_VERSION;
	wire_u32(&exchange.args, &magic);
	wire_u32(&exchange.args, &version);
	int rc = exchange_do(client, MESSAGE_HELLO, &exchange, err);
	if (rc)
		return rc;
	wire_u32(&exchange.results, &version);
	return exchange_end(client, &exchange, err);
}

int card_connect(const char *path, struct card **card, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, ENAMETOOLONG,
		        "%s: longer than the %zu bytes that a socket's path may have", path,
		        sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, errno, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return error_set(err, errno, "no card answers at %s: %s; is raio-card running?",
		        path, strerror(errno));
	struct client *client = calloc(1, sizeof(*client));
	if (!client)
		return error_set(err, ENOMEM, "no memory for a connection");
	client->card.ops = &client_ops;
	client->fd = TAKE_FD(fd);
	strcpy(client->path, path);
	int rc = greet(client, err);
	if (rc) {
		client_free(&client->card);
		return rc;
	}
	*card = &client->card;
	return 0;
}
