// SPDX-License-Identifier: Apache-2.0
// The whole card: 64-byte frames from a port through a function to a port, with all that the card
// counts and stamps.
//
// - Generator to sink, one worker: wire, lsl2 and ripv4, by engine.
// - wire by two workers with a pair of ports each against one: they share nothing but the card.
// - Ports of DPDK's net_null, which make packets of nothing: wire against testpmd that forwards
//   (io), and a function that exchanges MAC addresses against testpmd that does (macswap).
//
// A side's rate is packets a second of CPU time, for each worker: on a machine with other work it
// is what a core of its own would give. Sides take turns in short rounds.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench.h"
#include "card/rig.h"
#include "card/testpmd.h"

#define ROUNDS   11
#define ROUND_MS 100

static const struct {
	const char *name;
	enum engine_kind kind;
} engines[] = {{"native", ENGINE_NATIVE}, {"interpreter", ENGINE_INTERPRETER}};

static double mpps(uint64_t packets, uint64_t cpu_ns, uint32_t workers)
{
	return cpu_ns ? 1e3 * (double)packets * workers / (double)cpu_ns : NAN;
}

static void sample(struct bench *bench, const char *name, const char *side, const struct rig *rig)
{
	uint64_t packets, cpu_ns;
	rig_round(rig, ROUND_MS, &packets, &cpu_ns);
	bench_sample(bench, name, side, "Mpps", mpps(packets, cpu_ns, rig->worker_count));
}

static void generator_to_sink(struct bench *bench)
{
	static const struct {
		const char *name;
		struct rig rig;
	} cases[] = {
	        {"wire, gen to sink", {{"gen", "gen"}, 2, 1, RIG_WIRE, 0}},
	        {"lsl2, gen to sink", {{"gen", "gen"}, 2, 1, RIG_LSL2, 0}},
	        {"ripv4, gen to sink", {{"gen:dst=02:00:00:00:00:a0", "gen:dst=02:00:00:00:00:a0"},
	                                       2, 1, RIG_RIPV4, 0}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t k = 0; k < ARRAY_SIZE(engines); k++) {
			struct rig rig = cases[i].rig;
			rig.engine = engines[k].kind;
			if (engine_kind_offered(rig.engine))
				sample(bench, cases[i].name, engines[k].name, &rig);
		}
}

static void two_cores(struct bench *bench)
{
	static const struct rig one = {{"gen", "gen"}, 2, 1, RIG_WIRE, ENGINE_BEST},
	                        two = {{"gen", "gen", "gen", "gen"}, 4, 2, RIG_WIRE, ENGINE_BEST};
	sample(bench, "wire, gen to sink, cores", "1 core", &one);
	sample(bench, "wire, gen to sink, cores", "2 cores", &two);
}

static void against_testpmd(struct bench *bench, const char *name, enum rig_function function,
        const char *mode, struct testpmd *testpmd)
{
	struct rig rig = {{"dpdk:net_null0", "dpdk:net_null1"}, 2, 1, function, ENGINE_BEST};
	uint64_t packets, cpu_ns;
	char side[32];
	snprintf(side, sizeof(side), "testpmd %s", mode);
	if (testpmd && testpmd_round(testpmd, ROUND_MS, &packets, &cpu_ns) == 0)
		bench_sample(bench, name, side, "Mpps", mpps(packets, cpu_ns, 1));
	sample(bench, name, "raio", &rig);
}

int main(void)
{
	struct bench *bench;
	cleanup(testpmd_end) struct testpmd *io = NULL, *macswap = NULL;
	if (bench_new(&bench))
		return 1;
	int rc = HAVE_DPDK ? testpmd_start("io", &io) : -ENOENT;
	if (!rc)
		rc = testpmd_start("macswap", &macswap);
	if (rc)
		printf("card: testpmd does not run here (%s): its sides are missing\n",
		        HAVE_DPDK ? strerror(-rc) : "built without DPDK");
	for (int i = 0; i < ROUNDS; i++) {
		generator_to_sink(bench);
		two_cores(bench);
		if (!HAVE_DPDK)
			continue;
		against_testpmd(bench, "wire, net_null", RIG_WIRE, "io", io);
		against_testpmd(bench, "macswap, net_null", RIG_MACSWAP, "macswap", macswap);
	}
	rc = bench_report(bench, "card", NULL);
	bench_free(&bench);
	return rc ? 1 : 0;
}
