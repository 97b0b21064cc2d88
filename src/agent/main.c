// SPDX-License-Identifier: Apache-2.0
// raiod: what an operator starts. It makes the directories, takes the lock and the socket while it
// may, and then becomes the agent, or the parent of an agent and a card.
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/confine.h"
#include "agent/headers.h"
#include "agent/supervisor.h"
#include "api/paths.h"
#include "base/log.h"
#include "card/card.h"
#include "engine/generation.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BUSY = 4 };

static volatile int stop_signal;

static void on_signal(int signal)
{
	stop_signal = signal;
}

static const char usage[] =
        "usage: raiod [options]\n"
        "The Raio agent: queues runs of packet functions and puts them on a card.\n"
        "\n"
        "  --socket PATH       where clients connect (default: $RAIO_SOCKET, or raiod.sock in the "
        "runtime\n"
        "                      directory: /run/raio for root)\n"
        "  --state DIR         where functions, runs and receipts are kept (default: /var/lib/raio "
        "for root)\n"
        "  --card PATH         use the card that serves this socket; without it raiod starts a "
        "card\n"
        "  --port SPEC         a port of the card that raiod starts, in order from 0; may be "
        "repeated:\n"
        "                      " PORT_KINDS "\n"
        "                      (default: four null ports)\n"
        "  --workers N         worker threads of that card (default: one a CPU)\n"
        "  --engine KIND       its engines: best (default), native or interpreter\n"
        "  --leave-card        when raiod is told to end, that card goes on\n"
        "  --default FUNCTION  what ports run that no run holds (default: pass)\n"
        "  --log-level LEVEL   error, warning, info or debug (default: info)\n"
        "  --version, --help\n";

struct arguments {
	const char *socket, *state, *card, *fallback, *level, *engine;
	const char *ports[PORTS_MAX];
	uint32_t port_count, workers;
	bool leave_card;
};

static int parse_level(const char *text)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	for (int i = 0; i < 4; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

enum {
	OPT_SOCKET = 256,
	OPT_STATE,
	OPT_CARD,
	OPT_PORT,
	OPT_WORKERS,
	OPT_ENGINE,
	OPT_LEAVE,
	OPT_DEFAULT,
	OPT_LEVEL
};

static const struct option long_options[] = {
        {"socket", required_argument, NULL, OPT_SOCKET},
        {"state", required_argument, NULL, OPT_STATE},
        {"card", required_argument, NULL, OPT_CARD},
        {"port", required_argument, NULL, OPT_PORT},
        {"workers", required_argument, NULL, OPT_WORKERS},
        {"engine", required_argument, NULL, OPT_ENGINE},
        {"leave-card", no_argument, NULL, OPT_LEAVE},
        {"default", required_argument, NULL, OPT_DEFAULT},
        {"log-level", required_argument, NULL, OPT_LEVEL},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
};

// -1: go on, else the exit code.
static int take_option(int option, struct arguments *arguments)
{
	switch (option) {
	case OPT_SOCKET:
		arguments->socket = optarg;
		return -1;
	case OPT_STATE:
		arguments->state = optarg;
		return -1;
	case OPT_CARD:
		arguments->card = optarg;
		return -1;
	case OPT_PORT:
		if (arguments->port_count == PORTS_MAX) {
			fprintf(stderr, "raiod: a card has at most %u ports\n", PORTS_MAX);
			return EXIT_USAGE;
		}
		arguments->ports[arguments->port_count++] = optarg;
		return -1;
	case OPT_WORKERS:
		arguments->workers = (uint32_t)strtoul(optarg, NULL, 10);
		if (arguments->workers >= 1 && arguments->workers <= PORTS_MAX)
			return -1;
		fprintf(stderr, "raiod: --workers takes a number from 1 to %u\n", PORTS_MAX);
		return EXIT_USAGE;
	case OPT_ENGINE:
		arguments->engine = optarg;
		if (engine_kind_of(optarg, &(enum engine_kind){0}))
			return -1;
		fputs("raiod: --engine is best, native or interpreter\n", stderr);
		return EXIT_USAGE;
	case OPT_LEAVE:
		arguments->leave_card = true;
		return -1;
	case OPT_DEFAULT:
		arguments->fallback = optarg;
		return -1;
	case OPT_LEVEL:
		arguments->level = optarg;
		if (parse_level(optarg) >= 0)
			return -1;
		fprintf(stderr, "raiod: --log-level is error, warning, info or debug\n");
		return EXIT_USAGE;
	case 'V':
		puts("raiod " RAIO_VERSION);
		return EXIT_DONE;
	case 'h':
		fputs(usage, stdout);
		return EXIT_DONE;
	default:
		fputs("raiod: see raiod --help\n", stderr);
		return EXIT_USAGE;
	}
}

static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	int option, code;
	arguments->level = "info";
	while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		code = take_option(option, arguments);
		if (code >= 0)
			return code;
	}
	if (optind < argc) {
		fprintf(stderr, "raiod: unexpected argument %s; see raiod --help\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (arguments->card && (arguments->port_count || arguments->workers || arguments->engine ||
	                               arguments->leave_card)) {
		fputs("raiod: --port, --workers, --engine and --leave-card are for a card that "
		      "raiod starts, not for --card\n",
		        stderr);
		return EXIT_USAGE;
	}
	if (arguments->fallback && strcmp(arguments->fallback, "pass") == 0)
		arguments->fallback = NULL;
	if (arguments->fallback && !name_is_valid(arguments->fallback)) {
		fprintf(stderr, "raiod: --default: %s is no name for a function\n",
		        arguments->fallback);
		return EXIT_USAGE;
	}
	return -1;
}

