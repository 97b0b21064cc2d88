// SPDX-License-Identifier: Apache-2.0
#include "cli/source.h"

#include <errno.h>
#include <string.h>

#include <nettle/base64.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/compile.h"
#include "ebpf/image.h"
#include "ebpf/object.h"

void source_free(struct source *source)
{
	free(source->data);
	source->data = NULL;
}

static bool ends_in(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);
	return size > end_size && strcmp(text + size - end_size, end) == 0;
}

bool source_is_file(const char *word)
{
	return strchr(word, '/') || ends_in(word, ".c") || ends_in(word, ".o");
}

int source_read(struct cli *cli, const char *path, struct source *source)
{
	struct error err = {0};
	const char *last = strrchr(path, '/');
	*source = (struct source){0};
	if (file_read(path, OBJECT_SIZE_MAX, &source->data, &source->size, &err) < 0) {
		cli_fail(cli, EXIT_FAILED, "%s", err.text);
		return err.code == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED;
	}
	snprintf(source->name, sizeof(source->name), "%s", last ? last + 1 : path);
	if (source->size > 4 && memcmp(source->data, "\177ELF", 4) == 0)
		source->kind = SOURCE_OBJECT;
	else if (ends_in(path, ".o") || memchr(source->data, 0, source->size))
		return cli_fail(cli, EXIT_REJECTED,
		        "%s: neither C source nor an ELF object (it begins with other bytes than "
		        "ELF's)",
		        path);
	else if (!source->size)
		return cli_fail(cli, EXIT_REJECTED, "%s: the file is empty", path);
	return EXIT_DONE;
}

int source_put(struct cli *cli, const struct source *source, json_t *body)
{
	json_object_set_new(body, "file", json_string(source->name));
	if (source->kind == SOURCE_C) {
		json_t *text = json_stringn((const char *)source->data, source->size);
		if (!text)
			return cli_fail(cli, EXIT_REJECTED, "%s: the source is not UTF-8 text",
			        source->name);
		json_object_set_new(body, "source", text);
		return EXIT_DONE;
	}
	size_t size = BASE64_ENCODE_RAW_LENGTH(source->size);
	autofree char *text = malloc(size + 1);
	if (!text)
		return cli_fail(cli, EXIT_FAILED, "out of memory");
	base64_encode_raw(text, source->size, source->data);
	json_object_set_new(body, "object", json_stringn(text, size));
	return EXIT_DONE;
}

int source_image(
        struct cli *cli, const struct source *source, const char *program, struct image **image)
{
	struct error err = {0};
	autofree char *log = NULL;
	int result = compile_image(source->name, source->kind == SOURCE_C, source->data,
	        source->size, program, image, &log, &err);
	if (result == 0)
		return EXIT_DONE;
	cli_fail(cli, EXIT_REJECTED, "%s", err.text);
	// clang says more than the first line: the source, the place in it, what followed.
	if (log && *log && !cli->is_quiet)
		fprintf(stderr, "%s%s", log, log[strlen(log) - 1] == '\n' ? "" : "\n");
	return -result == ENOSYS || -result == ETIME ? EXIT_FAILED : EXIT_REJECTED;
}

int source_any(struct cli *cli, const char *word, const char *program, struct image **image)
{
	cleanup(source_free) struct source source = {0};
	int code;
	if (source_is_file(word)) {
		code = source_read(cli, word, &source);
		return code == EXIT_DONE ? source_image(cli, &source, program, image) : code;
	}
	char name[64], path[128];
	code = cli_function(cli, word, false, name, sizeof(name));
	if (code != EXIT_DONE) {
		if (code == EXIT_NO_AGENT)
			cli_hint("a file is named with its ending or a slash, as in ./%s.c", word);
		return code;
	}
	snprintf(path, sizeof(path), "/v1/functions/%s/object", name);
	char *data = NULL;
	if (client_get(cli_client(cli), path, &data, &source.size, &cli->failure) != EXIT_DONE) {
		free(data);
		return cli_failure(cli);
	}
	source.kind = SOURCE_OBJECT;
	source.data = (uint8_t *)data;
	snprintf(source.name, sizeof(source.name), "%s", name);
	return source_image(cli, &source, program, image);
}
