// SPDX-License-Identifier: Apache-2.0
// raio-card: the soft card as a process. It opens its ports, gives up every privilege, and serves
// the card protocol on a Unix socket until SIGTERM or SIGINT.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "card/card.h"
#include "card/confine.h"
#include "card/listen.h"
#include "map/map.h"

enum { EXIT_USAGE = 2 };

static volatile int stopped; // set by SIGTERM and SIGINT

struct settings {
	const char *socket, *user;
	int socket_fd;
	const char *specs[PORTS_MAX];
	struct soft_card_options card;
};

static const char help[] =
        "raio-card: a packet processor in software\n"
        "\n"
        "usage: raio-card --socket PATH --port SPEC [--port SPEC ...] [options]\n"
        "\n"
        "  --socket PATH    Unix socket that the agent connects to (mode 0660)\n"
        "  --socket-fd N    or: a listening socket that was inherited\n"
        "  --port SPEC      a port, numbered from 0 in the order given:\n"
        "                   " PORT_KINDS "\n"
        "                   (none given: four null ports)\n"
        "  --workers N      threads; 0, the default, is one a CPU, at most one a port\n"
        "  --frames N       frames of packet memory, 2 KiB each; default 2048 a port\n"
        "  --busy-poll      never sleep: lowest latency, a whole CPU a worker\n"
        "  --pin            pin workers to CPUs\n"
        "  --engine KIND    best (default), native or interpreter\n"
        "  --user NAME      become NAME once the ports are open (default: nobody); also the\n"
        "                   socket's owner\n"
        "  --version        print the version\n"
        "  --help           print this\n";

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static int read_number(const char *text, const char *option, uint32_t max, uint32_t *value)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (errno || *end || !*text || *text == '-' || number > max) {
		fprintf(stderr, "raio-card: %s takes a number up to %u, not '%s'\n", option, max,
		        text);
		return -EINVAL;
	}
	*value = (uint32_t)number;
	return 0;
}

static int add_port(struct settings *settings, const char *spec)
{
	if (settings->card.port_count == PORTS_MAX) {
		fprintf(stderr, "raio-card: a card has at most %u ports\n", PORTS_MAX);
		return -EINVAL;
	}
	settings->specs[settings->card.port_count++] = spec;
	return 0;
}

// Returns 0 to go on, 1 when all is done, or a negative errno.
static int read_option(struct settings *settings, int option)
{
	uint32_t number = 0;
	int rc = 0;
	switch (option) {
	case 's':
		settings->socket = optarg;
		return 0;
	case 'f':
		rc = read_number(optarg, "--socket-fd", 65535, &number);
		settings->socket_fd = (int)number;
		return rc;
	case 'p':
		return add_port(settings, optarg);
	case 'w':
		return read_number(optarg, "--workers", PORTS_MAX, &settings->card.worker_count);
	case 'n':
		return read_number(optarg, "--frames", 1u << 20, &settings->card.frame_count);
	case 'b':
		settings->card.busy_poll = true;
		return 0;
	case 'i':
		settings->card.pin = true;
		return 0;
	case 'e':
		if (engine_kind_of(optarg, &settings->card.engine))
			return 0;
		fprintf(stderr, "raio-card: --engine takes best, native or interpreter, not '%s'\n",
		        optarg);
		return -EINVAL;
	case 'u':
		settings->user = optarg;
		return 0;
	case 'v':
		puts("raio-card " RAIO_VERSION);
		return 1;
	case 'h':
		fputs(help, stdout);
		return 1;
	}
	return -EINVAL;
}

static int read_options(int argc, char **argv, struct settings *settings)
{
	static const struct option options[] = {
	        {"socket", required_argument, NULL, 's'},
	        {"socket-fd", required_argument, NULL, 'f'},
	        {"port", required_argument, NULL, 'p'},
	        {"workers", required_argument, NULL, 'w'},
	        {"frames", required_argument, NULL, 'n'},
	        {"busy-poll", no_argument, NULL, 'b'},
	        {"pin", no_argument, NULL, 'i'},
	        {"engine", required_argument, NULL, 'e'},
	        {"user", required_argument, NULL, 'u'},
	        {"version", no_argument, NULL, 'v'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	int option, rc = 0;
	while (!rc && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		rc = read_option(settings, option);
	if (rc)
		return rc;
	if (optind < argc) {
		fprintf(stderr, "raio-card: unexpected '%s'\n", argv[optind]);
		return -EINVAL;
	}
	if (!settings->socket == (settings->socket_fd < 0)) {
		fprintf(stderr, "raio-card: give one of --socket PATH and --socket-fd N\n");
		return -EINVAL;
	}
	for (bool none = !settings->card.port_count; none && settings->card.port_count < 4;)
		add_port(settings, "null");
	settings->card.port_specs = settings->specs;
	return 0;
}

static int socket_check(int fd, struct error *err)
{
	int listening = 0;
	socklen_t size = sizeof(listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) || !listening)
		return error_set(err, EBADF, "descriptor %d is no listening socket", fd);
	return 0;
}

static void handle_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

static void tell_ports(struct card *card)
{
	autofree struct card_port *ports = calloc(PORTS_MAX, sizeof(ports[0]));
	uint32_t count = 0;
	if (!ports || card->ops->ports(card, ports, PORTS_MAX, &count, NULL))
		return;
	for (uint32_t i = 0; i < count; i++)
		log_info("port %u: %s", ports[i].number, ports[i].description);
}

static int confine(void *context, struct error *err)
{
	const struct settings *settings = context;
	return confine_privileges(settings->user ? settings->user : "nobody", err);
}

static int run(struct settings *settings, struct error *err)
{
	cleanup(card_free) struct card *card = NULL;
	autoclose int fd = settings->socket_fd;
	int rc = fd >= 0 ? socket_check(fd, err)
	                 : listen_unix(settings->socket, settings->user, &fd, err);
	if (rc)
		return rc;
	settings->card.confine = confine;
	settings->card.confine_context = settings;
	rc = soft_card_new(&settings->card, &card, err);
	map_start(); // the last thread: the filter lets none begin
	if (!rc)
		rc = confine_syscalls(err);
	if (!rc) {
		tell_ports(card);
		log_info("ready");
		rc = card_serve(card, fd, &stopped, err);
	}
	if (settings->socket)
		unlink(settings->socket); // where we still may; else the next one replaces it
	return rc;
}

int main(int argc, char **argv)
{
	struct settings settings = {.socket_fd = -1};
	int rc = read_options(argc, argv, &settings);
	if (rc > 0)
		return 0;
	if (rc < 0) {
		fprintf(stderr, "raio-card --help tells the options\n");
		return EXIT_USAGE;
	}
	log_init("raio-card", LOG_INFO);
	handle_signals();
	struct error err = {0};
	if (run(&settings, &err)) {
		log_error("%s", err.text);
		return 1;
	}
	return 0;
}
