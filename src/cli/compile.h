// SPDX-License-Identifier: Apache-2.0
// C source or an object into a program image, for commands that work without an agent: in the
// agent's own boxes (agent/box.h), since files that one is given are a stranger's as well.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct image;

// `name` is what messages call the file; `is_source`: C, else an ELF object. `program` may be NULL.
// Errors: EBADMSG rejected, with the compiler's first message and its line, or what the check says;
// others where there is no compiler or no box. *log: all that the compiler said, or NULL; the
// caller frees it.
int compile_image(const char *name, bool is_source, const void *data, size_t size,
        const char *program, struct image **image, char **log, struct error *err);
