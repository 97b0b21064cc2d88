// SPDX-License-Identifier: Apache-2.0
// Strangers' C and strangers' object files are read in one-shot boxes (docs: security). A small
// process, forked before the agent gives up the rest of its rights, starts them: a clang in a
// bubblewrap sandbox (or, where the machine gives no user namespaces, under Landlock), and a fork
// of itself under seccomp for the object reader. Both have no network, no file but the headers, and
// limits on time, memory and output. Two jobs run at a time, the others wait.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct box;
struct error;
struct loop;

#define BOX_OBJECT_MAX (4u << 20) // what clang may make
#define BOX_SOURCE_MAX (1u << 20)
#define BOX_JOBS_MAX   2u
#define BOX_QUEUE_MAX  64u

struct box_result {
	int code; // 0 or a positive errno: EBADMSG rejected, ETIME out of time, ENOSYS no sandbox
	char message[1024]; // what was wrong, without place
	char file[128];     // place, where there is one
	unsigned line;
	char *text;    // all diagnostics, printable, cut; may be NULL
	uint8_t *data; // ELF object, or encoded image; may be taken (set to NULL)
	size_t size;
};

typedef void (*box_done)(void *context, struct box_result *result);

// Starts the process. `headers`: a directory with raio/raio.h that the box may read.
int box_start(const char *headers, struct box **box, struct error *err);
// From now on answers come through `loop`.
void box_attach(struct box *box, struct loop *loop);
void box_free(struct box **box); // ends the process and what it started; no callback runs

// Compiles `source`; `file` is what messages call it. `done` runs later, exactly once, from the
// loop. Errors: EAGAIN too many jobs wait; ENOMEM.
int box_compile(struct box *box, const char *source, size_t size, const char *file, box_done done,
        void *context, struct error *err);
// Reads an object and checks it; the result is an encoded image. `program` may be NULL.
int box_read_object(struct box *box, const void *object, size_t size, const char *program,
        box_done done, void *context, struct error *err);
