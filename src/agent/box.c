// SPDX-License-Identifier: Apache-2.0
// The agent's side of the boxes: jobs wait in a list, at most BOX_JOBS_MAX are out, and each is
// done when its output, its diagnostics and its status have all ended.
#include "agent/box.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/boxer.h"
#include "agent/loop.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#define TEXT_MAX  (64u << 10)
#define IMAGE_MAX (64u << 20)

struct job;

struct pipe_end {
	struct watch watch; // fd -1: ended
	struct job *job;
	struct buffer data;
	size_t max;
	bool overflow;
};

enum { END_OUTPUT, END_TEXT, END_STATUS, END_COUNT };

struct job {
	struct box *box;
	struct job *next;
	struct boxer_request request;
	struct buffer input;
	struct pipe_end ends[END_COUNT];
	box_done done;
	void *context;
};

struct box {
	struct loop *loop;
	int socket;
	pid_t pid;
	struct job *waiting, *running;
	unsigned waiting_count, running_count;
};

int box_start(const char *headers, struct box **out, struct error *err)
{
	struct box *box = calloc(1, sizeof(*box));
	int pair[2];
	if (!box)
		return error_set(err, ENOMEM, "no memory for the boxes");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		free(box);
		return error_set(err, errno, "cannot make a socket pair: %s", strerror(errno));
	}
	pid_t self = getpid();
	box->pid = fork();
	if (box->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self)
			_exit(0);
		// Nothing else that the agent has open may reach a box.
		if (dup2(pair[1], 3) < 0)
			_exit(127);
		for (int fd = 4; fd < 1024; fd++)
			close(fd);
		boxer_main(3, headers);
	}
	close(pair[1]);
	box->socket = pair[0];
	if (box->pid < 0) {
		int rc = error_set(err, errno, "cannot start the process that starts boxes: %s",
		        strerror(errno));
		close(box->socket);
		free(box);
		return rc;
	}
	*out = box;
	return 0;
}

void box_attach(struct box *box, struct loop *loop)
{
	box->loop = loop;
}

static void end_close(struct pipe_end *end)
{
	if (end->watch.fd < 0)
		return;
	loop_remove(end->job->box->loop, &end->watch);
	close(end->watch.fd);
	end->watch.fd = -1;
}

static void job_free(struct job *job)
{
	for (int i = 0; i < END_COUNT; i++) {
		end_close(&job->ends[i]);
		buffer_free(&job->ends[i].data);
	}
	buffer_free(&job->input);
	free(job);
}

void box_free(struct box **out)
{
	struct box *box = *out;
	if (!box)
		return;
	for (int i = 0; i < 2; i++) {
		struct job **list = i ? &box->running : &box->waiting;
		while (*list) {
			struct job *job = *list;
			*list = job->next;
			job_free(job);
		}
	}
	close(box->socket);
	kill(box->pid, SIGKILL);
	waitpid(box->pid, NULL, 0);
	free(box);
	*out = NULL;
}

// Makes a stranger's text printable: control characters but newline and tab become '?'.
static char *printable(const struct buffer *from)
{
	char *text = malloc(from->size + 1);
	for (size_t i = 0; text && i < from->size; i++) {
		uint8_t c = from->data[i];
		text[i] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c >= 0x80 ? '?'
		                                                                         : (char)c;
	}
	if (text)
		text[from->size] = 0;
	return text;
}

// The first "FILE:LINE:COLUMN: error: MESSAGE" of clang's diagnostics.
static void first_error(struct box_result *result)
{
	for (const char *line = result->text; line && *line;) {
		const char *end = line + strcspn(line, "\n");
		const char *mark = strstr(line, "error: ");
		if (mark && mark < end) {
			snprintf(result->message, sizeof(result->message), "%.*s",
			        (int)(end - mark - 7), mark + 7);
			size_t file = strcspn(line, ":");
			unsigned number;
			if (line + file < mark && sscanf(line + file, ":%u:", &number) == 1) {
				result->line = number;
				snprintf(result->file, sizeof(result->file), "%.*s", (int)file,
				        line);
			}
			return;
		}
		line = *end ? end + 1 : end;
	}
	snprintf(
	        result->message, sizeof(result->message), "the compiler failed without saying why");
}

