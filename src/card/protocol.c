// SPDX-License-Identifier: Apache-2.0
#include "card/protocol.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

void message_header_put(const struct message_header *header, uint8_t bytes[MESSAGE_HEADER])
{
	uint32_t words[3] = {
	        htole32(header->size), htole32((uint32_t)header->type), htole32(header->id)};
	memcpy(bytes, words, sizeof(words));
}

int message_header_get(
        const uint8_t bytes[MESSAGE_HEADER], uint32_t max, struct message_header *header)
{
	struct cursor cursor = cursor_of(bytes, MESSAGE_HEADER);
	uint32_t size = cursor_u32(&cursor);
	uint16_t type = cursor_u16(&cursor), reserved = cursor_u16(&cursor);
	if (size > max || reserved)
		return -EINVAL;
	*header = (struct message_header){.size = size, .id = cursor_u32(&cursor), .type = type};
	return 0;
}

void wire_u8(struct wire *wire, uint8_t *value)
{
	if (wire->out)
		buffer_u8(wire->out, *value);
	else
		*value = cursor_u8(wire->in);
}

void wire_u32(struct wire *wire, uint32_t *value)
{
	if (wire->out)
		buffer_u32(wire->out, *value);
	else
		*value = cursor_u32(wire->in);
}

void wire_u64(struct wire *wire, uint64_t *value)
{
	if (wire->out)
		buffer_u64(wire->out, *value);
	else
		*value = cursor_u64(wire->in);
}

void wire_bool(struct wire *wire, bool *value)
{
	uint8_t byte = *value;
	wire_u8(wire, &byte);
	if (wire->in && byte > 1)
		wire->in->failed = true;
	*value = byte == 1;
}

void wire_text(struct wire *wire, char *text, size_t size)
{
	if (wire->out) {
		buffer_blob(wire->out, text, strnlen(text, size - 1));
		return;
	}
	cursor_str(wire->in, text, size);
	if (wire->in->failed)
		text[0] = '\0';
}

void wire_count(struct wire *wire, uint32_t *count, uint32_t max)
{
	wire_u32(wire, count);
	if (!wire->in)
		return;
	if (*count > max)
		wire->in->failed = true;
	if (wire->in->failed)
		*count = 0;
}

static void wire_u64s(struct wire *wire, uint64_t *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		wire_u64(wire, &values[i]);
}

void wire_info(struct wire *wire, struct card_info *info)
{
	wire_text(wire, info->kind, sizeof(info->kind));
	wire_text(wire, info->version, sizeof(info->version));
	wire_u64(wire, &info->started_wall_ns);
	wire_count(wire, &info->port_count, PORTS_MAX);
	wire_u32(wire, &info->worker_count);
	wire_u32(wire, &info->pid);
}

void wire_counters(struct wire *wire, struct card_counters *counters)
{
	// Nothing but u64, in the order of the struct.
	wire_u64s(wire, (uint64_t *)counters, sizeof(*counters) / sizeof(uint64_t));
}

void wire_port(struct wire *wire, struct card_port *port)
{
	wire_u8(wire, &port->number);
	if (wire->in && port->number >= PORTS_MAX)
		wire->in->failed = true;
	wire_text(wire, port->spec, sizeof(port->spec));
	wire_text(wire, port->description, sizeof(port->description));
	wire_u64(wire, &port->active);
	wire_u64(wire, &port->idle);
	wire_u8(wire, &port->bank);
	wire_u32(wire, &port->r0);
	wire_bool(wire, &port->finished);
	wire_bool(wire, &port->up);
	_Static_assert(sizeof(port->stats) % sizeof(uint64_t) == 0, "port_stats holds u64 only");
	wire_u64s(wire, (uint64_t *)&port->stats, sizeof(port->stats) / sizeof(uint64_t));
	wire_counters(wire, &port->total);
}

void wire_fault(struct wire *wire, struct card_fault *fault)
{
	wire_u64(wire, &fault->count);
	wire_u8(wire, &fault->fault);
	if (wire->in && fault->fault >= FAULT_COUNT)
		wire->in->failed = true;
	wire_text(wire, fault->place, sizeof(fault->place));
	wire_text(wire, fault->text, sizeof(fault->text));
}

void wire_generation(struct wire *wire, struct card_generation *generation)
{
	wire_u64(wire, &generation->id);
	wire_u64(wire, &generation->ports);
	wire_text(wire, generation->tag, sizeof(generation->tag));
	wire_text(wire, generation->name, sizeof(generation->name));
	wire_u64(wire, &generation->swapped_in_ns);
	wire_u64(wire, &generation->swapped_out_ns);
	wire_bool(wire, &generation->active);
	wire_u32(wire, &generation->map_count);
}

static void wire_receipt_port(struct wire *wire, struct receipt_port *port)
{
	wire_u8(wire, &port->port);
	if (wire->in && port->port >= PORTS_MAX)
		wire->in->failed = true;
	wire_u64(wire, &port->last_old_ns);
	wire_u64(wire, &port->first_new_ns);
	wire_u64(wire, &port->gap_ns);
	wire_u64(wire, &port->received_before);
	wire_u64(wire, &port->received_after);
}

