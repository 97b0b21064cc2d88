// SPDX-License-Identifier: Apache-2.0
// How soon a function runs, and what Raio costs while nothing happens.
//
// "run to first packet": from the start of the process `raio run NAME --no-wait` to the arrival of
// the first packet that the new generation took, as the swap's receipt says (on any port; each has
// a generator of 100,000 packets a second, so that the next one is 10 us away). "API request" is
// the same request written to the agent's socket, without a process. The peer is a process that
// opens, loads and attaches the same object to a veth with libbpf, until it is attached; it has no
// queue, no store and no agent. Without privileges there is no peer. "create": `raio create` of C
// source, as a process. The peer is the same clang without a box. "idle": resident memory and CPU
// of each process, with four ports and no traffic.
//
//	start_bench [JSON]
#include <fcntl.h>
#include <jansson.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench.h"

#define RUNS    40
#define CREATES 10

struct house {
	char build[3072], dir[64], socket[96];
	pid_t agent; // as started; may be a supervisor
};

static char *format(char text[4096], const char *pattern, ...)
{
	va_list args;
	va_start(args, pattern);
	vsnprintf(text, 4096, pattern, args);
	va_end(args);
	return text;
}

static void die(const char *what)
{
	fprintf(stderr, "start_bench: %s\n", what);
	exit(1);
}

// Runs argv[0] with its standard output into `text`.
// Returns its exit code.
static int command(char *const argv[], char *text, size_t size)
{
	int pipe_fds[2];
	autoclose int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0 || pipe2(pipe_fds, O_CLOEXEC))
		die("no pipe");
	pid_t pid = vfork();
	if (pid == 0) {
		dup2(pipe_fds[1], 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	size_t at = 0;
	for (ssize_t n; (n = read(pipe_fds[0], text + at, size - 1 - at)) > 0;)
		at += (size_t)n;
	text[at] = 0;
	close(pipe_fds[0]);
	int status = 1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// `raio -q -o json WORDS…`; the answer, or NULL.
static json_t *raio(const struct house *house, int *code, const char *const words[])
{
	static char text[1 << 20];
	char program[4096];
	char *argv[24] = {format(program, "%s/raio", house->build), "-q", "-o", "json"};
	size_t n = 4;
	while (*words && n < ARRAY_SIZE(argv) - 1)
		argv[n++] = (char *)(uintptr_t)*words++;
	*code = command(argv, text, sizeof(text));
	return json_loads(text, 0, NULL);
}
#define RAIO(house, code, ...) raio(house, code, (const char *const[]){__VA_ARGS__, NULL})

static void agent_start(struct house *house, const char *port)
{
	char program[4096], state[4096], log[4096];
	char *argv[16] = {format(program, "%s/raiod", house->build), "--socket", house->socket,
	        "--state", format(state, "%s/state", house->dir)};
	for (int i = 0; port && i < 4; i++) {
		argv[5 + 2 * i] = "--port";
		argv[6 + 2 * i] = (char *)(uintptr_t)port;
	}
	house->agent = fork();
	if (house->agent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); // also where we end early
		if (!freopen(format(log, "%s/log", house->dir), "a", stderr))
			_exit(1);
		execv(argv[0], argv);
		_exit(127);
	}
	for (int i = 0, code = 1; i < 100; i++) {
		json_decref(RAIO(house, &code, "card"));
		if (code == 0)
			return;
		usleep(50000);
	}
	die("the agent did not come up");
}

static void agent_stop(struct house *house)
{
	if (house->agent > 0) {
		kill(house->agent, SIGTERM);
		waitpid(house->agent, NULL, 0);
	}
	house->agent = 0;
}

// The first packet that generation `run` took, on any port; 0 where there is none.
static uint64_t first_packet(const struct house *house, const char *run)
{
	int code;
	json_t *swaps = RAIO(house, &code, "swap", "list", "--limit", "5"), *swap, *port;
	uint64_t first = 0;
	size_t i, j;
	json_array_foreach(swaps, i, swap)
	{
		const char *of =
		        json_string_value(json_object_get(json_object_get(swap, "new"), "run"));
		if (!of || strcmp(of, run) != 0)
			continue;
		json_array_foreach(json_object_get(swap, "ports"), j, port)
		{
			uint64_t ns =
			        (uint64_t)json_integer_value(json_object_get(port, "first_new_ns"));
			if (ns && (!first || ns < first))
				first = ns;
		}
	}
	json_decref(swaps);
	return first;
}

// Asks for a run over the agent's socket, as a program that holds no libraries would; its id.
static bool post_run(const struct house *house, const char *function, char id[32])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[4096], body[128];
	memcpy(address.sun_path, house->socket, sizeof(house->socket));
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int size =
	        snprintf(body, sizeof(body), "{\"function\": \"%s\", \"slice_s\": 300}", function);
	format(text,
	        "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	        "Content-Length: %d\r\n\r\n%s",
	        size, body);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	        write(fd, text, strlen(text)) < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	const char *at = strstr(text, "\"id\":");
	return at && sscanf(at + 5, " \"%31[^\"]", id) == 1;
}

