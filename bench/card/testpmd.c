// SPDX-License-Identifier: Apache-2.0
// testpmd is driven as by a person at a terminal: it is given one, since it holds what it prints to
// a pipe back.
#include "testpmd.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define ANSWER_MS 20000

struct testpmd {
	pid_t pid;
	int terminal;
	clockid_t clock;
	char prefix[32];
	char answer[16384];
};

static void run_child(const char *mode, const char *prefix)
{
	char forward[64];
	snprintf(forward, sizeof(forward), "--forward-mode=%s", mode);
	execlp("dpdk-testpmd", "dpdk-testpmd", "--no-huge", "--no-pci", "--no-shconf",
	        "--no-telemetry", "--file-prefix", prefix, "-l", "0,1", "--vdev", "net_null0",
	        "--vdev", "net_null1", "--", "-i", "--nb-cores=1", "--total-num-mbufs=8192",
	        "--burst=64", forward, NULL);
	_exit(127);
}

// Reads until `wanted` has come. 0, -ETIMEDOUT, or -EPIPE when it has ended.
static int await(struct testpmd *testpmd, const char *wanted)
{
	size_t size = 0;
	testpmd->answer[0] = '\0';
	while (!strstr(testpmd->answer, wanted)) {
		struct pollfd ready = {.fd = testpmd->terminal, .events = POLLIN};
		if (poll(&ready, 1, ANSWER_MS) <= 0)
			return -ETIMEDOUT;
		if (size == sizeof(testpmd->answer) - 1)
			size = 0;
		ssize_t got = read(testpmd->terminal, testpmd->answer + size,
		        sizeof(testpmd->answer) - 1 - size);
		if (got <= 0)
			return -EPIPE;
		size += (size_t)got;
		testpmd->answer[size] = '\0';
	}
	return 0;
}

static int ask(struct testpmd *testpmd, const char *command)
{
	if (dprintf(testpmd->terminal, "%s\n", command) < 0)
		return -errno;
	return await(testpmd, "testpmd> ");
}

int testpmd_start(const char *mode, struct testpmd **testpmd)
{
	struct testpmd *new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	struct termios raw = {.c_cflag = CS8 | CREAD, .c_cc = {[VMIN] = 1}};
	struct winsize window = {.ws_row = 50, .ws_col = 200};
	snprintf(new->prefix, sizeof(new->prefix), "raio-bench-%d-%s", (int)getpid(), mode);
	new->pid = forkpty(&new->terminal, NULL, &raw, &window);
	if (new->pid == 0)
		run_child(mode, new->prefix);
	int rc = new->pid < 0 ? -errno : await(new, "testpmd> ");
	if (!rc)
		rc = ask(new, "start");
	if (!rc && clock_getcpuclockid(new->pid, &new->clock))
		rc = -ESRCH;
	if (rc) {
		testpmd_end(&new);
		return rc == -ETIMEDOUT ? rc : -ENOENT;
	}
	kill(new->pid, SIGSTOP);
	*testpmd = new;
	return 0;
}

void testpmd_end(struct testpmd **testpmd)
{
	struct testpmd *it = *testpmd;
	if (!it)
		return;
	if (it->pid > 0) {
		kill(it->pid, SIGKILL);
		waitpid(it->pid, NULL, 0);
		close(it->terminal);
	}
	char path[64]; // what it makes whether it needs it or not
	snprintf(path, sizeof(path), "/var/run/dpdk/%s", it->prefix);
	rmdir(path);
	rmdir("/var/run/dpdk");
	free(it);
	*testpmd = NULL;
}

// TX-packets of both ports.
static int count(struct testpmd *testpmd, uint64_t *packets)
{
	int rc = ask(testpmd, "show port stats all");
	*packets = 0;
	for (const char *at = testpmd->answer; !rc && (at = strstr(at, "TX-packets:")); at++)
		*packets += strtoull(at + strlen("TX-packets:"), NULL, 10);
	return rc;
}

static uint64_t spent_ns(const struct testpmd *testpmd)
{
	struct timespec now;
	clock_gettime(testpmd->clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int testpmd_round(struct testpmd *testpmd, uint32_t ms, uint64_t *packets, uint64_t *cpu_ns)
{
	uint64_t before, after, begin_ns = 0;
	kill(testpmd->pid, SIGCONT);
	int rc = count(testpmd, &before);
	begin_ns = spent_ns(testpmd);
	usleep(ms * 1000);
	if (!rc)
		rc = count(testpmd, &after);
	*cpu_ns = spent_ns(testpmd) - begin_ns;
	kill(testpmd->pid, SIGSTOP);
	if (!rc)
		*packets = after - before;
	return rc;
}
