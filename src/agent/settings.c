// SPDX-License-Identifier: Apache-2.0
#include "agent/settings.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "ebpf/image.h"
#include "engine/generation.h"

int slice_parse(const json_t *json, uint64_t *slice_ns, struct error *err)
{
	if (!json)
		return 0;
	if (json_is_string(json) && strcmp(json_string_value(json), "forever") == 0) {
		*slice_ns = SLICE_FOREVER;
		return 0;
	}
	double seconds = json_is_number(json) ? json_number_value(json) : -1;
	if (!(seconds >= SLICE_MIN_S && seconds <= SLICE_MAX_S))
		return error_set(err, EINVAL,
		        "slice_s must be %d to %d seconds, or \"forever\" for a service",
		        SLICE_MIN_S, SLICE_MAX_S);
	*slice_ns = (uint64_t)llround(seconds * 1e3) * NS_PER_MS;
	return 0;
}

int ports_parse(const json_t *json, uint64_t *mask, struct error *err)
{
	if (!json)
		return 0;
	if (json_is_string(json) && strcmp(json_string_value(json), "all") == 0) {
		*mask = PORTS_ALL;
		return 0;
	}
	uint64_t ports = 0;
	for (size_t i = 0; i < json_array_size(json); i++) {
		const json_t *port = json_array_get(json, i);
		if (!json_is_integer(port) || json_integer_value(port) < 0 ||
		        json_integer_value(port) >= PORTS_MAX)
			return error_set(err, EINVAL, "ports: number %zu is no port (0 to %u)",
			        i + 1, PORTS_MAX - 1);
		ports |= 1ull << json_integer_value(port);
	}
	if (!ports)
		return error_set(
		        err, EINVAL, "ports must be \"all\" or a list of port numbers, as [0, 1]");
	*mask = ports;
	return 0;
}

int policy_check(const json_t *json, struct error *err)
{
	const char *word = json_string_value(json);
	if (!json || (word && (strcmp(word, "fresh") == 0 || strcmp(word, "carry") == 0)))
		return 0;
	bool good = json_is_array(json) && json_array_size(json) <= IMAGE_MAPS_MAX;
	for (size_t i = 0; good && i < json_array_size(json); i++) {
		const json_t *name = json_array_get(json, i);
		good = json_is_string(name) && json_string_length(name) < IMAGE_NAME_MAX;
	}
	return good ? 0
	            : error_set(err, EINVAL,
	                      "maps must be \"fresh\", \"carry\" or a list of map names");
}

json_t *slice_json(uint64_t slice_ns)
{
	if (slice_ns == SLICE_FOREVER)
		return json_string("forever");
	if (slice_ns % NS_PER_S == 0)
		return json_integer((json_int_t)(slice_ns / NS_PER_S));
	return json_real((double)slice_ns / 1e9);
}

json_t *ports_json(uint64_t mask)
{
	if (mask == PORTS_ALL)
		return json_string("all");
	json_t *list = json_array();
	for (unsigned port = 0; port < PORTS_MAX; port++)
		if (mask >> port & 1)
			json_array_append_new(list, json_integer(port));
	return list;
}

static int check_setting(const char *key, const json_t *value, struct error *err)
{
	uint64_t ignored;
	if (strcmp(key, "slice_s") == 0)
		return slice_parse(value, &ignored, err);
	if (strcmp(key, "ports") == 0)
		return ports_parse(value, &ignored, err);
	if (strcmp(key, "maps") == 0)
		return policy_check(value, err);
	if (strcmp(key, "budget") != 0)
		return error_set(err, EINVAL,
		        "there is no setting %.64s: the settings are slice_s, ports, maps and "
		        "budget",
		        key);
	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
	        json_integer_value(value) <= GENERATION_BUDGET_MAX)
		return 0;
	return error_set(err, EINVAL, "budget must be 1 to %u instructions, or 0 for the default",
	        GENERATION_BUDGET_MAX);
}

int settings_merge(json_t *settings, const json_t *given, struct error *err)
{
	const char *key;
	json_t *value;
	if (given && !json_is_object(given))
		return error_set(err, EINVAL, "settings must be an object");
	json_object_foreach((json_t *)given, key, value)
	{
		int rc = check_setting(key, value, err);
		if (rc)
			return rc;
		json_object_set(settings, key, value);
	}
	json_t *defaults = json_pack("{s:i,s:s,s:s,s:i}", "slice_s", SLICE_DEFAULT_S, "ports",
	        "all", "maps", "fresh", "budget", 0);
	json_object_update_missing(settings, defaults);
	json_decref(defaults);
	return 0;
}

int member_string(const json_t *object, const char *key, const char **text, struct error *err)
{
	const json_t *value = json_object_get(object, key);
	*text = json_string_value(value);
	if (value && !*text && !json_is_null(value))
		return error_set(err, EINVAL, "\"%s\" must be text", key);
	return 0;
}
