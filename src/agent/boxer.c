// SPDX-License-Identifier: Apache-2.0
// Each job has a monitor of its own between this process and the box: it waits with the deadline,
// kills what is over it, and tells how it ended. When the agent dies this process dies with it,
// then the monitors, then the boxes.
#include "agent/boxer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static void close_all_from(unsigned first)
{
	syscall(SYS_close_range, first, ~0u, 0);
}

// Dies with its parent, also if that died before.
static void tie_to_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
}

struct boxer {
	const char *headers;
	bool namespaces;
};

static void become_box(
        const struct boxer *boxer, const struct boxer_request *request, const int fds[])
{
	setsid();
	if (dup2(fds[BOXER_FD_INPUT], 0) < 0 || dup2(fds[BOXER_FD_OUTPUT], 1) < 0 ||
	        dup2(fds[BOXER_FD_TEXT], 2) < 0)
		_exit(127);
	close_all_from(3);
	if (request->kind == BOXER_COMPILE)
		boxer_compile(request->name, boxer->headers, boxer->namespaces);
	boxer_object(request->name);
}

static bool ended_within(pid_t child, int timeout_ms)
{
	int fd = (int)syscall(SYS_pidfd_open, child, 0);
	if (fd < 0)
		return true; // the box has limits of its own on CPU time
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int got = poll(&wait, 1, timeout_ms);
	close(fd);
	return got > 0;
}

static void monitor(const struct boxer *boxer, const struct boxer_request *request, const int fds[])
{
	pid_t self = getpid();
	pid_t child = fork();
	if (child == 0) {
		tie_to_parent(self);
		become_box(boxer, request, fds);
	}
	struct boxer_status status = {.exit_code = 127};
	close(fds[BOXER_FD_OUTPUT]);
	close(fds[BOXER_FD_TEXT]);
	if (child > 0) {
		int limit_ms = request->kind == BOXER_COMPILE ? BOXER_COMPILE_MS : BOXER_OBJECT_MS;
		if (!ended_within(child, limit_ms)) {
			status.timed_out = 1;
			kill(-child, SIGKILL);
			kill(child, SIGKILL);
		}
		int how = 0;
		waitpid(child, &how, 0);
		status.exit_code = WIFEXITED(how) ? WEXITSTATUS(how) : -1;
		status.signal = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
	}
	file_write_fd(fds[BOXER_FD_STATUS], &status, sizeof(status));
	_exit(0);
}

// Takes one request and its descriptors. 0, or -errno; -EPIPE when the agent has gone.
static int take(int socket, struct boxer_request *request, int fds[BOXER_FD_COUNT])
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * BOXER_FD_COUNT)];
	} control;
	struct iovec part = {request, sizeof(*request)};
	struct msghdr message = {.msg_iov = &part,
	        .msg_iovlen = 1,
	        .msg_control = &control,
	        .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	if (got == 0 || (got < 0 && errno != EINTR))
		return -EPIPE;
	struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (!head || head->cmsg_type != SCM_RIGHTS)
		return -EAGAIN;
	size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(head), count * sizeof(int));
	if (count == BOXER_FD_COUNT && got == sizeof(*request) &&
	        !request->name[BOXER_NAME_MAX - 1])
		return 0;
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return -EAGAIN;
}

// Whether this user may make namespaces (not in a chroot, nor where the machine forbids it).
static bool bubblewrap_works(void)
{
	pid_t child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execl("/usr/bin/bwrap", "bwrap", "--unshare-all", "--cap-drop", "ALL", "--ro-bind",
		        "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64",
		        "/lib64", "--tmpfs", "/tmp", "/usr/bin/true", (char *)NULL);
		_exit(127);
	}
	int how = -1;
	return child > 0 && waitpid(child, &how, 0) == child && WIFEXITED(how) &&
	       WEXITSTATUS(how) == 0;
}

void boxer_main(int socket, const char *headers)
{
	prctl(PR_SET_NAME, "raiod-boxer");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	struct boxer boxer = {.headers = headers, .namespaces = bubblewrap_works()};
	signal(SIGCHLD, SIG_IGN); // monitors are reaped by the kernel
	pid_t self = getpid();
	for (;;) {
		struct boxer_request request;
		int fds[BOXER_FD_COUNT];
		int rc = take(socket, &request, fds);
		if (rc == -EPIPE)
			_exit(0);
		if (rc)
			continue;
		if (fork() == 0) {
			tie_to_parent(self);
			signal(SIGCHLD, SIG_DFL);
			close(socket);
			monitor(&boxer, &request, fds);
		}
		for (int i = 0; i < BOXER_FD_COUNT; i++)
			close(fds[i]);
	}
}
