// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_free(struct buffer *buffer)
{
	if (!buffer)
		return;
	free(buffer->data);
	*buffer = (struct buffer){0};
}

// Makes room for `size` more bytes.
static bool buffer_reserve(struct buffer *buffer, size_t size)
{
	if (buffer->failed || size > SIZE_MAX / 2 - buffer->size) {
		buffer->failed = true;
		return false;
	}
	if (buffer->size + size <= buffer->capacity)
		return true;
	size_t capacity = buffer->capacity ? buffer->capacity : 256;
	while (capacity < buffer->size + size)
		capacity *= 2;
	uint8_t *data = realloc(buffer->data, capacity);
	if (!data) {
		buffer->failed = true;
		return false;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

void buffer_put(struct buffer *buffer, const void *bytes, size_t size)
{
	if (!size || !buffer_reserve(buffer, size))
		return;
	memcpy(buffer->data + buffer->size, bytes, size);
	buffer->size += size;
}

void buffer_u8(struct buffer *buffer, uint8_t value)
{
	buffer_put(buffer, &value, sizeof(value));
}

void buffer_u16(struct buffer *buffer, uint16_t value)
{
	value = htole16(value);
	buffer_put(buffer, &value, sizeof(value));
}

void buffer_u32(struct buffer *buffer, uint32_t value)
{
	value = htole32(value);
	buffer_put(buffer, &value, sizeof(value));
}

void buffer_u64(struct buffer *buffer, uint64_t value)
{
	value = htole64(value);
	buffer_put(buffer, &value, sizeof(value));
}

void buffer_blob(struct buffer *buffer, const void *data, size_t size)
{
	if (size > UINT32_MAX) {
		buffer->failed = true;
		return;
	}
	buffer_u32(buffer, (uint32_t)size);
	buffer_put(buffer, data, size);
}

void buffer_str(struct buffer *buffer, const char *text)
{
	buffer_blob(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (size >= 0 && buffer_reserve(buffer, (size_t)size + 1)) {
		vsnprintf((char *)buffer->data + buffer->size, (size_t)size + 1, format, again);
		buffer->size += (size_t)size;
	}
	va_end(again);
}

const void *cursor_take(struct cursor *cursor, size_t size)
{
	if (cursor->failed || size > cursor->size - cursor->at) {
		cursor->failed = true;
		return NULL;
	}
	const void *at = cursor->data + cursor->at;
	cursor->at += size;
	return at;
}

uint8_t cursor_u8(struct cursor *cursor)
{
	const uint8_t *at = cursor_take(cursor, 1);
	return at ? *at : 0;
}

uint16_t cursor_u16(struct cursor *cursor)
{
	uint16_t value = 0;
	const void *at = cursor_take(cursor, sizeof(value));
	if (at)
		memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

uint32_t cursor_u32(struct cursor *cursor)
{
	uint32_t value = 0;
	const void *at = cursor_take(cursor, sizeof(value));
	if (at)
		memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

uint64_t cursor_u64(struct cursor *cursor)
{
	uint64_t value = 0;
	const void *at = cursor_take(cursor, sizeof(value));
	if (at)
		memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

const void *cursor_blob(struct cursor *cursor, uint32_t *size)
{
	*size = cursor_u32(cursor);
	const void *at = cursor_take(cursor, *size);
	if (!at)
		*size = 0;
	return at;
}

void cursor_str(struct cursor *cursor, char *text, size_t size)
{
	uint32_t length;
	const char *at = cursor_blob(cursor, &length);
	text[0] = '\0';
	if (!at)
		return;
	if (length >= size || memchr(at, '\0', length)) {
		cursor->failed = true;
		return;
	}
	memcpy(text, at, length);
	text[length] = '\0';
}

bool cursor_done(const struct cursor *cursor)
{
	return !cursor->failed && cursor->at == cursor->size;
}
