// SPDX-License-Identifier: Apache-2.0
// Keys and values of maps as people write them: text to bytes and back by the layout that BTF gave.
//
//	scalar           7   -3   true   10.0.0.1   fe80::1   02:00:00:00:00:01   "eth0"   0xc0ffee
//	array            [1 2 3]
//	struct           port=1, mac=02:00:00:00:00:01   (nested members: a.b=1)
//	LPM key          10.0.0.0/8   2001:db8::/32   0x0a00/12
//	without layout   0x and the bytes in hex
//
// What value_format() prints, value_parse() reads back to the same fields; padding becomes zero.
#pragma once

#include <stdint.h>

struct buffer;
struct error;
struct image_layout;

enum value_flags {
	VALUE_KEY = 1, // a key: each field must be given (a value's missing fields are zero)
	VALUE_LPM = 2, // the key of an LPM trie: u32 prefix length, then the address
};

// Appends the text of `size` bytes. Fields that do not fit `size` are left out.
void value_format(const struct image_layout *layout, uint32_t size, unsigned flags,
        const void *bytes, struct buffer *buffer);
// Reads `text` into `size` bytes; they are untouched on failure. Errors: EINVAL that names the
// field and what was expected; ENOMEM.
int value_parse(const struct image_layout *layout, uint32_t size, unsigned flags, const char *text,
        void *bytes, struct error *err);

// At most `size` - 1 printable characters of somebody's text, for an error message. Returns
// `excerpt`.
const char *value_excerpt(const char *text, uint32_t length, char *excerpt, uint32_t size);
