// SPDX-License-Identifier: Apache-2.0
// Functions: created and updated through the boxes (compile, read the object), then kept and, where
// they are live, reloaded by the queue. A request waits in a `struct creation` while its boxes run.
#include <errno.h>
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/box.h"
#include "agent/queue.h"
#include "agent/rules.h"
#include "agent/settings.h"
#include "api/paths.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"

#define RULES_SIZE_MAX (8u << 20)

struct creation {
	struct agent *agent;
	struct request *request;
	struct function function;
	bool update, reload;
};

static void creation_free(struct creation *creation)
{
	function_free(&creation->function);
	free(creation);
}

static json_t *map_summary(const struct image_map *map)
{
	const struct map_type *type = map_type_find(map->type);
	return json_pack("{s:s,s:s,s:I,s:I,s:I}", "name", map->name, "type",
	        type ? type->name : "unknown", "key_size", (json_int_t)map->key_size, "value_size",
	        (json_int_t)map->value_size, "max_entries", (json_int_t)map->max_entries);
}

static char *summarise(const struct image *image)
{
	json_t *programs = json_array(), *maps = json_array();
	json_int_t instructions = 0;
	for (uint32_t i = 0; i < image->program_count; i++) {
		json_array_append_new(programs, json_string(image->programs[i].name));
		instructions += image->programs[i].insn_count;
	}
	for (uint32_t i = 0; i < image->map_count; i++)
		if (!image->maps[i].is_template)
			json_array_append_new(maps, map_summary(&image->maps[i]));
	json_t *summary = json_pack("{s:o,s:s,s:o,s:I}", "programs", programs, "entry",
	        image->programs[image->entry].name, "maps", maps, "instructions", instructions);
	char *text = json_dumps(summary, JSON_COMPACT);
	json_decref(summary);
	return text;
}

json_t *function_json(struct agent *agent, const struct function *function)
{
	char created[CLOCK_TEXT_SIZE], updated[CLOCK_TEXT_SIZE], live[32];
	json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:o}", "name", function->name, "version",
	        function->version, "created", clock_rfc3339(function->created_wall_ns, created),
	        "updated", clock_rfc3339(function->updated_wall_ns, updated), "settings",
	        json_loads(function->settings, 0, NULL));
	json_t *summary = json_loads(function->summary, 0, NULL);
	if (json && summary)
		json_object_update(json, summary);
	json_decref(summary);
	if (!json)
		return NULL;
	json_object_set_new(json, "has_rules", json_boolean(function->rules && *function->rules));
	if (function->file)
		json_object_set_new(json, "file", json_string(function->file));
	const struct run *run = queue_live(agent->queue, function->name);
	if (run)
		snprintf(live, sizeof(live), "r%llu", (unsigned long long)run->id);
	json_object_set_new(json, "live", run ? json_string(live) : json_null());
	return json;
}

// The last step: all is known and checked.
static void keep(struct creation *creation)
{
	struct agent *agent = creation->agent;
	struct error err = {0};
	json_t *receipts = json_array();
	creation->function.updated_wall_ns = clock_wall_ns();
	int rc = queue_function_put(
	        agent->queue, &creation->function, creation->reload, receipts, &err);
	if (rc) {
		json_decref(receipts);
		request_fail(creation->request, &err);
		return;
	}
	agent_log(agent, creation->function.name, 0, "%s as version %.12s",
	        creation->update ? "updated" : "created", creation->function.version);
	json_t *json = function_json(agent, &creation->function);
	events_publish(agent, "function", json_deep_copy(json));
	if (creation->update)
		json_object_set(json, "swapped", receipts);
	json_decref(receipts);
	request_reply_json(creation->request, creation->update ? 200 : 201, json);
}

static bool rules_are_good(struct creation *creation, const struct image *image)
{
	struct error err = {0};
	unsigned line = 0;
	const char *rules = creation->function.rules;
	if (!rules || rules_check(image, rules, &line, &err) == 0)
		return true;
	request_error_at(creation->request, STATUS_INVALID, err.text,
	        "the rules have one entry a line: MAP KEY = VALUE", "rules", line);
	return false;
}

