// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/rules.h"
#include "api/value.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "engine/generation.h"
#include "engine/space.h"
#include "map/map.h"

struct stage {
	struct space *space;
	struct packet_memory *memory;
	struct engine *engine;
	struct generation *generation;
	uint64_t now_ns;
	// The same program in the kernel, one copy a port (raio_card.port_plus_1) over shared maps;
	// NULL without privileges.
	struct bpf_object *kernel[STAGE_PORTS];
};

static struct generation *load(struct stage *stage, const char *path)
{
	struct error err = {0};
	uint8_t *object;
	size_t size;
	struct image *image;
	if (file_read(path, OBJECT_SIZE_MAX, &object, &size, &err) ||
	        object_read(object, size, NULL, NULL, 0, &image, &err))
		fail_msg("%s: %s", path, err.text);
	free(object);
	struct generation_options options = {
	        .id = 1, .engine_count = 1, .ports = (1u << STAGE_PORTS) - 1};
	struct generation *generation;
	if (generation_new(stage->space, image, &options, &generation, &err))
		fail_msg("%s: %s", path, err.text);
	return generation;
}

static struct bpf_map *kernel_map(struct stage *stage, uint32_t port, const char *name)
{
	return bpf_object__find_map_by_name(stage->kernel[port], name);
}

// Offset in .rodata of the field that fixes a program's port.
static uint32_t port_offset(struct stage *stage)
{
	const struct image *image = generation_image(stage->generation);
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct image_layout *value = &image->maps[i].value;
		for (uint32_t j = 0; image->maps[i].is_readonly && j < value->field_count; j++) {
			if (!strcmp(value->fields[j].name, "raio_card.port_plus_1"))
				return value->fields[j].bit_offset / 8;
		}
	}
	fail_msg("the object has no raio_card");
	return 0;
}

// Loads the object for `port`; later ports use the maps of the first.
static bool kernel_load(struct stage *stage, const char *path, uint32_t port)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	if (!object)
		return false;
	struct bpf_map *map;
	bpf_object__for_each_map(map, object)
	{
		const char *name = bpf_map__name(map);
		size_t size;
		const void *initial = bpf_map__initial_value(map, &size);
		if (initial && strstr(name, ".rodata")) {
			uint32_t port_plus_1 = port + 1, offset = port_offset(stage);
			uint8_t data[256];
			assert_true(size <= sizeof(data) && offset + sizeof(port_plus_1) <= size);
			memcpy(data, initial, size);
			memcpy(data + offset, &port_plus_1, sizeof(port_plus_1));
			assert_int_equal(bpf_map__set_initial_value(map, data, size), 0);
		} else if (port > 0 && !bpf_map__is_internal(map)) {
			bpf_map__reuse_fd(map, bpf_map__fd(kernel_map(stage, 0, name)));
		}
	}
	if (bpf_object__load(object)) {
		int code = errno;
		bpf_object__close(object);
		if (code != EPERM)
			fail_msg("%s: the kernel refuses it: %s", path, strerror(code));
		return false;
	}
	stage->kernel[port] = object;
	map = kernel_map(stage, port, "raio_ports");
	for (uint32_t i = 0; map && i < STAGE_PORTS; i++) {
		uint32_t loopback = 1;
		assert_int_equal(bpf_map__update_elem(map, &i, 4, &loopback, 4, BPF_ANY), 0);
	}
	return true;
}

static void write_kernel(
        struct stage *stage, const struct image_map *shape, const struct rule *rule)
{
	struct bpf_map *map = kernel_map(stage, 0, shape->name);
	if (rule->remove)
		assert_int_equal(bpf_map__delete_elem(map, rule->key, shape->key_size, BPF_ANY), 0);
	else
		assert_int_equal(bpf_map__update_elem(map, rule->key, shape->key_size, rule->value,
		                         shape->value_size, BPF_ANY),
		        0);
}

static void write_rules(struct stage *stage, const char *text)
{
	const struct image *image = generation_image(stage->generation);
	struct rules *rules;
	struct error err = {0};
	if (rules_parse(text, strlen(text), image, &rules, &err))
		fail_msg("rules: %s", err.text);
	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];
		struct map *map = generation_map(stage->generation, rule->map);
		if (rule->remove)
			assert_int_equal(map_delete(map, rule->key), 0);
		else
			assert_int_equal(map_write(map, rule->key, rule->value, BPF_ANY), 0);
		if (stage->kernel[0])
			write_kernel(stage, &image->maps[rule->map], rule);
	}
	rules_free(&rules);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

