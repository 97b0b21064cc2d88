// SPDX-License-Identifier: Apache-2.0
// The server's side of the card protocol without its socket: a request's bytes in, a reply's bytes
// out.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "card/protocol.h"
#include "ebpf/image.h"

#define KEY_SIZE_MAX 4096u // over any map's

struct request {
	struct session *session;
	struct card *card;
	struct cursor *in;
	struct wire args, results;
	struct error *err;
};

static int malformed(struct request *request)
{
	return error_set(request->err, EINVAL, "card protocol: malformed request");
}

static int answer_hello(struct request *request)
{
	uint32_t magic = 0, version = 0, ours = PROTOCOL_VERSION;
	wire_u32(&request->args, &magic);
	wire_u32(&request->args, &version);
	if (request->in->failed || magic != PROTOCOL_MAGIC)
		return error_set(request->err, EPROTO, "this socket speaks Raio's card protocol");
	if (version != PROTOCOL_VERSION)
		return error_set(request->err, EPROTONOSUPPORT,
		        "the card speaks version %u of the card protocol, the client version %u: "
		        "install agent and card of the same release",
		        PROTOCOL_VERSION, version);
	request->session->greeted = true;
	wire_u32(&request->results, &ours);
	return 0;
}

static int answer_info(struct request *request)
{
	if (!cursor_done(request->in))
		return malformed(request);
	struct card_info info = {0};
	int rc = request->card->ops->info(request->card, &info, request->err);
	if (!rc)
		wire_info(&request->results, &info);
	return rc;
}

static int answer_ports(struct request *request)
{
	if (!cursor_done(request->in))
		return malformed(request);
	autofree struct card_port *ports = calloc(PORTS_MAX, sizeof(ports[0]));
	uint32_t count = 0;
	if (!ports)
		return error_set(request->err, ENOMEM, "no memory for the list of ports");
	int rc = request->card->ops->ports(request->card, ports, PORTS_MAX, &count, request->err);
	if (rc)
		return rc;
	wire_count(&request->results, &count, PORTS_MAX);
	for (uint32_t i = 0; i < count; i++)
		wire_port(&request->results, &ports[i]);
	return 0;
}

static int load_image(struct request *request, const struct card_load *load)
{
	uint32_t size;
	const void *encoded = cursor_blob(request->in, &size);
	if (!cursor_done(request->in))
		return malformed(request);
	struct image *image = NULL;
	int rc = image_decode(encoded, size, &image, request->err);
	if (rc)
		return rc;
	uint64_t id = 0;
	rc = request->card->ops->load(request->card, image, load, &id, request->err);
	image_free(&image);
	if (!rc)
		wire_u64(&request->results, &id);
	return rc;
}

static int answer_load(struct request *request)
{
	struct wire *args = &request->args;
	struct card_load load = {0};
	wire_u64(args, &load.ports);
	wire_text(args, load.tag, sizeof(load.tag));
	wire_bool(args, &load.carry_all);
	wire_u64(args, &load.budget);
	wire_count(args, &load.carry_count, IMAGE_MAPS_MAX);
	autofree char(*names)[IMAGE_NAME_MAX] = calloc(IMAGE_MAPS_MAX, sizeof(names[0]));
	const char *carry[IMAGE_MAPS_MAX];
	if (!names)
		return error_set(request->err, ENOMEM, "no memory for the names of maps");
	for (uint32_t i = 0; i < load.carry_count; i++) {
		wire_text(args, names[i], sizeof(names[i]));
		carry[i] = names[i];
	}
	load.carry = carry;
	return load_image(request, &load);
}

static int answer_swap(struct request *request)
{
	uint64_t id = 0, ports = 0, at_ns = 0;
	wire_u64(&request->args, &id);
	wire_u64(&request->args, &ports);
	wire_u64(&request->args, &at_ns);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree struct receipt *receipt = calloc(1, sizeof(*receipt));
	if (!receipt)
		return error_set(request->err, ENOMEM, "no memory for a receipt");
	int rc = request->card->ops->swap(request->card, id, ports, at_ns, receipt, request->err);
	if (!rc)
		wire_receipt(&request->results, receipt);
	return rc;
}

static int answer_unload(struct request *request)
{
	uint64_t id = 0;
	wire_u64(&request->args, &id);
	if (!cursor_done(request->in))
		return malformed(request);
	return request->card->ops->unload(request->card, id, request->err);
}

static int answer_generations(struct request *request)
{
	uint32_t max = 0, count = 0;
	wire_count(&request->args, &max, 1024);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree struct card_generation *list = calloc(max + 1, sizeof(list[0]));
	if (!list)
		return error_set(request->err, ENOMEM, "no memory for the list of generations");
	int rc = request->card->ops->generations(request->card, list, max, &count, request->err);
	if (rc)
		return rc;
	wire_u32(&request->results, &count);
	for (uint32_t i = 0; i < count; i++)
		wire_generation(&request->results, &list[i]);
	return 0;
}

