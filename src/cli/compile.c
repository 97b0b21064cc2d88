// SPDX-License-Identifier: Apache-2.0
#include "cli/compile.h"

#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/box.h"
#include "agent/headers.h"
#include "agent/loop.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/image.h"

// One job in a box: where its answer goes.
struct job {
	struct loop *loop;
	struct box_result result;
};

static void job_done(void *context, struct box_result *result)
{
	struct job *job = context;
	job->result = *result;
	result->data = NULL; // taken
	result->text = NULL;
	loop_stop(job->loop);
}

static void job_free(struct job *job)
{
	free(job->result.data);
	free(job->result.text);
}

// "wire.c:12: message", or why there was no answer.
static int job_error(const struct job *job, const char *name, struct error *err)
{
	const struct box_result *result = &job->result;
	if (*result->file && result->line)
		return error_set(err, result->code, "%s:%u: %s", result->file, result->line,
		        result->message);
	return error_set(err, result->code, "%s: %s", name, result->message);
}

struct work {
	struct box *box;
	const char *name, *program;
	bool is_source;
	const void *data;
	size_t size;
};

// One job to its end. A loop that was stopped stays so: each job has its own.
static int job_run(const struct work *work, struct job *job, struct error *err)
{
	int status = loop_new(&job->loop, err);
	if (status < 0)
		return status;
	box_attach(work->box, job->loop);
	if (work->is_source)
		status = box_compile(
		        work->box, work->data, work->size, work->name, job_done, job, err);
	else
		status = box_read_object(
		        work->box, work->data, work->size, work->program, job_done, job, err);
	if (status == 0)
		status = loop_run(job->loop);
	loop_free(&job->loop);
	if (status == 0 && job->result.code)
		status = job_error(job, work->name, err);
	return status;
}

// The text of a line of C, printable, without the indentation. NULL: no memory.
static char *line_text(const char *source, size_t size, uint32_t line)
{
	const char *at = source, *end = source + size;
	while (--line && at) {
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	while (at && at < end && isspace((unsigned char)*at) && *at != '\n')
		at++;
	const char *stop = at ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	char *text = at ? strndup(at, (size_t)((stop ? stop : end) - at)) : strdup("");
	for (char *c = text; c && *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	}
	return text;
}

static int own_text(struct image *image, struct image_line *line, char *text)
{
	char **strings = reallocarray(image->strings, image->string_count + 1, sizeof(*strings));
	if (!text || !strings) {
		free(text);
		return -ENOMEM;
	}
	image->strings = strings;
	image->strings[image->string_count++] = line->text = text;
	return 0;
}

// A compiler that could not see the file (under Landlock it reads a pipe) leaves the text of lines
// out.
static int add_texts(struct image *image, const char *name, const char *source, size_t size)
{
	for (uint32_t i = 0; i < image->program_count; i++) {
		struct image_program *program = &image->programs[i];
		for (uint32_t at = 0; at < program->line_count; at++) {
			struct image_line *line = &program->lines[at];
			const char *slash = strrchr(line->file, '/');
			const char *file = slash ? slash + 1 : line->file;
			if (*line->text || !line->line || strcmp(file, name) != 0)
				continue;
			if (own_text(image, line, line_text(source, size, line->line)))
				return -ENOMEM;
		}
	}
	return 0;
}

static int work_run(struct work *work, struct image **image, char **log, struct error *err)
{
	cleanup(job_free) struct job object = {0}, read = {0};
	const char *source = work->is_source ? work->data : NULL;
	size_t source_size = work->size;
	int status = 0;
	if (work->is_source) {
		status = job_run(work, &object, err);
		*log = TAKE_PTR(object.result.text);
		work->data = object.result.data;
		work->size = object.result.size;
		work->is_source = false;
	}
	if (status == 0)
		status = job_run(work, &read, err);
	if (status == 0)
		status = image_decode(read.result.data, read.result.size, image, err);
	if (status == 0 && source && add_texts(*image, work->name, source, source_size)) {
		image_free(image);
		status = error_set(err, ENOMEM, "out of memory for %s", work->name);
	}
	return status;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
	(void)info, (void)type, (void)place;
	return remove(path);
}

int compile_image(const char *name, bool is_source, const void *data, size_t size,
        const char *program, struct image **image, char **log, struct error *err)
{
	char dir[] = "/tmp/raio-XXXXXX", headers[64];
	struct work work = {NULL, name, program, is_source, data, size};
	*log = NULL;
	if (!mkdtemp(dir))
		return error_set(
		        err, errno, "cannot make a directory in /tmp: %s", strerror(errno));
	snprintf(headers, sizeof(headers), "%s/headers", dir);
	int status = headers_install(dir, err);
	if (status == 0)
		status = box_start(headers, &work.box, err);
	if (status == 0)
		status = work_run(&work, image, log, err);
	if (work.box)
		box_free(&work.box);
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	return status;
}
