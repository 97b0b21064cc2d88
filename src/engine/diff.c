// SPDX-License-Identifier: Apache-2.0
// A side has its space and its packet memory for good, and an engine a case; the generation stands
// where the one before it stood. Frames are filled to their last byte before each burst, so that a
// byte of another packet that an engine lets through is seen.
#include "engine/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/random_program.h"
#include "engine/space.h"
#include "engine/way.h"
#include "map/map.h"

#define FILL         0xa5
#define SIZE_MOST    256u // of a packet whose size is by chance
#define ENTRIES_MOST 512u // of a map that are looked at

enum part {
	PART_REFUSAL,
	PART_VERDICT,
	PART_ENDS,
	PART_FRAME,
	PART_STATS,
	PART_ENTRY,
	PART_RECORD,
	PART_TRACE,
	PART_COUNT
};

static const char *const part_names[PART_COUNT] = {
        [PART_REFUSAL] = "refusal",
        [PART_VERDICT] = "verdict (action, fault, program, instruction, r0, address, ports)",
        [PART_ENDS] = "packet's data, end, meta, out",
        [PART_FRAME] = "frame",
        [PART_STATS] = "counters (packets, instructions, helper calls)",
        [PART_ENTRY] = "map entry",
        [PART_RECORD] = "record",
        [PART_TRACE] = "trace",
};

#define BLOCK 64u // bytes that engine_call() gets

struct part_head {
	uint32_t part, index, size;
};

struct diff_side {
	const struct engine_way *way;
	struct space *space;
	struct packet_memory *memory;
	struct packet frames[DIFF_BURST_MAX];
	uint32_t block;
	struct diff_outcome *outcome; // being written
};

// What the libraries below see as chance: the same numbers for each side.
static uint64_t chance;

ssize_t getrandom(void *data, size_t size, unsigned flags)
{
	(void)flags;
	for (size_t i = 0; i < size; i++) {
		chance = chance * 6364136223846793005ull + 1442695040888963407ull;
		((uint8_t *)data)[i] = (uint8_t)(chance >> 56);
	}
	return (ssize_t)size;
}

static void add_part(struct diff_outcome *outcome, enum part part, uint32_t index, const void *data,
        uint32_t size)
{
	const struct part_head head = {part, index, size};
	buffer_put(&outcome->parts, &head, sizeof(head));
	buffer_put(&outcome->parts, data, size);
}

static void add_trace(void *context, const char *line)
{
	struct diff_side *side = context;
	add_part(side->outcome, PART_TRACE, 0, line, (uint32_t)strlen(line));
}

int diff_side_new(const struct engine_way *way, struct diff_side **side, struct error *err)
{
	struct diff_side *new = calloc(1, sizeof(*new));
	if (!new)
		return error_set(err, ENOMEM, "out of memory");
	chance = 1;
	new->way = way;
	int r = space_new(&new->space, err);
	if (!r)
		r = packet_memory_new(new->space, DIFF_BURST_MAX, &new->memory, err);
	if (!r)
		r = space_map(new->space, BLOCK, &new->block, err);
	if (!r && frames_take(new->memory, new->frames, DIFF_BURST_MAX) != DIFF_BURST_MAX)
		r = error_set(err, ENOMEM, "no frames");
	if (r) {
		diff_side_free(&new);
		return r;
	}
	*side = new;
	return 0;
}

void diff_side_free(struct diff_side **side)
{
	struct diff_side *it = *side;
	if (!it)
		return;
	packet_memory_free(&it->memory);
	space_free(&it->space);
	free(it);
	*side = NULL;
}

// Bytes like those of traffic: few values, often 0, so that keys meet again and branches go both
// ways.
static uint8_t any_byte(struct random *random)
{
	uint32_t kind = random_pick(random, 8);
	return kind < 3   ? 0
	       : kind < 6 ? (uint8_t)random_pick(random, 4)
	                  : (uint8_t)random_pick(random, 256);
}

