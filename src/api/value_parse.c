// SPDX-License-Identifier: Apache-2.0
// Text is parsed into a zeroed copy, which replaces the caller's bytes when all of it is read.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/value.h"
#include "api/value_bits.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/nearest.h"
#include "ebpf/image.h"

#define EXCERPT_MAX 48

// A part of the text, without blanks around it.
struct span {
	const char *at;
	size_t length;
};

static struct span span_trim(const char *at, size_t length)
{
	while (length && isspace((unsigned char)*at))
		at++, length--;
	while (length && isspace((unsigned char)at[length - 1]))
		length--;
	return (struct span){at, length};
}

const char *value_excerpt(const char *text, uint32_t length, char *excerpt, uint32_t size)
{
	uint32_t n = 0;
	for (; n < length && n + 1 < size; n++)
		excerpt[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
	excerpt[n] = '\0';
	if (n < length && n >= 3)
		memcpy(excerpt + n - 3, "...", 3);
	return excerpt;
}

// "field port: " in front of what was expected instead of the span.
static int unexpected(
        const struct image_field *field, struct span span, struct error *err, const char *expected)
{
	char excerpt[EXCERPT_MAX];
	uint32_t length = span.length < UINT32_MAX ? (uint32_t)span.length : UINT32_MAX;
	value_excerpt(span.at, length, excerpt, sizeof(excerpt));
	bool is_named = field && field->name[0];
	return error_set(err, EINVAL, "%s%s%s'%s' is not %s", is_named ? "field " : "",
	        is_named ? field->name : "", is_named ? ": " : "", excerpt, expected);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// 0x and exactly 2 * `size` digits.
static bool parse_hex(struct span span, uint8_t *bytes, uint32_t size)
{
	if (span.length != 2 + 2 * (size_t)size || span.at[0] != '0' || (span.at[1] | 0x20) != 'x')
		return false;
	for (uint32_t i = 0; i < size; i++) {
		int high = hex_digit(span.at[2 + 2 * i]), low = hex_digit(span.at[3 + 2 * i]);
		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int expected_hex(
        const struct image_field *field, struct span span, uint32_t size, struct error *err)
{
	char expected[96];
	snprintf(expected, sizeof(expected), "%u bytes in hex: write 0x and %" PRIu64 " digits",
	        size, (uint64_t)size * 2);
	return unexpected(field, span, err, expected);
}

// Digits of base 10, or of base 16 behind 0x, into 64 bits.
static bool parse_digits(struct span span, uint64_t *number)
{
	unsigned base = 10;
	if (span.length > 2 && span.at[0] == '0' && (span.at[1] | 0x20) == 'x') {
		base = 16;
		span = (struct span){span.at + 2, span.length - 2};
	}
	uint64_t value = 0;
	for (size_t i = 0; i < span.length; i++) {
		int digit = hex_digit(span.at[i]);
		if (digit < 0 || (unsigned)digit >= base ||
		        __builtin_mul_overflow(value, base, &value) ||
		        __builtin_add_overflow(value, (unsigned)digit, &value))
			return false;
	}
	*number = value;
	return span.length;
}

static int parse_unsigned(
        const struct image_field *field, struct span span, uint64_t *number, struct error *err)
{
	uint64_t max = UINT64_MAX >> (64 - field->bits), value;
	char expected[80];
	if (parse_digits(span, &value) && value <= max) {
		*number = value;
		return 0;
	}
	snprintf(expected, sizeof(expected), "%s 0 to %" PRIu64,
	        field->kind == IMAGE_BOOL ? "true or false, or a number from" : "a number from",
	        max);
	return unexpected(field, span, err, expected);
}

static int parse_signed(
        const struct image_field *field, struct span span, uint64_t *number, struct error *err)
{
	uint64_t top = 1ull << (field->bits - 1), value; // magnitude of the least number
	bool is_negative = span.length && span.at[0] == '-';
	struct span digits = {span.at + is_negative, span.length - is_negative};
	if (parse_digits(digits, &value) && value <= (is_negative ? top : top - 1)) {
		*number = is_negative ? -value : value;
		return 0;
	}
	char expected[80];
	snprintf(
	        expected, sizeof(expected), "a number from -%" PRIu64 " to %" PRIu64, top, top - 1);
	return unexpected(field, span, err, expected);
}

static bool parse_address(int family, struct span span, uint8_t *bytes)
{
	char text[INET6_ADDRSTRLEN];
	if (!span.length || span.length >= sizeof(text))
		return false;
	memcpy(text, span.at, span.length);
	text[span.length] = '\0';
	return inet_pton(family, text, bytes) == 1;
}

static bool parse_mac(struct span span, uint8_t *bytes)
{
	if (span.length != 17)
		return false;
	for (uint32_t i = 0; i < 6; i++) {
		int high = hex_digit(span.at[3 * i]), low = hex_digit(span.at[3 * i + 1]);
		char separator = i < 5 ? span.at[3 * i + 2] : ':';
		if (high < 0 || low < 0 || (separator != ':' && separator != '-'))
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

// Element `index` of a field.
static int parse_element(const struct image_field *field, uint32_t index, struct span span,
        uint8_t *bytes, struct error *err)
{
	uint32_t offset = field->bit_offset + index * field->bits, bits = field->bits;
	uint8_t *at = bytes + offset / 8;
	uint64_t number = 0;
	int rc = 0;
	switch (field->kind) {
	case IMAGE_BOOL:
		if (span.length == 4 && !memcmp(span.at, "true", 4))
			number = 1;
		else if (span.length != 5 || memcmp(span.at, "false", 5))
			rc = parse_unsigned(field, span, &number, err);
		break;
	case IMAGE_UINT:
		rc = parse_unsigned(field, span, &number, err);
		break;
	case IMAGE_BE:
		rc = parse_unsigned(field, span, &number, err);
		number = bits_swap(number, bits);
		break;
	case IMAGE_INT:
		rc = parse_signed(field, span, &number, err);
		break;
	case IMAGE_IPV4:
		return parse_address(AF_INET, span, at)
		               ? 0
		               : unexpected(field, span, err, "an IPv4 address such as 10.0.0.1");
	case IMAGE_IPV6:
		return parse_address(AF_INET6, span, at)
		               ? 0
		               : unexpected(
		                         field, span, err, "an IPv6 address such as 2001:db8::1");
	case IMAGE_MAC:
		return parse_mac(span, at) ? 0
		                           : unexpected(field, span, err,
		                                     "a MAC address such as 02:00:00:00:00:01");
	case IMAGE_CHAR:
	case IMAGE_BYTES:
		return parse_hex(span, at, bits / 8) ? 0 : expected_hex(field, span, bits / 8, err);
	}
	if (!rc)
		bits_set(bytes, offset, bits, number);
	return rc;
}

// "text" with \" \\ \n \t \xNN, or a bare word.
static int parse_chars(
        const struct image_field *field, struct span span, uint8_t *bytes, struct error *err)
{
	bool is_quoted = span.length && span.at[0] == '"';
	struct span in = span;
	if (is_quoted) {
		if (span.length < 2 || span.at[span.length - 1] != '"')
			return unexpected(field, span, err, "a text that ends with \"");
		in = (struct span){span.at + 1, span.length - 2};
	}
	uint32_t used = 0;
	for (size_t i = 0; i < in.length; i++) {
		uint8_t c = (uint8_t)in.at[i];
		if (is_quoted && c == '"')
			return unexpected(field, span, err, "one text: write \\\" for a \" in it");
		if (is_quoted && c == '\\') {
			size_t left = in.length - i - 1;
			char kind = left ? in.at[++i] : '\0';
			if (kind == 'x' && left >= 3 && hex_digit(in.at[i + 1]) >= 0 &&
			        hex_digit(in.at[i + 2]) >= 0) {
				c = (uint8_t)(hex_digit(in.at[i + 1]) << 4 |
				              hex_digit(in.at[i + 2]));
				i += 2;
			} else if (kind == 'n' || kind == 't') {
				c = kind == 'n' ? '\n' : '\t';
			} else if (kind == '"' || kind == '\\') {
				c = (uint8_t)kind;
			} else {
				return unexpected(field, span, err,
				        "a text whose \\ begins \\\", \\\\, \\n, \\t or \\xNN");
			}
		}
		if (used == field->count) {
			char expected[64];
			snprintf(expected, sizeof(expected), "a text of at most %u bytes",
			        field->count);
			return unexpected(field, span, err, expected);
		}
		bytes[used++] = c;
	}
	return 0;
}

// [a b c], blanks or commas between.
static int parse_array(
        const struct image_field *field, struct span span, uint8_t *bytes, struct error *err)
{
	char expected[96];
	snprintf(
	        expected, sizeof(expected), "an array of %u elements: write [a b c]", field->count);
	if (span.length < 2 || span.at[0] != '[' || span.at[span.length - 1] != ']')
		return unexpected(field, span, err, expected);
	const char *at = span.at + 1, *end = span.at + span.length - 1;
	uint32_t index = 0;
	while (at < end) {
		if (isspace((unsigned char)*at) || *at == ',') {
			at++;
			continue;
		}
		const char *start = at;
		while (at < end && !isspace((unsigned char)*at) && *at != ',')
			at++;
		if (index == field->count)
			return unexpected(field, span, err, expected);
		int rc = parse_element(
		        field, index++, (struct span){start, (size_t)(at - start)}, bytes, err);
		if (rc)
			return rc;
	}
	return index == field->count ? 0 : unexpected(field, span, err, expected);
}

static int parse_field(
        const struct image_field *field, struct span span, uint8_t *bytes, struct error *err)
{
	uint8_t *at = bytes + field->bit_offset / 8;
	if (field->kind == IMAGE_CHAR)
		return parse_chars(field, span, at, err);
	if (field->kind == IMAGE_BYTES && field->bits == 8)
		return parse_hex(span, at, field->count)
		               ? 0
		               : expected_hex(field, span, field->count, err);
	if (field->count == 1)
		return parse_element(field, 0, span, bytes, err);
	return parse_array(field, span, bytes, err);
}

// Names of fields, as many as the message has room for.
static const char *list_fields(
        const struct image_layout *layout, uint32_t size, char *text, size_t text_size)
{
	size_t used = 0;
	text[0] = '\0';
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const char *name = layout->fields[i].name;
		if (!image_field_fits(&layout->fields[i], size))
			continue;
		if (used + strlen(name) + 6 > text_size) {
			snprintf(text + used, text_size - used, ", ..");
			break;
		}
		used += (size_t)snprintf(
		        text + used, text_size - used, "%s%s", used ? ", " : "", name);
	}
	return text;
}

// The field of this name into *index.
static int find_field(const struct image_layout *layout, uint32_t size, struct span name,
        uint32_t *index, struct error *err)
{
	char excerpt[IMAGE_NAME_MAX], names[160];
	uint32_t best = UINT32_MAX;
	const char *nearest = NULL;
	value_excerpt(name.at, name.length < 1000 ? (uint32_t)name.length : 1000, excerpt,
	        sizeof(excerpt));
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct image_field *field = &layout->fields[i];
		if (!image_field_fits(field, size))
			continue;
		if (strlen(field->name) == name.length &&
		        !memcmp(field->name, name.at, name.length)) {
			*index = i;
			return 0;
		}
	}
	for (uint32_t i = 0; i < layout->field_count; i++) {
		uint32_t distance = name_distance(excerpt, layout->fields[i].name);
		if (distance < best && layout->fields[i].name[0]) {
			best = distance;
			nearest = layout->fields[i].name;
		}
	}
	bool is_near = nearest && name_is_near(best, (uint32_t)strlen(excerpt));
	return error_set(err, EINVAL, "there is no field '%.40s'%s%s%s; the fields are %s", excerpt,
	        is_near ? ": did you mean " : "", is_near ? nearest : "", is_near ? "?" : "",
	        list_fields(layout, size, names, sizeof(names)));
}

// The length of the part before the next comma outside quotes and brackets.
static size_t part_length(const char *at)
{
	bool in_quotes = false;
	uint32_t depth = 0;
	size_t i = 0;
	for (; at[i]; i++) {
		if (in_quotes && at[i] == '\\' && at[i + 1])
			i++;
		else if (at[i] == '"')
			in_quotes = !in_quotes;
		else if (!in_quotes && at[i] == '[')
			depth++;
		else if (!in_quotes && at[i] == ']' && depth)
			depth--;
		else if (!in_quotes && !depth && at[i] == ',')
			break;
	}
	return i;
}

// One "field=value" of a struct, or of a layout with one field the value alone.
static int parse_part(const struct image_layout *layout, uint32_t size, struct span part,
        uint8_t *bytes, uint8_t *seen, struct error *err)
{
	const char *equals = part.length ? memchr(part.at, '=', part.length) : NULL;
	const struct image_field *only = layout->field_count == 1 ? layout->fields : NULL;
	if (only && (!equals || !only->name[0] || part.at[0] == '"') &&
	        image_field_fits(only, size)) {
		if (seen[0]++)
			return unexpected(
			        only, part, err, "expected: one value is, without commas");
		return parse_field(only, part, bytes, err);
	}
	if (!equals) {
		char names[160], expected[256];
		snprintf(expected, sizeof(expected),
		        "field=value (several with commas between them); the fields are %s",
		        list_fields(layout, size, names, sizeof(names)));
		return unexpected(NULL, part, err, expected);
	}
	struct span name = span_trim(part.at, (size_t)(equals - part.at));
	uint32_t index;
	int rc = find_field(layout, size, name, &index, err);
	if (rc)
		return rc;
	if (seen[index]++)
		return error_set(
		        err, EINVAL, "field %s is given twice", layout->fields[index].name);
	size_t behind = part.length - (size_t)(equals + 1 - part.at);
	return parse_field(&layout->fields[index], span_trim(equals + 1, behind), bytes, err);
}

static int parse_struct(const struct image_layout *layout, uint32_t size, unsigned flags,
        const char *text, uint8_t *bytes, struct error *err)
{
	autofree uint8_t *seen = calloc(layout->field_count, 1);
	if (!seen)
		return error_set(err, ENOMEM, "out of memory");
	for (const char *at = text;;) {
		size_t length = part_length(at);
		int rc = parse_part(layout, size, span_trim(at, length), bytes, seen, err);
		if (rc)
			return rc;
		if (!at[length])
			break;
		at += length + 1;
	}
	for (uint32_t i = 0; flags & VALUE_KEY && i < layout->field_count; i++) {
		if (!seen[i] && image_field_fits(&layout->fields[i], size))
			return error_set(err, EINVAL,
			        "field %s is missing: a key needs all of its fields",
			        layout->fields[i].name);
	}
	return 0;
}

// address/length, or an address alone for its full length.
static int parse_lpm(uint32_t size, struct span span, uint8_t *bytes, struct error *err)
{
	uint32_t width = size - 4;
	const char *slash = span.length ? memchr(span.at, '/', span.length) : NULL;
	struct span address = span_trim(span.at, slash ? (size_t)(slash - span.at) : span.length);
	bool is_sound = (width == 4 && parse_address(AF_INET, address, bytes + 4)) ||
	                (width == 16 && parse_address(AF_INET6, address, bytes + 4)) ||
	                parse_hex(address, bytes + 4, width);
	if (!is_sound && width == 4)
		return unexpected(NULL, span, err, "an IPv4 prefix such as 10.0.0.0/8");
	if (!is_sound && width == 16)
		return unexpected(NULL, span, err, "an IPv6 prefix such as 2001:db8::/32");
	if (!is_sound) {
		char expected[96];
		snprintf(expected, sizeof(expected),
		        "a prefix: write 0x, %u hex digits, / and its length in bits", width * 2);
		return unexpected(NULL, span, err, expected);
	}
	uint64_t length = (uint64_t)width * 8;
	if (slash) {
		size_t behind = span.length - (size_t)(slash + 1 - span.at);
		struct span digits = span_trim(slash + 1, behind);
		if (!parse_digits(digits, &length) || length > (uint64_t)width * 8) {
			char expected[64];
			snprintf(expected, sizeof(expected), "a prefix length from 0 to %u",
			        width * 8);
			return unexpected(NULL, digits, err, expected);
		}
	}
	bits_set(bytes, 0, 32, length);
	return 0;
}

// A key or value that has no layout: bytes, or a number where the size is that of one.
static int parse_plain(uint32_t size, struct span span, uint8_t *bytes, struct error *err)
{
	if (parse_hex(span, bytes, size))
		return 0;
	bool is_number = size == 1 || size == 2 || size == 4 || size == 8;
	bool is_hex = span.length > 1 && span.at[0] == '0' && (span.at[1] | 0x20) == 'x';
	if (!is_number || is_hex)
		return expected_hex(NULL, span, size, err);
	const struct image_field field = {.kind = IMAGE_UINT, .bits = size * 8, .count = 1};
	return parse_element(&field, 0, span, bytes, err);
}

static bool has_fields(const struct image_layout *layout, uint32_t size)
{
	for (uint32_t i = 0; i < layout->field_count; i++) {
		if (image_field_fits(&layout->fields[i], size))
			return true;
	}
	return false;
}

int value_parse(const struct image_layout *layout, uint32_t size, unsigned flags, const char *text,
        void *bytes, struct error *err)
{
	autofree uint8_t *made = calloc((size_t)size + 1, 1);
	if (!made)
		return error_set(err, ENOMEM, "out of memory for %u bytes", size);
	struct span span = span_trim(text, strlen(text));
	bool is_scalar = layout->field_count == 1 && !layout->fields[0].name[0];
	int rc;
	if (flags & VALUE_LPM && size > 4 && !memchr(text, '=', strlen(text)))
		rc = parse_hex(span, made, size) ? 0 : parse_lpm(size, span, made, err);
	else if (!has_fields(layout, size))
		rc = parse_plain(size, span, made, err);
	else if (!is_scalar && parse_hex(span, made, size))
		rc = 0;
	else
		rc = parse_struct(layout, size, flags, text, made, err);
	if (rc)
		return rc;
	memcpy(bytes, made, size);
	return 0;
}
