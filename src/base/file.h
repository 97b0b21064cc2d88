// SPDX-License-Identifier: Apache-2.0
// Whole files, read with a bound and written so that a reader sees the old one or the new one.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;

// Reads `path` ("-" is standard input), at most `max` bytes, into a new block with a NUL behind it.
// The caller frees *data. Errors: what open() and read() say; EFBIG; EISDIR.
int file_read(const char *path, size_t max, uint8_t **data, size_t *size, struct error *err);
// The same from an open descriptor, which stays open; `name` is for messages.
int file_read_fd(
        int fd, const char *name, size_t max, uint8_t **data, size_t *size, struct error *err);
// Writes a temporary file beside `path`, syncs it, and renames it over `path`.
int file_write(const char *path, const void *data, size_t size, unsigned mode, struct error *err);
// write(2) until all is written. Returns 0 or -errno.
int file_write_fd(int fd, const void *data, size_t size);
