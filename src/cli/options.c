// SPDX-License-Identifier: Apache-2.0
// Readers of what options and arguments hold: slices, ports, map policies, names.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/paths.h"
#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/suggest.h"

#define SLICE_LEAST_S 3.0
#define SLICE_MOST_S  300.0

bool text_seconds(const char *text, double *seconds)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"m", 60}, {"min", 60}, {"h", 3600}};
	char *end;
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	double value = strtod(text, &end);
	for (size_t i = 0; i < ARRAY_SIZE(units) && errno == 0; i++) {
		if (strcmp(end, units[i].name) == 0) {
			*seconds = value * units[i].seconds;
			return *seconds < 1e9;
		}
	}
	return false;
}

bool text_ports(const char *text, uint64_t *ports)
{
	uint64_t mask = 0;
	for (;;) {
		char *end;
		if (*text < '0' || *text > '9')
			return false;
		unsigned long first = strtoul(text, &end, 10), last = first;
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return false;
			last = strtoul(end + 1, &end, 10);
		}
		if (last > 63 || first > last)
			return false;
		for (unsigned long port = first; port <= last; port++)
			mask |= 1ull << port;
		if (!*end)
			break;
		if (*end != ',')
			return false;
		text = end + 1;
	}
	*ports = mask;
	return true;
}

int cli_slice(struct cli *cli, const char *option, json_t *body, const char *key)
{
	const char *text = args_value(&cli->args, option);
	double seconds;
	if (!text)
		return EXIT_DONE;
	if (strcmp(text, "forever") == 0) {
		json_object_set_new(body, key, json_string("forever"));
		return EXIT_DONE;
	}
	if (!text_seconds(text, &seconds))
		return cli_usage(
		        cli, "--%s %s: a slice is a number of seconds, or 'forever'", option, text);
	if (seconds < SLICE_LEAST_S || seconds > SLICE_MOST_S)
		return cli_usage(
		        cli, "--%s %s: a slice lasts 3 to 300 seconds, or 'forever'", option, text);
	bool is_whole = seconds == (double)(long)seconds;
	json_object_set_new(body, key, is_whole ? json_integer((long)seconds) : json_real(seconds));
	return EXIT_DONE;
}

int cli_ports(struct cli *cli, json_t *body)
{
	const char *text = args_value(&cli->args, "ports");
	uint64_t ports;
	if (!text)
		return EXIT_DONE;
	if (strcmp(text, "all") == 0) {
		json_object_set_new(body, "ports", json_string("all"));
		return EXIT_DONE;
	}
	if (!text_ports(text, &ports))
		return cli_usage(
		        cli, "--ports %s: ports are numbers below 64, as in 0,2-3, or 'all'", text);
	json_t *list = json_array();
	for (int port = 0; port < 64; port++)
		if (ports >> port & 1)
			json_array_append_new(list, json_integer(port));
	json_object_set_new(body, "ports", list);
	return EXIT_DONE;
}

int cli_maps(struct cli *cli, json_t *body)
{
	const char *text = args_value(&cli->args, "maps");
	if (!text)
		return EXIT_DONE;
	if (strcmp(text, "fresh") == 0 || strcmp(text, "carry") == 0) {
		json_object_set_new(body, "maps", json_string(text));
		return EXIT_DONE;
	}
	json_t *list = json_array();
	while (*text) {
		size_t size = strcspn(text, ",");
		if (!size)
			break;
		json_array_append_new(list, json_stringn(text, size));
		text += size + (text[size] == ',');
	}
	json_object_set_new(body, "maps", list);
	if (*text || !json_array_size(list))
		return cli_usage(
		        cli, "--maps is fresh, carry, or the names of maps parted by commas");
	return EXIT_DONE;
}

int cli_number(struct cli *cli, const char *option, long least, long most, long *number)
{
	const char *text = args_value(&cli->args, option);
	char *end;
	if (!text)
		return EXIT_DONE;
	errno = 0;
	long value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < least || value > most)
		return cli_usage(
		        cli, "--%s %s: a whole number from %ld to %ld", option, text, least, most);
	*number = value;
	return EXIT_DONE;
}

