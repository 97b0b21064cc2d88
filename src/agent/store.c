// SPDX-License-Identifier: Apache-2.0
#include "agent/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/error.h"

#define SCHEMA_VERSION     1
#define VERSIONS_KEPT      16
#define LOG_LINES_KEPT     20000
#define RECEIPTS_KEPT      2000
#define FINISHED_RUNS_KEPT 5000

struct store {
	sqlite3 *db;
};

static const char schema[] =
        "CREATE TABLE functions(name TEXT PRIMARY KEY, version TEXT NOT NULL, created INTEGER NOT "
        "NULL,"
        " updated INTEGER NOT NULL, settings TEXT NOT NULL, rules TEXT);"
        "CREATE TABLE versions(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,"
        " version TEXT NOT NULL, summary TEXT NOT NULL, file TEXT, source TEXT, program TEXT,"
        " object BLOB NOT NULL, image BLOB NOT NULL, UNIQUE(name, version));"
        "CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL,"
        " state TEXT NOT NULL, body TEXT NOT NULL);"
        "CREATE INDEX runs_by_state ON runs(state, id);"
        "CREATE TABLE logs(id INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL,"
        " run INTEGER NOT NULL, time INTEGER NOT NULL, text TEXT NOT NULL);"
        "CREATE INDEX logs_by_function ON logs(function, id);"
        "CREATE TABLE receipts(id INTEGER PRIMARY KEY AUTOINCREMENT, old INTEGER, new INTEGER,"
        " body TEXT NOT NULL);"
        "CREATE TABLE facts(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
        "PRAGMA user_version = 1;";

// SQLite knows a full disk, but calls a file that may not grow (RLIMIT_FSIZE, EFBIG) a failed
// write.
static bool may_not_grow(struct store *store)
{
	struct rlimit limit;
	int code = sqlite3_extended_errcode(store->db);
	return (code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE) &&
	       getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

static int fail(struct store *store, struct error *err, const char *what)
{
	int code = sqlite3_errcode(store->db) & 0xff, system = sqlite3_system_errno(store->db);
	int number = EIO;
	if (code == SQLITE_FULL || may_not_grow(store) ||
	        (code == SQLITE_IOERR && (system == ENOSPC || system == EFBIG || system == EDQUOT)))
		number = ENOSPC;
	else if (code == SQLITE_NOMEM)
		number = ENOMEM;
	if (number == ENOSPC)
		return error_set(err, ENOSPC,
		        "no space left in the state directory to %s: free some there; what runs "
		        "goes on",
		        what);
	return error_set(err, number, "cannot %s: %s", what, sqlite3_errmsg(store->db));
}

static int run_sql(struct store *store, const char *sql, const char *what, struct error *err)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
	                                                                   : fail(store, err, what);
}

static void finish(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}
#define autostmt cleanup(finish)

static int prepare(struct store *store, const char *sql, sqlite3_stmt **stmt, struct error *err)
{
	if (sqlite3_prepare_v2(store->db, sql, -1, stmt, NULL) != SQLITE_OK)
		return fail(store, err, "read the state");
	return 0;
}

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	if (text)
		sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, at);
}

// A copy of a column's text; NULL where it is null or memory is out.
static char *column_copy(sqlite3_stmt *stmt, int at)
{
	const unsigned char *text = sqlite3_column_text(stmt, at);
	return text ? strdup((const char *)text) : NULL;
}

static int step_done(struct store *store, sqlite3_stmt *stmt, const char *what, struct error *err)
{
	return sqlite3_step(stmt) == SQLITE_DONE ? 0 : fail(store, err, what);
}

static int open_schema(struct store *store, const char *path, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	if (run_sql(store,
	            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = "
	            "2000;",
	            "open the state", err))
		return -err->code;
	if (prepare(store, "PRAGMA user_version", &stmt, err))
		return -err->code;
	int version = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : -1;
	if (version == SCHEMA_VERSION)
		return 0;
	if (version != 0)
		return error_set(err, EINVAL,
		        "%s was written by another version of raiod (schema %d, this one knows "
		        "%d): "
		        "use that version, or move the file away to start empty",
		        path, version, SCHEMA_VERSION);
	sqlite3_finalize(TAKE_PTR(stmt));
	char *all = sqlite3_mprintf("BEGIN; %s COMMIT;", schema);
	int rc = all ? run_sql(store, all, "make the state file", err)
	             : error_set(err, ENOMEM, "no memory");
	sqlite3_free(all);
	return rc;
}

int store_open(const char *path, struct store **out, struct error *err)
{
	struct error local;
	err = err ? err : &local;
	struct store *store = calloc(1, sizeof(*store));
	if (!store)
		return error_set(err, ENOMEM, "no memory for the store");
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int rc = 0;
	if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK)
		rc = error_set(err, EIO, "cannot open the state file %s: %s", path,
		        store->db ? sqlite3_errmsg(store->db) : "no memory");
	if (!rc)
		rc = open_schema(store, path, err);
	if (rc) {
		store_close(&store);
		return rc;
	}
	*out = store;
	return 0;
}