struct stage *stage_new(const char *name, const char *rules)
{
	struct error err = {0};
	struct stage *stage = calloc(1, sizeof(*stage));
	struct engine_options options = {.number = 0};
	assert_non_null(stage);
	if (space_new(&stage->space, &err) ||
	        packet_memory_new(stage->space, 16, &stage->memory, &err) ||
	        engine_new(stage->space, &options, &stage->engine, &err))
		fail_msg("%s", err.text);
	char path[512];
	snprintf(path, sizeof(path), "%s/functions/%s.o", getenv("RAIO_BUILD_DIR"), name);
	stage->generation = load(stage, path);
	libbpf_set_print(quiet);
	for (uint32_t port = 0; port < STAGE_PORTS; port++) {
		if (!kernel_load(stage, path, port))
			break;
	}
	// The kernel's clock is not ours to set: ours starts where it is.
	stage->now_ns = clock_ns();
	if (rules)
		write_rules(stage, rules);
	return stage;
}

void stage_free(struct stage *stage)
{
	for (uint32_t port = 0; port < STAGE_PORTS; port++)
		bpf_object__close(stage->kernel[port]);
	generation_free(&stage->generation);
	engine_free(&stage->engine);
	packet_memory_free(&stage->memory);
	space_free(&stage->space);
	free(stage);
}

void stage_at_ms(struct stage *stage, uint64_t ms)
{
	stage->now_ns += ms * NS_PER_MS;
	// The kernel cannot follow.
	for (uint32_t port = 0; port < STAGE_PORTS; port++) {
		bpf_object__close(stage->kernel[port]);
		stage->kernel[port] = NULL;
	}
}

// The kernel needs at least an Ethernet header; shorter packets never reach XDP there.
static void compare_with_kernel(struct stage *stage, uint8_t port, const void *data, uint32_t size,
        const struct outcome *ours)
{
	struct bpf_object *object = stage->kernel[port];
	if (!object || size < ETH_HLEN)
		return;
	struct bpf_program *program = bpf_object__next_program(object, NULL);
	uint8_t out[4096];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = data, .data_size_in = size, .data_out = out,
	        .data_size_out = sizeof(out), .repeat = 1);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &run), 0);
	assert_int_equal(run.retval, ours->verdict.verdict);
	if (ours->verdict.verdict == XDP_DROP)
		return;
	assert_int_equal(run.data_size_out, ours->size);
	assert_memory_equal(out, ours->data, ours->size);
}

struct outcome stage_put(struct stage *stage, uint8_t port, const void *data, uint32_t size)
{
	struct outcome outcome = {0};
	struct packet packet;
	assert_int_equal(frames_take(stage->memory, &packet, 1), 1);
	packet.end = (uint16_t)(packet.data + size);
	packet.port = port;
	packet.arrival_ns = stage->now_ns;
	memcpy(packet_data(space_base(stage->space), &packet), data, size);
	engine_run(stage->engine, stage->generation, &packet, &outcome.verdict, 1);
	outcome.size = packet_size(&packet);
	memcpy(outcome.data, packet_data(space_base(stage->space), &packet), outcome.size);
	frames_give(stage->memory, &packet, 1);
	compare_with_kernel(stage, port, data, size, &outcome);
	return outcome;
}

const char *stage_entry(struct stage *stage, const char *name, const char *key_text)
{
	static char text[1024];
	const struct image *image = generation_image(stage->generation);
	const struct image_map *shape = image_map_find(image, name);
	assert_non_null(shape);
	struct map *map = generation_map(stage->generation, (uint32_t)(shape - image->maps));
	struct error err = {0};
	uint8_t key[64];
	assert_true(shape->key_size <= sizeof(key));
	if (value_parse(&shape->key, shape->key_size, rules_key_flags(shape), key_text, key, &err))
		fail_msg("%s", err.text);
	void *value = map_lookup(map, key, 0);
	if (!value)
		return NULL;
	struct buffer buffer = {0};
	value_format(&shape->value, shape->value_size, 0, value, &buffer);
	snprintf(text, sizeof(text), "%.*s", (int)buffer.size, (char *)buffer.data);
	buffer_free(&buffer);
	return text;
}

