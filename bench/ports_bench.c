// SPDX-License-Identifier: Apache-2.0
// What ports cost. Three cases:
//
// forward, veth, 64 B: source -> in | forwarder | out -> sink, over two veth pairs a forwarder, all
// alike, in a network namespace of this process; packets that reach the sink, in millions for a
// second of the forwarder's CPU time. Sides: `baseline` (l2fwd_baseline.c), `ports` (our drivers in
// the barest loop), `card` (the soft card with wire); all of them poll, and
// none is ever without packets: each in its turn is stopped, its receive ring is filled
// (by a packet socket, from another CPU), and it runs until all of them have arrived.
// Turns take under a millisecond and the three alternate, so that what else the machine does meets
// all of them; from sample to sample they change places.
//
// gen to sink, wire: ns a packet of a card of one worker, of the engine alone, and the
// difference, which is what the port and card layers cost (promised: under 25).
//
// gen to sink: ns a packet of the generator's receive and transmit alone, by frame size.
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "bench.h"
#include "card/card.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/space.h"
#include "port/port.h"

#define ROUNDS  15
#define SIDES   3
#define TURNS   60 // of each side, a sample
#define TURN_NS (50 * NS_PER_MS)
#define PACKETS 1024u // a turn: what a receive ring and our frames that wait can hold

static char folder[4096]; // of this executable

static void die(const char *what, const char *why)
{
	fprintf(stderr, "ports_bench: %s: %s\n", what, why);
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); // where we may not, the figures are noisier
}

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static int read_wire(struct image **image, struct error *err)
{
	char path[8192];
	uint8_t *data = NULL;
	size_t size;
	snprintf(path, sizeof(path), "%s/../functions/wire.o", folder);
	int status = file_read(path, OBJECT_SIZE_MAX, &data, &size, err);
	if (!status)
		status = object_read(data, size, NULL, NULL, 0, image, err);
	free(data);
	return status;
}

// Puts wire onto both ports of a card.
static int load_wire(struct card *card, struct error *err)
{
	struct image *image = NULL;
	struct receipt receipt;
	uint64_t id;
	const struct card_load load = {.ports = 3, .tag = "bench"};
	int status = read_wire(&image, err);
	if (!status)
		status = card->ops->load(card, image, &load, &id, err);
	image_free(&image);
	return status ? status : card->ops->swap(card, id, 3, 0, &receipt, err);
}

// CPU time, which other processes of a busy machine do not spoil.
static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

struct pair {
	struct space *space;
	struct packet_memory *memory;
	struct port *ports[2];
};

static void open_pair(struct pair *pair, const char *first, const char *second)
{
	const char *specs[2] = {first, second};
	struct error err = {0};
	int status = space_new(&pair->space, &err);
	if (!status)
		status = packet_memory_new(
		        pair->space, 2 * PORT_FRAMES + BURST_MAX, &pair->memory, &err);
	for (uint8_t i = 0; i < 2 && !status; i++)
		status = port_open(
		        specs[i], &(struct port_options){pair->memory, i}, &pair->ports[i], &err);
	if (status)
		die("ports", err.text);
}

static void close_pair(struct pair *pair)
{
	port_close(&pair->ports[0]);
	port_close(&pair->ports[1]);
	packet_memory_free(&pair->memory);
	space_free(&pair->space);
}

static uint32_t forward(struct pair *pair, int from)
{
	struct packet packets[BURST_MAX];
	uint32_t n = port_receive(pair->ports[from], packets, BURST_MAX);
	uint32_t sent = n ? port_transmit(pair->ports[!from], packets, n) : 0;
	if (sent < n)
		frames_give(pair->memory, packets + sent, n - sent);
	return n;
}

static void run_ports(const char *in, const char *out)
{
	struct pair pair = {0};
	open_pair(&pair, in, out);
	while (!stop)
		for (int from = 0; from < 2; from++) {
			forward(&pair, from);
			port_flush(pair.ports[0]);
			port_flush(pair.ports[1]);
		}
	close_pair(&pair);
}

// The whole card, in this process: one worker, wire on both ports.
static void run_card(const char *in, const char *out)
{
	const char *specs[] = {in, out};
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = 2, .worker_count = 1, .busy_poll = true};
	struct card *card = NULL;
	struct error err = {0};
	if (soft_card_new(&options, &card, &err) || load_wire(card, &err))
		die("card", err.text);
	while (!stop)
		usleep(10000);
	card_free(&card);
}

