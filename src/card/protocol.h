// SPDX-License-Identifier: Apache-2.0
// The card protocol: typed binary messages between agent and card on a Unix stream socket. The
// client asks, the server answers each request once, in order.
//
//	header   u32 size of the body | u16 type | u16 zero | u32 id of the request
//	request  body: the operation's arguments
//	reply    type | MESSAGE_REPLY, body: u32 errno; if not 0 then text, else the results
//
// Integers are little endian. A connection begins with MESSAGE_HELLO (magic, version). Whoever
// decodes trusts nothing: each count is bounded before anything is allocated for it.
//
// One function a struct writes and reads it: a `wire` has either an output buffer or an input
// cursor.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "card/card.h"

#define PROTOCOL_MAGIC   0x4f494152u // "RAIO"
#define PROTOCOL_VERSION 1u
#define MESSAGE_HEADER   12u
#define MESSAGE_MAX      (64u << 20)
#define MESSAGE_CHUNK    (1u << 20) // of entries and records in one message
#define MESSAGE_REPLY    0x8000u

enum message {
	MESSAGE_HELLO,
	MESSAGE_INFO,
	MESSAGE_PORTS,
	MESSAGE_LOAD,
	MESSAGE_SWAP,
	MESSAGE_UNLOAD,
	MESSAGE_GENERATIONS,
	MESSAGE_COUNTERS,
	MESSAGE_RECEIPT,
	MESSAGE_MAPS,
	MESSAGE_MAP_DUMP,
	MESSAGE_MAP_LOOKUP,
	MESSAGE_MAP_APPLY,
	MESSAGE_MAP_CONSUME,
	MESSAGE_TRACE,
	MESSAGE_COUNT,
};

struct message_header {
	uint32_t size, id;
	uint16_t type;
};
void message_header_put(const struct message_header *header, uint8_t bytes[MESSAGE_HEADER]);
// -EINVAL where the size is over `max` or a reserved field is not zero.
int message_header_get(
        const uint8_t bytes[MESSAGE_HEADER], uint32_t max, struct message_header *header);

struct wire {
	struct buffer *out; // writing
	struct cursor *in;  // reading; its `failed` says that a bound was broken
};

void wire_u8(struct wire *wire, uint8_t *value);
void wire_u32(struct wire *wire, uint32_t *value);
void wire_u64(struct wire *wire, uint64_t *value);
void wire_bool(struct wire *wire, bool *value);
void wire_text(struct wire *wire, char *text, size_t size);
// A number of things that follow; fails when it is read and over `max`.
void wire_count(struct wire *wire, uint32_t *count, uint32_t max);
void wire_info(struct wire *wire, struct card_info *info);
void wire_port(struct wire *wire, struct card_port *port);
void wire_counters(struct wire *wire, struct card_counters *counters);
void wire_fault(struct wire *wire, struct card_fault *fault);
void wire_generation(struct wire *wire, struct card_generation *generation);
void wire_receipt(struct wire *wire, struct receipt *receipt);
// Reading allocates the layouts, also where it fails: card_map_free() it in any case.
void wire_map(struct wire *wire, struct card_map *map);

// Key and value sizes of a generation's maps. Generations never change theirs and ids are not used
// twice, so the last one asked for is remembered.
struct map_sizes {
	uint64_t id;
	uint32_t count;
	struct {
		uint32_t index, key, io;
	} map[IMAGE_MAPS_MAX];
};
int map_sizes_of(struct map_sizes *sizes, struct card *card, uint64_t id, uint32_t map,
        uint32_t *key, uint32_t *io, struct error *err);

// The server's side of one connection.
struct session {
	bool greeted;
	struct map_sizes sizes;
};
// Does what a request asks of `card` and appends the reply's body. Never fails: what cannot be done
// or decoded is answered with an error. A reply whose buffer failed must end the connection.
void session_answer(struct session *session, struct card *card, uint16_t type, const void *body,
        uint32_t size, struct buffer *reply);