// Makes a directory with its parents. The last one must be ours, and nobody else may write there.
static int make_directory(const char *path, mode_t mode, const struct agent_options *options)
{
	char part[PATH_MAX];
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdir(part, 0755) && errno != EEXIST)
			break; // what follows says why
	}
	struct stat st;
	if ((mkdir(path, mode) && errno != EEXIST) || lstat(path, &st)) {
		log_error("cannot make the directory %s: %s", path, strerror(errno));
		return -errno;
	}
	uid_t owner = options->drop ? options->uid : geteuid();
	if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != owner) ||
	        (st.st_mode & 022)) {
		log_error("%s is not a directory that only this user may write to", path);
		return -EPERM;
	}
	if (options->drop && lchown(path, options->uid, options->gid)) {
		log_error("cannot give %s to the agent's user: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

// One agent a state directory: the lock lives as long as this process and its children.
static int take_lock(const char *state)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/raiod.lock", state);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_error("cannot open %s: %s", path, strerror(errno));
		return EXIT_FAILED;
	}
	// An agent whose supervisor was killed needs a moment to follow it.
	bool locked = false;
	for (int i = 0; i < 20 && !(locked = flock(fd, LOCK_EX | LOCK_NB) == 0); i++)
		usleep(50000);
	if (!locked) {
		log_error("another raiod uses the state in %s: end it, or name another directory "
		          "with --state",
		        state);
		return EXIT_BUSY;
	}
	return 0;
}