static void on_image(void *context, struct box_result *result)
{
	struct creation *creation = context;
	struct error err = {0};
	struct image *image = NULL;
	if (result->code) {
		creation->agent->compile_failures++;
		// What the reader refuses is the object's fault, whatever the errno.
		enum status_code code =
		        result->code == ENOMEM || result->code == EIO || result->code == ENOSYS
		                ? STATUS_INTERNAL
		        : result->code == ETIME ? STATUS_TIMEOUT
		                                : STATUS_REJECTED;
		request_error_at(creation->request, code, result->message, NULL, NULL, 0);
	} else if (image_decode(result->data, result->size, &image, &err)) {
		request_error(creation->request, STATUS_INTERNAL, NULL,
		        "the object box answered: %s", err.text);
	} else if (rules_are_good(creation, image)) {
		free(creation->function.image);
		creation->function.image = TAKE_PTR(result->data);
		creation->function.image_size = result->size;
		free(creation->function.summary);
		creation->function.summary = summarise(image);
		if (creation->function.summary)
			keep(creation);
		else
			request_error(creation->request, STATUS_INTERNAL, NULL,
			        "no memory for the summary");
	}
	image_free(&image);
	creation_free(creation);
}

static void read_object(struct creation *creation)
{
	struct error err = {0};
	struct function *function = &creation->function;
	digest_sha256(function->object, function->object_size, function->version);
	if (box_read_object(creation->agent->box, function->object, function->object_size,
	            function->program, on_image, creation, &err)) {
		request_fail(creation->request, &err);
		creation_free(creation);
	}
}

static void on_object(void *context, struct box_result *result)
{
	struct creation *creation = context;
	creation->agent->compile_count++;
	if (!result->code) {
		free(creation->function.object);
		creation->function.object = TAKE_PTR(result->data);
		creation->function.object_size = result->size;
		read_object(creation);
		return;
	}
	creation->agent->compile_failures++;
	enum status_code code = result->code == EBADMSG ? STATUS_REJECTED
	                        : result->code == ETIME ? STATUS_TIMEOUT
	                                                : STATUS_INTERNAL;
	request_error_at(creation->request, code, result->message, result->text,
	        *result->file ? result->file : NULL, result->line);
	creation_free(creation);
}

static int decode_base64(const char *text, uint8_t **data, size_t *size, struct error *err)
{
	struct base64_decode_ctx ctx;
	size_t length = strlen(text), got = BASE64_DECODE_LENGTH(length);
	uint8_t *out = malloc(got + 1);
	base64_decode_init(&ctx);
	if (!out)
		return error_set(err, ENOMEM, "no memory for the object");
	if (!base64_decode_update(&ctx, &got, out, length, text) || !base64_decode_final(&ctx)) {
		free(out);
		return error_set(err, EINVAL, "\"object\" is not base64");
	}
	*data = out;
	*size = got;
	return 0;
}

static int replace_text(char **text, const char *with)
{
	free(*text);
	*text = with ? strdup(with) : NULL;
	return with && !*text ? -ENOMEM : 0;
}

