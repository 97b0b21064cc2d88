// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/generation.h"

#define RESTART_MIN_MS 50
#define RESTART_MAX_MS 5000

struct child {
	const char *name;
	pid_t pid;       // 0: not running
	bool is_adopted; // not our child: a card that outlived an earlier supervisor
	bool has_failed; // ended by itself before it had ever stood: starting it again will not
	                 // help
	bool has_stood;  // the card: its socket was seen
	uint64_t started_ns, restart_ns;
	unsigned wait_ms;
	void (*start)(const struct supervisor_options *options); // in the child
};

static void restore_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
}

static void start_card(const struct supervisor_options *options)
{
	char workers[16];
	const char *args[16 + 2 * PORTS_MAX] = {"raio-card", "--socket", options->agent->card_path};
	int count = 3;
	for (uint32_t i = 0; i < options->port_count; i++) {
		args[count++] = "--port";
		args[count++] = options->port_specs[i];
	}
	if (options->worker_count) {
		snprintf(workers, sizeof(workers), "%u", options->worker_count);
		args[count++] = "--workers";
		args[count++] = workers;
	}
	if (options->engine) {
		args[count++] = "--engine";
		args[count++] = options->engine;
	}
	execv(options->card_program, (char *const *)args);
	log_error("cannot start %s: %s", options->card_program, strerror(errno));
	_exit(127);
}

static void start_agent(const struct supervisor_options *options)
{
	prctl(PR_SET_NAME, "raiod-agent");
	_exit(agent_run(options->agent));
}

static void start(struct child *child, const struct supervisor_options *options)
{
	child->started_ns = clock_ns();
	pid_t pid = fork();
	if (pid == 0) {
		// The agent ends with us; a card goes on, and whoever comes next takes it over.
		restore_signals();
		child->start(options);
	}
	if (pid < 0)
		log_error("cannot start the %s: %s", child->name, strerror(errno));
	child->is_adopted = false;
	child->pid = pid < 0 ? 0 : pid;
	child->restart_ns = pid < 0 ? clock_ns() + NS_PER_S : UINT64_MAX;
}

// Plans the next start: soon, but later each time if it dies at once.
static void plan(struct child *child, int how)
{
	if (child->start == start_card && !child->has_stood && WIFEXITED(how) && WEXITSTATUS(how)) {
		child->pid = 0;
		child->has_failed = true;
		return;
	}
	uint64_t now = clock_ns();
	bool lived = now - child->started_ns > 200 * NS_PER_MS;
	child->wait_ms = lived || !child->wait_ms ? RESTART_MIN_MS : child->wait_ms * 2;
	if (child->wait_ms > RESTART_MAX_MS)
		child->wait_ms = RESTART_MAX_MS;
	child->restart_ns = now + child->wait_ms * NS_PER_MS;
	child->pid = 0;
	if (WIFSIGNALED(how))
		log_warning("the %s was killed by signal %d; it starts again in %u ms", child->name,
		        WTERMSIG(how), child->wait_ms);
	else
		log_warning("the %s ended with code %d; it starts again in %u ms", child->name,
		        WEXITSTATUS(how), child->wait_ms);
}

// The card that outlived an earlier supervisor and answers on the socket; 0: none.
static pid_t card_that_answers(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	               getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
	if (fd >= 0)
		close(fd);
	return answers ? peer.pid : 0;
}

static bool has_ended(const struct child *child)
{
	return child->is_adopted ? kill(child->pid, 0) != 0
	                         : waitpid(child->pid, NULL, WNOHANG) != 0;
}

// The card makes its socket as the user that it runs as; the agent must be able to connect.
static void hand_over_socket(const struct supervisor_options *options, struct child *card)
{
	struct stat st;
	const struct agent_options *agent = options->agent;
	if (lstat(agent->card_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	card->has_stood = true;
	if (agent->drop && st.st_uid != agent->uid &&
	        lchown(agent->card_path, agent->uid, agent->gid))
		log_warning("cannot give %s to the agent's user: %s", agent->card_path,
		        strerror(errno));
}

// Ends a child: a polite signal, some time, then the other one.
static void stop(struct child *child)
{
	if (child->pid <= 0)
		return;
	kill(child->pid, SIGTERM);
	for (int i = 0; i < 300; i++) {
		if (has_ended(child))
			return;
		usleep(10000);
	}
	kill(child->pid, SIGKILL);
	if (!child->is_adopted)
		waitpid(child->pid, NULL, 0);
}

// How long to wait for a signal before something is due.
static struct timespec until_due(const struct child *children, uint32_t count)
{
	uint64_t now = clock_ns(), wait = 200 * NS_PER_MS;
	for (uint32_t i = 0; i < count; i++) {
		if (children[i].pid || children[i].restart_ns == UINT64_MAX)
			continue;
		uint64_t left = children[i].restart_ns > now ? children[i].restart_ns - now : 0;
		wait = left < wait ? left : wait;
	}
	return (struct timespec){.tv_sec = 0, .tv_nsec = (long)wait};
}

int supervisor_run(const struct supervisor_options *options)
{
	struct child children[] = {
	        {.name = "card", .start = start_card},
	        {.name = "agent", .start = start_agent},
	};
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGCHLD);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	children[0].pid = card_that_answers(options->agent->card_path);
	children[0].is_adopted = children[0].pid != 0;
	if (children[0].is_adopted)
		log_info("taking over the card that runs at %s", options->agent->card_path);
	else
		unlink(options->agent->card_path); // nobody answers there
	for (;;) {
		if (children[0].is_adopted && has_ended(&children[0]))
			children[0] = (struct child){.name = "card", .start = start_card};
		for (int i = 0; i < 2; i++)
			if (!children[i].pid && children[i].restart_ns <= clock_ns())
				start(&children[i], options);
		hand_over_socket(options, &children[0]);
		struct timespec wait = until_due(children, 2);
		int got = sigtimedwait(&wanted, NULL, &wait);
		if (got == SIGTERM || got == SIGINT)
			break;
		int how;
		for (pid_t pid; (pid = waitpid(-1, &how, WNOHANG)) > 0;)
			for (int i = 0; i < 2; i++)
				if (children[i].pid == pid)
					plan(&children[i], how);
		if (children[0].has_failed) {
			log_error("the card cannot start, for the reason above; see raiod --help "
			          "about --port");
			break;
		}
	}
	stop(&children[1]);
	if (!options->leave_card)
		stop(&children[0]);
	return children[0].has_failed ? 1 : 0;
}
