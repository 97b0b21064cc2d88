// SPDX-License-Identifier: Apache-2.0
#include "api/routes.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const struct route route_table[ROUTE_COUNT] = {
        [ROUTE_HEALTHZ] = {"GET", "/healthz", "whether agent and card answer"},
        [ROUTE_METRICS] = {"GET", "/metrics", "metrics as Prometheus text"},
        [ROUTE_INFO] = {"GET", "/v1/info", "version, card, socket, default function"},
        [ROUTE_FUNCTION_LIST] = {"GET", "/v1/functions", "all functions"},
        [ROUTE_FUNCTION_CREATE] = {"POST", "/v1/functions", "create a function"},
        [ROUTE_FUNCTION_GET] = {"GET", "/v1/functions/*", "a function"},
        [ROUTE_FUNCTION_UPDATE] = {"PUT", "/v1/functions/*", "new code, settings or rules"},
        [ROUTE_FUNCTION_DELETE] = {"DELETE", "/v1/functions/*", "remove a function"},
        [ROUTE_FUNCTION_OBJECT] = {"GET", "/v1/functions/*/object", "the ELF object"},
        [ROUTE_FUNCTION_DISASM] = {"GET", "/v1/functions/*/disasm", "the program, disassembled"},
        [ROUTE_FUNCTION_LOGS] = {"GET", "/v1/functions/*/logs", "what happened to it, as NDJSON"},
        [ROUTE_RUN_CREATE] = {"POST", "/v1/runs", "queue a run"},
        [ROUTE_RUN_LIST] = {"GET", "/v1/runs", "runs, newest first"},
        [ROUTE_RUN_GET] = {"GET", "/v1/runs/*", "a run with its report"},
        [ROUTE_RUN_CANCEL] = {"DELETE", "/v1/runs/*", "cancel a run"},
        [ROUTE_RUN_RENEW] = {"POST", "/v1/runs/*/renew", "extend a run's slice"},
        [ROUTE_RUN_CONFIRM] = {"POST", "/v1/runs/*/confirm", "keep a run that waits for it"},
        [ROUTE_MAP_LIST] = {"GET", "/v1/maps", "maps of active generations"},
        [ROUTE_MAP_GET] = {"GET", "/v1/maps/*", "a map's entries"},
        [ROUTE_MAP_UPDATE] = {"POST", "/v1/maps/*", "write entries"},
        [ROUTE_MAP_DELETE] = {"DELETE", "/v1/maps/*", "delete entries"},
        [ROUTE_MAP_EVENTS] = {"GET", "/v1/maps/*/events", "records of a ring or perf buffer"},
        [ROUTE_CARD] = {"GET", "/v1/card", "the card: ports, banks, counters"},
        [ROUTE_SWAP_LIST] = {"GET", "/v1/swaps", "receipts, newest first"},
        [ROUTE_EVENTS] = {"GET", "/v1/events", "server-sent events"},
};

// Whether `path` has the shape of `pattern`; what "*" stands for into `name`.
static int matches(const char *pattern, const char *path, char name[ROUTE_NAME_MAX])
{
	const char *star = strchr(pattern, '*');
	name[0] = 0;
	if (!star)
		return strcmp(pattern, path) == 0;
	size_t head = (size_t)(star - pattern);
	if (strncmp(pattern, path, head) != 0)
		return 0;
	size_t length = strcspn(path + head, "/");
	if (length == 0 || length >= ROUTE_NAME_MAX || strcmp(star + 1, path + head + length) != 0)
		return 0;
	memcpy(name, path + head, length);
	name[length] = 0;
	return 1;
}

enum route_id route_find(const char *method, const char *path, char name[ROUTE_NAME_MAX],
        char *allow, size_t allow_size)
{
	char found[ROUTE_NAME_MAX];
	size_t used = 0;
	allow[0] = 0;
	name[0] = 0;
	for (int i = 0; i < ROUTE_COUNT; i++) {
		const struct route *route = &route_table[i];
		if (!matches(route->path, path, found))
			continue;
		if (strcmp(route->method, method) == 0) {
			memcpy(name, found, sizeof(found));
			return (enum route_id)i;
		}
		int put = snprintf(
		        allow + used, allow_size - used, "%s%s", used ? ", " : "", route->method);
		if (put > 0 && (size_t)put < allow_size - used)
			used += (size_t)put;
	}
	return ROUTE_NONE;
}

int route_path(enum route_id route, const char *name, char *path, size_t size)
{
	size_t used = 0;
	for (const char *from = route_table[route].path; *from; from++) {
		char text[8] = {*from, 0};
		if (*from != '*') {
			if (used + 1 >= size)
				return -ENAMETOOLONG;
			path[used++] = *from;
			continue;
		}
		for (const char *c = name; *c; c++) {
			bool plain = isalnum((unsigned char)*c) || strchr("-._~", *c);
			snprintf(text, sizeof(text), plain ? "%c" : "%%%02X", (unsigned char)*c);
			if (used + strlen(text) >= size)
				return -ENAMETOOLONG;
			memcpy(path + used, text, strlen(text));
			used += strlen(text);
		}
	}
	path[used] = 0;
	return 0;
}
