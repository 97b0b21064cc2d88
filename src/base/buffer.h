// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer, and a cursor that reads one back with every bound checked. Integers are
// little endian. Both remember their first failure, so that a run of calls needs one test at its
// end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data;
	size_t size, capacity;
	bool failed; // out of memory; later calls do nothing
};

void buffer_free(struct buffer *buffer); // null-safe; leaves an empty buffer
void buffer_put(struct buffer *buffer, const void *bytes, size_t size);
void buffer_u8(struct buffer *buffer, uint8_t value);
void buffer_u16(struct buffer *buffer, uint16_t value);
void buffer_u32(struct buffer *buffer, uint32_t value);
void buffer_u64(struct buffer *buffer, uint64_t value);
void buffer_str(struct buffer *buffer, const char *text);               // u32 length, bytes
void buffer_blob(struct buffer *buffer, const void *data, size_t size); // u32 length, bytes
void buffer_printf(struct buffer *buffer, const char *format, ...)      // text, no terminator
        __attribute__((format(printf, 2, 3)));

struct cursor {
	const uint8_t *data; // borrowed
	size_t size, at;
	bool failed; // read past the end; later calls return zero
};

static inline struct cursor cursor_of(const void *data, size_t size)
{
	return (struct cursor){.data = data, .size = size};
}
const void *cursor_take(struct cursor *cursor, size_t size); // NULL past the end
uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
// Copies a string into `text` (`size` bytes with its terminator); fails if it is longer or has a
// NUL.
void cursor_str(struct cursor *cursor, char *text, size_t size);
const void *cursor_blob(struct cursor *cursor, uint32_t *size); // borrowed from the cursor's data
bool cursor_done(const struct cursor *cursor);                  // all read and nothing failed