void wire_receipt(struct wire *wire, struct receipt *receipt)
{
	wire_u64(wire, &receipt->sequence);
	wire_u64(wire, &receipt->old_generation);
	wire_u64(wire, &receipt->new_generation);
	wire_text(wire, receipt->old_tag, sizeof(receipt->old_tag));
	wire_text(wire, receipt->new_tag, sizeof(receipt->new_tag));
	wire_u64(wire, &receipt->load_begin_ns);
	wire_u64(wire, &receipt->load_end_ns);
	wire_u64(wire, &receipt->swap_ns);
	wire_u64(wire, &receipt->done_ns);
	wire_u64(wire, &receipt->wall_ns);
	wire_u64(wire, &receipt->ports);
	wire_u64(wire, &receipt->lost);
	wire_count(wire, &receipt->port_count, PORTS_MAX);
	for (uint32_t i = 0; i < receipt->port_count; i++)
		wire_receipt_port(wire, &receipt->port[i]);
	wire_count(wire, &receipt->map_count, IMAGE_MAPS_MAX);
	for (uint32_t i = 0; i < receipt->map_count; i++) {
		wire_text(wire, receipt->map[i].name, sizeof(receipt->map[i].name));
		wire_bool(wire, &receipt->map[i].carried);
		wire_u32(wire, &receipt->map[i].entries);
	}
}

static void wire_layout(struct wire *wire, struct image_layout *layout)
{
	wire_count(wire, &layout->field_count, IMAGE_FIELDS_MAX);
	if (wire->in && layout->field_count) {
		layout->fields = calloc(layout->field_count, sizeof(layout->fields[0]));
		if (!layout->fields) {
			layout->field_count = 0;
			wire->in->failed = true;
		}
	}
	for (uint32_t i = 0; i < layout->field_count; i++) {
		struct image_field *field = &layout->fields[i];
		uint8_t kind = (uint8_t)field->kind;
		wire_text(wire, field->name, sizeof(field->name));
		wire_u8(wire, &kind);
		if (wire->in && kind > IMAGE_BYTES)
			wire->in->failed = true;
		field->kind = wire->in && wire->in->failed ? IMAGE_BYTES : kind;
		wire_u32(wire, &field->bit_offset);
		wire_u32(wire, &field->bits);
		wire_u32(wire, &field->count);
	}
}

void wire_map(struct wire *wire, struct card_map *map)
{
	struct image_map *shape = &map->shape;
	wire_u32(wire, &map->index);
	wire_u32(wire, &map->entries);
	wire_u32(wire, &map->io_size);
	wire_u64(wire, &map->memory);
	wire_u64(wire, &map->lost);
	wire_text(wire, shape->name, sizeof(shape->name));
	wire_u32(wire, &shape->type);
	wire_u32(wire, &shape->key_size);
	wire_u32(wire, &shape->value_size);
	wire_u32(wire, &shape->max_entries);
	wire_u32(wire, &shape->flags);
	wire_u64(wire, &shape->extra);
	wire_u32(wire, &shape->inner);
	wire_bool(wire, &shape->is_template);
	wire_bool(wire, &shape->is_global);
	wire_bool(wire, &shape->is_readonly);
	wire_layout(wire, &shape->key);
	wire_layout(wire, &shape->value);
}

static int map_sizes_load(
        struct map_sizes *sizes, struct card *card, uint64_t id, struct error *err)
{
	autofree struct card_map *maps = calloc(IMAGE_MAPS_MAX, sizeof(maps[0]));
	if (!maps)
		return error_set(err, ENOMEM, "no memory for the list of maps");
	uint32_t count;
	int rc = card->ops->maps(card, id, maps, IMAGE_MAPS_MAX, &count, err);
	if (rc)
		return rc;
	sizes->id = id;
	sizes->count = count;
	for (uint32_t i = 0; i < count; i++) {
		sizes->map[i].index = maps[i].index;
		sizes->map[i].key = maps[i].shape.key_size;
		sizes->map[i].io = maps[i].io_size;
		card_map_free(&maps[i]);
	}
	return 0;
}

int map_sizes_of(struct map_sizes *sizes, struct card *card, uint64_t id, uint32_t map,
        uint32_t *key, uint32_t *io, struct error *err)
{
	if (!id || sizes->id != id) {
		sizes->id = 0;
		int rc = map_sizes_load(sizes, card, id, err);
		if (rc)
			return rc;
	}
	for (uint32_t i = 0; i < sizes->count; i++)
		if (sizes->map[i].index == map) {
			*key = sizes->map[i].key;
			*io = sizes->map[i].io;
			return 0;
		}
	return error_set(err, ENOENT, "generation %llu has no map %u", (unsigned long long)id, map);
}
