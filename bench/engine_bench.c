// SPDX-License-Identifier: Apache-2.0
// The engines: what a packet costs in each of the functions that ship with Raio, in ns, from
// descriptor to verdict, 64-byte frames in bursts of 32. Sides:
// - limit: the function's own C by clang -O3, straight into the same maps (engine/limit.c);
// - native, interpreter: engine_run();
// - kernel: the same object in the kernel, with its maps (engine/side_kernel.c);
// - rte_bpf: DPDK's JIT, the same C adapted, with our maps (engine/side_rte.c).
// And what loading a function into the native engine takes, in us (engine/compile.c).
//
// Before they are timed all sides run the same packets, which must come out the same.
//
//	engine_bench [--quick] [--rounds N] [--case TEXT] [--side NAME] [JSON]
//
// --quick: 1 flow only, and few packets. --case: only cases that begin with TEXT. --side: that side
// alone, for a profiler.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "bench.h"
#include "engine/compile.h"
#include "engine/load.h"
#include "engine/side.h"
#include "engine/space.h"

#define ROUNDS 9
#define CHUNKS 48u // of a side, in each round
#define SAMPLE 128u
#define COUNT_OF(flows)                                                                            \
	((flows) == 1 ? "1 flow" : (flows) == LOAD_FLOWS_MAX ? "1M flows" : "64k flows")

static const struct side *const sides[] = {
        &side_limit,
        &side_native,
        &side_interpreter,
        &side_kernel,
#if HAVE_RTE_BPF
        &side_rte_bpf,
#endif
};
#define SIDES ARRAY_SIZE(sides)

struct options {
	int rounds;
	uint32_t chunks;
	bool quick;
	const char *only_case, *only_side, *json;
};

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "engine_bench: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
	exit(1);
}

// What a side made of a chunk.
struct outcome {
	struct verdict verdicts[LOAD_CHUNK];
	struct packet packets[LOAD_CHUNK];
	uint8_t frames[LOAD_CHUNK][FLOW_SIZE];
};

static void run_chunk(const struct side *side, void *state, struct load *load,
        struct verdict verdicts[LOAD_BURST])
{
	for (uint32_t i = 0; i < LOAD_CHUNK; i += LOAD_BURST)
		side->burst(state, &load->packets[i], verdicts, LOAD_BURST);
}

static void check_forwarded(const struct side *side, const struct verdict *verdict)
{
	if (verdict->verdict == XDP_REDIRECT && verdict->ports == 2)
		return;
	fprintf(stderr,
	        "engine_bench: %s does not forward a packet: verdict %u, ports 0x%llx, fault "
	        "\"%s\" at instruction %u\n",
	        side->name, verdict->verdict, (unsigned long long)verdict->ports,
	        fault_name(verdict->fault), verdict->insn);
	exit(1);
}

// Runs the load's next packets, and keeps what became of them.
static void try_bursts(
        const struct side *side, void *state, struct load *load, struct outcome *outcome)
{
	load_refill(load);
	for (uint32_t i = 0; i < LOAD_CHUNK; i += LOAD_BURST)
		side->burst(state, &load->packets[i], &outcome->verdicts[i], LOAD_BURST);
	memcpy(outcome->packets, load->packets, sizeof(outcome->packets));
	for (uint32_t i = 0; i < LOAD_CHUNK; i++) {
		const uint8_t *frame = packet_data(space_base(load->space), &load->packets[i]);
		memcpy(outcome->frames[i], frame, FLOW_SIZE);
		check_forwarded(side, &outcome->verdicts[i]);
	}
}

static void try_one_by_one(
        const struct side *side, void *state, struct load *load, const struct outcome *expected)
{
	load_refill(load);
	for (uint32_t i = 0; i < SAMPLE; i++) {
		uint8_t *frame = packet_data(space_base(load->space), &load->packets[i]);
		int result = side->run_one(state, frame);
		if (result != (int)expected->verdicts[i].result ||
		        memcmp(frame, expected->frames[i], FLOW_SIZE) != 0) {
			fprintf(stderr,
			        "engine_bench: packet %u comes out of %s otherwise: result %d\n", i,
			        side->name, result);
			exit(1);
		}
	}
}

static bool same_descriptor(const struct packet *a, const struct packet *b)
{
	return a->frame == b->frame && a->data == b->data && a->end == b->end &&
	       a->meta == b->meta && a->port == b->port && a->out == b->out;
}

static bool same_verdict(const struct verdict *a, const struct verdict *b)
{
	return a->verdict == b->verdict && a->fault == b->fault && a->program == b->program &&
	       a->insn == b->insn && a->result == b->result && a->address == b->address &&
	       a->ports == b->ports;
}

static void check_outcome(const struct outcome *expected, const char *first,
        const struct outcome *outcome, const struct side *side, const char *name)
{
	for (uint32_t i = 0; i < LOAD_CHUNK; i++) {
		const char *what = NULL;
		if (!same_verdict(&outcome->verdicts[i], &expected->verdicts[i]))
			what = "verdict";
		else if (!same_descriptor(&outcome->packets[i], &expected->packets[i]))
			what = "descriptor";
		else if (memcmp(outcome->frames[i], expected->frames[i], FLOW_SIZE) != 0)
			what = "content";
		if (!what)
			continue;
		fprintf(stderr, "engine_bench: %s: packet %u leaves %s and %s with another %s\n",
		        name, i, first, side->name, what);
		exit(1);
	}
}