static void run_baseline(const char *in, const char *out)
{
	char path[8192];
	snprintf(path, sizeof(path), "%s/l2fwd_baseline", folder);
	execl(path, "l2fwd_baseline", in, out, NULL);
	die(path, strerror(errno));
}

static const char *const side_names[SIDES] = {"baseline", "ports", "card"};

struct forwarder {
	pid_t child, thread; // the one that forwards
	int clock;           // its CPU time
	unsigned place;      // of its interfaces: sourceN - inN, outN - sinkN
	int in, sink;        // indices
	int counters;        // rtnetlink
	int source;          // packet socket on the source
	double ns[TURNS];    // a packet
	unsigned turns;
};

static pid_t start(unsigned side, unsigned place)
{
	char in[32], out[32];
	pid_t child = fork();
	if (child < 0)
		die("fork", strerror(errno));
	if (child > 0)
		return child;
	pin(1);
	const char *form = side ? "af_xdp:%s%u,host=none" : "%s%u";
	snprintf(in, sizeof(in), form, "in", place);
	snprintf(out, sizeof(out), form, "out", place);
	if (side == 0)
		run_baseline(in, out);
	signal(SIGTERM, on_signal);
	if (side == 1)
		run_ports(in, out);
	else
		run_card(in, out);
	_exit(0);
}

// Packets that have reached an interface: one short question to the kernel, which takes a
// microsecond or two.
static uint64_t arrived(const struct forwarder *forwarder, int ifindex)
{
	struct {
		struct nlmsghdr header;
		struct if_stats_msg stats;
	} question = {
	        .header = {sizeof(question), RTM_GETSTATS, NLM_F_REQUEST, 0, 0},
	        .stats = {.ifindex = (uint32_t)ifindex,
	                .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)},
	};
	struct {
		struct nlmsghdr header;
		struct if_stats_msg stats;
		struct rtattr attribute;
		struct rtnl_link_stats64 link;
		uint8_t rest[256];
	} answer = {0};
	if (send(forwarder->counters, &question, sizeof(question), 0) < 0 ||
	        recv(forwarder->counters, &answer, sizeof(answer), 0) < 0 ||
	        answer.attribute.rta_type != IFLA_STATS_LINK_64)
		die("counters of an interface", strerror(errno));
	uint64_t packets;
	memcpy(&packets, (uint8_t *)&answer.link + offsetof(struct rtnl_link_stats64, rx_packets),
	        sizeof(packets));
	return packets;
}

static int index_of(const char *name, unsigned place)
{
	char whole[IFNAMSIZ];
	snprintf(whole, sizeof(whole), "%s%u", name, place);
	return (int)if_nametoindex(whole);
}

static int open_source(unsigned place)
{
	struct sockaddr_ll address = {
	        .sll_family = AF_PACKET, .sll_ifindex = index_of("source", place)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &(int){1}, sizeof(int)))
		die("source", strerror(errno));
	return fd;
}

static void send_packets(const struct forwarder *forwarder, uint32_t n)
{
	uint8_t frame[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
	struct iovec part = {frame, sizeof(frame)};
	struct mmsghdr messages[BURST_MAX];
	for (uint32_t i = 0; i < BURST_MAX; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
	for (; n; n -= n < BURST_MAX ? n : BURST_MAX)
		sendmmsg(forwarder->source, messages, n < BURST_MAX ? n : BURST_MAX, 0);
}

// The card's worker, or the only thread.
static pid_t find_thread(pid_t child)
{
	char pattern[64], name[32];
	pid_t found = child;
	glob_t tasks;
	snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/comm", (int)child);
	if (glob(pattern, 0, NULL, &tasks))
		return found;
	for (size_t i = 0; i < tasks.gl_pathc; i++) {
		FILE *file = fopen(tasks.gl_pathv[i], "r");
		if (file && fgets(name, sizeof(name), file) && strcmp(name, "worker 0\n") == 0)
			sscanf(tasks.gl_pathv[i], "/proc/%*d/task/%d", &found);
		if (file)
			fclose(file);
	}
	globfree(&tasks);
	return found;
}

// CPU time of the thread that forwards, which is stopped: of one that runs it would be behind by up
// to a tick.
static uint64_t spent_ns(const struct forwarder *forwarder)
{
	char text[128];
	ssize_t size = pread(forwarder->clock, text, sizeof(text) - 1, 0);
	if (size <= 0)
		die("schedstat", strerror(errno));
	text[size] = '\0';
	return strtoull(text, NULL, 10);
}

static void hold(const struct forwarder *forwarder)
{
	// To the thread that has the CPU: another one would have to get it first.
	syscall(SYS_tgkill, forwarder->child, forwarder->thread, SIGSTOP);
	waitpid(forwarder->child, NULL, WUNTRACED);
}

// Starts a forwarder, waits until it forwards, and stops it.
static void open_forwarder(struct forwarder *forwarder, unsigned side, unsigned place)
{
	char path[64];
	forwarder->place = place;
	forwarder->source = open_source(place);
	forwarder->in = index_of("in", place);
	forwarder->sink = index_of("sink", place);
	forwarder->turns = 0;
	forwarder->child = start(side, place);
	uint64_t before = arrived(forwarder, forwarder->sink), until_ns = clock_ns() + 5 * NS_PER_S;
	while (arrived(forwarder, forwarder->sink) == before) {
		if (clock_ns() > until_ns)
			die(side_names[side], "does not forward");
		send_packets(forwarder, 64);
		usleep(20000);
	}
	forwarder->thread = find_thread(forwarder->child);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)forwarder->child,
	        (int)forwarder->thread);
	forwarder->clock = open(path, O_RDONLY | O_CLOEXEC);
	hold(forwarder);
}