void store_close(struct store **store)
{
	if (!*store)
		return;
	sqlite3_close((*store)->db);
	free(*store);
	*store = NULL;
}

void function_free(struct function *function)
{
	free(function->settings);
	free(function->rules);
	free(function->summary);
	free(function->file);
	free(function->source);
	free(function->program);
	free(function->object);
	free(function->image);
	memset(function, 0, sizeof(*function));
}

static int put_row(struct store *store, const struct function *function, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	if (prepare(store,
	            "INSERT INTO functions VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(name) DO UPDATE "
	            "SET"
	            " version=?2, updated=?4, settings=?5, rules=?6",
	            &stmt, err))
		return -err->code;
	bind_text(stmt, 1, function->name);
	bind_text(stmt, 2, function->version);
	sqlite3_bind_int64(stmt, 3, (sqlite3_int64)function->created_wall_ns);
	sqlite3_bind_int64(stmt, 4, (sqlite3_int64)function->updated_wall_ns);
	bind_text(stmt, 5, function->settings);
	bind_text(stmt, 6, function->rules);
	return step_done(store, stmt, "keep the function", err);
}

static int put_version(struct store *store, const struct function *function, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	if (prepare(store,
	            "INSERT INTO versions(name,version,summary,file,source,program,object,image)"
	            " VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(name,version) DO UPDATE SET"
	            " summary=excluded.summary, file=excluded.file, source=excluded.source,"
	            " program=excluded.program, image=excluded.image",
	            &stmt, err))
		return -err->code;
	bind_text(stmt, 1, function->name);
	bind_text(stmt, 2, function->version);
	bind_text(stmt, 3, function->summary);
	bind_text(stmt, 4, function->file);
	bind_text(stmt, 5, function->source);
	bind_text(stmt, 6, function->program);
	sqlite3_bind_blob64(stmt, 7, function->object, function->object_size, SQLITE_STATIC);
	sqlite3_bind_blob64(stmt, 8, function->image, function->image_size, SQLITE_STATIC);
	return step_done(store, stmt, "keep the function's object", err);
}

static int drop_old_versions(struct store *store, const char *name, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	if (prepare(store,
	            "DELETE FROM versions WHERE name=?1 AND version<>(SELECT version FROM "
	            "functions WHERE"
	            " name=?1) AND id NOT IN (SELECT id FROM versions WHERE name=?1 ORDER BY id "
	            "DESC LIMIT ?2)",
	            &stmt, err))
		return -err->code;
	bind_text(stmt, 1, name);
	sqlite3_bind_int(stmt, 2, VERSIONS_KEPT);
	return step_done(store, stmt, "drop old versions", err);
}

