// SPDX-License-Identifier: Apache-2.0
// Runs, reports and receipts for people.
#pragma once

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

struct cli;

// What became of a run: its times, and its report where it has one.
void report_run(const struct cli *cli, const json_t *run, FILE *out);
// One line: "swap 7: pass -> wire (r3), packets lost: 0, gap 1.2 us, load 0.4 ms, maps: …"
void report_receipt(const struct cli *cli, const json_t *receipt, const char *title, FILE *out);
// Entries of a map, "  KEY -> VALUE" aligned.
void report_entries(const json_t *entries, FILE *out);
// Puts entries in the order of their keys, numbers by value: a hash map's own order means nothing.
void report_sort(json_t *entries);
// "0,1" or "all" of a member `ports`; "carry" and the like of others.
const char *report_list(const json_t *value, char *text, size_t size);