static int answer_counters(struct request *request)
{
	uint64_t id = 0;
	uint32_t fault_count = 0;
	wire_u64(&request->args, &id);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree struct card_counters *counters = calloc(PORTS_MAX, sizeof(counters[0]));
	autofree struct card_fault *faults = calloc(CARD_FAULTS_MAX, sizeof(faults[0]));
	if (!counters || !faults)
		return error_set(request->err, ENOMEM, "no memory for counters");
	int rc = request->card->ops->counters(
	        request->card, id, counters, faults, &fault_count, request->err);
	if (rc)
		return rc;
	static const struct card_counters none;
	uint64_t used = 0; // ports that have anything to tell
	for (uint32_t i = 0; i < PORTS_MAX; i++)
		if (memcmp(&counters[i], &none, sizeof(none)))
			used |= 1ull << i;
	wire_u64(&request->results, &used);
	for (uint32_t i = 0; i < PORTS_MAX; i++)
		if (used >> i & 1)
			wire_counters(&request->results, &counters[i]);
	wire_u32(&request->results, &fault_count);
	for (uint32_t i = 0; i < fault_count; i++)
		wire_fault(&request->results, &faults[i]);
	return 0;
}

static int answer_receipt(struct request *request)
{
	uint64_t sequence = 0;
	wire_u64(&request->args, &sequence);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree struct receipt *receipt = calloc(1, sizeof(*receipt));
	if (!receipt)
		return error_set(request->err, ENOMEM, "no memory for a receipt");
	int rc = request->card->ops->receipt(request->card, sequence, receipt, request->err);
	if (!rc)
		wire_receipt(&request->results, receipt);
	return rc;
}

static int answer_maps(struct request *request)
{
	uint64_t id = 0;
	uint32_t count = 0;
	wire_u64(&request->args, &id);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree struct card_map *maps = calloc(IMAGE_MAPS_MAX, sizeof(maps[0]));
	if (!maps)
		return error_set(request->err, ENOMEM, "no memory for the list of maps");
	int rc = request->card->ops->maps(
	        request->card, id, maps, IMAGE_MAPS_MAX, &count, request->err);
	if (rc)
		return rc;
	wire_u32(&request->results, &count);
	for (uint32_t i = 0; i < count; i++) {
		wire_map(&request->results, &maps[i]);
		card_map_free(&maps[i]);
	}
	return 0;
}

// Reads which map a request is about, and learns its sizes from the card.
static int read_map(
        struct request *request, uint64_t *id, uint32_t *map, uint32_t *key, uint32_t *io)
{
	wire_u64(&request->args, id);
	wire_u32(&request->args, map);
	if (request->in->failed)
		return malformed(request);
	int rc = map_sizes_of(
	        &request->session->sizes, request->card, *id, *map, key, io, request->err);
	if (!rc && *key > KEY_SIZE_MAX)
		rc = error_set(
		        request->err, EINVAL, "map %u has keys over %u bytes", *map, KEY_SIZE_MAX);
	return rc;
}

static int answer_map_dump(struct request *request)
{
	uint64_t id;
	uint32_t map, key, io, size = 0, count = 0;
	bool has_after = false;
	int rc = read_map(request, &id, &map, &key, &io);
	if (rc)
		return rc;
	wire_count(&request->args, &size, MESSAGE_MAX / 2);
	wire_bool(&request->args, &has_after);
	const void *after = has_after ? cursor_take(request->in, key) : NULL;
	if (!cursor_done(request->in))
		return malformed(request);
	// One entry fits always, however large.
	if (size < key + io)
		return error_set(
		        request->err, EINVAL, "an entry of map %u takes %u bytes", map, key + io);
	autofree uint8_t *data = malloc(size);
	if (!data)
		return error_set(request->err, ENOMEM, "no memory for %u bytes", size);
	rc = request->card->ops->map_dump(
	        request->card, id, map, after, data, size, &count, request->err);
	if (rc)
		return rc;
	wire_u32(&request->results, &count);
	buffer_put(request->results.out, data, (size_t)count * (key + io));
	return 0;
}

static int answer_map_lookup(struct request *request)
{
	uint64_t id;
	uint32_t map, key, io;
	int rc = read_map(request, &id, &map, &key, &io);
	if (rc)
		return rc;
	const void *wanted = cursor_take(request->in, key);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree uint8_t *value = calloc(1, (size_t)io + 1);
	if (!value)
		return error_set(request->err, ENOMEM, "no memory for %u bytes", io);
	rc = request->card->ops->map_lookup(request->card, id, map, wanted, value, request->err);
	if (!rc)
		buffer_put(request->results.out, value, io);
	return rc;
}