static void explain(struct box_result *result, int code, const char *text)
{
	result->code = code;
	snprintf(result->message, sizeof(result->message), "%s", text);
}

static void finish_compile(
        struct job *job, const struct boxer_status *status, struct box_result *result)
{
	struct pipe_end *output = &job->ends[END_OUTPUT];
	result->text = printable(&job->ends[END_TEXT].data);
	const char *said = result->text ? strstr(result->text, "box: ") : NULL;
	if (status->exit_code == 0 && output->overflow)
		explain(result, EBADMSG, "the object would be larger than 4 MiB");
	else if (status->exit_code == 0) {
		result->data = TAKE_PTR(output->data.data);
		result->size = output->data.size;
	} else if (status->timed_out)
		explain(result, ETIME, "compiling took longer than 20 s: make the source simpler");
	else if (status->exit_code == 127 && said)
		explain(result, ENOSYS, said + 5);
	else if (result->text && strncmp(result->text, "bwrap: ", 7) == 0)
		explain(result, ENOSYS, result->text);
	else if (status->exit_code < 0 || status->exit_code > 127)
		explain(result, EBADMSG,
		        "the compiler was stopped: it took too much memory, time or output, or it "
		        "crashed");
	else {
		result->code = EBADMSG;
		first_error(result);
	}
}

static void finish_object(
        struct job *job, const struct boxer_status *status, struct box_result *result)
{
	struct cursor in =
	        cursor_of(job->ends[END_OUTPUT].data.data, job->ends[END_OUTPUT].data.size);
	if (status->timed_out) {
		explain(result, ETIME, "reading the object took longer than 5 s");
		return;
	}
	uint32_t code = cursor_u32(&in), text_size, size;
	const char *text = cursor_blob(&in, &text_size);
	const void *image = cursor_blob(&in, &size);
	if (status->exit_code != 0 || !cursor_done(&in)) {
		explain(result, EBADMSG,
		        "the object reader was stopped: the object is hostile or far too large");
		return;
	}
	result->code = (int)code;
	snprintf(
	        result->message, sizeof(result->message), "%.*s", (int)text_size, text ? text : "");
	if (code == 0) {
		result->data = malloc(size ? size : 1);
		if (result->data)
			memcpy(result->data, image, size);
		else
			explain(result, ENOMEM, "no memory for the program image");
		result->size = size;
	}
}

static void start_waiting(struct box *box);

static void job_done(struct job *job)
{
	struct box *box = job->box;
	struct box_result result = {0};
	struct boxer_status status = {.exit_code = -1};
	struct pipe_end *end = &job->ends[END_STATUS];
	if (end->data.size == sizeof(status)) {
		memcpy(&status, end->data.data, sizeof(status));
		if (job->request.kind == BOXER_COMPILE)
			finish_compile(job, &status, &result);
		else
			finish_object(job, &status, &result);
	} else {
		explain(&result, EIO, "the process that starts boxes has died");
	}
	for (struct job **at = &box->running; *at; at = &(*at)->next)
		if (*at == job) {
			*at = job->next;
			break;
		}
	box->running_count--;
	job->done(job->context, &result);
	free(result.text);
	free(result.data);
	job_free(job);
	start_waiting(box);
}

static void on_readable(struct watch *watch, uint32_t events)
{
	(void)events;
	struct pipe_end *end = (struct pipe_end *)watch;
	uint8_t block[65536];
	ssize_t got = read(watch->fd, block, sizeof(block));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		size_t room = end->max - end->data.size,
		       take = (size_t)got < room ? (size_t)got : room;
		buffer_put(&end->data, block, take);
		end->overflow |= take < (size_t)got;
		return;
	}
	end_close(end);
	struct job *job = end->job;
	for (int i = 0; i < END_COUNT; i++)
		if (job->ends[i].watch.fd >= 0)
			return;
	job_done(job);
}