// The file name that messages use: the last part of what was given, plain characters only.
static int take_file(struct function *function, const char *given, struct error *err)
{
	const char *slash = given ? strrchr(given, '/') : NULL;
	const char *name = slash ? slash + 1 : given;
	char fallback[80];
	if (!name || !*name) {
		snprintf(fallback, sizeof(fallback), "%s.c", function->name);
		name = fallback;
	}
	static const char plain[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	if (strlen(name) > 100 || strspn(name, plain) != strlen(name) || name[0] == '-' ||
	        name[0] == '.')
		return error_set(err, EINVAL,
		        "\"file\" must be a plain name as wire.c: letters, digits, '.', '_' and "
		        "'-'");
	return replace_text(&function->file, name) ? error_set(err, ENOMEM, "no memory") : 0;
}

// Takes the members of the request's body over what the function has. *code: its code changes.
static int take_members(
        struct creation *creation, const json_t *body, bool *code, struct error *err)
{
	struct function *function = &creation->function;
	const char *source, *object, *file, *program, *rules;
	if (member_string(body, "source", &source, err) ||
	        member_string(body, "object", &object, err) ||
	        member_string(body, "file", &file, err) ||
	        member_string(body, "program", &program, err) ||
	        member_string(body, "rules", &rules, err))
		return -err->code;
	if (source && object)
		return error_set(err, EINVAL, "give \"source\" or \"object\", not both");
	if (!source && !object && !creation->update)
		return error_set(
		        err, EINVAL, "a function needs \"source\" (C) or \"object\" (base64 ELF)");
	if ((source && strlen(source) > BOX_SOURCE_MAX) ||
	        (rules && strlen(rules) > RULES_SIZE_MAX))
		return error_set(err, EFBIG, "the %s larger than %u MiB",
		        source ? "source is" : "rules are",
		        (source ? BOX_SOURCE_MAX : RULES_SIZE_MAX) >> 20);
	if (program && strlen(program) >= IMAGE_NAME_MAX)
		return error_set(err, EINVAL, "\"program\" is too long");
	json_t *settings =
	        function->settings ? json_loads(function->settings, 0, NULL) : json_object();
	int rc = settings_merge(settings, json_object_get(body, "settings"), err);
	if (!rc) {
		free(function->settings);
		function->settings = json_dumps(settings, JSON_COMPACT);
	}
	json_decref(settings);
	if (!rc && (source || object))
		rc = take_file(function, file, err);
	if (!rc && object)
		rc = (free(function->object), function->object = NULL,
		        decode_base64(object, &function->object, &function->object_size, err));
	if (rc)
		return rc;
	*code = source || object || program;
	creation->reload = *code || rules;
	if ((source && replace_text(&function->source, source)) ||
	        (object && replace_text(&function->source, NULL)) ||
	        (program && replace_text(&function->program, *program ? program : NULL)) ||
	        (rules && replace_text(&function->rules, rules)) || !function->settings)
		return error_set(err, ENOMEM, "no memory for the function");
	return 0;
}

// Only settings or rules change: the image is at hand.
static void keep_without_code(struct creation *creation)
{
	struct error err = {0};
	struct image *image = NULL;
	if (image_decode(creation->function.image, creation->function.image_size, &image, &err))
		request_error(creation->request, STATUS_INTERNAL, NULL,
		        "the stored image is bad: %s", err.text);
	else if (rules_are_good(creation, image))
		keep(creation);
	image_free(&image);
	creation_free(creation);
}

static void begin(struct creation *creation, const json_t *body)
{
	struct error err = {0};
	struct function *function = &creation->function;
	bool code = false;
	if (take_members(creation, body, &code, &err)) {
		request_fail(creation->request, &err);
		creation_free(creation);
		return;
	}
	const char *source = json_string_value(json_object_get(body, "source"));
	if (!code)
		keep_without_code(creation);
	else if (!source)
		read_object(creation);
	else if (box_compile(creation->agent->box, source, strlen(source), function->file,
	                 on_object, creation, &err)) {
		request_fail(creation->request, &err);
		creation_free(creation);
	}
}

static struct creation *creation_new(struct agent *agent, struct request *request)
{
	struct creation *creation = calloc(1, sizeof(*creation));
	if (!creation) {
		request_error(request, STATUS_INTERNAL, NULL, "no memory for the request");
		return NULL;
	}
	creation->agent = agent;
	creation->request = request;
	return creation;
}

void handle_function_create(struct agent *agent, struct request *request)
{
	struct error err = {0};
	json_t *body;
	if (request_json(request, &body))
		return;
	const char *name = json_string_value(json_object_get(body, "name"));
	struct function there = {0};
	if (!name || !name_is_valid(name))
		request_error(request, STATUS_INVALID,
		        "a name has lower-case letters, digits and '-', at most 63, and neither "
		        "begins nor ends "
		        "with '-'",
		        "\"%.70s\" is no name for a function", name ? name : "");
	else if (store_function_get(agent->store, name, NULL, 0, &there, &err) == 0)
		request_error(request, STATUS_EXISTS,
		        "raio update changes it, raio delete removes it",
		        "there is a function %s already", name);
	else if (err.code != ENOENT)
		request_fail(request, &err);
	else {
		struct creation *creation = creation_new(agent, request);
		if (creation) {
			strcpy(creation->function.name, name);
			creation->function.created_wall_ns = clock_wall_ns();
			begin(creation, body);
		}
	}
	function_free(&there);
	json_decref(body);
}

void handle_function_update(struct agent *agent, struct request *request)
{
	struct error err = {0};
	json_t *body;
	if (request_json(request, &body))
		return;
	struct creation *creation = creation_new(agent, request);
	if (creation && store_function_get(agent->store, request_name(request), NULL, 1,
	                        &creation->function, &err)) {
		request_fail(request, &err);
		creation_free(creation);
	} else if (creation) {
		creation->update = true;
		begin(creation, body);
	}
	json_decref(body);
}

// Reads the function that the request names; false: the request has been answered.
static bool named(
        struct agent *agent, struct request *request, int content, struct function *function)
{
	struct error err = {0};
	const char *version = request_query(request, "version");
	if (store_function_get(
	            agent->store, request_name(request), version, content, function, &err) == 0)
		return true;
	request_fail(request, &err);
	return false;
}

static int append_function(void *context, const char *name)
{
	struct function function = {0};
	struct {
		struct agent *agent;
		json_t *list;
	} *to = context;
	struct error err;
	if (store_function_get(to->agent->store, name, NULL, 0, &function, &err) == 0)
		json_array_append_new(to->list, function_json(to->agent, &function));
	function_free(&function);
	return 0;
}

void handle_function_list(struct agent *agent, struct request *request)
{
	struct error err = {0};
	struct {
		struct agent *agent;
		json_t *list;
	} to = {agent, json_array()};
	if (store_function_list(agent->store, append_function, &to, &err)) {
		json_decref(to.list);
		request_fail(request, &err);
	} else {
		request_reply_json(request, 200, to.list);
	}
}

void handle_function_get(struct agent *agent, struct request *request)
{
	struct function function = {0};
	if (named(agent, request, 0, &function))
		request_reply_json(request, 200, function_json(agent, &function));
	function_free(&function);
}

void handle_function_delete(struct agent *agent, struct request *request)
{
	struct error err = {0};
	if (queue_function_delete(agent->queue, request_name(request), &err)) {
		request_fail(request, &err);
		return;
	}
	events_publish(agent, "function",
	        json_pack("{s:s,s:b}", "name", request_name(request), "deleted", 1));
	request_reply(request, 204, "application/json", "", 0);
}

void handle_function_object(struct agent *agent, struct request *request)
{
	struct function function = {0};
	if (named(agent, request, 1, &function))
		request_reply(request, 200, "application/octet-stream", function.object,
		        function.object_size);
	function_free(&function);
}

void handle_function_disasm(struct agent *agent, struct request *request)
{
	struct function function = {0};
	struct image *image = NULL;
	struct error err = {0};
	cleanup(buffer_free) struct buffer text = {0};
	if (!named(agent, request, 1, &function))
		return;
	if (image_decode(function.image, function.image_size, &image, &err))
		request_fail(request, &err);
	for (uint32_t i = 0; image && i < image->program_count; i++)
		disasm_program(image, &image->programs[i], &text);
	if (image)
		request_reply(request, 200, "text/plain; charset=utf-8", text.data, text.size);
	image_free(&image);
	function_free(&function);
}