// Fills the forwarder's receive ring. Returns how many packets it has: on a busy machine the
// source's own interface may lose some.
static uint64_t fill(struct forwarder *forwarder)
{
	uint64_t before = arrived(forwarder, forwarder->in), there;
	send_packets(forwarder, PACKETS);
	for (int tries = 0;; tries++) {
		there = arrived(forwarder, forwarder->in) - before;
		if (there >= PACKETS || tries == 50)
			return there;
		usleep(100);
	}
}

// A turn counts if the machine was not too busy to let all packets through.
static void take_turn(struct forwarder *forwarder)
{
	uint64_t before = arrived(forwarder, forwarder->sink), packets = fill(forwarder);
	bool counts = packets == PACKETS;
	uint64_t begin_ns = spent_ns(forwarder), until_ns = clock_ns() + TURN_NS;
	kill(forwarder->child, SIGCONT);
	while (arrived(forwarder, forwarder->sink) < before + packets && counts)
		counts = clock_ns() < until_ns;
	hold(forwarder);
	uint64_t end_ns = spent_ns(forwarder);
	kill(forwarder->child, SIGCONT);
	usleep(counts ? 100 : 20000); // it takes back what it has sent, or ends what it still has
	hold(forwarder);
	if (!counts)
		return;
	forwarder->ns[forwarder->turns++] = (double)(end_ns - begin_ns) / (double)packets;
}

static void close_forwarder(struct forwarder *forwarder, const char *side)
{
	int status = 0;
	close(forwarder->source);
	close(forwarder->clock);
	kill(forwarder->child, SIGTERM);
	kill(forwarder->child, SIGCONT);
	waitpid(forwarder->child, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die(side, "failed");
}

static int compare(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;
	return (first > second) - (first < second);
}

// A sample of a side is the median of its turns.
static void sample_forwarding(
        struct bench *bench, struct forwarder forwarders[SIDES], unsigned round)
{
	double ns[SIDES];
	for (unsigned side = 0; side < SIDES; side++)
		open_forwarder(&forwarders[side], side, (side + round) % SIDES);
	for (unsigned turn = 0; turn < TURNS; turn++)
		for (unsigned side = 0; side < SIDES; side++)
			take_turn(&forwarders[side]);
	for (unsigned side = 0; side < SIDES; side++) {
		struct forwarder *forwarder = &forwarders[side];
		close_forwarder(forwarder, side_names[side]);
		if (!forwarder->turns)
			die(side_names[side], "forwarded no turn's packets whole");
		qsort(forwarder->ns, forwarder->turns, sizeof(forwarder->ns[0]), compare);
		ns[side] = forwarder->ns[forwarder->turns / 2];
		bench_sample(
		        bench, "forward, veth, 64 B", side_names[side], "Mpps", 1e3 / ns[side]);
		bench_sample(bench, "forward, of the baseline beside it", side_names[side], "1",
		        ns[0] / ns[side]);
	}
	usleep(300000); // the kernel frees the queues
}

static void bench_forwarding(struct bench *bench)
{
	struct forwarder forwarders[SIDES];
	if (unshare(CLONE_NEWNET)) {
		fprintf(stderr, "ports_bench: no network namespace (run as root): forwarding is "
		                "left out\n");
		return;
	}
	if (system("sysctl -qw net.ipv6.conf.default.disable_ipv6=1; "
	           "for n in 0 1 2; do "
	           "ip link add source$n type veth peer name in$n && "
	           "ip link add out$n type veth peer name sink$n && "
	           "for i in source in out sink; do ip link set $i$n up || exit 1; done; done"))
		die("ip link", "cannot make the veth pairs");
	int counters = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	for (unsigned side = 0; side < SIDES; side++)
		forwarders[side].counters = counters;
	pin(0);
	for (unsigned round = 0; round < ROUNDS; round++)
		sample_forwarding(bench, forwarders, round);
	close(counters);
}

static void bench_generator(struct bench *bench, const char *name, const char *spec)
{
	struct pair pair = {0};
	open_pair(&pair, spec, spec);
	for (int round = 0; round < 2 * ROUNDS; round++) {
		uint64_t packets = 0, begin_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID), ns;
		do
			for (int i = 0; i < 256; i++) {
				packets += forward(&pair, 0);
				packets += forward(&pair, 1);
			}
		while ((ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns) < 20 * NS_PER_MS);
		bench_sample(bench, name, "ports", "ns", (double)ns / (double)packets);
	}
	close_pair(&pair);
}

