// SPDX-License-Identifier: Apache-2.0
// What card and ports cost a packet beyond the engine: generator to sink through wire, 64-byte
// frames, one worker, both directions, in CPU time of the process a packet; and the engine alone
// over bursts of the same frames, in the same run. The difference is the card's and the ports' own
// (the generator's making of packets included): design says under 25 ns.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "bench.h"
#include "card/card.h"
#include "card/test_images.h"
#include "engine/space.h"

#define ROUNDS   15
#define ROUND_MS 100
#define BURSTS   20000u

static uint64_t cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void need(int rc, const struct error *err)
{
	if (!rc)
		return;
	fprintf(stderr, "card_bench: %s\n", err->text);
	exit(1);
}

static uint64_t packets_of(struct card *card)
{
	static struct card_port ports[PORTS_MAX];
	uint32_t count;
	card->ops->ports(card, ports, PORTS_MAX, &count, NULL);
	uint64_t packets = 0;
	for (uint32_t i = 0; i < count; i++)
		packets += ports[i].total.tx_packets;
	return packets;
}

// Runs for a round. Returns CPU ns a packet.
static double card_round(const char *const specs[2])
{
	struct error err;
	cleanup(card_free) struct card *card = NULL;
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = 2, .worker_count = 1};
	need(soft_card_new(&options, &card, &err), &err);
	static struct receipt receipt;
	struct image *image = image_wire(1);
	const struct card_load load = {.ports = 3};
	uint64_t id;
	need(card->ops->load(card, image, &load, &id, &err), &err);
	need(card->ops->swap(card, id, 3, 0, &receipt, &err), &err);
	image_free(&image);
	usleep(5000);
	uint64_t packets = packets_of(card), begin_ns = cpu_ns();
	usleep(ROUND_MS * 1000);
	uint64_t spent_ns = cpu_ns() - begin_ns;
	return (double)spent_ns / (double)(packets_of(card) - packets);
}

struct rig {
	struct space *space;
	struct packet_memory *memory;
	struct engine *engine;
	struct generation *generation;
	struct packet packets[BURST_MAX];
	struct verdict verdicts[BURST_MAX];
};

static void rig_open(struct rig *rig)
{
	struct error err;
	const struct generation_options options = {.id = 1, .engine_count = 1, .ports = 3};
	const struct engine_options engine = {.number = 0};
	need(space_new(&rig->space, &err), &err);
	need(packet_memory_new(rig->space, 256, &rig->memory, &err), &err);
	need(engine_new(rig->space, &engine, &rig->engine, &err), &err);
	need(generation_new(rig->space, image_wire(1), &options, &rig->generation, &err), &err);
	frames_take(rig->memory, rig->packets, BURST_MAX);
	for (uint32_t i = 0; i < BURST_MAX; i++)
		rig->packets[i].end = (uint16_t)(rig->packets[i].data + 60);
}

static double engine_round(struct rig *rig)
{
	uint64_t begin_ns = cpu_ns();
	for (uint32_t i = 0; i < BURSTS; i++)
		engine_run(rig->engine, rig->generation, rig->packets, rig->verdicts, BURST_MAX);
	return (double)(cpu_ns() - begin_ns) / (BURSTS * (double)BURST_MAX);
}

int main(void)
{
	static const char *const specs[2] = {"gen:size=64", "gen:size=64"};
	static struct rig rig;
	struct bench *bench;
	if (bench_new(&bench))
		return 1;
	rig_open(&rig);
	for (int i = 0; i < ROUNDS; i++) {
		double engine_ns = engine_round(&rig), card_ns = card_round(specs);
		bench_sample(bench, "wire, 64 B, a packet", "engine alone", "ns", engine_ns);
		bench_sample(bench, "wire, 64 B, a packet", "gen to sink", "ns", card_ns);
		bench_sample(bench, "card and ports beyond the engine", "gen to sink", "ns",
		        card_ns - engine_ns);
	}
	int rc = bench_report(bench, "card", NULL);
	bench_free(&bench);
	return rc ? 1 : 0;
}