static void run_once(
        struct bench *bench, const struct house *house, const char *function, bool by_api)
{
	int code = 0;
	char id[32] = "", name[64];
	uint64_t begin = clock_ns(), first = 0;
	if (by_api) {
		code = post_run(house, function, id) ? 0 : 1;
	} else {
		json_t *run = RAIO(house, &code, "run", function, "--slice", "300", "--no-wait");
		const char *text = json_string_value(json_object_get(run, "id"));
		snprintf(id, sizeof(id), "%s", text ? text : "");
		json_decref(run);
	}
	if (code || !*id)
		die("raio run failed");
	for (int i = 0; i < 100 && !first; i++) {
		usleep(20000);
		first = first_packet(house, id);
	}
	if (!first)
		die("no packet met the function");
	snprintf(name, sizeof(name), "run to first packet, %s", function);
	bench_sample(bench, name, by_api ? "raio, API request" : "raio", "ms",
	        (double)(first - begin) / 1e6);
	json_decref(RAIO(house, &code, "run", "cancel", id));
	usleep(20000);
}

// The peer's whole work, in a process of its own; prints when it was attached.
static int peer_main(const char *object_path, const char *interface)
{
	struct bpf_object *object = bpf_object__open_file(object_path, NULL);
	if (!object || bpf_object__load(object))
		return 1;
	struct bpf_program *program = bpf_object__next_program(object, NULL);
	int link = bpf_link_create(
	        bpf_program__fd(program), (int)if_nametoindex(interface), BPF_XDP, NULL);
	if (link < 0)
		return 1;
	printf("%llu\n", (unsigned long long)clock_ns());
	return 0;
}

static void peer_once(struct bench *bench, const struct house *house, const char *function)
{
	char object[4096], text[64], name[64];
	char *argv[] = {"/proc/self/exe", "--peer",
	        format(object, "%s/functions/%s.o", house->build, function), "rbench0", NULL};
	uint64_t begin = clock_ns();
	if (command(argv, text, sizeof(text)))
		return;
	snprintf(name, sizeof(name), "run to first packet, %s", function);
	bench_sample(bench, name, "libbpf", "ms", (double)(strtoull(text, NULL, 10) - begin) / 1e6);
}

static void measure_runs(struct bench *bench, struct house *house)
{
	static const char *const functions[] = {"wire", "lsl2", "ripv4", "ddos"};
	char path[4096];
	// In a network namespace of our own, which goes with us.
	bool has_peer = unshare(CLONE_NEWNET) == 0 &&
	                system("ip link add rbench0 type veth peer name rbench1 2>/dev/null && "
	                       "ip link set rbench0 up && ip link set rbench1 up") == 0;
	agent_start(house, "gen:rate=100kpps");
	for (size_t f = 0; f < ARRAY_SIZE(functions); f++) {
		int code;
		json_decref(RAIO(house, &code, "create", functions[f],
		        format(path, "%s/functions/%s.o", house->build, functions[f])));
		if (code)
			die("raio create of an object failed");
	}
	for (int i = 0; i < RUNS; i++) {
		const char *function = functions[(unsigned)i % ARRAY_SIZE(functions)];
		if (has_peer)
			peer_once(bench, house, function);
		run_once(bench, house, function, false);
		run_once(bench, house, function, true);
	}
	agent_stop(house);
}

