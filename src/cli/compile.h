// SPDX-License-Identifier: Apache-2.0
// C source or an object into a program image, for commands that work without an agent.
#pragma once

#include <stddef.h>

struct error;
struct image;

// Errors: EINVAL with clang's first message and its line; those of object_read().
int compile_source(const char *name, const void *source, size_t size, const char *program,
        struct image **image, struct error *err);
int compile_object(const void *object, size_t size, const char *program, struct image **image,
        struct error *err);