static void fill_packets(struct diff_side *side, const struct diff_setup *setup,
        struct random *random, struct packet packets[])
{
	for (uint32_t i = 0; i < setup->burst; i++) {
		uint32_t size = setup->size ? setup->size
		                            : 1 + random_pick(random,
		                                          random_pick(random, 2) ? 80 : SIZE_MOST);
		packets[i] = (struct packet){.frame = side->frames[i].frame,
		        .data = FRAME_HEADROOM,
		        .end = (uint16_t)(FRAME_HEADROOM + size),
		        .meta = FRAME_HEADROOM,
		        .port = (uint8_t)random_pick(random, 4),
		        .arrival_ns = 1000000 + random_pick(random, 1000)};
		uint8_t *data = packet_data(space_base(side->space), &packets[i]);
		memset(space_base(side->space) + packets[i].frame, FILL, FRAME_SIZE);
		for (uint32_t at = 0; at < size; at++)
			data[at] = setup->bytes ? setup->bytes[at] : any_byte(random);
	}
}

static bool has_address(uint8_t fault)
{
	return fault == FAULT_READ || fault == FAULT_WRITE || fault == FAULT_HELPER;
}

static void add_verdict(struct diff_outcome *outcome, uint32_t index, const struct packet *packet,
        const struct verdict *verdict)
{
	const uint64_t said[] = {verdict->verdict, verdict->fault, verdict->program, verdict->insn,
	        verdict->result, has_address(verdict->fault) ? verdict->address : 0,
	        verdict->ports};
	const uint16_t ends[] = {packet->data, packet->end, packet->meta, packet->out};
	add_part(outcome, PART_VERDICT, index, said, sizeof(said));
	add_part(outcome, PART_ENDS, index, ends, sizeof(ends));
	bool is_result = verdict->fault == FAULT_VERDICT || verdict->fault == FAULT_EXPLICIT ||
	                 verdict->fault == FAULT_REDIRECT;
	outcome->fault = is_result ? FAULT_NONE : verdict->fault;
	outcome->result = verdict->result;
	outcome->unfaulted += outcome->fault == FAULT_NONE;
}

static void add_packet(struct diff_side *side, uint32_t index, const struct packet *packet,
        const struct verdict *verdict)
{
	add_verdict(side->outcome, index, packet, verdict);
	add_part(side->outcome, PART_FRAME, index, space_base(side->space) + packet->frame,
	        FRAME_SIZE);
}

static void add_stats(struct diff_outcome *outcome, const struct engine *engine)
{
	const struct engine_stats *stats = engine_stats(engine);
	const uint64_t said[] = {stats->packets, stats->instructions, stats->helper_calls};
	add_part(outcome, PART_STATS, 0, said, sizeof(said));
	outcome->helper_calls = stats->helper_calls;
}

// Keys and values in the order of a walk, which is the same on all sides.
static void add_map(struct diff_outcome *outcome, uint32_t index, struct map *map)
{
	static uint8_t entry[MAP_KEY_MAX + 4096], next[MAP_KEY_MAX];
	const struct map_def *def = map_def(map);
	uint32_t size = (uint32_t)map_io_size(map), records = 0;
	if (def->type == BPF_MAP_TYPE_RINGBUF || def->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
		while (records++ < 1000 && (size = map_consume(map, entry, sizeof(entry))))
			add_part(outcome, PART_RECORD, index, entry,
			        size < sizeof(entry) ? size : sizeof(entry));
		return;
	}
	if (def->key_size + size > sizeof(entry))
		return;
	for (int r = map_next_key(map, NULL, next); !r && records++ < ENTRIES_MOST;
	        r = map_next_key(map, entry, next)) {
		memcpy(entry, next, def->key_size);
		if (map_read(map, entry, entry + def->key_size, 0) == 0)
			add_part(outcome, PART_ENTRY, index, entry, def->key_size + size);
	}
}

static void add_maps(struct diff_outcome *outcome, const struct generation *generation)
{
	for (uint32_t i = 0; i < generation_map_count(generation); i++) {
		struct map *map = generation_map(generation, i);
		if (map)
			add_map(outcome, i, map);
	}
}

