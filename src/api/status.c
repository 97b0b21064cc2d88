// SPDX-License-Identifier: Apache-2.0
#include "api/status.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

const struct status status_table[STATUS_COUNT] = {
        [STATUS_INVALID] = {"invalid", 400, 1},
        [STATUS_DENIED] = {"denied", 403, 8},
        [STATUS_NOT_FOUND] = {"not_found", 404, 3},
        [STATUS_EXISTS] = {"exists", 409, 4},
        [STATUS_BUSY] = {"busy", 409, 4},
        [STATUS_REJECTED] = {"rejected", 422, 5},
        [STATUS_TIMEOUT] = {"timeout", 504, 6},
        [STATUS_INTERNAL] = {"internal", 500, 1},
        [STATUS_NO_SPACE] = {"no_space", 507, 1},
        [STATUS_NO_CARD] = {"no_card", 503, 1},
        [STATUS_TOO_LARGE] = {"too_large", 413, 1},
        [STATUS_ROLLED_BACK] = {"rolled_back", 409, 10},
};

const struct status *status_find(const char *name)
{
	for (int i = 0; i < STATUS_COUNT; i++)
		if (strcmp(status_table[i].name, name) == 0)
			return &status_table[i];
	return NULL;
}

enum status_code status_of_errno(int code)
{
	switch (code) {
	case EINVAL:
	case EDOM:
	case ERANGE:
		return STATUS_INVALID;
	case ENOENT:
	case ENODEV:
		return STATUS_NOT_FOUND;
	case EEXIST:
		return STATUS_EXISTS;
	case EBUSY:
	case EAGAIN:
		return STATUS_BUSY;
	case ENOTSUP:
	case EBADMSG:
		return STATUS_REJECTED;
	case ETIMEDOUT:
	case ETIME:
		return STATUS_TIMEOUT;
	case ENOSPC:
	case EDQUOT:
		return STATUS_NO_SPACE;
	case EFBIG:
	case E2BIG:
		return STATUS_TOO_LARGE;
	case ECONNREFUSED:
	case ECONNRESET:
	case ENOTCONN:
	case EPIPE:
		return STATUS_NO_CARD;
	case EACCES:
	case EPERM:
		return STATUS_DENIED;
	default:
		return STATUS_INTERNAL;
	}
}