// Ends the transaction that BEGIN opened: commits if `rc` is 0, else undoes it.
static int commit(struct store *store, int rc, const char *what, struct error *err)
{
	if (!rc)
		rc = run_sql(store, "COMMIT", what, err);
	if (rc && !sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int store_function_put(struct store *store, const struct function *function, struct error *err)
{
	struct error local;
	err = err ? err : &local;
	int rc = run_sql(store, "BEGIN IMMEDIATE", "keep the function", err);
	if (rc)
		return rc;
	rc = put_row(store, function, err);
	if (!rc)
		rc = put_version(store, function, err);
	if (!rc)
		rc = drop_old_versions(store, function->name, err);
	return commit(store, rc, "keep the function", err);
}

static void *blob_copy(sqlite3_stmt *stmt, int at, size_t *size)
{
	*size = (size_t)sqlite3_column_bytes(stmt, at);
	const void *data = sqlite3_column_blob(stmt, at);
	void *copy = malloc(*size ? *size : 1);
	if (copy && *size)
		memcpy(copy, data, *size);
	return copy;
}

int store_function_get(struct store *store, const char *name, const char *version, int content,
        struct function *function, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	struct error local;
	err = err ? err : &local;
	if (prepare(store,
	            "SELECT v.version, f.created, f.updated, f.settings, f.rules, v.summary, "
	            "v.file, v.program,"
	            " v.source, v.object, v.image FROM functions f JOIN versions v ON v.name=f.name"
	            " WHERE f.name=?1 AND v.version=coalesce(?2, f.version)",
	            &stmt, err))
		return -err->code;
	bind_text(stmt, 1, name);
	bind_text(stmt, 2, version);
	int rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		return error_set(err, ENOENT,
		        version ? "there is no version %2$.12s of function %1$s"
		                : "there is no function %s",
		        name, version);
	if (rc != SQLITE_ROW)
		return fail(store, err, "read the function");
	struct function read = {0};
	snprintf(read.name, sizeof(read.name), "%s", name);
	snprintf(read.version, sizeof(read.version), "%s",
	        (const char *)sqlite3_column_text(stmt, 0));
	read.created_wall_ns = (uint64_t)sqlite3_column_int64(stmt, 1);
	read.updated_wall_ns = (uint64_t)sqlite3_column_int64(stmt, 2);
	read.settings = column_copy(stmt, 3);
	read.rules = column_copy(stmt, 4);
	read.summary = column_copy(stmt, 5);
	read.file = column_copy(stmt, 6);
	read.program = column_copy(stmt, 7);
	if (content) {
		read.source = column_copy(stmt, 8);
		read.object = blob_copy(stmt, 9, &read.object_size);
		read.image = blob_copy(stmt, 10, &read.image_size);
	}
	if (!read.settings || !read.summary || (content && (!read.object || !read.image))) {
		function_free(&read);
		return error_set(err, ENOMEM, "no memory to read function %s", name);
	}
	*function = read;
	return 0;
}

int store_function_delete(struct store *store, const char *name, struct error *err)
{
	struct error local;
	err = err ? err : &local;
	int rc = run_sql(store, "BEGIN IMMEDIATE", "remove the function", err);
	if (rc)
		return rc;
	static const char *const deletes[] = {"DELETE FROM versions WHERE name=?",
	        "DELETE FROM logs WHERE function=?", "DELETE FROM functions WHERE name=?"};
	for (size_t i = 0; !rc && i < ARRAY_SIZE(deletes); i++) {
		autostmt sqlite3_stmt *stmt = NULL;
		rc = prepare(store, deletes[i], &stmt, err);
		if (rc)
			break;
		bind_text(stmt, 1, name);
		rc = step_done(store, stmt, "remove the function", err);
	}
	if (!rc && sqlite3_changes(store->db) == 0)
		rc = error_set(err, ENOENT, "there is no function %s", name);
	return commit(store, rc, "remove the function", err);
}

int store_function_list(struct store *store, int (*each)(void *context, const char *name),
        void *context, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store, "SELECT name FROM functions ORDER BY name", &stmt, err);
	while (!rc && sqlite3_step(stmt) == SQLITE_ROW)
		rc = each(context, (const char *)sqlite3_column_text(stmt, 0));
	return rc;
}

// Keeps tables whose rows are history from growing without end; now and then, since it walks an
// index.
static int trim(struct store *store, uint64_t id, const char *sql, struct error *err)
{
	return id % 256 ? 0 : run_sql(store, sql, "drop old history", err);
}

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

int store_run_put(struct store *store, uint64_t *id, const char *function, const char *state,
        const char *body, struct error *err)
{
	struct error local;
	err = err ? err : &local;
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store,
	        *id ? "UPDATE runs SET function=?1, state=?2, body=?3 WHERE id=?4"
	            : "INSERT INTO runs(function, state, body) VALUES(?1,?2,?3)",
	        &stmt, err);
	if (rc)
		return rc;
	bind_text(stmt, 1, function);
	bind_text(stmt, 2, state);
	bind_text(stmt, 3, body);
	if (*id)
		sqlite3_bind_int64(stmt, 4, (sqlite3_int64)*id);
	rc = step_done(store, stmt, "keep the run", err);
	if (!rc && !*id) {
		*id = (uint64_t)sqlite3_last_insert_rowid(store->db);
		trim(store, *id,
		        "DELETE FROM runs WHERE state NOT IN ('queued','loading','running') AND id "
		        "<="
		        " (SELECT max(id) FROM runs) - " TEXT_OF(FINISHED_RUNS_KEPT),
		        NULL);
	}
	return rc;
}

int store_run_list(struct store *store, uint64_t id, const char *function, const char *states,
        uint32_t limit, int (*each)(void *context, const struct stored_run *run), void *context,
        struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store,
	        "SELECT id, function, state, body FROM runs WHERE (?1=0 OR id=?1) AND (?2 IS NULL "
	        "OR"
	        " function=?2) AND (?3 IS NULL OR instr(','||?3||',', ','||state||',')>0)"
	        " ORDER BY id DESC LIMIT ?4",
	        &stmt, err);
	if (rc)
		return rc;
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)id);
	bind_text(stmt, 2, function);
	bind_text(stmt, 3, states);
	sqlite3_bind_int64(stmt, 4, limit);
	while (!rc && sqlite3_step(stmt) == SQLITE_ROW) {
		struct stored_run run = {
		        .id = (uint64_t)sqlite3_column_int64(stmt, 0),
		        .function = (const char *)sqlite3_column_text(stmt, 1),
		        .state = (const char *)sqlite3_column_text(stmt, 2),
		        .body = (const char *)sqlite3_column_text(stmt, 3),
		};
		rc = each(context, &run);
	}
	return rc;
}

