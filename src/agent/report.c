// SPDX-License-Identifier: Apache-2.0
#include "agent/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/queue.h"
#include "agent/rules.h"
#include "api/rules.h"
#include "api/slot.h"
#include "api/value.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/card.h"

#define DUMP_SIZE          (1u << 20)
#define REPORT_ENTRIES_MAX 65536u

static const char *const verdict_names[5] = {"aborted", "drop", "pass", "tx", "redirect"};

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

uint64_t run_of_tag(const char *tag)
{
	char *end;
	if (tag[0] != 'r' || tag[1] < '1' || tag[1] > '9')
		return 0;
	unsigned long long id = strtoull(tag + 1, &end, 10);
	return *end ? 0 : id;
}

static json_t *side_json(uint64_t generation, const char *tag, const char *function)
{
	json_t *json = json_pack("{s:I}", "generation", (json_int_t)generation);
	json_object_set_new(json, "run", run_of_tag(tag) ? json_string(tag) : json_null());
	json_object_set_new(json, "function",
	        json_string(generation == 0 ? "pass"
	                    : function      ? function
	                                    : tag));
	return json;
}

static json_t *receipt_port_json(const struct receipt_port *port)
{
	return json_pack("{s:i,s:I,s:I,s:I,s:I,s:I}", "port", port->port, "last_old_ns",
	        (json_int_t)port->last_old_ns, "first_new_ns", (json_int_t)port->first_new_ns,
	        "gap_ns", (json_int_t)port->gap_ns, "received_before",
	        (json_int_t)port->received_before, "received_after",
	        (json_int_t)port->received_after);
}

json_t *receipt_json(
        const struct receipt *receipt, const char *old_function, const char *new_function)
{
	char time[CLOCK_TEXT_SIZE];
	json_t *ports = json_array(), *maps = json_array();
	uint64_t gap = 0;
	for (uint32_t i = 0; i < receipt->port_count; i++) {
		json_array_append_new(ports, receipt_port_json(&receipt->port[i]));
		if (receipt->port[i].gap_ns > gap)
			gap = receipt->port[i].gap_ns;
	}
	for (uint32_t i = 0; i < receipt->map_count; i++)
		json_array_append_new(
		        maps, json_pack("{s:s,s:s,s:I}", "name", receipt->map[i].name, "action",
		                      receipt->map[i].carried ? "carry" : "fresh", "entries",
		                      (json_int_t)receipt->map[i].entries));
	uint64_t load_ns = receipt->load_end_ns - receipt->load_begin_ns;
	return json_pack("{s:I,s:s,s:o,s:o,s:f,s:f,s:I,s:I,s:I,s:o,s:o}", "sequence",
	        (json_int_t)receipt->sequence, "time", clock_rfc3339(receipt->wall_ns, time), "old",
	        side_json(receipt->old_generation, receipt->old_tag, old_function), "new",
	        side_json(receipt->new_generation, receipt->new_tag, new_function), "load_ms",
	        (double)load_ns / 1e6, "swap_us",
	        (double)(receipt->done_ns - receipt->swap_ns) / 1e3, "swap_ns",
	        (json_int_t)receipt->swap_ns, "gap_ns", (json_int_t)gap, "lost",
	        (json_int_t)receipt->lost, "ports", ports, "maps", maps);
}

void receipt_refresh(struct card *card, json_t *json)
{
	uint64_t sequence = (uint64_t)json_integer_value(json_object_get(json, "sequence"));
	json_int_t swap_ns = json_integer_value(json_object_get(json, "swap_ns"));
	autofree struct receipt *receipt = calloc(1, sizeof(*receipt));
	if (!receipt || !card || !sequence || card->ops->receipt(card, sequence, receipt, NULL) ||
	        (json_int_t)receipt->swap_ns != swap_ns)
		return;
	json_t *ports = json_array();
	for (uint32_t i = 0; i < receipt->port_count; i++)
		json_array_append_new(ports, receipt_port_json(&receipt->port[i]));
	json_object_set_new(json, "ports", ports);
}

