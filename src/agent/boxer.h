// SPDX-License-Identifier: Apache-2.0
// The process that starts boxes: what it is asked, and what each box is. See box.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BOXER_NAME_MAX 128

enum boxer_kind { BOXER_COMPILE, BOXER_OBJECT };

// One request; its descriptors travel beside it: input (sealed memory), output, diagnostics,
// status.
struct boxer_request {
	uint32_t kind;
	char name[BOXER_NAME_MAX]; // source file for BOXER_COMPILE, program or "" for BOXER_OBJECT
};
enum { BOXER_FD_INPUT, BOXER_FD_OUTPUT, BOXER_FD_TEXT, BOXER_FD_STATUS, BOXER_FD_COUNT };

// What arrives on the status descriptor when a box has ended.
struct boxer_status {
	int32_t exit_code; // -1: killed by `signal`
	int32_t signal;
	int32_t timed_out;
};

#define BOXER_COMPILE_MS 20000
#define BOXER_OBJECT_MS  5000

// Serves `socket` until its other end closes; never returns.
void boxer_main(int socket, const char *headers) __attribute__((noreturn));

// In the child, with descriptors 0, 1 and 2 set: becomes the box. Never return; exit 127 where the
// sandbox cannot be made (the reason on descriptor 2, beginning with "box: "). `namespaces`:
// bubblewrap works here; otherwise Landlock holds the compiler, under which it can still learn
// whether a file exists.
void boxer_compile(const char *name, const char *headers, bool namespaces)
        __attribute__((noreturn));
void boxer_object(const char *program) __attribute__((noreturn));
