// SPDX-License-Identifier: Apache-2.0
// What went wrong, for a human: a caller-owned record that a failing call fills. The text says
// what, where, why and what to do next. Calls that take one accept NULL and return -code.
#pragma once

#define ERROR_TEXT_MAX 512

struct error {
	int code; // an errno value, positive; 0 where nothing failed
	char text[ERROR_TEXT_MAX];
};

// Fills `err` (may be NULL) and returns -code, so that a failing call ends in
// `return error_set(err, EINVAL, "…")`. A text that is too long is cut.
int error_set(struct error *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

// Puts "format: " in front of the text that `err` has. Returns -err->code.
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