json_t *verdicts_json(const struct card_counters *counters)
{
	json_t *json = json_object();
	for (int i = 0; i < 5; i++)
		json_object_set_new(json, verdict_names[i],
		        json_pack("{s:I,s:I}", "packets", (json_int_t)counters->verdict_packets[i],
		                "bytes", (json_int_t)counters->verdict_bytes[i]));
	return json;
}

static void add(struct card_counters *to, const struct card_counters *from)
{
	// All members are uint64_t.
	uint64_t *sum = (uint64_t *)to;
	for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
		sum[i] += ((const uint64_t *)from)[i];
}

static json_t *port_json(uint32_t number, const struct card_counters *counters)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "port", (json_int_t)number, "received",
	        (json_int_t)counters->packets, "received_bytes", (json_int_t)counters->bytes,
	        "sent", (json_int_t)counters->tx_packets, "sent_bytes",
	        (json_int_t)counters->tx_bytes, "dropped", (json_int_t)counters->tx_dropped,
	        "verdicts", verdicts_json(counters));
}

static json_t *fault_json(const struct card_fault *fault)
{
	return json_pack("{s:s,s:s,s:s,s:I}", "cause", fault_name((enum fault)fault->fault),
	        "place", fault->place, "text", fault->text, "count", (json_int_t)fault->count);
}

static json_t *latency_json(const uint64_t bins[CARD_LATENCY_BINS])
{
	return json_pack("{s:I,s:I,s:I,s:I}", "p50", (json_int_t)latency_quantile(bins, 0.5), "p90",
	        (json_int_t)latency_quantile(bins, 0.9), "p99",
	        (json_int_t)latency_quantile(bins, 0.99), "max",
	        (json_int_t)latency_quantile(bins, 1));
}

json_t *entry_key(const struct card_map *map, const void *key)
{
	cleanup(buffer_free) struct buffer text = {0};
	value_format(
	        &map->shape.key, map->shape.key_size, rules_key_flags(&map->shape), key, &text);
	return json_stringn((const char *)text.data, text.size);
}

static json_t *slot_json(const struct card_map *map, const struct image *image, const void *value)
{
	cleanup(buffer_free) struct buffer text = {0};
	uint32_t slot;
	memcpy(&slot, value, sizeof(slot));
	slot_format(image, &map->shape, slot, &text);
	return json_stringn((const char *)text.data, text.size);
}

json_t *entry_value(const struct card_map *map, const struct image *image, const void *value)
{
	if (slot_is_name(map->shape.type) && map->io_size == sizeof(uint32_t))
		return slot_json(map, image, value);
	uint32_t size = map->shape.value_size, step = (size + 7) / 8 * 8;
	bool several = map->io_size > size && map->io_size >= step && step;
	json_t *list = several ? json_array() : NULL;
	for (uint32_t at = 0; at + size <= map->io_size || !several; at += step) {
		cleanup(buffer_free) struct buffer text = {0};
		value_format(&map->shape.value, size, 0, (const uint8_t *)value + at, &text);
		json_t *one = json_stringn((const char *)text.data, text.size);
		if (!several)
			return one;
		json_array_append_new(list, one);
	}
	return list;
}

