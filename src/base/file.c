// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"

int file_read_fd(
        int fd, const char *name, size_t max, uint8_t **data, size_t *size, struct error *err)
{
	cleanup(buffer_free) struct buffer buffer = {0};
	for (;;) {
		uint8_t block[16384];
		ssize_t got = read(fd, block, sizeof(block));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set(err, errno, "cannot read %s: %s", name, strerror(errno));
		if (got == 0)
			break;
		if ((size_t)got > max - buffer.size)
			return error_set(err, EFBIG, "%s is larger than the %zu bytes allowed here",
			        name, max);
		buffer_put(&buffer, block, (size_t)got);
	}
	buffer_u8(&buffer, 0);
	if (buffer.failed)
		return error_set(err, ENOMEM, "no memory to read %s", name);
	*size = buffer.size - 1;
	*data = TAKE_PTR(buffer.data);
	return 0;
}

int file_read(const char *path, size_t max, uint8_t **data, size_t *size, struct error *err)
{
	if (strcmp(path, "-") == 0)
		return file_read_fd(STDIN_FILENO, "standard input", max, data, size, err);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "cannot open %s: %s", path, strerror(errno));
	return file_read_fd(fd, path, max, data, size, err);
}

int file_write_fd(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;
	while (size) {
		ssize_t put = write(fd, at, size);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		size -= (size_t)put;
	}
	return 0;
}

int file_write(const char *path, const void *data, size_t size, unsigned mode, struct error *err)
{
	char temporary[PATH_MAX];
	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return error_set(err, ENAMETOOLONG, "path too long: %s", path);
	autoclose int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "cannot create %s: %s", temporary, strerror(errno));
	int rc = file_write_fd(fd, data, size);
	if (!rc && (fchmod(fd, mode) || fsync(fd) || rename(temporary, path)))
		rc = -errno;
	if (rc) {
		unlink(temporary);
		return error_set(err, -rc, "cannot write %s: %s", path, strerror(-rc));
	}
	return 0;
}