// Binds the socket; one that nobody serves any more is taken over.
static int take_socket(const struct agent_options *options, int *listen_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(options->socket_path) >= sizeof(address.sun_path)) {
		log_error("the socket's path is longer than %zu characters: %s",
		        sizeof(address.sun_path) - 1, options->socket_path);
		return EXIT_USAGE;
	}
	strcpy(address.sun_path, options->socket_path);
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool served = connect(probe, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(probe);
	if (served) {
		log_error("another raiod serves %s: end it, or name another path with --socket",
		        options->socket_path);
		return EXIT_BUSY;
	}
	struct stat st;
	if (lstat(options->socket_path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(options->socket_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0117); // 0660: who may connect may do all
	int rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (rc || listen(fd, 256) ||
	        (options->drop && lchown(options->socket_path, options->uid, options->gid))) {
		log_error("cannot listen on %s: %s", options->socket_path, strerror(errno));
		return EXIT_FAILED;
	}
	*listen_fd = fd;
	return 0;
}

static void find_card_program(char *path, size_t size)
{
	char self[PATH_MAX] = {0};
	static const char *const places[] = {
	        "%s/raio-card", "%s/../libexec/raio-card", "%s/../lib/raio/raio-card"};
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash = length > 0 ? strrchr(self, '/') : NULL;
	if (slash)
		*slash = 0;
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, size,
		        i == 0   ? "%s/raio-card"
		        : i == 1 ? "%s/../libexec/raio-card"
		                 : "%s/../lib/raio/raio-card",
		        self);
		if (access(path, X_OK) == 0)
			return;
	}
	snprintf(path, size, "/usr/bin/raio-card");
}

static int run_with_card(const struct arguments *arguments, const struct agent_options *agent)
{
	static const char *const nulls[] = {"null", "null", "null", "null"};
	char program[PATH_MAX + 64];
	find_card_program(program, sizeof(program));
	if (access(program, X_OK)) {
		log_error("there is no raio-card beside raiod: build or install it, or name a card "
		          "with --card");
		return EXIT_FAILED;
	}
	if (!arguments->port_count)
		log_info("no --port given: the card has four null ports, which receive nothing "
		         "(name them with --port: " PORT_KINDS ")");
	struct supervisor_options options = {
	        .agent = agent,
	        .card_program = program,
	        .port_specs = arguments->port_count ? arguments->ports : nulls,
	        .port_count = arguments->port_count ? arguments->port_count : 4,
	        .worker_count = arguments->workers,
	        .engine = arguments->engine,
	        .leave_card = arguments->leave_card,
	};
	return supervisor_run(&options);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	char socket_path[PATH_MAX], state[PATH_MAX], runtime[PATH_MAX], card[PATH_MAX];
	struct error err = {0};
	int code = parse_arguments(argc, argv, &arguments);
	if (code >= 0)
		return code;
	log_init("raiod", (enum log_level)parse_level(arguments.level));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); // a limit on file sizes is a full disk, and no reason to die
	struct agent_options options = {
	        .socket_path = arguments.socket ? arguments.socket : socket_path,
	        .state_dir = arguments.state ? arguments.state : state,
	        .card_path = arguments.card ? arguments.card : card,
	        .default_function = arguments.fallback,
	        .stop = &stop_signal,
	        .on_signal = on_signal,
	        .has_parent = !arguments.card};
	if (path_socket(socket_path, sizeof(socket_path)) ||
	        (!arguments.state && path_state(state, sizeof(state)))) {
		log_error("there is no home directory to keep the state in: name one with --state");
		return EXIT_USAGE;
	}
	options.drop = geteuid() == 0;
	if (options.drop && confine_user(&options.uid, &options.gid, &err)) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	snprintf(runtime, sizeof(runtime), "%s", options.socket_path);
	char *slash = strrchr(runtime, '/');
	if (slash && slash != runtime)
		*slash = 0;
	// The card's socket stands beside the state, so that two agents never share one.
	snprintf(card, sizeof(card), "%.*s/card.sock", PATH_MAX - 16, options.state_dir);
	struct stat st;
	if (slash && stat(runtime, &st) && make_directory(runtime, 0755, &options))
		return EXIT_FAILED;
	if (make_directory(options.state_dir, 0700, &options))
		return EXIT_FAILED;
	code = take_lock(options.state_dir);
	if (!code && headers_install(options.state_dir, &err)) {
		log_error("%s", err.text);
		code = EXIT_FAILED;
	}
	if (!code)
		code = take_socket(&options, &options.listen_fd);
	if (code)
		return code;
	code = arguments.card ? agent_run(&options) : run_with_card(&arguments, &options);
	unlink(options.socket_path);
	return code;
}