static int answer_map_apply(struct request *request)
{
	uint64_t id, flags = 0;
	uint32_t map, key, io, count = 0, done = 0;
	uint8_t op = 0;
	int rc = read_map(request, &id, &map, &key, &io);
	if (rc)
		return rc;
	wire_u8(&request->args, &op);
	wire_u64(&request->args, &flags);
	wire_count(&request->args, &count, MESSAGE_CHUNK);
	uint32_t pair = op == CARD_MAP_UPDATE ? key + io : key;
	if (op > CARD_MAP_DELETE || !pair || request->in->failed ||
	        request->in->size - request->in->at != (uint64_t)count * pair)
		return malformed(request);
	autofree struct card_entry *entries = calloc((size_t)count + 1, sizeof(entries[0]));
	if (!entries)
		return error_set(request->err, ENOMEM, "no memory for %u entries", count);
	for (uint32_t i = 0; i < count; i++) {
		entries[i].key = cursor_take(request->in, key);
		entries[i].value = op == CARD_MAP_UPDATE ? cursor_take(request->in, io) : NULL;
	}
	// An apply that stops half-way is an answer, not an error of the protocol: it says how far
	// it got.
	struct error why = {0};
	request->card->ops->map_apply(
	        request->card, id, map, op, flags, entries, count, &done, &why);
	uint32_t code = (uint32_t)why.code;
	wire_u32(&request->results, &done);
	wire_u32(&request->results, &code);
	wire_text(&request->results, why.text, sizeof(why.text));
	return 0;
}

static int answer_map_consume(struct request *request)
{
	uint64_t id;
	uint32_t map, key, io, size = 0, got = 0;
	int rc = read_map(request, &id, &map, &key, &io);
	if (rc)
		return rc;
	wire_count(&request->args, &size, MESSAGE_CHUNK);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree uint8_t *data = malloc((size_t)size + 1);
	if (!data)
		return error_set(request->err, ENOMEM, "no memory for %u bytes", size);
	rc = request->card->ops->map_consume(
	        request->card, id, map, data, size, &got, request->err);
	if (rc)
		return rc;
	wire_u32(&request->results, &got);
	buffer_put(request->results.out, data, got < size ? got : size);
	return 0;
}

static int answer_trace(struct request *request)
{
	uint32_t size = 0, got = 0;
	wire_count(&request->args, &size, MESSAGE_CHUNK);
	if (!cursor_done(request->in))
		return malformed(request);
	autofree char *text = malloc((size_t)size + 1);
	if (!text)
		return error_set(request->err, ENOMEM, "no memory for %u bytes", size);
	int rc = request->card->ops->trace(request->card, text, size, &got, request->err);
	if (!rc)
		buffer_blob(request->results.out, text, got);
	return rc;
}

static int (*const answers[MESSAGE_COUNT])(struct request *request) = {
        [MESSAGE_HELLO] = answer_hello,
        [MESSAGE_INFO] = answer_info,
        [MESSAGE_PORTS] = answer_ports,
        [MESSAGE_LOAD] = answer_load,
        [MESSAGE_SWAP] = answer_swap,
        [MESSAGE_UNLOAD] = answer_unload,
        [MESSAGE_GENERATIONS] = answer_generations,
        [MESSAGE_COUNTERS] = answer_counters,
        [MESSAGE_RECEIPT] = answer_receipt,
        [MESSAGE_MAPS] = answer_maps,
        [MESSAGE_MAP_DUMP] = answer_map_dump,
        [MESSAGE_MAP_LOOKUP] = answer_map_lookup,
        [MESSAGE_MAP_APPLY] = answer_map_apply,
        [MESSAGE_MAP_CONSUME] = answer_map_consume,
        [MESSAGE_TRACE] = answer_trace,
};

void session_answer(struct session *session, struct card *card, uint16_t type, const void *body,
        uint32_t size, struct buffer *reply)
{
	cleanup(buffer_free) struct buffer results = {0};
	struct cursor cursor = cursor_of(body, size);
	struct error err = {0};
	struct request request = {
	        .session = session,
	        .card = card,
	        .in = &cursor,
	        .args = {.in = &cursor},
	        .results = {.out = &results},
	        .err = &err,
	};
	int rc;
	if (type >= MESSAGE_COUNT)
		rc = error_set(&err, EOPNOTSUPP, "card protocol: unknown request %u", type);
	else if (!session->greeted && type != MESSAGE_HELLO)
		rc = error_set(&err, EPROTO, "card protocol: the first message must be a hello");
	else
		rc = answers[type](&request);
	if (!rc && results.failed)
		rc = error_set(&err, ENOMEM, "no memory for the reply");
	buffer_u32(reply, (uint32_t)-rc);
	if (rc)
		buffer_str(reply, err.text);
	else
		buffer_put(reply, results.data, results.size);
}
