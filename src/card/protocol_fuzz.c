// SPDX-License-Identifier: Apache-2.0
// Hostile bytes on the card protocol, both ways: requests to a server whose card answers from a
// fixed table, and replies to a client. The input is a run of messages: type (1 byte), size (2
// bytes), body.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "card/protocol.h"
#include "ebpf/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fake_free(struct card *card)
{
}

static int fake_info(struct card *card, struct card_info *info, struct error *err)
{
	*info = (struct card_info){.kind = "fake", .port_count = 2};
	return 0;
}

static int fake_ports(struct card *card, struct card_port *ports, uint32_t max, uint32_t *count,
        struct error *err)
{
	*count = max < 2 ? max : 2;
	return 0;
}

static int fake_load(struct card *card, const struct image *image, const struct card_load *load,
        uint64_t *id, struct error *err)
{
	for (uint32_t i = 0; i < load->carry_count; i++)
		if (strlen(load->carry[i]) >= IMAGE_NAME_MAX)
			abort();
	*id = 1;
	return check_image(image, err);
}

static int fake_swap(struct card *card, uint64_t id, uint64_t ports, uint64_t at_ns,
        struct receipt *receipt, struct error *err)
{
	receipt->sequence = id;
	return 0;
}

static int fake_unload(struct card *card, uint64_t id, struct error *err)
{
	return id ? error_set(err, ENOENT, "no such generation") : 0;
}

static int fake_generations(struct card *card, struct card_generation *list, uint32_t max,
        uint32_t *count, struct error *err)
{
	*count = max < 3 ? max : 3;
	return 0;
}

static int fake_counters(struct card *card, uint64_t id, struct card_counters counters[PORTS_MAX],
        struct card_fault *faults, uint32_t *fault_count, struct error *err)
{
	counters[id % PORTS_MAX].packets = id;
	*fault_count = 1;
	return 0;
}

static int fake_receipt(
        struct card *card, uint64_t sequence, struct receipt *receipt, struct error *err)
{
	receipt->sequence = sequence;
	return 0;
}

// Map 0: keys of 4, values of 8 bytes. Map 1: records.
static int fake_maps(struct card *card, uint64_t id, struct card_map *maps, uint32_t max,
        uint32_t *count, struct error *err)
{
	maps[0] = (struct card_map){.index = 0, .shape.key_size = 4, .io_size = 8};
	maps[1] = (struct card_map){.index = 1};
	*count = 2;
	return 0;
}

static volatile uint8_t sink; // so that reads are not optimised away

static void touch(const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sink ^= ((const uint8_t *)bytes)[i];
}

static int fake_dump(struct card *card, uint64_t id, uint32_t map, const void *after, void *data,
        uint32_t size, uint32_t *count, struct error *err)
{
	if (after)
		touch(after, map ? 0 : 4);
	*count = !map && size >= 12;
	memset(data, 7, *count * 12);
	return 0;
}

static int fake_lookup(struct card *card, uint64_t id, uint32_t map, const void *key, void *value,
        struct error *err)
{
	touch(key, map ? 0 : 4);
	memset(value, 7, map ? 0 : 8);
	return 0;
}

static int fake_apply(struct card *card, uint64_t id, uint32_t map, enum card_map_op op,
        uint64_t flags, const struct card_entry *entries, uint32_t count, uint32_t *done,
        struct error *err)
{
	for (*done = 0; *done < count; ++*done) {
		touch(entries[*done].key, 4);
		if (op == CARD_MAP_UPDATE)
			touch(entries[*done].value, 8);
	}
	return 0;
}

static int fake_consume(struct card *card, uint64_t id, uint32_t map, void *data, uint32_t size,
        uint32_t *got, struct error *err)
{
	memset(data, 7, size < 16 ? size : 16);
	*got = 16;
	return 0;
}

static int fake_trace(
        struct card *card, char *text, uint32_t size, uint32_t *got, struct error *err)
{
	*got = size < 5 ? 0 : 5;
	memcpy(text, "line\n", *got);
	return 0;
}

static const struct card_ops fake_ops = {
        .free = fake_free,
        .info = fake_info,
        .ports = fake_ports,
        .load = fake_load,
        .swap = fake_swap,
        .unload = fake_unload,
        .generations = fake_generations,
        .counters = fake_counters,
        .receipt = fake_receipt,
        .maps = fake_maps,
        .map_dump = fake_dump,
        .map_lookup = fake_lookup,
        .map_apply = fake_apply,
        .map_consume = fake_consume,
        .trace = fake_trace,
};

// A client's view of the same bytes: every struct that a reply may hold.
static void read_as_reply(const uint8_t *data, size_t size)
{
	struct cursor cursor = cursor_of(data, size);
	struct wire wire = {.in = &cursor};
	static struct receipt receipt;
	static struct card_port port;
	struct card_map map = {0};
	struct card_fault fault;
	struct card_generation generation;
	struct card_info info;
	wire_receipt(&wire, &receipt);
	cursor = cursor_of(data, size);
	wire_map(&wire, &map);
	card_map_free(&map);
	cursor = cursor_of(data, size);
	wire_port(&wire, &port);
	cursor = cursor_of(data, size);
	wire_fault(&wire, &fault);
	wire_generation(&wire, &generation);
	wire_info(&wire, &info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct card card = {.ops = &fake_ops};
	struct session session = {.greeted = true};
	struct cursor cursor = cursor_of(data, size);
	read_as_reply(data, size);
	while (cursor.at < cursor.size && !cursor.failed) {
		uint8_t type = cursor_u8(&cursor);
		uint32_t wanted = cursor_u16(&cursor);
		uint32_t left = (uint32_t)(cursor.size - cursor.at);
		uint32_t body_size = wanted < left ? wanted : left;
		const uint8_t *body = cursor_take(&cursor, body_size);
		if (cursor.failed)
			break;
		// Exactly as large as the body, so that a read past it is seen.
		uint8_t *copy = malloc(body_size ? body_size : 1);
		if (!copy)
			return 0;
		memcpy(copy, body, body_size);
		struct buffer reply = {0};
		session.greeted |= type & 0x80;
		session_answer(&session, &card, type & 0x7f, copy, body_size, &reply);
		if (!reply.failed && reply.size < 4)
			abort();
		buffer_free(&reply);
		free(copy);
	}
	return 0;
}
