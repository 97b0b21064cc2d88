// SPDX-License-Identifier: Apache-2.0
// Port specs. A word with an equals sign is an option, unless a slash stands before that sign: then
// it is a path. A comma ends a word; `\,` is a comma within one.
#include "port/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/nearest.h"

static int parse_number(const char *value, uint64_t min, uint64_t max, void *member)
{
	if (*value < '0' || *value > '9')
		return -EINVAL;
	char *end;
	errno = 0;
	uint64_t number = strtoull(value, &end, 10);
	if (errno || *end || number < min || number > max)
		return -EINVAL;
	*(uint64_t *)member = number;
	return 0;
}

static int parse_mac(const char *value, void *member)
{
	struct option_mac mac = {.given = 1};
	int end = 0;
	if (sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac.octets[0], &mac.octets[1],
	            &mac.octets[2], &mac.octets[3], &mac.octets[4], &mac.octets[5], &end) != 6 ||
	        value[end] || end != 17)
		return -EINVAL;
	*(struct option_mac *)member = mac;
	return 0;
}

static int parse_prefix(const char *value, void *member)
{
	struct option_prefix prefix = {.given = 1, .length = 32};
	char address[INET_ADDRSTRLEN];
	const char *slash = strchr(value, '/');
	size_t size = slash ? (size_t)(slash - value) : strlen(value);
	uint64_t length = 32;
	struct in_addr in;
	if (size >= sizeof(address))
		return -EINVAL;
	memcpy(address, value, size);
	address[size] = '\0';
	if (inet_pton(AF_INET, address, &in) != 1)
		return -EINVAL;
	if (slash && parse_number(slash + 1, 0, 32, &length))
		return -EINVAL;
	prefix.address = ntohl(in.s_addr);
	prefix.length = (uint8_t)length;
	*(struct option_prefix *)member = prefix;
	return 0;
}

static int parse_text(const char *value, void *member)
{
	if (strlen(value) >= OPTION_TEXT_MAX)
		return -ENAMETOOLONG;
	strcpy(member, value);
	return 0;
}

static int parse_value(const struct option *option, const char *value, void *config)
{
	void *member = (char *)config + option->offset;
	switch (option->type) {
	case OPTION_TEXT:
		return parse_text(value, member);
	case OPTION_NUMBER:
		return parse_number(value, option->min, option->max, member);
	case OPTION_MAC:
		return parse_mac(value, member);
	case OPTION_PREFIX:
		return parse_prefix(value, member);
	case OPTION_CUSTOM:
		break;
	}
	return option->parse(value, member);
}

static int unknown_option(const struct option_table *table, const char *name, struct error *err)
{
	char names[256] = "";
	if (!table->count)
		return error_set(
		        err, EINVAL, "no option “%.32s”: %s takes none", name, table->kind);
	for (uint32_t i = 0; i < table->count; i++) {
		size_t at = strlen(names);
		snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "",
		        table->options[i].name);
	}
	const char *near =
	        nearest_name(name, &table->options[0].name, table->count, sizeof(struct option));
	if (near)
		return error_set(err, EINVAL, "no option “%.32s”: did you mean “%s”?", name, near);
	return error_set(err, EINVAL, "no option “%.32s”; there are: %s (as in %s)", name, names,
	        table->example);
}

static int parse_word(const struct option_table *table, char *word, uint32_t *place, void *config,
        struct error *err)
{
	char *equals = strchr(word, '='), *slash = strchr(word, '/');
	const struct option *option = NULL;
	const char *value = word;
	if (equals && (!slash || slash > equals)) {
		*equals = '\0';
		value = equals + 1;
		for (uint32_t i = 0; i < table->count; i++)
			if (strcmp(table->options[i].name, word) == 0)
				option = &table->options[i];
		if (!option)
			return unknown_option(table, word, err);
	} else if (*place < table->positional) {
		option = &table->options[(*place)++];
	} else {
		for (uint32_t i = 0; i < table->count; i++)
			if (strcmp(table->options[i].name, word) == 0)
				return error_set(err, EINVAL, "option “%s” needs a value: %s=…, %s",
				        word, word, table->options[i].help);
		return error_set(
		        err, EINVAL, "“%.64s” is not NAME=VALUE (as in %s)", word, table->example);
	}
	int status = parse_value(option, value, config);
	if (status)
		return error_set(
		        err, EINVAL, "%s “%.64s” is not %s", option->name, value, option->help);
	return 0;
}

int options_parse(
        const struct option_table *table, const char *text, void *config, struct error *err)
{
	autofree char *word = malloc(strlen(text) + 1);
	if (!word)
		return error_set(err, ENOMEM, "out of memory");
	uint32_t place = 0;
	for (bool more = *text; more;) {
		size_t size = 0;
		for (; *text && *text != ','; text++) {
			if (text[0] == '\\' && text[1] == ',')
				text++;
			word[size++] = *text;
		}
		word[size] = '\0';
		more = *text == ',';
		text += more;
		int status = parse_word(table, word, &place, config, err);
		if (status)
			return status;
	}
	return 0;
}
