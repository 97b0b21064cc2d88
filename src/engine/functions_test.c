// SPDX-License-Identifier: Apache-2.0
// The functions that ship with Raio, as their objects are, in every way that this machine can run
// them: what they do with the packets of functions/NAME/test/in.pcapng is what expect.pcapng says,
// and with packets that are cut and spoilt all ways do the same, to verdicts, bytes and maps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "engine/generation.h"
#include "engine/space.h"
#include "engine/way.h"
#include "map/map.h"

#define PORTS     0xfull
#define PATH_SIZE 512u

// What stands in functions/NAME/NAME.rules, as bytes.
struct entry {
	const char *map, *key, *value;
};

struct function {
	const char *name;
	struct entry entries[12];
};

static const struct function functions[] = {
        {"wire", {{0}}},
        {"lsl2", {{"settings", "\0\0\0\0", "\x2c\x01\0\0"}}},
        {"ripv4",
                {
                        {"interfaces", "\0\0\0\0", "\x0a\0\0\xfe\x18\0\0\0\2\0\0\0\0\xa0\0\0"},
                        {"interfaces", "\1\0\0\0", "\x0a\0\1\xfe\x18\0\0\0\2\0\0\0\0\xa1\0\0"},
                        {"interfaces", "\2\0\0\0", "\x0a\0\2\xfe\x18\0\0\0\2\0\0\0\0\xa2\0\0"},
                        {"interfaces", "\3\0\0\0", "\x0a\0\3\xfe\x18\0\0\0\2\0\0\0\0\xa3\0\0"},
                        {"routes", "\x18\0\0\0\x0a\0\0\0", "\0\0\0\0\0\0\0\0"},
                        {"routes", "\x18\0\0\0\x0a\0\1\0", "\0\0\0\0\1\0\0\0"},
                        {"routes", "\x18\0\0\0\x0a\0\2\0", "\0\0\0\0\2\0\0\0"},
                        {"routes", "\x18\0\0\0\x0a\0\3\0", "\0\0\0\0\3\0\0\0"},
                }},
        {"ddos",
                {
                        {"settings", "\0\0\0\0", "\x10\x27\0\0\x20\x4e\0\0"},
                        {"services", "\x11\0\0\x35", "\x64\0\0\0\xc8\0\0\0"},
                        {"services", "\6\0\0\x16", "\x32\0\0\0\x64\0\0\0"},
                        {"prefixes", "\x18\0\0\0\xc0\0\2\0", "\0\0\0\0"},
                        {"prefixes", "\x18\0\0\0\xc6\x33\x64\0", "\1\0\0\0"},
                        {"prefixes6", "\x30\0\0\0\x20\1\x0d\xb8\x0b\xad\0\0\0\0\0\0\0\0\0\0",
                                "\0\0\0\0"},
                }},
};

// One way to run the function.
struct side {
	const struct engine_way *way;
	struct space *space;
	struct packet_memory *memory;
	struct engine *engine;
	struct generation *generation;
};

static struct image *read_object(const char *name)
{
	char path[PATH_SIZE];
	autofree uint8_t *data = NULL;
	size_t size;
	struct image *image;
	struct error err = {0};
	snprintf(path, sizeof(path), "%s/functions/%s.o", getenv("RAIO_BUILD_DIR"), name);
	if (file_read(path, OBJECT_SIZE_MAX, &data, &size, &err) ||
	        object_read(data, size, NULL, NULL, 0, &image, &err))
		fail_msg("%s: %s", path, err.text);
	return image;
}

static struct map *map_named(const struct generation *generation, const char *name)
{
	for (uint32_t i = 0; i < generation_map_count(generation); i++)
		if (!strcmp(generation_map_shape(generation, i)->name, name))
			return generation_map(generation, i);
	fail_msg("no map %s", name);
	return NULL;
}

static void side_new(
        struct side *side, const struct function *function, const struct engine_way *way)
{
	struct error err = {0};
	const struct engine_options engine = {.kind = way->kind, .fixed_ns = 1, .random = 7};
	const struct generation_options options = {.id = 1,
	        .engine_count = 1,
	        .ports = PORTS,
	        .verify = way->verify,
	        .look_ahead = way->look_ahead};
	*side = (struct side){.way = way};
	assert_int_equal(space_new(&side->space, NULL), 0);
	assert_int_equal(packet_memory_new(side->space, BURST_MAX, &side->memory, NULL), 0);
	assert_int_equal(engine_new(side->space, &engine, &side->engine, NULL), 0);
	struct image *image = read_object(function->name);
	if (generation_new(side->space, image, &options, &side->generation, &err))
		fail_msg("%s: %s", function->name, err.text);
	for (const struct entry *entry = function->entries; entry->map; entry++)
		assert_int_equal(map_write(map_named(side->generation, entry->map), entry->key,
		                         entry->value, 0),
		        0);
}