// Lines of history need not outlive a loss of power, only the process: a write to the log file is
// enough.
static int step_history(
        struct store *store, sqlite3_stmt *stmt, const char *what, struct error *err)
{
	sqlite3_exec(store->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
	int rc = step_done(store, stmt, what, err);
	sqlite3_exec(store->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	return rc;
}

int store_log_add(struct store *store, const char *function, uint64_t run, uint64_t wall_ns,
        const char *text, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(
	        store, "INSERT INTO logs(function, run, time, text) VALUES(?,?,?,?)", &stmt, err);
	if (rc)
		return rc;
	bind_text(stmt, 1, function);
	sqlite3_bind_int64(stmt, 2, (sqlite3_int64)run);
	sqlite3_bind_int64(stmt, 3, (sqlite3_int64)wall_ns);
	bind_text(stmt, 4, text);
	rc = step_history(store, stmt, "keep a log line", err);
	if (!rc)
		trim(store, (uint64_t)sqlite3_last_insert_rowid(store->db),
		        "DELETE FROM logs WHERE id <= (SELECT max(id) FROM logs) - " TEXT_OF(
		                LOG_LINES_KEPT),
		        NULL);
	return rc;
}

int store_log_list(struct store *store, const char *function, uint64_t after, uint32_t tail,
        int (*each)(void *context, const struct stored_log *log), void *context, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store,
	        "SELECT * FROM (SELECT id, run, time, function, text FROM logs WHERE (?1 IS NULL OR"
	        " function=?1) AND id>?2 ORDER BY id DESC LIMIT ?3) ORDER BY id",
	        &stmt, err);
	if (rc)
		return rc;
	bind_text(stmt, 1, function);
	sqlite3_bind_int64(stmt, 2, (sqlite3_int64)after);
	sqlite3_bind_int64(stmt, 3, tail);
	while (!rc && sqlite3_step(stmt) == SQLITE_ROW) {
		struct stored_log log = {
		        .id = (uint64_t)sqlite3_column_int64(stmt, 0),
		        .run = (uint64_t)sqlite3_column_int64(stmt, 1),
		        .wall_ns = (uint64_t)sqlite3_column_int64(stmt, 2),
		        .function = (const char *)sqlite3_column_text(stmt, 3),
		        .text = (const char *)sqlite3_column_text(stmt, 4),
		};
		rc = each(context, &log);
	}
	return rc;
}

int store_receipt_add(struct store *store, uint64_t run_old, uint64_t run_new, const char *body,
        struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store, "INSERT INTO receipts(old, new, body) VALUES(?,?,?)", &stmt, err);
	if (rc)
		return rc;
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)run_old);
	sqlite3_bind_int64(stmt, 2, (sqlite3_int64)run_new);
	bind_text(stmt, 3, body);
	rc = step_history(store, stmt, "keep a receipt", err);
	if (!rc)
		trim(store, (uint64_t)sqlite3_last_insert_rowid(store->db),
		        "DELETE FROM receipts WHERE id <= (SELECT max(id) FROM receipts) "
		        "- " TEXT_OF(RECEIPTS_KEPT),
		        NULL);
	return rc;
}

int store_receipt_list(struct store *store, uint32_t limit,
        int (*each)(void *context, const char *body), void *context, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store, "SELECT body FROM receipts ORDER BY id DESC LIMIT ?", &stmt, err);
	if (rc)
		return rc;
	sqlite3_bind_int64(stmt, 1, limit);
	while (!rc && sqlite3_step(stmt) == SQLITE_ROW)
		rc = each(context, (const char *)sqlite3_column_text(stmt, 0));
	return rc;
}

int store_fact_put(struct store *store, const char *key, const char *value, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store, "INSERT OR REPLACE INTO facts VALUES(?,?)", &stmt, err);
	if (rc)
		return rc;
	bind_text(stmt, 1, key);
	bind_text(stmt, 2, value);
	return step_done(store, stmt, "keep a fact", err);
}

int store_fact_get(
        struct store *store, const char *key, char *value, size_t size, struct error *err)
{
	autostmt sqlite3_stmt *stmt = NULL;
	int rc = prepare(store, "SELECT value FROM facts WHERE key=?", &stmt, err);
	if (rc)
		return rc;
	bind_text(stmt, 1, key);
	bool found = sqlite3_step(stmt) == SQLITE_ROW;
	snprintf(value, size, "%s", found ? (const char *)sqlite3_column_text(stmt, 0) : "");
	return 0;
}

int store_limit(struct store *store, uint64_t bytes, struct error *err)
{
	char sql[64];
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %llu",
	        (unsigned long long)(bytes / 4096));
	return run_sql(store, sql, "limit the state", err);
}