int entries_json(struct card *card, uint64_t generation, const struct card_map *map,
        const struct image *image, uint32_t limit, json_t **entries, struct error *err)
{
	autofree uint8_t *data = malloc(DUMP_SIZE);
	autofree uint8_t *after = malloc(map->shape.key_size + 1);
	uint32_t entry = map->shape.key_size + map->io_size, count = 1;
	json_t *list = json_array();
	int rc = data && after ? 0 : error_set(err, ENOMEM, "no memory for the map");
	for (bool first = true; !rc && count && json_array_size(list) < limit; first = false) {
		rc = card->ops->map_dump(card, generation, map->index, first ? NULL : after, data,
		        DUMP_SIZE, &count, err);
		for (uint32_t i = 0; !rc && i < count && json_array_size(list) < limit; i++) {
			const uint8_t *at = data + (size_t)i * entry;
			json_array_append_new(
			        list, json_pack("{s:o,s:o}", "key", entry_key(map, at), "value",
			                      entry_value(map, image, at + map->shape.key_size)));
		}
		if (!rc && count)
			memcpy(after, data + (size_t)(count - 1) * entry, map->shape.key_size);
	}
	if (rc)
		json_decref(list);
	else
		*entries = list;
	return rc;
}

static bool wants_map(const json_t *wanted, const struct card_map *map)
{
	if (json_is_true(wanted))
		return !map->shape.is_global;
	for (size_t i = 0; i < json_array_size(wanted); i++) {
		const char *name = json_string_value(json_array_get(wanted, i));
		if (name && strcmp(name, map->shape.name) == 0)
			return true;
	}
	return false;
}

static json_t *maps_json(
        struct card *card, uint64_t generation, const struct image *image, const json_t *wanted)
{
	autofree struct card_map *maps = calloc(IMAGE_MAPS_MAX, sizeof(*maps));
	uint32_t count = 0;
	json_t *all = json_object();
	if (!maps || card->ops->maps(card, generation, maps, IMAGE_MAPS_MAX, &count, NULL))
		return all;
	for (uint32_t i = 0; i < count; i++) {
		json_t *entries;
		if (wants_map(wanted, &maps[i]) && entries_json(card, generation, &maps[i], image,
		                                           REPORT_ENTRIES_MAX, &entries, NULL) == 0)
			json_object_set_new(all, maps[i].shape.name, entries);
		card_map_free(&maps[i]);
	}
	return all;
}

json_t *report_json(struct store *store, struct card *card, const struct run *run)
{
	autofree struct card_counters *ports = calloc(PORTS_MAX, sizeof(*ports));
	autofree struct card_counters *one = calloc(PORTS_MAX, sizeof(*one));
	struct card_counters sum = {0};
	json_t *aborts = json_array(), *port_list = json_array();
	if (!ports || !one)
		return NULL;
	for (uint32_t i = 0; card && i < run->generation_count; i++) {
		struct card_fault faults[CARD_FAULTS_MAX];
		uint32_t count = CARD_FAULTS_MAX;
		memset(one, 0, PORTS_MAX * sizeof(*one));
		if (card->ops->counters(card, run->generations[i], one, faults, &count, NULL))
			continue;
		for (uint32_t port = 0; port < PORTS_MAX; port++)
			add(&ports[port], &one[port]);
		for (uint32_t f = 0; f < count && f < CARD_FAULTS_MAX; f++)
			json_array_append_new(aborts, fault_json(&faults[f]));
	}
	for (uint32_t port = 0; port < PORTS_MAX; port++)
		if (run->mask >> port & 1) {
			json_array_append_new(port_list, port_json(port, &ports[port]));
			add(&sum, &ports[port]);
		}
	json_t *report = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "packets", integer(sum.packets),
	        "bytes", integer(sum.bytes), "verdicts", verdicts_json(&sum), "ports", port_list,
	        "aborts", aborts, "latency_ns", latency_json(sum.latency));
	if (run->swap_in) {
		receipt_refresh(card, run->swap_in);
		json_object_set(report, "swap_in", run->swap_in);
	}
	if (run->swap_out)
		json_object_set(report, "swap_out", run->swap_out);
	if (card && run->return_maps && run->generation_count) {
		cleanup(image_free) struct image *image = NULL;
		rules_image(store, run, &image, NULL);
		json_object_set_new(report, "maps",
		        maps_json(card, run->generations[run->generation_count - 1], image,
		                run->return_maps));
	}
	return report;
}
