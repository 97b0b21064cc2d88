// SPDX-License-Identifier: Apache-2.0
#include "cli/dry.h"

#include <string.h>

#include "api/rules.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "cli/cli.h"
#include "cli/source.h"
#include "ebpf/image.h"

int dry_rules(
        struct cli *cli, const struct image *image, const char *file, const char *text, size_t size)
{
	cleanup(rules_free) struct rules *rules = NULL;
	struct error err = {0};
	if (rules_parse(text, size, image, &rules, &err) < 0)
		return cli_fail(cli, EXIT_FAILED, "%s: %s", file, err.text);
	return EXIT_DONE;
}

int dry_function_rules(
        struct cli *cli, const char *function, const char *file, const char *text, size_t size)
{
	cleanup(image_free) struct image *image = NULL;
	int code = source_any(cli, function, NULL, &image);
	return code == EXIT_DONE ? dry_rules(cli, image, file, text, size) : code;
}

int dry_ports(struct cli *cli, const json_t *ports)
{
	autojson json_t *card = NULL;
	const json_t *wanted, *port;
	size_t i, j;
	if (!json_is_array(ports))
		return EXIT_DONE;
	int code = cli_request(cli, "GET", "/v1/card", NULL, &card);
	if (code != EXIT_DONE)
		return code;
	json_array_foreach(ports, i, wanted)
	{
		bool is_there = false;
		json_array_foreach(json_object_get(card, "ports"), j, port) is_there |=
		        json_integer_value(wanted) == (json_int_t)member_count(port, "port");
		if (!is_there)
			return cli_fail(cli, EXIT_FAILED, "the card has no port %lld",
			        (long long)json_integer_value(wanted));
	}
	return EXIT_DONE;
}
