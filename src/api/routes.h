// SPDX-License-Identifier: Apache-2.0
// The route table: one row for each method and path of the agent's HTTP interface (docs/api.md),
// shared by the server, the client and the documentation.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum route_id {
	ROUTE_HEALTHZ,
	ROUTE_METRICS,
	ROUTE_INFO,
	ROUTE_FUNCTION_LIST,
	ROUTE_FUNCTION_CREATE,
	ROUTE_FUNCTION_GET,
	ROUTE_FUNCTION_UPDATE,
	ROUTE_FUNCTION_DELETE,
	ROUTE_FUNCTION_OBJECT,
	ROUTE_FUNCTION_DISASM,
	ROUTE_FUNCTION_LOGS,
	ROUTE_RUN_CREATE,
	ROUTE_RUN_LIST,
	ROUTE_RUN_GET,
	ROUTE_RUN_CANCEL,
	ROUTE_RUN_RENEW,
	ROUTE_RUN_CONFIRM,
	ROUTE_MAP_LIST,
	ROUTE_MAP_GET,
	ROUTE_MAP_UPDATE,
	ROUTE_MAP_DELETE,
	ROUTE_MAP_EVENTS,
	ROUTE_CARD,
	ROUTE_SWAP_LIST,
	ROUTE_EVENTS,
	ROUTE_COUNT,
	ROUTE_NONE = ROUTE_COUNT,
};

#define ROUTE_NAME_MAX 128 // of the variable part of a path, with its terminator

struct route {
	const char *method;
	const char *path; // one "*" stands for a function, run or map
	const char *summary;
};

extern const struct route route_table[ROUTE_COUNT];

// The route of a request, and the part of the path that stands for its "*" into `name`. ROUTE_NONE
// if the path is unknown; then, and if only the method is wrong, `allow` has the methods that the
// path takes
// ("GET, POST"; empty: unknown path).
enum route_id route_find(const char *method, const char *path, char name[ROUTE_NAME_MAX],
        char *allow, size_t allow_size);
// The path of a route with `name` in place of its "*" (percent-encoded where needed) into `path`.
// -ENAMETOOLONG.
int route_path(enum route_id route, const char *name, char *path, size_t size);