static void side_free(struct side *side)
{
	generation_free(&side->generation);
	engine_free(&side->engine);
	packet_memory_free(&side->memory);
	space_free(&side->space);
}

// A packet of a capture; `data` is within the file.
struct sample {
	const uint8_t *data;
	uint32_t size;
	uint64_t time_ns;
	uint8_t port;
	bool is_host;
};

struct capture {
	uint8_t *file;
	struct sample *samples;
	uint32_t count;
};

static uint32_t u32_at(const uint8_t *bytes)
{
	uint32_t value;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

// pcapng as Raio writes it: sections of little end first, times in ns, interfaces "portN" and
// "hostN", of which the first option is the name.
static void capture_read(const char *name, const char *which, struct capture *capture)
{
	char path[PATH_SIZE];
	size_t size;
	uint8_t ports[256] = {0}, interfaces = 0;
	bool hosts[256] = {0};
	struct error err = {0};
	snprintf(path, sizeof(path), "%s/functions/%s/test/%s.pcapng", getenv("RAIO_SOURCE_DIR"),
	        name, which);
	*capture = (struct capture){0};
	if (file_read(path, 1u << 20, &capture->file, &size, &err))
		fail_msg("%s", err.text);
	capture->samples = calloc(size / 32, sizeof(capture->samples[0]));
	assert_non_null(capture->samples);
	for (size_t at = 0; at < size; at += u32_at(capture->file + at + 4)) {
		const uint8_t *block = capture->file + at;
		if (u32_at(block) == 1) {
			ports[interfaces] = (uint8_t)(block[24] - '0');
			hosts[interfaces++] = block[20] == 'h';
		} else if (u32_at(block) == 6) {
			uint32_t interface = u32_at(block + 8);
			capture->samples[capture->count++] = (struct sample){.data = block + 28,
			        .size = u32_at(block + 20),
			        .time_ns = (uint64_t)u32_at(block + 12) << 32 | u32_at(block + 16),
			        .port = ports[interface],
			        .is_host = hosts[interface]};
		}
	}
	assert_int_not_equal(capture->count, 0);
}

static void capture_free(struct capture *capture)
{
	free(capture->samples);
	free(capture->file);
}

static void side_put(struct side *side, const struct sample *sample, struct packet *packet)
{
	packet->data = packet->meta = FRAME_HEADROOM;
	packet->end = (uint16_t)(FRAME_HEADROOM + sample->size);
	packet->port = sample->port;
	packet->arrival_ns = sample->time_ns;
	memcpy(packet_data(space_base(side->space), packet), sample->data, sample->size);
}

static void leaves(const struct function *function, struct side *side, const struct packet *packet,
        uint8_t port, bool is_host, const struct capture *expect, uint32_t *next)
{
	if (*next == expect->count)
		fail_msg("%s, %s: more packets leave than %u", function->name, side->way->name,
		        expect->count);
	const struct sample *want = &expect->samples[(*next)++];
	if (port != want->port || is_host != want->is_host || packet_size(packet) != want->size ||
	        memcmp(packet_data(space_base(side->space), packet), want->data, want->size))
		fail_msg("%s, %s: packet %u that leaves, by port %u, is another", function->name,
		        side->way->name, *next, port);
}

static void run_capture(const struct function *function, const struct engine_way *way)
{
	struct side side;
	struct capture in, expect;
	struct packet packet;
	struct verdict verdict;
	uint32_t next = 0;
	side_new(&side, function, way);
	capture_read(function->name, "in", &in);
	capture_read(function->name, "expect", &expect);
	assert_int_equal(frames_take(side.memory, &packet, 1), 1);
	for (uint32_t i = 0; i < in.count; i++) {
		side_put(&side, &in.samples[i], &packet);
		engine_clock(side.engine, packet.arrival_ns);
		engine_run(side.engine, side.generation, &packet, &verdict, 1);
		if (verdict.verdict == XDP_PASS)
			leaves(function, &side, &packet, packet.port, true, &expect, &next);
		if (verdict.verdict != XDP_TX && verdict.verdict != XDP_REDIRECT)
			continue;
		for (uint8_t port = 0; port < PORTS_MAX; port++)
			if (verdict.ports >> port & 1)
				leaves(function, &side, &packet, port, false, &expect, &next);
	}
	assert_int_equal(next, expect.count);
	frames_give(side.memory, &packet, 1);
	capture_free(&in);
	capture_free(&expect);
	side_free(&side);
}

static void functions_do_what_their_captures_say(void **state)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(functions); i++)
		for (uint32_t j = 0; engine_way(j); j++)
			run_capture(&functions[i], engine_way(j));
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

