// SPDX-License-Identifier: Apache-2.0
// What every benchmark shares: samples by case and side, their medians, one table, one JSON file.
// A side is one of the things compared; the first side that a case meets is the one that ratios are
// taken to (a peer, or a limit measured in the same run). Interleave the sides' samples.
#pragma once

struct bench;

int bench_new(struct bench **bench); // 0 or -ENOMEM
void bench_free(struct bench **bench);
// One measured value. Units as they are printed: "ns", "ms", "Mpps", "bytes", … Out of memory ends
// the program: a benchmark has nothing better to do.
void bench_sample(
        struct bench *bench, const char *name, const char *side, const char *unit, double value);
// The median of a cell so far; NAN where it has no sample.
double bench_median(const struct bench *bench, const char *name, const char *side);
// Prints the table on stdout and writes the JSON to `json_path`; NULL: NAME.json beside the
// executable, which is build/bench/. Returns 0 or -errno of the file, after a message on stderr.
int bench_report(struct bench *bench, const char *name, const char *json_path);