static uint64_t card_packets(struct card *card)
{
	struct card_port ports[2];
	struct error err = {0};
	uint32_t count;
	if (card->ops->ports(card, ports, 2, &count, &err))
		die("card", err.text);
	return ports[0].total.packets + ports[1].total.packets;
}

// A packet's time in a card of one worker, all told: CPU time of this process, which sleeps else.
static double card_ns(void)
{
	const char *specs[] = {"gen", "gen"};
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = 2, .worker_count = 1, .busy_poll = true};
	struct card *card = NULL;
	struct error err = {0};
	if (soft_card_new(&options, &card, &err) || load_wire(card, &err))
		die("card", err.text);
	usleep(5000);
	uint64_t packets = card_packets(card), begin_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	usleep(60000);
	uint64_t ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_ns;
	packets = card_packets(card) - packets;
	card_free(&card);
	return (double)ns / (double)(packets ? packets : 1);
}

// A packet's time in the ports, and in the engine if there is one.
static double loop_ns(struct pair *pair, struct engine *engine, struct generation *generation)
{
	struct packet packets[BURST_MAX];
	struct verdict verdicts[BURST_MAX];
	uint64_t begin_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID), count = 0;
	while (count < 500000) {
		uint32_t n = port_receive(pair->ports[0], packets, BURST_MAX);
		if (engine)
			engine_run(engine, generation, packets, verdicts, n);
		count += port_transmit(pair->ports[1], packets, n);
	}
	return (double)(cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns) / (double)count;
}

static void bench_layers(struct bench *bench)
{
	const char *name = "gen to sink, 64 B, wire";
	const struct generation_options linked = {.id = 1, .engine_count = 1, .ports = 3};
	struct image *image = NULL;
	struct engine *engine = NULL;
	struct generation *generation = NULL;
	struct pair pair = {0};
	struct error err = {0};
	open_pair(&pair, "gen", "gen");
	if (read_wire(&image, &err) ||
	        generation_new(pair.space, image, &linked, &generation, &err) ||
	        engine_new(pair.space, &(struct engine_options){0}, &engine, &err))
		die(name, err.text);
	for (int round = 0; round < ROUNDS; round++) {
		double alone = -loop_ns(&pair, NULL, NULL);
		alone += loop_ns(&pair, engine, generation);
		double all = card_ns();
		bench_sample(bench, name, "engine", "ns", alone);
		bench_sample(bench, name, "card", "ns", all);
		bench_sample(
		        bench, "port and card layers beyond the engine", "card", "ns", all - alone);
	}
	engine_free(&engine);
	generation_free(&generation);
	close_pair(&pair);
}

int main(int argc, char **argv)
{
	struct bench *bench;
	ssize_t size = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	char *slash = size > 0 ? strrchr(folder, '/') : NULL;
	if (!slash || bench_new(&bench))
		return 1;
	*slash = '\0';
	bench_forwarding(bench);
	bench_layers(bench);
	bench_generator(bench, "gen to sink, 64 B", "gen");
	bench_generator(bench, "gen to sink, 64 B, 4096 flows", "gen:flows=4096");
	bench_generator(bench, "gen to sink, 64 B, sequence checked", "gen:seq=1");
	bench_generator(bench, "gen to sink, IMIX", "gen:size=imix");
	bench_generator(bench, "gen to sink, 1518 B", "gen:size=1518");
	int status = bench_report(bench, "ports", argc > 1 ? argv[1] : NULL);
	bench_free(&bench);
	return status ? 1 : 0;
}