uint64_t stage_number(struct stage *stage, const char *map, const char *key, const char *field)
{
	const char *text = stage_entry(stage, map, key);
	if (!text)
		fail_msg("map %s has no entry %s", map, key);
	char pattern[64];
	snprintf(pattern, sizeof(pattern), "%s=", field);
	const char *at = strstr(text, pattern);
	while (at && at != text && at[-1] != ' ')
		at = strstr(at + 1, pattern);
	if (!at)
		fail_msg("%s %s has no field %s: %s", map, key, field, text);
	return strtoull(at + strlen(pattern), NULL, 0);
}

const char *stage_verdict(const struct outcome *outcome)
{
	static char text[128];
	const struct verdict *verdict = &outcome->verdict;
	switch (verdict->verdict) {
	case XDP_DROP:
		return "drop";
	case XDP_PASS:
		return "pass";
	case XDP_TX:
		return "tx";
	case XDP_REDIRECT:
		snprintf(text, sizeof(text), "redirect");
		for (uint32_t port = 0; port < PORTS_MAX; port++) {
			if (verdict->ports >> port & 1)
				snprintf(text + strlen(text), sizeof(text) - strlen(text), " %u",
				        port);
		}
		return text;
	default:
		snprintf(text, sizeof(text), "aborted (%s at %u)", fault_name(verdict->fault),
		        verdict->insn);
		return text;
	}
}

static void put_mac(uint8_t *at, const char *text)
{
	unsigned byte[ETH_ALEN];
	assert_int_equal(sscanf(text, "%x:%x:%x:%x:%x:%x", &byte[0], &byte[1], &byte[2], &byte[3],
	                         &byte[4], &byte[5]),
	        ETH_ALEN);
	for (int i = 0; i < ETH_ALEN; i++)
		at[i] = (uint8_t)byte[i];
}

static void put_u16(struct frame *frame, uint16_t value)
{
	value = htons(value);
	memcpy(frame->data + frame->size, &value, sizeof(value));
	frame->size += sizeof(value);
}

void frame_eth(struct frame *frame, const char *to, const char *from, uint16_t type)
{
	memset(frame, 0, sizeof(*frame));
	put_mac(frame->data, to);
	put_mac(frame->data + ETH_ALEN, from);
	frame->size = 2 * ETH_ALEN;
	put_u16(frame, type);
}

void frame_vlan(struct frame *frame, uint16_t tci, uint16_t type)
{
	put_u16(frame, tci);
	put_u16(frame, type);
}

struct iphdr *frame_ipv4(struct frame *frame, const char *from, const char *to, uint8_t protocol,
        uint8_t ttl, uint32_t payload)
{
	struct iphdr *ip = (struct iphdr *)(frame->data + frame->size);
	*ip = (struct iphdr){
	        .version = 4,
	        .ihl = 5,
	        .tot_len = htons((uint16_t)(sizeof(*ip) + payload)),
	        .id = htons(0x1234),
	        .ttl = ttl,
	        .protocol = protocol,
	        .saddr = inet_addr(from),
	        .daddr = inet_addr(to),
	};
	for (uint32_t i = 0; i < payload; i++)
		((uint8_t *)(ip + 1))[i] = (uint8_t)i;
	frame->size += (uint32_t)sizeof(*ip) + payload;
	frame_ipv4_finish(frame, ip);
	return ip;
}

void frame_ipv4_finish(struct frame *frame, struct iphdr *ip)
{
	ip->check = 0;
	ip->check = internet_checksum(ip, ip->ihl * 4u);
}

struct udphdr *frame_udp(struct frame *frame, uint16_t from, uint16_t to)
{
	// The transport header stands behind the IPv4 header that was put last, at offset 14.
	struct udphdr *udp = (struct udphdr *)(frame->data + ETH_HLEN + sizeof(struct iphdr));
	udp->source = htons(from);
	udp->dest = htons(to);
	udp->len = htons((uint16_t)(frame->size - ETH_HLEN - sizeof(struct iphdr)));
	udp->check = 0;
	return udp;
}

uint16_t internet_checksum(const void *data, uint32_t size)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;
	for (uint32_t i = 0; i < size; i++)
		sum += (uint32_t)bytes[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}