// Says that `text` names none, or more than one, of what the agent has.
static int name_fail(struct cli *cli, const char *what, const char *text, enum suggest_match match,
        const char *const *names, size_t count)
{
	if (match == SUGGEST_MANY) {
		cli_fail(cli, EXIT_NOT_FOUND, "'%s' begins the names of more than one %s:", text,
		        what);
		for (size_t i = 0; i < count; i++)
			if (strncmp(names[i], text, strlen(text)) == 0)
				fprintf(stderr, "  %s\n", names[i]);
		return EXIT_NOT_FOUND;
	}
	const char *nearest = suggest_nearest(text, names, count);
	if (nearest)
		return cli_fail(
		        cli, EXIT_NOT_FOUND, "no %s '%s'; did you mean '%s'?", what, text, nearest);
	cli_fail(cli, EXIT_NOT_FOUND, "no %s '%s'", what, text);
	if (count)
		cli_hint("`raio %s list` shows them", what);
	else
		cli_hint("there is none yet");
	return EXIT_NOT_FOUND;
}

int cli_function(struct cli *cli, const char *text, bool exact, char *name, size_t size)
{
	json_t *list = NULL;
	if (name_is_valid(text)) {
		char path[128];
		snprintf(path, sizeof(path), "/v1/functions/%s", text);
		enum cli_exit code =
		        client_request(cli_client(cli), "GET", path, NULL, NULL, &cli->failure);
		if (code == EXIT_DONE) {
			snprintf(name, size, "%s", text);
			return EXIT_DONE;
		}
		if (code != EXIT_NOT_FOUND)
			return cli_failure(cli);
	}
	int code = cli_request(cli, "GET", "/v1/functions", NULL, &list);
	if (code != EXIT_DONE)
		return code;
	size_t count = json_array_size(list), index = 0;
	autofree const char **names = calloc(count + 1, sizeof(*names));
	for (size_t i = 0; i < count; i++)
		names[i] = member_text(json_array_get(list, i), "name");
	enum suggest_match match = suggest_prefix(text, names, count, &index);
	if (match == SUGGEST_ONE && (!exact || strcmp(names[index], text) == 0))
		snprintf(name, size, "%s", names[index]);
	else
		code = name_fail(cli, "function", text, exact ? SUGGEST_NONE : match, names, count);
	json_decref(list);
	return code;
}

int cli_map(struct cli *cli, const char *text, const char *run, struct cli_map *map)
{
	char path[256] = "/v1/maps", escaped[128];
	json_t *list = NULL;
	if (run)
		snprintf(path, sizeof(path), "/v1/maps?run=%s",
		        client_escape(run, escaped, sizeof(escaped)));
	int code = cli_request(cli, "GET", path, NULL, &list);
	if (code != EXIT_DONE)
		return code;
	size_t count = json_array_size(list), index = 0, same = 0;
	autofree const char **names = calloc(count + 1, sizeof(*names));
	for (size_t i = 0; i < count; i++)
		names[i] = member_text(json_array_get(list, i), "name");
	enum suggest_match match = suggest_prefix(text, names, count, &index);
	for (size_t i = 0; i < count && match == SUGGEST_ONE; i++)
		same += strcmp(names[i], names[index]) == 0;
	if (match != SUGGEST_ONE) {
		code = name_fail(cli, "map", text, match, names, count);
	} else if (same > 1) {
		code = cli_fail(
		        cli, EXIT_NOT_FOUND, "map '%s' stands in more than one run:", names[index]);
		for (size_t i = 0; i < count; i++)
			if (strcmp(names[i], names[index]) == 0)
				fprintf(stderr, "  --run %s (%s)\n",
				        member_text(json_array_get(list, i), "run"),
				        member_text(json_array_get(list, i), "function"));
	} else {
		const json_t *item = json_array_get(list, index);
		snprintf(map->name, sizeof(map->name), "%s", names[index]);
		snprintf(map->run, sizeof(map->run), "%s", member_text(item, "run"));
		snprintf(map->function, sizeof(map->function), "%s", member_text(item, "function"));
	}
	json_decref(list);
	return code;
}
