// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>

#include "api/value.h"
#include "api/value_bits.h"
#include "base/buffer.h"
#include "ebpf/image.h"

static void format_hex(const uint8_t *bytes, uint32_t size, struct buffer *buffer)
{
	static const char digits[] = "0123456789abcdef";
	buffer_put(buffer, "0x", 2);
	for (uint32_t i = 0; i < size; i++) {
		buffer_u8(buffer, (uint8_t)digits[bytes[i] >> 4]);
		buffer_u8(buffer, (uint8_t)digits[bytes[i] & 15]);
	}
}

// NUL padding is not shown; what is no printable ASCII is escaped.
static void format_chars(const uint8_t *bytes, uint32_t size, struct buffer *buffer)
{
	while (size && !bytes[size - 1])
		size--;
	buffer_u8(buffer, '"');
	for (uint32_t i = 0; i < size; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			buffer_printf(buffer, "\\%c", bytes[i]);
		else if (bytes[i] >= ' ' && bytes[i] < 0x7f)
			buffer_u8(buffer, bytes[i]);
		else
			buffer_printf(buffer, "\\x%02x", bytes[i]);
	}
	buffer_u8(buffer, '"');
}

static void format_address(int family, const uint8_t *bytes, struct buffer *buffer)
{
	char text[INET6_ADDRSTRLEN];
	if (inet_ntop(family, bytes, text, sizeof(text)))
		buffer_printf(buffer, "%s", text);
}

// Element `index` of a field.
static void format_element(const struct image_field *field, uint32_t index, const uint8_t *bytes,
        struct buffer *buffer)
{
	uint32_t offset = field->bit_offset + index * field->bits, bits = field->bits;
	const uint8_t *at = bytes + offset / 8;
	uint64_t number = bits <= 64 ? bits_get(bytes, offset, bits) : 0;
	switch (field->kind) {
	case IMAGE_UINT:
		buffer_printf(buffer, "%" PRIu64, number);
		break;
	case IMAGE_INT:
		buffer_printf(buffer, "%" PRId64, (int64_t)(number << (64 - bits)) >> (64 - bits));
		break;
	case IMAGE_BOOL:
		if (number > 1)
			buffer_printf(buffer, "%" PRIu64, number);
		else
			buffer_printf(buffer, "%s", number ? "true" : "false");
		break;
	case IMAGE_BE:
		buffer_printf(buffer, "%" PRIu64, bits_swap(number, bits));
		break;
	case IMAGE_IPV4:
		format_address(AF_INET, at, buffer);
		break;
	case IMAGE_IPV6:
		format_address(AF_INET6, at, buffer);
		break;
	case IMAGE_MAC:
		buffer_printf(buffer, "%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2], at[3],
		        at[4], at[5]);
		break;
	case IMAGE_CHAR:
	case IMAGE_BYTES:
		format_hex(at, bits / 8, buffer);
		break;
	}
}

static void format_field(
        const struct image_field *field, const uint8_t *bytes, struct buffer *buffer)
{
	const uint8_t *at = bytes + field->bit_offset / 8;
	if (field->kind == IMAGE_CHAR) {
		format_chars(at, field->count, buffer);
	} else if (field->kind == IMAGE_BYTES && field->bits == 8) {
		format_hex(at, field->count, buffer);
	} else if (field->count == 1) {
		format_element(field, 0, bytes, buffer);
	} else {
		for (uint32_t i = 0; i < field->count; i++) {
			buffer_u8(buffer, i ? ' ' : '[');
			format_element(field, i, bytes, buffer);
		}
		buffer_u8(buffer, ']');
	}
}

// An address and its length. A length that is too long for the address cannot be written so.
static bool format_lpm(const struct image_layout *layout, uint32_t size, const uint8_t *bytes,
        struct buffer *buffer)
{
	uint64_t length = bits_get(bytes, 0, 32);
	uint32_t width = size - 4;
	if (length > (uint64_t)width * 8)
		return false;
	bool is_address = layout->field_count <= 2;
	if (width == 4 && is_address)
		format_address(AF_INET, bytes + 4, buffer);
	else if (width == 16 && is_address)
		format_address(AF_INET6, bytes + 4, buffer);
	else
		format_hex(bytes + 4, width, buffer);
	buffer_printf(buffer, "/%" PRIu64, length);
	return true;
}

void value_format(const struct image_layout *layout, uint32_t size, unsigned flags,
        const void *bytes, struct buffer *buffer)
{
	if (flags & VALUE_LPM && size > 4) {
		if (!format_lpm(layout, size, bytes, buffer))
			format_hex(bytes, size, buffer);
		return;
	}
	bool is_first = true;
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct image_field *field = &layout->fields[i];
		if (!image_field_fits(field, size))
			continue;
		if (!is_first)
			buffer_put(buffer, ", ", 2);
		is_first = false;
		if (field->name[0])
			buffer_printf(buffer, "%s=", field->name);
		format_field(field, bytes, buffer);
	}
	if (is_first)
		format_hex(bytes, size, buffer);
}
