// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
	if (!err)
		return -code;
	va_list args;
	va_start(args, format);
	err->code = code;
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -code;
}

int error_prefix(struct error *err, const char *format, ...)
{
	if (!err)
		return 0;
	char text[ERROR_TEXT_MAX];
	memcpy(text, err->text, sizeof(text));
	va_list args;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	size_t used = strlen(err->text), room = sizeof(err->text) - used;
	snprintf(err->text + used, room, ": %.*s", (int)room, text);
	return -err->code;
}
