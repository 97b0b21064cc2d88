// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/copies.h"
#include "cli/table.h"

#define ALIKE_LEAST 4u // entries that are shown as one

const char *report_list(const json_t *value, char *text, size_t size)
{
	const json_t *item;
	size_t i, at = 0;
	if (json_is_string(value))
		return json_string_value(value);
	text[0] = 0;
	json_array_foreach(value, i, item)
	{
		if (at + 1 >= size)
			break;
		if (json_is_string(item))
			at += (size_t)snprintf(text + at, size - at, "%s%s", i ? "," : "",
			        json_string_value(item));
		else
			at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? "," : "",
			        (long long)json_integer_value(item));
	}
	return *text ? text : "-";
}

static int compare_keys(const void *a, const void *b)
{
	return strverscmp(
	        member_text(*(json_t *const *)a, "key"), member_text(*(json_t *const *)b, "key"));
}

void report_sort(json_t *entries)
{
	size_t count = json_array_size(entries);
	autofree json_t **list = calloc(count + 1, sizeof(*list));
	if (!list)
		return;
	for (size_t i = 0; i < count; i++)
		list[i] = json_incref(json_array_get(entries, i));
	qsort(list, count, sizeof(*list), compare_keys);
	json_array_clear(entries);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(entries, list[i]);
}

// How many entries from `first` on have its value, and keys that count up by one: the unused rest
// of an array is one line.
static size_t count_alike(const json_t *entries, size_t first)
{
	const json_t *item = json_array_get(entries, first);
	const char *key = member_text(item, "key");
	unsigned long number = strtoul(key, NULL, 10);
	size_t count = 1;
	if (!*key || strspn(key, "0123456789") != strlen(key))
		return 1;
	for (; first + count < json_array_size(entries); count++) {
		const json_t *next = json_array_get(entries, first + count);
		char want[32];
		snprintf(want, sizeof(want), "%lu", number + count);
		if (strcmp(member_text(next, "key"), want) != 0 ||
		        !json_equal(json_object_get(next, "value"), json_object_get(item, "value")))
			break;
	}
	return count;
}

void report_entries(const json_t *entries, FILE *out)
{
	const json_t *item;
	size_t i, width = 0;
	json_array_foreach(entries, i, item)
	{
		size_t size = text_width(member_text(item, "key"));
		width = size > width ? size : width;
	}
	width = width > 60 ? 60 : width;
	for (i = 0; i < json_array_size(entries); i++) {
		size_t alike = count_alike(entries, i);
		char key[256];
		item = json_array_get(entries, i);
		if (alike >= ALIKE_LEAST)
			snprintf(key, sizeof(key), "%s to %s", member_text(item, "key"),
			        member_text(json_array_get(entries, i + alike - 1), "key"));
		else
			snprintf(key, sizeof(key), "%s", member_text(item, "key"));
		size_t size = text_width(key);
		char value[4096];
		fprintf(out, "  %s%*s -> %s\n", key, size < width ? (int)(width - size) : 0, "",
		        copies_text(json_object_get(item, "value"), value, sizeof(value)));
		i += alike >= ALIKE_LEAST ? alike - 1 : 0;
	}
}

// "wire (r3)", or "pass" for the built-in.
static const char *side_text(const json_t *side, char *text, size_t size)
{
	const char *function = member_text(side, "function"), *run = member_text(side, "run");
	snprintf(text, size, *run ? "%s (%s)" : "%s", *function ? function : "pass", run);
	return text;
}

void report_receipt(const struct cli *cli, const json_t *receipt, const char *title, FILE *out)
{
	char old[160], new[160], gap[NUMBER_SIZE], load[NUMBER_SIZE], lost[NUMBER_SIZE];
	uint64_t lost_count = member_count(receipt, "lost");
	if (!json_is_object(receipt))
		return;
	fprintf(out, "%s%s -> %s, %spackets lost: %s%s, gap %s", title,
	        side_text(json_object_get(receipt, "old"), old, sizeof(old)),
	        side_text(json_object_get(receipt, "new"), new, sizeof(new)),
	        cli_color(cli, lost_count ? COLOR_RED : COLOR_GREEN),
	        number_grouped(lost_count, lost), cli_color(cli, COLOR_PLAIN),
	        number_time(member_real(receipt, "gap_ns"), gap));
	if (member_real(receipt, "load_ms") > 0)
		fprintf(out, ", loaded in %s",
		        number_time(member_real(receipt, "load_ms") * 1e6, load));
	fputc('\n', out);
	const json_t *map;
	size_t i;
	json_array_foreach(json_object_get(receipt, "maps"), i, map)
	{
		if (i == 0)
			fprintf(out, "%*smaps: ", (int)strlen(title), "");
		fprintf(out, "%s%s %s (%llu)", i ? ", " : "", member_text(map, "name"),
		        member_text(map, "action"),
		        (unsigned long long)member_count(map, "entries"));
	}
	if (i)
		fputc('\n', out);
}

