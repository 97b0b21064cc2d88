// SPDX-License-Identifier: Apache-2.0
// Text: the kernel's printk formats (bpf_bprintf_prepare() in kernel/bpf/helpers.c), comparison,
// numbers. A format that the kernel would refuse is refused with the same code; the whole of it is
// checked before anything is printed.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/helpers.h"

#define TEXT_MAX 1024u // MAX_BPRINTF_BUF
#define ARGS_MAX 12u   // MAX_BPRINTF_VARARGS

struct print {
	struct engine *engine;
	const char *format; // NUL-terminated copy
	const uint64_t *args;
	uint32_t arg_count, arg;
	char *text;
	size_t size, length; // length may grow beyond size: what would have been written
};

static void put(struct print *print, const char *text, size_t size)
{
	helper_charge(print->engine, size / 2);
	for (size_t i = 0; i < size; i++, print->length++) {
		if (print->length < print->size)
			print->text[print->length] = text[i];
	}
}

// A string of the program's, up to its NUL or its window's end.
static size_t copy_string(struct engine *engine, uint64_t address, char *text, size_t size)
{
	size_t length = 0;
	while (length + 1 < size) {
		const uint8_t *byte = access_read(engine, address + length, 1);
		if (!byte || !*byte)
			break;
		text[length++] = (char)*byte;
	}
	text[length] = '\0';
	helper_charge(engine, 2 * length);
	return length;
}

static void put_address(struct print *print, uint64_t address, char kind, char version)
{
	char text[64];
	uint8_t bytes[16] = {0};
	size_t size = version == '4' ? 4 : 16;
	const uint8_t *from = access_read(print->engine, address, size);
	if (from)
		memcpy(bytes, from, size);
	if (version == '4' || kind == 'I')
		inet_ntop(version == '4' ? AF_INET : AF_INET6, bytes, text, sizeof(text));
	else
		for (size_t i = 0; i < size; i++)
			snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	put(print, text, strlen(text));
}

// `at` stands behind "%p". How many characters of the format it takes.
static int put_pointer(struct print *print, const char *at, uint64_t value)
{
	char text[TEXT_MAX];
	if ((at[0] == 'i' || at[0] == 'I') && (at[1] == '4' || at[1] == '6')) {
		put_address(print, value, at[0], at[1]);
		return 2;
	}
	if ((at[0] == 'k' || at[0] == 'u') && at[1] == 's') {
		put(print, text, copy_string(print->engine, value, text, sizeof(text)));
		return 2;
	}
	int length = snprintf(text, sizeof(text), "%016llx", (unsigned long long)value);
	put(print, text, (size_t)length);
	if (at[0] && strchr("KxsSB", at[0]))
		return 1;
	return at[0] && !isspace((unsigned char)at[0]) && !ispunct((unsigned char)at[0]) ? -EINVAL
	                                                                                 : 0;
}

// An integer: flags and width stand between `start` and `at`, which stands at the length or
// conversion.
static int put_integer(struct print *print, const char *start, const char *at, uint64_t value)
{
	char spec[16], text[TEXT_MAX];
	size_t flags = (size_t)(at - start);
	int longs = 0;
	while (longs < 2 && at[longs] == 'l')
		longs++;
	char conversion = at[longs];
	if (!conversion || !strchr("diuxX", conversion) || flags + 4 > sizeof(spec))
		return -EINVAL;
	memcpy(spec, start, flags);
	memcpy(spec + flags, "ll", 2);
	spec[flags + 2] = conversion;
	spec[flags + 3] = '\0';
	bool is_signed = conversion == 'd' || conversion == 'i';
	if (!longs)
		value = is_signed ? (uint64_t)(int64_t)(int32_t)value : (uint32_t)value;
	int length = snprintf(text, sizeof(text), spec, (unsigned long long)value);
	put(print, text, length < (int)sizeof(text) ? (size_t)length : sizeof(text) - 1);
	return longs + 1;
}