static void measure_creates(struct bench *bench, struct house *house)
{
	agent_start(house, NULL);
	for (int i = 0; i < CREATES; i++) {
		char source[4096], object[4096], include[4096], compat[4096], name[32], text[256];
		format(source, "%s/functions/lsl2/lsl2.c", RAIO_SOURCE);
		char *argv[] = {BENCH_CLANG, "-O2", "-g", "-target", "bpf", "-mcpu=v3",
		        format(include, "-I%s/include", RAIO_SOURCE), "-idirafter",
		        format(compat, "%s/include/compat", RAIO_SOURCE),
		        "-I/usr/include/" BENCH_MULTIARCH, "-c", source, "-o",
		        format(object, "%s/lsl2.o", house->dir), NULL};
		uint64_t begin = clock_ns();
		if (command(argv, text, sizeof(text)) == 0)
			bench_sample(bench, "create lsl2.c", "clang", "ms",
			        (double)(clock_ns() - begin) / 1e6);
		int code;
		snprintf(name, sizeof(name), "f%d", i);
		begin = clock_ns();
		json_decref(RAIO(house, &code, "create", name, source));
		if (code)
			die("raio create of C failed");
		bench_sample(
		        bench, "create lsl2.c", "raio", "ms", (double)(clock_ns() - begin) / 1e6);
		json_decref(RAIO(house, &code, "delete", name));
	}
	agent_stop(house);
}

static bool proc_text(pid_t pid, const char *file, char text[8192])
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	autofclose FILE *in = fopen(path, "r");
	size_t size = in ? fread(text, 1, 8191, in) : 0;
	text[size] = 0;
	return size > 0;
}

static double resident_mib(pid_t pid)
{
	char text[8192];
	const char *at = proc_text(pid, "smaps_rollup", text) ? strstr(text, "\nRss:") : NULL;
	return at ? strtod(at + 5, NULL) / 1024 : 0;
}

// CPU ticks, and the parent, of a process.
static long ticks(pid_t pid, pid_t *parent)
{
	char text[8192];
	long user = 0, system = 0;
	int ppid = 0;
	const char *at = proc_text(pid, "stat", text) ? strrchr(text, ')') : NULL;
	if (at)
		sscanf(at + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &ppid, &user,
		        &system);
	*parent = ppid;
	return user + system;
}

static void measure_idle(struct bench *bench, struct house *house)
{
	pid_t pids[8], parent;
	long before[8];
	char name[8][64], text[8192];
	size_t count = 0;
	agent_start(house, NULL);
	sleep(1);
	// The agent is what was started, or a child of it; the card is a child of either.
	for (pid_t pid = house->agent; count < 8 && pid < house->agent + 1000; pid++) {
		ticks(pid, &parent);
		bool ours = pid == house->agent || parent == house->agent;
		for (size_t i = 0; i < count; i++)
			ours |= parent == pids[i];
		// A thread has no entry in the listing of /proc, but can be opened.
		char *group = proc_text(pid, "status", text) ? strstr(text, "\nTgid:") : NULL;
		if (!ours || !group || atoi(group + 6) != pid || !proc_text(pid, "comm", text))
			continue;
		snprintf(name[count], sizeof(name[count]), "%.*s%s", (int)strcspn(text, "\n"), text,
		        pid == house->agent ? " (as started)" : "");
		pids[count++] = pid;
	}
	for (size_t i = 0; i < count; i++)
		before[i] = ticks(pids[i], &parent);
	sleep(3);
	for (size_t i = 0; i < count; i++) {
		double cpu = 100.0 * (double)(ticks(pids[i], &parent) - before[i]) /
		             (3.0 * (double)sysconf(_SC_CLK_TCK));
		bench_sample(bench, "idle, resident", name[i], "MiB", resident_mib(pids[i]));
		bench_sample(bench, "idle, CPU", name[i], "%", cpu);
	}
	agent_stop(house);
}

int main(int argc, char **argv)
{
	struct bench *bench;
	struct house house = {.dir = "/tmp/raio-start-XXXXXX"};
	if (argc == 4 && strcmp(argv[1], "--peer") == 0)
		return peer_main(argv[2], argv[3]);
	ssize_t size = readlink("/proc/self/exe", house.build, sizeof(house.build) - 1);
	for (int up = 0; up < 2 && size > 0; up++)
		*strrchr(house.build, '/') = 0;
	if (size <= 0 || !mkdtemp(house.dir) || bench_new(&bench))
		return 1;
	if (chmod(house.dir, 0755)) // an agent started as root gives its rights up
		return 1;
	snprintf(house.socket, sizeof(house.socket), "%s/raiod.sock", house.dir);
	setenv("RAIO_SOCKET", house.socket, 1);
	measure_idle(bench, &house);
	measure_runs(bench, &house);
	measure_creates(bench, &house);
	int rc = bench_report(bench, "start", argc > 1 ? argv[1] : NULL);
	char remove[4096];
	if (system(format(remove, "rm -rf %s", house.dir)))
		rc = 1;
	bench_free(&bench);
	return rc ? 1 : 0;
}