static void print_verdicts(const json_t *report, FILE *out)
{
	cleanup(table_free) struct table *table = NULL;
	uint64_t all = member_count(report, "packets");
	const char *name;
	json_t *item;
	if (table_new("VERDICT +PACKETS +BYTES +SHARE", &table) < 0)
		return;
	json_object_foreach(json_object_get(report, "verdicts"), name, item)
	{
		char text[NUMBER_SIZE];
		uint64_t packets = member_count(item, "packets");
		table_add(table, name);
		table_add(table, number_grouped(packets, text));
		table_add(table, number_grouped(member_count(item, "bytes"), text));
		table_printf(table, "%.1f %%", all ? 100.0 * (double)packets / (double)all : 0.0);
	}
	table_print(table, out, "  ");
}

static void print_ports(const json_t *report, FILE *out)
{
	cleanup(table_free) struct table *table = NULL;
	static const char *const verdicts[] = {"pass", "tx", "redirect", "drop", "aborted"};
	const json_t *item;
	size_t i;
	char text[NUMBER_SIZE];
	if (table_new("+PORT +RECEIVED +PASS +TX +REDIRECT +DROP +ABORTED +SENT +LOST", &table) < 0)
		return;
	json_array_foreach(json_object_get(report, "ports"), i, item)
	{
		const json_t *by = json_object_get(item, "verdicts");
		table_printf(table, "%llu", (unsigned long long)member_count(item, "port"));
		table_add(table, number_grouped(member_count(item, "received"), text));
		for (size_t v = 0; v < ARRAY_SIZE(verdicts); v++) {
			const json_t *verdict = json_object_get(by, verdicts[v]);
			table_add(table, number_grouped(json_is_object(verdict)
			                                        ? member_count(verdict, "packets")
			                                        : member_count(by, verdicts[v]),
			                         text));
		}
		table_add(table, number_grouped(member_count(item, "sent"), text));
		table_add(table, number_grouped(member_count(item, "dropped"), text));
	}
	if (table_rows(table))
		fputs("\n", out);
	table_print(table, out, "  ");
}

static void print_aborts(const struct cli *cli, const json_t *report, FILE *out)
{
	const json_t *item;
	size_t i;
	json_array_foreach(json_object_get(report, "aborts"), i, item)
	{
		char text[NUMBER_SIZE];
		fprintf(out, "%s  %s%s%s: %s, %s packets\n", i ? "" : "\naborted packets\n",
		        cli_color(cli, COLOR_RED), member_text(item, "place"),
		        cli_color(cli, COLOR_PLAIN), member_text(item, "cause"),
		        number_grouped(member_count(item, "count"), text));
		if (*member_text(item, "text"))
			fprintf(out, "      %s\n", member_text(item, "text"));
	}
}

static void print_maps(const json_t *report, FILE *out)
{
	const char *name;
	json_t *entries;
	json_object_foreach(json_object_get(report, "maps"), name, entries)
	{
		report_sort(entries);
		fprintf(out, "\nmap %s, %zu entries\n", name, json_array_size(entries));
		report_entries(entries, out);
	}
}

static void print_report(const struct cli *cli, const json_t *report, FILE *out)
{
	static const char *const quantiles[] = {"p50", "p90", "p99", "max"};
	const json_t *latency = json_object_get(report, "latency_ns");
	char packets[NUMBER_SIZE], bytes[NUMBER_SIZE], text[NUMBER_SIZE];
	fprintf(out, "\n%s packets, %s\n", number_grouped(member_count(report, "packets"), packets),
	        number_scaled(member_real(report, "bytes"), "B", bytes));
	print_verdicts(report, out);
	print_ports(report, out);
	print_aborts(cli, report, out);
	if (member_real(latency, "max") > 0) {
		fputs("\nlatency ", out);
		for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
			fprintf(out, "%s %s %s", i ? "," : "", quantiles[i],
			        number_time(member_real(latency, quantiles[i]), text));
		fputc('\n', out);
	}
	print_maps(report, out);
	fputc('\n', out);
	report_receipt(cli, json_object_get(report, "swap_in"), "swap in   ", out);
	report_receipt(cli, json_object_get(report, "swap_out"), "swap out  ", out);
}

void report_run(const struct cli *cli, const json_t *run, FILE *out)
{
	char ports[256];
	const json_t *report = json_object_get(run, "report"),
	             *error = json_object_get(run, "error");
	fprintf(out, "%srun %s of %s %s%s", cli_color(cli, COLOR_BOLD), member_text(run, "id"),
	        member_text(run, "function"), member_text(run, "state"),
	        cli_color(cli, COLOR_PLAIN));
	fprintf(out, " (ports %s)\n",
	        report_list(json_object_get(run, "ports"), ports, sizeof(ports)));
	if (json_is_string(error))
		fprintf(out, "  %s\n", json_string_value(error));
	else if (json_is_object(error))
		fprintf(out, "  %s\n", member_text(error, "message"));
	static const char *const times[] = {"asked", "loaded", "started", "ends", "ended"};
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (*member_text(run, times[i]) && !(i == 3 && *member_text(run, "ended")))
			fprintf(out, "  %-8s %s\n", times[i], member_text(run, times[i]));
	if (json_is_object(report))
		print_report(cli, report, out);
}
