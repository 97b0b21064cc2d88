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
	char prefix[ERROR_TEXT_MAX], text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(prefix, sizeof(prefix), format, args);
	va_end(args);
	memcpy(text, err->text, sizeof(text));
	size_t used = strlen(prefix);
	memcpy(err->text, prefix, used);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", text);
	return -err->code;
}
