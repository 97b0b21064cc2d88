// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_name = "raio";
static enum log_level log_limit = LOG_INFO;

void log_init(const char *name, enum log_level level)
{
	log_name = name;
	log_limit = level;
}

void log_write(enum log_level level, const char *format, ...)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	if (level > log_limit)
		return;
	// One write a line, so that lines of several processes do not mix.
	char line[1024];
	int used = snprintf(line, sizeof(line), "%s: %s: ", log_name, names[level]);
	va_list args;
	va_start(args, format);
	vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
	va_end(args);
	size_t size = strlen(line);
	line[size++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, size);
	(void)ignored;
}