// One conversion, `start` at its '%'. How many characters it takes, or -EINVAL.
static int put_conversion(struct print *print, const char *start)
{
	char text[TEXT_MAX];
	const char *at = start + 1;
	if (*at == '%') {
		put(print, "%", 1);
		return 2;
	}
	while (*at && strchr("0+- ", *at))
		at++;
	for (int digits = 0; isdigit((unsigned char)*at); at++) {
		if (++digits > 3)
			return -EINVAL;
	}
	if (print->arg >= print->arg_count)
		return -EINVAL;
	uint64_t value = print->args[print->arg++];
	int taken;
	switch (*at) {
	case 's':
		put(print, text, copy_string(print->engine, value, text, sizeof(text)));
		taken = 1;
		break;
	case 'c':
		text[0] = (char)value;
		put(print, text, 1);
		taken = 1;
		break;
	case 'p':
		taken = put_pointer(print, at + 1, value);
		taken = taken < 0 ? taken : taken + 1;
		break;
	default:
		taken = put_integer(print, start, at, value);
		break;
	}
	return taken < 0 ? taken : (int)(at - start) + taken;
}

// Length of the text, or -EINVAL. print->text is terminated if it has a size.
static int64_t print_all(struct print *print)
{
	for (const char *at = print->format; *at;) {
		if (!isascii(*at) || (!isprint((unsigned char)*at) && !isspace((unsigned char)*at)))
			return -EINVAL;
		int taken = 1;
		if (*at == '%')
			taken = put_conversion(print, at);
		else
			put(print, at, 1);
		if (taken < 0)
			return taken;
		at += taken;
	}
	if (print->size)
		print->text[print->length < print->size ? print->length : print->size - 1] = '\0';
	return (int64_t)print->length;
}

// Prints and hands the line on. `format` is `size` bytes of the program's memory.
static uint64_t trace(struct engine *engine, const uint8_t *format, uint64_t size,
        const uint64_t *args, uint32_t count)
{
	char copy[TEXT_MAX], line[TEXT_MAX];
	if (!size || size > sizeof(copy) || !memchr(format, 0, size))
		return (uint64_t)-EINVAL;
	memcpy(copy, format, size);
	copy[size - 1] = '\0'; // the program may write at the same time
	struct print print = {.engine = engine,
	        .format = copy,
	        .args = args,
	        .arg_count = count,
	        .text = line,
	        .size = sizeof(line)};
	int64_t length = print_all(&print);
	if (length < 0)
		return (uint64_t)length;
	size_t end = strlen(line);
	if (end && line[end - 1] == '\n')
		line[end - 1] = '\0';
	if (engine->options.trace)
		engine->options.trace(engine->options.trace_context, line);
	return (uint64_t)length;
}

uint64_t helper_trace(struct engine *engine, const uint64_t args[5])
{
	const uint8_t *format = helper_in(engine, args[0], args[1]);
	return format ? trace(engine, format, args[1], &args[2], 3) : 0;
}

// The arguments of a v-print. False: fault, or *error.
static bool load_args(
        struct engine *engine, uint64_t address, uint64_t size, uint64_t args[ARGS_MAX], int *error)
{
	const uint8_t *data = helper_in(engine, address, size);
	*error = size % 8 || size > ARGS_MAX * 8 ? -EINVAL : 0;
	if (!data || *error)
		return false;
	memcpy(args, data, size);
	return true;
}

uint64_t helper_trace_v(struct engine *engine, const uint64_t args[5])
{
	uint64_t values[ARGS_MAX];
	int error;
	const uint8_t *format = helper_in(engine, args[0], args[1]);
	if (!format)
		return 0;
	if (!load_args(engine, args[2], args[3], values, &error))
		return (uint64_t)(int64_t)error;
	return trace(engine, format, args[1], values, (uint32_t)(args[3] / 8));
}

