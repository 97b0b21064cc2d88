// SPDX-License-Identifier: Apache-2.0
// The text of a port spec: words parted by commas, `name=value` or positional. A driver lists its
// options in a table, one row an option; the parser fills a structure of the driver's and explains
// what is wrong.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;

enum option_type {
	OPTION_TEXT,   // char[OPTION_TEXT_MAX]
	OPTION_NUMBER, // uint64_t within [min, max]
	OPTION_MAC,    // struct option_mac
	OPTION_PREFIX, // struct option_prefix
	OPTION_CUSTOM, // parse()
};

#define OPTION_TEXT_MAX 1024

struct option_mac {
	uint8_t octets[6], given;
};

struct option_prefix {
	uint32_t address; // host order, host bits as written
	uint8_t length, given;
};

struct option {
	const char *name;
	enum option_type type;
	size_t offset; // of the member in the structure
	uint64_t min, max;
	const char *help; // "a whole number from 1 to 1000000": what a wrong value is told
	int (*parse)(const char *value, void *member); // 0 or -errno
};

// One driver's spec. The first `positional` options may stand without a name, in order; they are
// texts.
struct option_table {
	const char *kind, *example;
	const struct option *options;
	uint32_t count, positional;
};

// Parses `text` (may be empty) into `config`. Errors: EINVAL, with the nearest name where there is
// one.
int options_parse(
        const struct option_table *table, const char *text, void *config, struct error *err);
