// SPDX-License-Identifier: Apache-2.0
// lsl2 learns its stations from the generators' first packets. ripv4 has a port in each of the
// generators' networks (gen.c), and knows the one host in each.
#include "rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "card/test_images.h"
#include "ebpf/object.h"

#define MAPS_MAX 16u

static void need(int rc, const struct error *err)
{
	if (!rc)
		return;
	fprintf(stderr, "card_bench: %s\n", err->text);
	exit(1);
}

static struct image *read_object(const char *name)
{
	char path[4096];
	autofree uint8_t *data = NULL;
	struct image *image;
	struct error err;
	size_t size;
	snprintf(path, sizeof(path), "%s/functions/%s.o", BENCH_BUILD, name);
	need(file_read(path, OBJECT_SIZE_MAX, &data, &size, &err), &err);
	need(object_read(data, size, NULL, NULL, 0, &image, &err), &err);
	return image;
}

static struct image *make_image(enum rig_function function)
{
	switch (function) {
	case RIG_LSL2:
		return read_object("lsl2");
	case RIG_RIPV4:
		return read_object("ripv4");
	case RIG_MACSWAP:
		return image_macswap();
	default:
		return image_wire(1);
	}
}

static void put(
        struct card *card, uint64_t id, const char *name, const void *key, const void *value)
{
	struct card_map maps[MAPS_MAX];
	struct error err;
	uint32_t count, done;
	need(card->ops->maps(card, id, maps, MAPS_MAX, &count, &err), &err);
	for (uint32_t i = 0; i < count; i++) {
		const struct card_entry entry = {key, value};
		if (strcmp(maps[i].shape.name, name) == 0)
			need(card->ops->map_apply(card, id, maps[i].index, CARD_MAP_UPDATE, 0,
			             &entry, 1, &done, &err),
			        &err);
		card_map_free(&maps[i]);
	}
}

// As the structures of functions/ripv4/ripv4.c.
static void fill_ripv4(struct card *card, uint64_t id)
{
	for (uint32_t port = 0; port < 2; port++) {
		const uint32_t network = 0x0a000000u + (port << 16), host = htonl(network + 1);
		const struct {
			uint32_t address, length;
			uint8_t mac[6];
			uint16_t unused;
		} interface = {htonl(network + 0xfffe), 16, {2, 0, 0, 0, 0, 0xa0}, 0};
		const struct {
			uint8_t mac[6];
			uint16_t port;
			uint64_t seen_ns;
		} neighbour = {{2, 0, (uint8_t)port}, (uint16_t)port, 0};
		const struct {
			uint32_t length, address;
		} prefix = {16, htonl(network)};
		const struct {
			uint32_t gateway, port;
		} route = {0, port};
		put(card, id, "interfaces", &port, &interface);
		put(card, id, "neighbours", &host, &neighbour);
		put(card, id, "routes", &prefix, &route);
	}
}

static uint64_t packets_of(struct card *card)
{
	static struct card_port ports[PORTS_MAX];
	uint32_t count;
	uint64_t packets = 0;
	card->ops->ports(card, ports, PORTS_MAX, &count, NULL);
	for (uint32_t i = 0; i < count; i++)
		packets += ports[i].total.tx_packets;
	return packets;
}

static uint64_t spent_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void rig_round(const struct rig *rig, uint32_t ms, uint64_t *packets, uint64_t *cpu_ns)
{
	static struct receipt receipt;
	struct error err;
	cleanup(card_free) struct card *card = NULL;
	const struct soft_card_options options = {.port_specs = rig->specs,
	        .port_count = rig->port_count,
	        .worker_count = rig->worker_count,
	        .engine = rig->engine};
	need(soft_card_new(&options, &card, &err), &err);
	const struct card_load load = {.ports = (1ull << rig->port_count) - 1};
	struct image *image = make_image(rig->function);
	uint64_t id;
	need(card->ops->load(card, image, &load, &id, &err), &err);
	if (rig->function == RIG_RIPV4)
		fill_ripv4(card, id);
	need(card->ops->swap(card, id, load.ports, 0, &receipt, &err), &err);
	image_free(&image);
	usleep(10000);
	uint64_t before = packets_of(card), begin_ns = spent_ns();
	usleep(ms * 1000);
	*cpu_ns = spent_ns() - begin_ns;
	*packets = packets_of(card) - before;
}
