// SPDX-License-Identifier: Apache-2.0
#include "cli/copies.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_MAX 256

// Field number `index` of "a=1, b=2, …" into `field`. False behind the last.
static bool field_of(const char *copy, size_t index, char field[FIELD_MAX])
{
	for (; index; index--) {
		copy = strstr(copy, ", ");
		if (!copy)
			return false;
		copy += 2;
	}
	const char *end = strstr(copy, ", ");
	int length = end ? (int)(end - copy) : (int)strlen(copy);
	snprintf(field, FIELD_MAX, "%.*s", length, copy);
	return true;
}

// The decimal number that a field ends in: behind its last '=', or all of it. NULL where there is
// none.
static const char *number_of(const char *field)
{
	const char *number = strrchr(field, '=');
	number = number ? number + 1 : field;
	return *number && strspn(number, "0123456789") == strlen(number) ? number : NULL;
}

// Adds field `index` of all copies to `text`. False behind the last.
static bool put_field(const json_t *copies, size_t index, char *text, size_t size)
{
	char first[FIELD_MAX], field[FIELD_MAX];
	if (!field_of(json_string_value(json_array_get(copies, 0)), index, first))
		return false;
	const char *number = number_of(first);
	uint64_t sum = 0;
	bool differs = false;
	const json_t *copy;
	size_t i, used = strlen(text);
	json_array_foreach(copies, i, copy)
	{
		if (!field_of(json_string_value(copy), index, field))
			return false;
		const char *other = number_of(field);
		number = other ? number : NULL;
		sum += other ? strtoull(other, NULL, 10) : 0;
		differs |= strcmp(field, first) != 0;
	}
	const char *comma = index ? ", " : "";
	if (number) {
		snprintf(text + used, size - used, "%s%.*s%llu", comma, (int)(number - first),
		        first, (unsigned long long)sum);
		return true;
	}
	snprintf(text + used, size - used, "%s%s", comma, first);
	for (i = 1; differs && i < json_array_size(copies); i++) {
		used = strlen(text);
		field_of(json_string_value(json_array_get(copies, i)), index, field);
		const char *value = strrchr(field, '=');
		snprintf(text + used, size - used, " | %s", value ? value + 1 : field);
	}
	return true;
}

const char *copies_text(const json_t *value, char *text, size_t size)
{
	text[0] = '\0';
	if (json_is_string(value))
		return json_string_value(value);
	const json_t *copy;
	size_t i;
	json_array_foreach(value, i, copy)
	{
		if (!json_is_string(copy))
			return text;
	}
	for (i = 0; json_array_size(value) && put_field(value, i, text, size); i++)
		;
	return text;
}