// What an agent does to maps while a function runs. Keys are numbers as the programs make them.
static void churn(const struct generation *generation, struct random *random)
{
	for (uint32_t i = 0; i < generation_map_count(generation); i++) {
		struct map *map = generation_map(generation, i);
		uint8_t key[MAP_KEY_MAX] = {0}, value[4096];
		if (!map || map_io_size(map) > sizeof(value) || random_pick(random, 2))
			continue;
		for (uint32_t n = 0; n < 3; n++) {
			key[0] = (uint8_t)random_pick(random, 2 * RANDOM_ENTRIES);
			memset(value, (int)random_pick(random, 4), sizeof(value));
			if (random_pick(random, 2))
				map_delete(map, key);
			else
				map_write(map, key, value, BPF_ANY);
		}
	}
}

static struct generation *load(
        struct diff_side *side, const struct diff_setup *setup, struct generation *old)
{
	struct error err = {0};
	struct generation *generation = NULL;
	chance = setup->seed;
	struct image *image = setup->make(setup->context, &err);
	const struct generation_options options = {.id = 1,
	        .engine_count = 1,
	        .ports = RANDOM_PORTS,
	        .budget = setup->budget,
	        .old = old,
	        .carry_all = true,
	        .is_bare = setup->is_bare,
	        .verify = side->way->verify,
	        .look_ahead = side->way->look_ahead};
	if (!image || generation_new(side->space, image, &options, &generation, &err)) {
		add_part(side->outcome, PART_REFUSAL, 0, err.text, (uint32_t)strlen(err.text));
		return NULL;
	}
	return generation;
}

// As many calls as a burst has packets.
static void run_calls(struct diff_side *side, const struct diff_setup *setup, struct engine *engine,
        struct generation *generation, struct random *random)
{
	uint8_t *block = space_base(side->space) + side->block;
	for (uint32_t i = 0; i < setup->burst; i++) {
		struct verdict verdict;
		const struct packet none = {0};
		uint64_t result = 0;
		for (uint32_t at = 0; at < BLOCK; at++)
			block[at] = any_byte(random);
		engine_call(engine, generation, side->block, BLOCK, &verdict, &result);
		add_verdict(side->outcome, i, &none, &verdict);
		add_part(side->outcome, PART_FRAME, i, block, BLOCK);
		add_part(side->outcome, PART_STATS, i, &result, sizeof(result));
	}
}

static void run_bursts(struct diff_side *side, const struct diff_setup *setup,
        struct engine *engine, struct generation **generation)
{
	struct random random = {setup->seed | 1};
	for (uint32_t i = 0; i < setup->bursts; i++) {
		struct packet packets[DIFF_BURST_MAX];
		struct verdict verdicts[DIFF_BURST_MAX];
		if (i && i == setup->bursts - 1 && setup->carry) {
			struct generation *old = *generation;
			*generation = load(side, setup, old);
			generation_free(&old);
			if (!*generation)
				return;
		}
		if (setup->is_bare) {
			run_calls(side, setup, engine, *generation, &random);
		} else {
			fill_packets(side, setup, &random, packets);
			memset(verdicts, FILL, sizeof(verdicts));
			engine_run(engine, *generation, packets, verdicts, setup->burst);
			for (uint32_t p = 0; p < setup->burst; p++)
				add_packet(side, p, &packets[p], &verdicts[p]);
		}
		add_stats(side->outcome, engine);
		add_maps(side->outcome, *generation);
		if (setup->churn)
			churn(*generation, &random);
	}
}

void diff_run(struct diff_side *side, const struct diff_setup *setup, struct diff_outcome *outcome)
{
	struct buffer parts = outcome->parts; // its memory serves again
	parts.size = 0;
	*outcome = (struct diff_outcome){.parts = parts};
	side->outcome = outcome;
	const struct engine_options options = {.kind = side->way->kind,
	        .fixed_ns = 1000000000000ull,
	        .random = 7,
	        .trace = add_trace,
	        .trace_context = side};
	struct engine *engine;
	if (engine_new(side->space, &options, &engine, NULL))
		abort();
	struct generation *generation = load(side, setup, NULL);
	outcome->loaded = generation;
	if (generation)
		run_bursts(side, setup, engine, &generation);
	generation_free(&generation);
	engine_free(&engine);
	if (outcome->parts.failed)
		abort();
}

