// SPDX-License-Identifier: Apache-2.0
// What ports cost. Three cases:
//
// forward, veth, 64 B: source -> in | forwarder | out -> sink, over two veth pairs in a network
// namespace of this process; packets that reach the sink, in millions for a second of the
// forwarder's CPU time, while the source overloads it. Sides: `baseline` (l2fwd_baseline.c),
// `ports` (our drivers in the barest loop), `card` (the soft card with wire). The source is
// BPF_PROG_RUN with live frames on one CPU; the forwarder has the other.
//
// gen to sink, wire: ns a packet of a card of one worker, of the interpreter alone, and the
// difference, which is what the port and card layers cost (promised: under 25).
//
// gen to sink: ns a packet of the generator's receive and transmit alone, by frame size.
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#define PACKETS (1u << 20) // a run

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

static void run_ports(void)
{
	struct pair pair = {0};
	open_pair(&pair, "af_xdp:in0,host=none", "af_xdp:out0,host=none");
	while (!stop)
		for (int from = 0; from < 2; from++) {
			forward(&pair, from);
			port_flush(pair.ports[0]);
			port_flush(pair.ports[1]);
		}
	close_pair(&pair);
}

// The whole card, in this process: one worker, wire on both ports.
static void run_card(void)
{
	const char *specs[] = {"af_xdp:in0,host=none", "af_xdp:out0,host=none"};
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

static void run_program(const char *name)
{
	char path[8192];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	execl(path, name, "in0", "out0", NULL);
	die(path, strerror(errno));
}

static pid_t start(const char *side)
{
	pid_t child = fork();
	if (child < 0)
		die("fork", strerror(errno));
	if (child > 0)
		return child;
	pin(1);
	if (strcmp(side, "baseline") == 0)
		run_program("l2fwd_baseline");
	signal(SIGTERM, on_signal);
	if (strcmp(side, "card") == 0)
		run_card();
	else
		run_ports();
	_exit(0);
}

static uint64_t arrived(void)
{
	char line[512];
	unsigned long long packets = 0;
	FILE *file = fopen("/proc/thread-self/net/dev", "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " sink0: %*u %llu", &packets) == 1)
			break;
	if (file)
		fclose(file);
	return packets;
}

static int source_program(void)
{
	const struct bpf_insn code[] = {
	        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_TX},
	        {.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "source", "Apache-2.0", code, 2, NULL);
	if (fd < 0)
		die("source", strerror(-fd));
	return fd;
}

static void send_packets(int program, uint32_t n)
{
	uint8_t frame[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
	struct xdp_md context = {
	        .data_end = sizeof(frame), .ingress_ifindex = if_nametoindex("source0")};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
	        .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = (int)n,
	        .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	int status = bpf_prog_test_run_opts(program, &options);
	if (status)
		die("BPF_PROG_RUN with live frames", strerror(-status));
}

// Sends a little until the forwarder is up and something arrives.
static void await_forwarder(const char *side, int program)
{
	uint64_t before = arrived(), until_ns = clock_ns() + 5 * NS_PER_S;
	while (arrived() == before) {
		if (clock_ns() > until_ns)
			die(side, "does not forward");
		send_packets(program, 256);
		usleep(20000);
	}
	send_packets(program, PACKETS / 8);
}

static void sample_forwarding(struct bench *bench, const char *side, int program)
{
	pid_t child = start(side);
	await_forwarder(side, program);
	clockid_t clock = CLOCK_MONOTONIC;
	clock_getcpuclockid(child, &clock);
	uint64_t before = arrived(), begin_ns = cpu_ns(clock);
	send_packets(program, PACKETS);
	double seconds = (double)(cpu_ns(clock) - begin_ns) / NS_PER_S;
	double packets = (double)(arrived() - before);
	int status = 0;
	kill(child, SIGTERM);
	waitpid(child, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die(side, "failed");
	usleep(300000); // the kernel frees the queues
	bench_sample(bench, "forward, veth, 64 B", side, "Mpps", packets / seconds / 1e6);
}

static void bench_forwarding(struct bench *bench)
{
	if (unshare(CLONE_NEWNET)) {
		fprintf(stderr, "ports_bench: no network namespace (run as root): forwarding is "
		                "left out\n");
		return;
	}
	if (system("sysctl -qw net.ipv6.conf.default.disable_ipv6=1; "
	           "ip link add source0 type veth peer name in0 && "
	           "ip link add out0 type veth peer name sink0 && "
	           "for i in source0 in0 out0 sink0; do ip link set $i up || exit 1; done"))
		die("ip link", "cannot make the veth pairs");
	int program = source_program();
	const char *sides[] = {"baseline", "ports", "card"};
	pin(0);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
			sample_forwarding(bench, sides[i], program);
	close(program);
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
	const char *name = "gen to sink, 64 B, wire, interpreter";
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