static int input_of(const struct job *job)
{
	int fd = memfd_create("box", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int rc = file_write_fd(fd, job->input.data, job->input.size);
	if (!rc && (lseek(fd, 0, SEEK_SET) ||
	                   fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)))
		rc = -errno;
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

static int send_job(struct box *box, const struct job *job, const int fds[BOXER_FD_COUNT])
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * BOXER_FD_COUNT)];
	} control = {0};
	struct iovec part = {(void *)&job->request, sizeof(job->request)};
	struct msghdr message = {.msg_iov = &part,
	        .msg_iovlen = 1,
	        .msg_control = &control,
	        .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int) * BOXER_FD_COUNT);
	memcpy(CMSG_DATA(head), fds, sizeof(int) * BOXER_FD_COUNT);
	return sendmsg(box->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

// Opens the pipes, watches their near ends and hands the far ends over.
static int launch(struct job *job)
{
	int fds[BOXER_FD_COUNT] = {-1, -1, -1, -1}, rc = 0;
	fds[BOXER_FD_INPUT] = input_of(job);
	if (fds[BOXER_FD_INPUT] < 0)
		return fds[BOXER_FD_INPUT];
	for (int i = 0; i < END_COUNT && !rc; i++) {
		int ends[2];
		if (pipe2(ends, O_CLOEXEC)) {
			rc = -errno;
			break;
		}
		fds[BOXER_FD_OUTPUT + i] = ends[1];
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		job->ends[i].watch = (struct watch){.ready = on_readable, .fd = ends[0]};
		rc = loop_add(job->box->loop, &job->ends[i].watch, EPOLLIN, NULL);
	}
	if (!rc)
		rc = send_job(job->box, job, fds);
	for (int i = 0; i < BOXER_FD_COUNT; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return rc;
}

static void start_waiting(struct box *box)
{
	while (box->waiting && box->running_count < BOX_JOBS_MAX) {
		struct job *job = box->waiting;
		box->waiting = job->next;
		box->waiting_count--;
		int rc = launch(job);
		buffer_free(&job->input);
		if (!rc) {
			job->next = box->running;
			box->running = job;
			box->running_count++;
			continue;
		}
		struct box_result result = {.code = -rc};
		snprintf(result.message, sizeof(result.message), "cannot start a box: %s",
		        strerror(-rc));
		job->done(job->context, &result);
		job_free(job);
	}
}

static int submit(struct box *box, enum boxer_kind kind, const void *input, size_t size,
        const char *name, box_done done, void *context, struct error *err)
{
	if (box->waiting_count >= BOX_QUEUE_MAX)
		return error_set(err, EAGAIN, "%u compilations wait already: try again in a moment",
		        box->waiting_count);
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return error_set(err, ENOMEM, "no memory for a compilation");
	job->box = box;
	job->request.kind = kind;
	snprintf(job->request.name, sizeof(job->request.name), "%s", name);
	job->done = done;
	job->context = context;
	for (int i = 0; i < END_COUNT; i++) {
		job->ends[i].watch.fd = -1;
		job->ends[i].job = job;
	}
	job->ends[END_OUTPUT].max = kind == BOXER_COMPILE ? BOX_OBJECT_MAX : IMAGE_MAX;
	job->ends[END_TEXT].max = TEXT_MAX;
	job->ends[END_STATUS].max = sizeof(struct boxer_status);
	buffer_put(&job->input, input, size);
	if (job->input.failed) {
		job_free(job);
		return error_set(err, ENOMEM, "no memory for a compilation");
	}
	struct job **at = &box->waiting;
	while (*at)
		at = &(*at)->next;
	*at = job;
	box->waiting_count++;
	start_waiting(box);
	return 0;
}

int box_compile(struct box *box, const char *source, size_t size, const char *file, box_done done,
        void *context, struct error *err)
{
	return submit(box, BOXER_COMPILE, source, size, file, done, context, err);
}

int box_read_object(struct box *box, const void *object, size_t size, const char *program,
        box_done done, void *context, struct error *err)
{
	return submit(box, BOXER_OBJECT, object, size, program ? program : "", done, context, err);
}