void diff_outcome_free(struct diff_outcome *outcome)
{
	buffer_free(&outcome->parts);
}

bool diff_same(const struct diff_outcome *a, const struct diff_outcome *b)
{
	return a->parts.size == b->parts.size &&
	       memcmp(a->parts.data, b->parts.data, a->parts.size) == 0;
}

static bool next_part(struct cursor *cursor, struct part_head *head, const uint8_t **data)
{
	const void *at = cursor_take(cursor, sizeof(*head));
	if (!at)
		return false;
	memcpy(head, at, sizeof(*head));
	*data = cursor_take(cursor, head->size);
	return true;
}

uint32_t diff_packet(const struct diff_outcome *outcome, uint8_t *bytes)
{
	struct cursor cursor = cursor_of(outcome->parts.data, outcome->parts.size);
	struct part_head head;
	const uint8_t *data;
	uint16_t ends[4] = {0};
	while (next_part(&cursor, &head, &data)) {
		if (head.part == PART_ENDS)
			memcpy(ends, data, sizeof(ends));
		else if (head.part == PART_FRAME)
			memcpy(bytes, data + ends[0], (size_t)(ends[1] - ends[0]));
	}
	return (uint32_t)(ends[1] - ends[0]);
}

bool diff_entry(const struct diff_outcome *outcome, size_t *at, uint32_t *map, const void **data,
        size_t *size)
{
	struct cursor cursor = cursor_of(outcome->parts.data, outcome->parts.size);
	struct part_head head;
	const uint8_t *bytes;
	cursor.at = *at;
	while (next_part(&cursor, &head, &bytes)) {
		if (head.part != PART_ENTRY)
			continue;
		*at = cursor.at;
		*map = head.index;
		*data = bytes;
		*size = head.size;
		return true;
	}
	return false;
}

static void print_part(FILE *to, const char *name, const struct part_head *head,
        const uint8_t *data, uint32_t from)
{
	fprintf(to, "  %s: ", name);
	if (head->part == PART_REFUSAL || head->part == PART_TRACE) {
		fprintf(to, "%.*s\n", (int)head->size, (const char *)data);
		return;
	}
	if (head->part == PART_VERDICT || head->part == PART_STATS) {
		for (uint32_t i = 0; i + 8 <= head->size; i += 8) {
			uint64_t number;
			memcpy(&number, data + i, 8);
			fprintf(to, " %#llx", (unsigned long long)number);
		}
		fprintf(to, "\n");
		return;
	}
	fprintf(to, "byte %u on:", from);
	for (uint32_t i = from; i < head->size && i < from + 32; i++)
		fprintf(to, " %02x", data[i]);
	fprintf(to, "\n");
}

void diff_print(FILE *to, const char *name_a, const struct diff_outcome *a, const char *name_b,
        const struct diff_outcome *b)
{
	struct cursor left = cursor_of(a->parts.data, a->parts.size),
	              right = cursor_of(b->parts.data, b->parts.size);
	struct part_head x, y;
	const uint8_t *x_data, *y_data;
	for (int shown = 0; shown < 4;) {
		bool more_x = next_part(&left, &x, &x_data),
		     more_y = next_part(&right, &y, &y_data);
		if (!more_x || !more_y) {
			if (more_x != more_y)
				fprintf(to, "%s has more to say\n", more_x ? name_a : name_b);
			return;
		}
		if (x.part != y.part || x.index != y.index) {
			fprintf(to, "%s: %s %u; %s: %s %u\n", name_a, part_names[x.part], x.index,
			        name_b, part_names[y.part], y.index);
			return;
		}
		if (x.size == y.size && memcmp(x_data, y_data, x.size) == 0)
			continue;
		uint32_t from = 0;
		while (from < x.size && from < y.size && x_data[from] == y_data[from])
			from++;
		fprintf(to, "%s %u:\n", part_names[x.part], x.index);
		print_part(to, name_a, &x, x_data, from);
		print_part(to, name_b, &y, y_data, from);
		shown++;
	}
}
