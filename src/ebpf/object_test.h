// SPDX-License-Identifier: Apache-2.0
// For tests: the objects that the build made of tests/data/objects. OBJECT_WAYS comes from the
// build.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/object.h"

static const char *const object_ways[] = {OBJECT_WAYS};
static const uint32_t object_way_count = ARRAY_SIZE(object_ways);

static inline void object_path(char *path, size_t size, const char *name, const char *way)
{
	snprintf(path, size, "%s/tests/data/objects/%s.%s.o", getenv("RAIO_BUILD_DIR"), name, way);
}

static inline bool object_exists(const char *name, const char *way)
{
	char path[512];
	object_path(path, sizeof(path), name, way);
	return !access(path, R_OK);
}

// The caller frees. Exits where the build did not make it.
static inline uint8_t *object_load(const char *name, const char *way, size_t *size)
{
	char path[512];
	uint8_t *data;
	struct error err;
	object_path(path, sizeof(path), name, way);
	if (!file_read(path, OBJECT_SIZE_MAX, &data, size, &err))
		return data;
	fprintf(stderr, "%s\n", err.text);
	exit(1);
}
