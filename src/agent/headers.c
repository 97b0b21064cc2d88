// SPDX-License-Identifier: Apache-2.0
#include "agent/headers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

static const struct {
	const char *file;      // below STATE/headers
	const char *installed; // relative to the directory of the executable
	const char *source;    // in the source tree
} headers[] = {
        {"raio/raio.h", "../include/raio/raio.h", RAIO_INCLUDE_DIR "/raio/raio.h"},
        {"compat/gnu/stubs-32.h", "../share/raio/compat/gnu/stubs-32.h",
                RAIO_INCLUDE_DIR "/compat/gnu/stubs-32.h"},
};

static const char *const directories[] = {"", "/raio", "/compat", "/compat/gnu"};

static int install(const char *root, size_t which, const char *here, struct error *err)
{
	char from[PATH_MAX + 64], to[PATH_MAX + 64];
	autofree uint8_t *data = NULL;
	size_t size;
	snprintf(from, sizeof(from), "%s/%s", here, headers[which].installed);
	if (file_read(from, 1 << 20, &data, &size, NULL) &&
	        file_read(headers[which].source, 1 << 20, &data, &size, err))
		return error_prefix(
		        err, "the header %s for functions is missing", headers[which].file);
	snprintf(to, sizeof(to), "%s/%s", root, headers[which].file);
	return file_write(to, data, size, 0644, err);
}

int headers_install(const char *state_dir, struct error *err)
{
	char here[PATH_MAX] = {0}, root[PATH_MAX], path[PATH_MAX + 32];
	ssize_t length = readlink("/proc/self/exe", here, sizeof(here) - 1);
	char *slash = length > 0 ? strrchr(here, '/') : NULL;
	if (slash)
		*slash = 0;
	snprintf(root, sizeof(root), "%.*s/headers", PATH_MAX - 16, state_dir);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		snprintf(path, sizeof(path), "%s%s", root, directories[i]);
		if (mkdir(path, 0755) && errno != EEXIST)
			return error_set(err, errno, "cannot make %s: %s", path, strerror(errno));
	}
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		if (install(root, i, here, err))
			return -err->code;
	return 0;
}
