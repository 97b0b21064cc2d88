// SPDX-License-Identifier: Apache-2.0
// The agent's memory: one SQLite file (WAL, synchronous=FULL). Each call is one transaction: when
// it returns 0 the change survives kill -9 and loss of power, when it fails nothing has changed.
// Errors of every call: ENOSPC when the disk is full, EIO, ENOMEM, ENOENT where said.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct store;

// A function with the content of one of its versions. Strings and blobs are owned; function_free().
struct function {
	char name[64], version[65];
	uint64_t created_wall_ns, updated_wall_ns;
	char *settings; // JSON object text, as in docs/api.md; never NULL
	char *rules;    // text or NULL
	char *summary;  // JSON object text: programs, maps, instructions; never NULL
	char *file;     // name of the source for messages, or NULL
	char *source;   // C text or NULL
	char *program;  // section or function to enter, or NULL
	uint8_t *object, *image;
	size_t object_size, image_size;
};
void function_free(struct function *function);

// A run as it is stored: columns to find it by, and the rest as a JSON text that queue.c
// understands.
struct stored_run {
	uint64_t id;
	const char *function, *state, *body;
};

struct stored_log {
	uint64_t id, run, wall_ns;
	const char *function, *text;
};

int store_open(const char *path, struct store **store, struct error *err);
void store_close(struct store **store);

// Inserts or replaces the function's row and adds the version, all or nothing.
int store_function_put(struct store *store, const struct function *function, struct error *err);
// ENOENT. `version` NULL: the current one. Blobs only if `content` is not 0.
int store_function_get(struct store *store, const char *name, const char *version, int content,
        struct function *function, struct error *err);
int store_function_delete(struct store *store, const char *name, struct error *err); // ENOENT
// Calls `each` for every name, in order; stops at its first non-zero answer, which it returns.
int store_function_list(struct store *store, int (*each)(void *context, const char *name),
        void *context, struct error *err);

// id 0: a new run, whose id goes into *id; else replaces the run's row.
int store_run_put(struct store *store, uint64_t *id, const char *function, const char *state,
        const char *body, struct error *err);
// Runs, newest first; `function` and `states` (comma-separated) may be NULL; id 0 = any.
int store_run_list(struct store *store, uint64_t id, const char *function, const char *states,
        uint32_t limit, int (*each)(void *context, const struct stored_run *run), void *context,
        struct error *err);

int store_log_add(struct store *store, const char *function, uint64_t run, uint64_t wall_ns,
        const char *text, struct error *err);
// A function's lines (NULL: of all) whose id is over `after`, the last `tail` of them, oldest
// first.
int store_log_list(struct store *store, const char *function, uint64_t after, uint32_t tail,
        int (*each)(void *context, const struct stored_log *log), void *context, struct error *err);

int store_receipt_add(struct store *store, uint64_t run_old, uint64_t run_new, const char *body,
        struct error *err);
int store_receipt_list(struct store *store, uint32_t limit,
        int (*each)(void *context, const char *body), void *context,
        struct error *err); // newest first

// Small facts: boot id, life of the card. `value` is "" where nothing was stored.
int store_fact_put(struct store *store, const char *key, const char *value, struct error *err);
int store_fact_get(
        struct store *store, const char *key, char *value, size_t size, struct error *err);
// Bytes that the store may take at most; what needs more fails with ENOSPC (tests, quotas).
int store_limit(struct store *store, uint64_t bytes, struct error *err);
