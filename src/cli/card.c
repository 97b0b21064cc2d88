// SPDX-License-Identifier: Apache-2.0
// Commands that show the card: its ports, what stands in their banks, and the receipts of its
// swaps.
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "cli/table.h"

// "wire (r3)", "pass", or "-" for an empty bank.
static void add_side(struct table *table, const json_t *side, const char *none)
{
	const char *function = member_text(side, "function"), *run = member_text(side, "run");
	if (*function && *run)
		table_printf(table, "%s (%s)", function, run);
	else
		table_add(table, *function ? function : none);
}

static const char *verdict_name(const json_t *r0)
{
	static const char *const names[] = {"aborted", "drop", "pass", "tx", "redirect"};
	json_int_t value = json_integer_value(r0);
	return value >= 0 && value < (json_int_t)ARRAY_SIZE(names) ? names[value] : "?";
}

static void print_banks(const json_t *card)
{
	cleanup(table_free) struct table *table = NULL;
	const json_t *port;
	size_t i;
	if (table_new("+PORT BANK RUNS IDLE R0 STATE DRIVER", &table) < 0)
		return;
	json_array_foreach(json_object_get(card, "ports"), i, port)
	{
		const json_t *r0 = json_object_get(port, "r0");
		table_printf(table, "%llu", (unsigned long long)member_count(port, "port"));
		table_printf(table, "%llu", (unsigned long long)member_count(port, "bank"));
		add_side(table, json_object_get(port, "active"), "pass");
		add_side(table, json_object_get(port, "idle"), "-");
		table_printf(table, "%lld %s", (long long)json_integer_value(r0), verdict_name(r0));
		table_add(table, json_is_true(json_object_get(port, "finished")) ? "finished"
		                 : json_is_false(json_object_get(port, "up"))    ? "down"
		                                                                 : "up");
		table_add(table, *member_text(port, "description")
		                         ? member_text(port, "description")
		                         : member_text(port, "spec"));
	}
	table_print(table, stdout, "");
}

static void print_ports(const json_t *ports)
{
	cleanup(table_free) struct table *table = NULL;
	const json_t *port;
	size_t i;
	static const char *const verdicts[] = {"pass", "tx", "redirect", "drop", "aborted"};
	char text[NUMBER_SIZE];
	if (table_new("+PORT +RECEIVED +PASS +TX +REDIRECT +DROP +ABORTED +SENT +LOST SPEC",
	            &table) < 0)
		return;
	json_array_foreach(ports, i, port)
	{
		const json_t *by = json_object_get(port, "verdicts");
		table_printf(table, "%llu", (unsigned long long)member_count(port, "port"));
		table_add(table, number_grouped(member_count(port, "received"), text));
		for (size_t v = 0; v < ARRAY_SIZE(verdicts); v++)
			table_add(table,
			        number_grouped(
			                member_count(json_object_get(by, verdicts[v]), "packets"),
			                text));
		table_add(table, number_grouped(member_count(port, "sent"), text));
		table_add(table, number_grouped(member_count(port, "dropped"), text));
		table_add(table, member_text(port, "spec"));
	}
	table_print(table, stdout, "");
}

int port_list(struct cli *cli)
{
	autojson json_t *card = NULL;
	int code = cli_request(cli, "GET", "/v1/card", NULL, &card);
	if (code != EXIT_DONE)
		return code;
	const json_t *ports = json_object_get(card, "ports");
	if (cli->is_json)
		cli_json(ports, false);
	else
		print_ports(ports);
	return EXIT_DONE;
}

int card_show(struct cli *cli)
{
	autojson json_t *card = NULL;
	int code = cli_request(cli, "GET", "/v1/card", NULL, &card);
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json) {
		cli_json(card, false);
		return EXIT_DONE;
	}
	printf("card     %s, %zu ports, %llu workers\nstarted  %s\n\n", member_text(card, "kind"),
	        json_array_size(json_object_get(card, "ports")),
	        (unsigned long long)member_count(card, "workers"), member_text(card, "started"));
	print_banks(card);
	return EXIT_DONE;
}

int swap_list(struct cli *cli)
{
	char path[64];
	long limit = 20;
	autojson json_t *list = NULL;
	const json_t *receipt;
	size_t i;
	int code = cli_number(cli, "limit", 1, 1000, &limit);
	if (code != EXIT_DONE)
		return code;
	snprintf(path, sizeof(path), "/v1/swaps?limit=%ld", limit);
	code = cli_request(cli, "GET", path, NULL, &list);
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json) {
		cli_json(list, false);
		return EXIT_DONE;
	}
	json_array_foreach(list, i, receipt)
	{
		char title[64];
		snprintf(title, sizeof(title), "%4llu  %s  ",
		        (unsigned long long)member_count(receipt, "sequence"),
		        member_text(receipt, "time"));
		report_receipt(cli, receipt, title, stdout);
	}
	if (!json_array_size(list))
		cli_note(cli, "no swaps yet");
	return EXIT_DONE;
}

int version_main(struct cli *cli)
{
	autojson json_t *info = NULL;
	client_socket(args_value(&cli->args, "socket"), cli->socket, sizeof(cli->socket));
	client_request(cli_client(cli), "GET", "/v1/info", NULL, &info, &cli->failure);
	const char *agent = member_text(info, "version");
	if (cli->is_json) {
		autojson json_t *answer = json_pack(
		        "{s:s, s:s*}", "raio", RAIO_VERSION, "agent", *agent ? agent : NULL);
		cli_json(answer, false);
	} else {
		printf("raio %s\n", RAIO_VERSION);
		if (*agent)
			printf("agent %s\n", agent);
	}
	return EXIT_DONE;
}