// Ends the program unless all sides make the same of the same packets, and forward them.
static void check_sides(struct load *load, void *const states[SIDES], const char *name)
{
	static struct outcome expected, outcome;
	const char *first = NULL;
	uint32_t next = load->next;
	for (size_t i = 0; i < SIDES; i++) {
		const struct side *side = sides[i];
		if (!states[i])
			continue;
		load->next = next;
		if (!side->burst && first)
			try_one_by_one(side, states[i], load, &expected);
		if (!side->burst)
			continue;
		try_bursts(side, states[i], load, first ? &outcome : &expected);
		if (first)
			check_outcome(&expected, first, &outcome, side, name);
		first = first ? first : side->name;
	}
}

// What clock_ns() costs when nothing stands between two calls.
static uint64_t clock_cost_ns(void)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < 1000; i++) {
		uint64_t begin_ns = clock_ns(), cost_ns = clock_ns() - begin_ns;
		least = cost_ns < least ? cost_ns : least;
	}
	return least;
}

static int value_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

// The median chunk's ns a packet: whoever is taken off the CPU is so in few of them.
static double time_bursts(const struct side *side, void *state, struct load *load, uint32_t chunks)
{
	struct verdict verdicts[LOAD_BURST];
	uint64_t spent_ns[CHUNKS], clock_cost = clock_cost_ns();
	for (uint32_t i = 0; i < chunks; i++) {
		load_refill(load);
		uint64_t begin_ns = clock_ns();
		run_chunk(side, state, load, verdicts);
		spent_ns[i] = clock_ns() - begin_ns;
		check_forwarded(side, &verdicts[LOAD_BURST - 1]);
	}
	qsort(spent_ns, chunks, sizeof(spent_ns[0]), value_order);
	uint64_t median_ns = spent_ns[chunks / 2];
	return (double)(median_ns - (median_ns > clock_cost ? clock_cost : 0)) / LOAD_CHUNK;
}

static void open_sides(const struct load *load, const char *name, const struct options *options,
        void *states[SIDES])
{
	struct error err;
	for (size_t i = 0; i < SIDES; i++) {
		states[i] = NULL;
		if (options->only_side && strcmp(options->only_side, sides[i]->name) != 0)
			continue;
		if (sides[i]->open(load, &states[i], &err))
			fprintf(stderr, "%s: without %s: %s\n", name, sides[i]->name, err.text);
	}
}

static void run_case(
        struct bench *bench, enum load_kind kind, uint32_t flows, const struct options *options)
{
	struct error err;
	char name[64];
	void *states[SIDES];
	cleanup(load_free) struct load *load = NULL;
	snprintf(name, sizeof(name), "%s, %s", load_names[kind], COUNT_OF(flows));
	if (options->only_case &&
	        strncmp(name, options->only_case, strlen(options->only_case)) != 0)
		return;
	if (load_new(kind, flows, &load, &err))
		die(name, &err);
	open_sides(load, name, options, states);
	check_sides(load, states, name);
	for (int round = -1; round < options->rounds; round++) {
		for (size_t i = 0; i < SIDES; i++) {
			if (!states[i])
				continue;
			double ns =
			        sides[i]->burst
			                ? time_bursts(sides[i], states[i], load, options->chunks)
			                : sides[i]->time(states[i], options->chunks * LOAD_CHUNK);
			if (isnan(ns))
				die("the kernel did not run a packet as it did before", NULL);
			if (round >= 0) // the first one warms up
				bench_sample(bench, name, sides[i]->name, "ns", ns);
		}
	}
	for (size_t i = 0; i < SIDES; i++)
		if (states[i])
			sides[i]->close(&states[i]);
}

static void read_options(int argc, char **argv, struct options *options)
{
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;
		if (strcmp(argv[i], "--quick") == 0)
			options->quick = true;
		else if (strcmp(argv[i], "--rounds") == 0 && more)
			options->rounds = atoi(argv[++i]);
		else if (strcmp(argv[i], "--case") == 0 && more)
			options->only_case = argv[++i];
		else if (strcmp(argv[i], "--side") == 0 && more)
			options->only_side = argv[++i];
		else if (argv[i][0] != '-' && !options->json)
			options->json = argv[i];
		else
			die("usage: engine_bench [--quick] [--rounds N] [--case TEXT] [--side "
			    "NAME] "
			    "[JSON]",
			        NULL);
	}
	if (options->quick)
		options->chunks = 1;
}

int main(int argc, char **argv)
{
	static const uint32_t flows[] = {1, 1u << 16, LOAD_FLOWS_MAX};
	struct options options = {.rounds = ROUNDS, .chunks = CHUNKS};
	struct bench *bench;
	read_options(argc, argv, &options);
	if (bench_new(&bench))
		return 1;
	for (enum load_kind kind = LOAD_WIRE; kind <= LOAD_DDOS; kind++)
		for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
			if (i == 0 || (kind != LOAD_WIRE && !options.quick))
				run_case(bench, kind, flows[i], &options);
	compile_bench(bench, options.rounds, options.only_case);
	int rc = bench_report(bench, "engine", options.json);
	bench_free(&bench);
	return rc ? 1 : 0;
}
