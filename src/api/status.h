// SPDX-License-Identifier: Apache-2.0
// The error codes of the HTTP interface: one row each with the HTTP status that carries it and the
// exit code that the command line makes of it (docs/api.md).
#pragma once

enum status_code {
	STATUS_INVALID,
	STATUS_DENIED,
	STATUS_NOT_FOUND,
	STATUS_EXISTS,
	STATUS_BUSY,
	STATUS_REJECTED,
	STATUS_TIMEOUT,
	STATUS_INTERNAL,
	STATUS_NO_SPACE,
	STATUS_NO_CARD,
	STATUS_TOO_LARGE,
	STATUS_ROLLED_BACK,
	STATUS_COUNT,
};

struct status {
	const char *name;
	int http;
	int exit;
};

extern const struct status status_table[STATUS_COUNT];

// The row of a code's name, NULL if there is none.
const struct status *status_find(const char *name);
// What an errno value of a lower layer means to whoever asked.
enum status_code status_of_errno(int code);