// One packet in two as it is, one cut, one with a byte or two that are others; the first 64 bytes
// are where the functions look.
static void spoil(struct sample *sample, uint8_t *bytes, uint32_t *seed)
{
	uint32_t what = next_random(seed) % 4;
	memcpy(bytes, sample->data, sample->size);
	sample->data = bytes;
	sample->port = (uint8_t)(next_random(seed) % 4);
	if (what == 0)
		sample->size = next_random(seed) % (sample->size + 1);
	for (uint32_t i = 0; what == 1 && i < 1 + next_random(seed) % 2; i++)
		bytes[next_random(seed) % (sample->size < 64 ? sample->size : 64)] =
		        (uint8_t)next_random(seed);
}

static void compare_packets(const struct function *function, const struct side *a,
        const struct side *b, const struct packet *p, const struct packet *q,
        const struct verdict *v, const struct verdict *w)
{
	if (v->verdict != w->verdict || v->fault != w->fault || v->program != w->program ||
	        v->insn != w->insn || v->result != w->result || v->address != w->address ||
	        v->ports != w->ports)
		fail_msg("%s, %s: verdict %u, fault %u at %u, result %u, ports %#llx; the %s says "
		         "%u, "
		         "%u at %u, %u, %#llx",
		        function->name, b->way->name, w->verdict, w->fault, w->insn, w->result,
		        (unsigned long long)w->ports, a->way->name, v->verdict, v->fault, v->insn,
		        v->result, (unsigned long long)v->ports);
	assert_int_equal(p->data, q->data);
	assert_int_equal(p->end, q->end);
	assert_int_equal(p->meta, q->meta);
	assert_memory_equal(packet_data(space_base(a->space), p),
	        packet_data(space_base(b->space), q), packet_size(p));
}

static void compare_maps(const struct side *a, const struct side *b)
{
	for (uint32_t i = 0; i < generation_map_count(a->generation); i++) {
		struct map *x = generation_map(a->generation, i),
		           *y = generation_map(b->generation, i);
		uint8_t keys[2][64], *values = calloc(2, map_io_size(x));
		const uint8_t *key = NULL;
		assert_non_null(values);
		assert_true(map_def(x)->key_size <= sizeof(keys[0]));
		assert_int_equal(map_count(x), map_count(y));
		for (uint32_t j = 0; map_next_key(x, key, keys[j % 2]) == 0; j++) {
			uint8_t *other = values + map_io_size(x);
			key = keys[j % 2];
			assert_int_equal(map_read(x, key, values, 0), map_read(y, key, other, 0));
			assert_memory_equal(values, other, map_io_size(x));
		}
		free(values);
	}
}

// Bursts of spoilt packets through all sides at once.
static void run_spoilt(const struct function *function, uint32_t bursts)
{
	static uint8_t bytes[PACKET_MAX];
	struct packet packets[ENGINE_WAYS_MAX][BURST_MAX];
	struct verdict verdicts[ENGINE_WAYS_MAX][BURST_MAX];
	struct side sides[ENGINE_WAYS_MAX];
	struct capture in;
	uint32_t count = 0, seed = 0x7261696f;
	capture_read(function->name, "in", &in);
	for (; engine_way(count); count++) {
		side_new(&sides[count], function, engine_way(count));
		assert_int_equal(
		        frames_take(sides[count].memory, packets[count], BURST_MAX), BURST_MAX);
	}
	for (uint32_t burst = 0; burst < bursts; burst++) {
		uint64_t now_ns = 1000000000ull + burst * 1000000ull;
		for (uint32_t i = 0; i < BURST_MAX; i++) {
			struct sample sample = in.samples[next_random(&seed) % in.count];
			spoil(&sample, bytes, &seed);
			sample.time_ns = now_ns;
			for (uint32_t j = 0; j < count; j++)
				side_put(&sides[j], &sample, &packets[j][i]);
		}
		for (uint32_t j = 0; j < count; j++) {
			engine_clock(sides[j].engine, now_ns);
			engine_run(sides[j].engine, sides[j].generation, packets[j], verdicts[j],
			        BURST_MAX);
		}
		for (uint32_t j = 1; j < count; j++)
			for (uint32_t i = 0; i < BURST_MAX; i++)
				compare_packets(function, &sides[0], &sides[j], &packets[0][i],
				        &packets[j][i], &verdicts[0][i], &verdicts[j][i]);
	}
	for (uint32_t j = 0; j < count; j++) {
		compare_maps(&sides[0], &sides[j]);
		assert_memory_equal(engine_stats(sides[0].engine), engine_stats(sides[j].engine),
		        sizeof(struct engine_stats));
		frames_give(sides[j].memory, packets[j], BURST_MAX);
	}
	for (uint32_t j = 0; j < count; j++)
		side_free(&sides[j]);
	capture_free(&in);
}

static void spoilt_packets_end_alike_in_every_way(void **state)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(functions); i++)
		run_spoilt(&functions[i], 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(functions_do_what_their_captures_say),
	        cmocka_unit_test(spoilt_packets_end_alike_in_every_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
