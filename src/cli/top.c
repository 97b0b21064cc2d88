// SPDX-License-Identifier: Apache-2.0
// `raio top`: the card's counters, read again and again, as rates. On a terminal one screen redrawn
// in place, elsewhere a table a reading; as JSON a document a reading.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "cli/table.h"

#define PORTS_MAX   64
#define HISTORY     32
#define BAR_WIDTH   16
#define SWAPS_SHOWN 5

struct rates {
	double received, received_bits, sent, sent_bits, dropped; // a second
};

struct sample {
	uint64_t received, received_bytes, sent, sent_bytes, dropped;
};

struct port_view {
	unsigned number;
	char function[96];
	struct sample last;
	struct rates now;
	double history[HISTORY]; // received a second; a ring at top.at
};

struct top {
	struct cli *cli;
	struct port_view port[PORTS_MAX];
	size_t port_count;
	bool swapped[HISTORY]; // there was a swap in that interval
	size_t at, readings;
	uint64_t read_ns, sequence; // the newest receipt seen
	json_t *swaps;
	double interval_s;
};

static double per_second(uint64_t now, uint64_t before, double seconds)
{
	return now >= before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

static void view_port(struct top *top, struct port_view *view, const json_t *port, double seconds)
{
	const struct sample now = {
	        .received = member_count(port, "received"),
	        .received_bytes = member_count(port, "received_bytes"),
	        .sent = member_count(port, "sent"),
	        .sent_bytes = member_count(port, "sent_bytes"),
	        .dropped = member_count(port, "dropped"),
	};
	const char *function = member_text(json_object_get(port, "active"), "function");
	view->number = (unsigned)member_count(port, "port");
	snprintf(view->function, sizeof(view->function), "%s", *function ? function : "pass");
	if (top->read_ns)
		view->now = (struct rates){
		        .received = per_second(now.received, view->last.received, seconds),
		        .received_bits = 8 * per_second(now.received_bytes,
		                                     view->last.received_bytes, seconds),
		        .sent = per_second(now.sent, view->last.sent, seconds),
		        .sent_bits = 8 * per_second(now.sent_bytes, view->last.sent_bytes, seconds),
		        .dropped = per_second(now.dropped, view->last.dropped, seconds),
		};
	view->last = now;
	view->history[top->at] = view->now.received;
}

static int top_read(struct top *top)
{
	autojson json_t *card = NULL;
	json_t *swaps = NULL;
	const json_t *port;
	size_t i;
	int code = cli_request(top->cli, "GET", "/v1/card", NULL, &card);
	uint64_t now_ns = clock_ns();
	if (code == EXIT_DONE)
		code = cli_request(top->cli, "GET", "/v1/swaps?limit=5", NULL, &swaps);
	if (code != EXIT_DONE)
		return code;
	double seconds = (double)(now_ns - top->read_ns) / 1e9;
	uint64_t newest = member_count(json_array_get(swaps, 0), "sequence");
	top->at = (top->at + 1) % HISTORY;
	top->swapped[top->at] = top->readings && newest != top->sequence;
	top->sequence = newest;
	top->port_count = 0;
	json_array_foreach(json_object_get(card, "ports"), i, port)
	{
		if (i < PORTS_MAX)
			view_port(top, &top->port[top->port_count++], port, seconds);
	}
	json_decref(top->swaps);
	top->swaps = swaps;
	top->read_ns = now_ns;
	top->readings++;
	return EXIT_DONE;
}

static void print_json(const struct top *top, bool is_line)
{
	char time[CLOCK_TEXT_SIZE];
	json_t *ports = json_array();
	for (size_t i = 0; i < top->port_count; i++) {
		const struct port_view *view = &top->port[i];
		json_array_append_new(ports,
		        json_pack("{s:i, s:s, s:f, s:f, s:f, s:f, s:f}", "port", (int)view->number,
		                "function", view->function, "received_pps", view->now.received,
		                "received_bps", view->now.received_bits, "sent_pps", view->now.sent,
		                "sent_bps", view->now.sent_bits, "dropped_pps", view->now.dropped));
	}
	autojson json_t *document =
	        json_pack("{s:s, s:b, s:o}", "time", clock_rfc3339(clock_wall_ns(), time),
	                "swapped", top->swapped[top->at], "ports", ports);
	cli_json(document, is_line);
}

// The last HISTORY readings, oldest first, scaled to `most`; a swap is marked by |.
static const char *sparkline(
        const struct top *top, const struct port_view *view, double most, char *text, size_t size)
{
	static const char *const block[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {"_", ".", ".", "-", "-", "=", "=", "#"};
	size_t shown = top->readings < HISTORY ? top->readings : HISTORY, used = 0;
	text[0] = 0;
	for (size_t i = 0; i < shown && used + 8 < size; i++) {
		size_t at = (top->at + HISTORY + 1 - shown + i) % HISTORY;
		double part = most > 0 ? view->history[at] / most : 0;
		size_t level = (size_t)(part * 7.999);
		used += (size_t)snprintf(text + used, size - used, "%s%s",
		        top->swapped[at] ? "|" : "",
		        top->cli->is_ascii ? ascii[level] : block[level]);
	}
	return text;
}

static void print_table(const struct top *top)
{
	cleanup(table_free) struct table *table = NULL;
	char number[NUMBER_SIZE], bar[BAR_WIDTH * 4 + 1], spark[HISTORY * 5 + 16];
	struct rates sum = {0};
	double most = 0;
	if (table_new("+PORT FUNCTION +IN +IN-BITS +OUT +OUT-BITS +LOST LOAD HISTORY", &table) < 0)
		return;
	for (size_t i = 0; i < top->port_count; i++)
		for (size_t h = 0; h < HISTORY; h++)
			if (top->port[i].history[h] > most)
				most = top->port[i].history[h];
	for (size_t i = 0; i < top->port_count; i++) {
		const struct port_view *view = &top->port[i];
		table_printf(table, "%u", view->number);
		table_add(table, view->function);
		table_add(table, number_scaled(view->now.received, "pps", number));
		table_add(table, number_scaled(view->now.received_bits, "b/s", number));
		table_add(table, number_scaled(view->now.sent, "pps", number));
		table_add(table, number_scaled(view->now.sent_bits, "b/s", number));
		table_add(table, number_scaled(view->now.dropped, "pps", number));
		table_add(table, number_bar(most > 0 ? view->now.received / most : 0, BAR_WIDTH,
		                         top->cli->is_ascii, bar, sizeof(bar)));
		table_add(table, sparkline(top, view, most, spark, sizeof(spark)));
		sum.received += view->now.received;
		sum.sent += view->now.sent;
	}
	table_print(table, stdout, "");
	char in[NUMBER_SIZE], out[NUMBER_SIZE];
	printf("all: in %s, out %s\n", number_scaled(sum.received, "pps", in),
	        number_scaled(sum.sent, "pps", out));
}

static void print_screen(const struct top *top)
{
	const json_t *receipt;
	size_t i;
	char time[CLOCK_TEXT_SIZE];
	if (top->cli->is_terminal)
		fputs("\033[H\033[J", stdout);
	printf("%s  (%s)\n", clock_rfc3339(clock_wall_ns(), time),
	        top->cli->is_terminal ? "Ctrl-C ends" : "rates a second");
	print_table(top);
	if (top->cli->is_terminal && json_array_size(top->swaps))
		puts("\nchanges of function, newest first");
	json_array_foreach(top->swaps, i, receipt)
	{
		if (top->cli->is_terminal ? i < SWAPS_SHOWN : i < 1 && top->swapped[top->at]) {
			char title[64];
			snprintf(title, sizeof(title), "| %.23s  ", member_text(receipt, "time"));
			report_receipt(top->cli, receipt, title, stdout);
		}
	}
	fflush(stdout);
}

int top_main(struct cli *cli)
{
	const char *interval = args_value(&cli->args, "interval");
	cleanup(cleanup_free) struct top *top = calloc(1, sizeof(*top));
	bool is_watch = args_has(&cli->args, "watch");
	long count = 0;
	if (!top)
		return cli_fail(cli, EXIT_FAILED, "out of memory");
	top->cli = cli;
	top->interval_s = 1.0;
	int code = cli_number(cli, "count", 1, 1000000000, &count);
	if (code != EXIT_DONE)
		return code;
	if (interval && (!text_seconds(interval, &top->interval_s) || top->interval_s < 0.05))
		return cli_usage(cli, "--interval %s: a time of at least 50ms", interval);
	// One document on stdout unless asked for a line a reading.
	if (cli->is_json && !is_watch) {
		if (count > 1)
			return cli_usage(
			        cli, "-o json prints one document; for several add --watch");
		count = 1;
	}
	code = top_read(top);
	for (long i = 0; code == EXIT_DONE && (!count || i < count); i++) {
		code = cli_pause(cli, top->interval_s);
		if (code == EXIT_DONE)
			code = top_read(top);
		if (code == EXIT_DONE && cli->is_json)
			print_json(top, is_watch);
		else if (code == EXIT_DONE)
			print_screen(top);
	}
	json_decref(top->swaps);
	return code;
}
