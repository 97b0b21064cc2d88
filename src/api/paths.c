// SPDX-License-Identifier: Apache-2.0
#include "api/paths.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static int put(
        char *path, size_t size, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(path, size, format, args);
	va_end(args);
	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

// A variable of the environment that is set to an absolute path, or NULL.
static const char *absolute(const char *variable)
{
	const char *value = getenv(variable);
	return value && value[0] == '/' ? value : NULL;
}

int path_runtime(char *path, size_t size)
{
	if (geteuid() == 0)
		return put(path, size, "/run/raio");
	const char *base = absolute("XDG_RUNTIME_DIR");
	if (base)
		return put(path, size, "%s/raio", base);
	return put(path, size, "/tmp/raio-%u", (unsigned)geteuid());
}

int path_state(char *path, size_t size)
{
	if (geteuid() == 0)
		return put(path, size, "/var/lib/raio");
	const char *base = absolute("XDG_STATE_HOME");
	if (base)
		return put(path, size, "%s/raio", base);
	base = absolute("HOME");
	if (!base)
		return -ENOENT;
	return put(path, size, "%s/.local/state/raio", base);
}

int path_socket(char *path, size_t size)
{
	const char *set = getenv("RAIO_SOCKET");
	if (set && *set)
		return put(path, size, "%s", set);
	char runtime[256];
	int rc = path_runtime(runtime, sizeof(runtime));
	return rc ? rc : put(path, size, "%s/raiod.sock", runtime);
}

bool name_is_valid(const char *name)
{
	size_t length = strlen(name);
	if (length == 0 || length > 63 || name[0] == '-' || name[length - 1] == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}