// R1, R2 where to; R3 format, a string; R4, R5 arguments. The length with its NUL.
uint64_t helper_snprintf(struct engine *engine, const uint64_t args[5])
{
	uint64_t values[ARGS_MAX];
	char format[TEXT_MAX], text[TEXT_MAX];
	int error;
	uint8_t *to = helper_out(engine, args[0], args[1]);
	if (!to || !helper_in(engine, args[2], 1))
		return 0;
	if (!load_args(engine, args[3], args[4], values, &error))
		return (uint64_t)(int64_t)error;
	copy_string(engine, args[2], format, sizeof(format));
	struct print print = {.engine = engine,
	        .format = format,
	        .args = values,
	        .arg_count = (uint32_t)(args[4] / 8),
	        .text = text,
	        .size = args[1] < sizeof(text) ? args[1] : sizeof(text)};
	int64_t length = print_all(&print);
	if (length < 0)
		return (uint64_t)length;
	if (print.size)
		memcpy(to, text, strlen(text) + 1);
	return (uint64_t)length + 1;
}

// R1 string, R2 its size; R3 another, constant.
uint64_t helper_strncmp(struct engine *engine, const uint64_t args[5])
{
	const uint8_t *a = helper_in(engine, args[0], args[1]);
	if (!a || !helper_charge(engine, args[1]))
		return 0;
	for (uint64_t i = 0; i < args[1]; i++) {
		const uint8_t *b = helper_in(engine, args[2] + i, 1);
		if (!b)
			return 0;
		if (a[i] != *b)
			return (uint64_t)(int64_t)(a[i] < *b ? -1 : 1);
		if (!a[i])
			break;
	}
	return 0;
}

static uint32_t digit_of(char c)
{
	if (isdigit((unsigned char)c))
		return (uint32_t)(c - '0');
	return isxdigit((unsigned char)c) ? (uint32_t)(tolower((unsigned char)c) - 'a' + 10) : 99;
}

// As __bpf_strtoull(): how many characters the number takes, or -EINVAL or -ERANGE.
static int64_t parse(struct engine *engine, const uint8_t *data, uint64_t size, uint64_t flags,
        bool *negative, uint64_t *value)
{
	char text[64] = {0};
	uint64_t base = flags & 0x1f, start = 0, at = 0;
	if (!size || (flags & ~0x1full) || (base != 0 && base != 8 && base != 10 && base != 16))
		return -EINVAL;
	while (start < size && isspace(data[start]))
		start++;
	if (!helper_charge(engine, start / 8))
		return 0;
	*negative = start < size && data[start] == '-';
	start += *negative;
	uint64_t left = size - start < sizeof(text) - 1 ? size - start : sizeof(text) - 1;
	memcpy(text, data + start, left);
	bool prefixed = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	if (!base)
		base = prefixed && isxdigit((unsigned char)text[2]) ? 16 : text[0] == '0' ? 8 : 10;
	uint64_t first = at = base == 16 && prefixed ? 2 : 0;
	*value = 0;
	for (; digit_of(text[at]) < base; at++) {
		if (__builtin_mul_overflow(*value, base, value) ||
		        __builtin_add_overflow(*value, digit_of(text[at]), value))
			return -ERANGE;
	}
	return at == first ? -EINVAL : (int64_t)(start + at);
}

static uint64_t number(struct engine *engine, const uint64_t args[5], bool is_signed)
{
	const uint8_t *data = helper_in(engine, args[0], args[1]);
	uint8_t *to = data ? helper_out(engine, args[3], sizeof(uint64_t)) : NULL;
	if (!to)
		return 0;
	bool negative = false;
	uint64_t value = 0;
	int64_t taken = parse(engine, data, args[1], args[2], &negative, &value);
	if (taken >= 0 && negative && !is_signed)
		taken = -EINVAL;
	if (taken >= 0 && is_signed && value > INT64_MAX + (uint64_t)negative)
		taken = -ERANGE;
	value = taken < 0 ? 0 : negative ? -value : value;
	memcpy(to, &value, sizeof(value));
	return (uint64_t)taken;
}

uint64_t helper_strtol(struct engine *engine, const uint64_t args[5])
{
	return number(engine, args, true);
}

uint64_t helper_strtoul(struct engine *engine, const uint64_t args[5])
{
	return number(engine, args, false);
}
