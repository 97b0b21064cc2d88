// SPDX-License-Identifier: Apache-2.0
// 10,000 swaps of wire under full load (two generators, as fast as one worker goes): how long an
// engine is without a generation, how long a load and a swap take whoever asks for them, and what
// was lost.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "bench.h"
#include "card/card.h"
#include "card/test_images.h"

#define SWAPS 10000u

static void need(int rc, const struct error *err)
{
	if (!rc)
		return;
	fprintf(stderr, "swap_bench: %s\n", err->text);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// Loads and swaps once; samples go to `bench` under `name`. Returns what the receipt says was lost.
static uint64_t swap_once(
        struct bench *bench, const char *name, struct card *card, uint32_t version, double gaps[2])
{
	struct error err;
	static struct receipt receipt;
	struct image *image = image_wire(version);
	const struct card_load load = {.ports = 3};
	uint64_t id;
	need(card->ops->load(card, image, &load, &id, &err), &err);
	need(card->ops->swap(card, id, 3, 0, &receipt, &err), &err);
	image_free(&image);
	for (uint32_t i = 0; i < receipt.port_count; i++) {
		gaps[i] = (double)receipt.port[i].gap_ns;
		bench_sample(bench, name, "gap a port", "ns", gaps[i]);
	}
	bench_sample(
	        bench, name, "load", "ns", (double)(receipt.load_end_ns - receipt.load_begin_ns));
	bench_sample(
	        bench, name, "swap, all ports", "ns", (double)(receipt.done_ns - receipt.swap_ns));
	return receipt.lost;
}

static void run(struct bench *bench, const char *name, const char *spec)
{
	const char *specs[] = {spec, spec};
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = 2, .worker_count = 1};
	cleanup(card_free) struct card *card = NULL;
	autofree double *gaps = calloc(2 * SWAPS, sizeof(gaps[0]));
	struct error err;
	need(soft_card_new(&options, &card, &err), &err);
	uint64_t lost = 0, seq_lost = 0, reordered = 0, packets = 0;
	for (uint32_t i = 0; gaps && i < SWAPS; i++)
		lost += swap_once(bench, name, card, i, gaps + 2 * (size_t)i);
	static struct card_port ports[PORTS_MAX];
	uint32_t count;
	need(card->ops->ports(card, ports, PORTS_MAX, &count, &err), &err);
	for (uint32_t i = 0; i < count; i++) {
		packets += ports[i].total.packets;
		seq_lost += ports[i].stats.seq_lost;
		reordered += ports[i].stats.seq_reordered;
	}
	if (gaps) {
		qsort(gaps, 2 * SWAPS, sizeof(gaps[0]), compare);
		printf("%s: gap p50 %.0f ns, p99 %.0f, p99.9 %.0f, max %.0f; %llu packets, "
		       "receipts "
		       "say %llu lost, sinks %llu lost and %llu reordered\n",
		        name, gaps[SWAPS], gaps[2 * SWAPS * 99 / 100], gaps[2 * SWAPS * 999 / 1000],
		        gaps[2 * SWAPS - 1], (unsigned long long)packets, (unsigned long long)lost,
		        (unsigned long long)seq_lost, (unsigned long long)reordered);
	}
}

int main(void)
{
	struct bench *bench;
	if (bench_new(&bench))
		return 1;
	run(bench, "10,000 swaps, full load", "gen:seq=1");
	run(bench, "10,000 swaps, 2 x 100 kpps", "gen:seq=1,rate=100kpps");
	run(bench, "10,000 swaps, idle", "null");
	int rc = bench_report(bench, "swap", NULL);
	bench_free(&bench);
	return rc ? 1 : 0;
}
