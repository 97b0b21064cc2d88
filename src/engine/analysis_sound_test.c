// SPDX-License-Identifier: Apache-2.0
// Whether what the forward pass says is so: random programs in an interpreter that stops before
// each instruction. What the registers, the slots and the packet hold there must lie in what the
// pass said that they may; an access that it proved must lie in its window. Then once more with
// garbage in every register that it holds for unused, and in every frame that it says needs not be
// clean: it must end as before.
//
//	analysis_sound_test [SECONDS [SEED [OBJECT…]]]
//
// OBJECTs are programs as clang makes them, over packets that are nearly sound; SEED 0 is one by
// chance. It prints its seed and, where the pass was wrong, the program.
#include <stdlib.h>
#include <string.h>

static void before_step(void *engine, const void *insn, void *registers);
#define INTERPRETER_STEP(engine, insn, registers) before_step(engine, insn, registers)
#include "engine/interpreter.c"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/analysis_parts.h"
#include "ebpf/disasm.h"
#include "ebpf/object.h"
#include "engine/diff.h"
#include "engine/random_program.h"
#include "engine/way.h"

#define SECONDS     5
#define OBJECT_RUNS 40u

enum mode { MODE_PLAIN, MODE_CHECK, MODE_GARBAGE };

// Of one program of the generation that runs.
struct knowledge {
	struct analysis *analysis;
	struct state *states; // before each instruction
};

static struct {
	enum mode mode;
	const struct generation *generation;
	struct knowledge programs[2];
	struct random random;
	uint64_t seed;
	uint64_t loaded, steps, accesses, proven;
	// The instruction before.
	const struct bpf_insn *insn;
	const struct program *program;
	const uint64_t *registers;
	uint32_t depth;
	uint64_t packets;
} test;

static void forget(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		analysis_free(&test.programs[i].analysis);
		free(test.programs[i].states);
		test.programs[i].states = NULL;
	}
	test.generation = NULL;
	test.insn = NULL;
}

static void keep_state(void *context, uint32_t insn, const struct state *state)
{
	struct knowledge *knowledge = context;
	knowledge->states[insn] = *state;
}

static void learn(const struct generation *generation)
{
	forget();
	test.generation = generation;
	for (uint32_t i = 0; i < generation->program_count && i < 2; i++) {
		struct knowledge *knowledge = &test.programs[i];
		knowledge->states =
		        calloc(generation->programs[i].insn_count, sizeof(struct state));
		if (!knowledge->states || analysis_watched(generation->image, i, false, keep_state,
		                                  knowledge, &knowledge->analysis, NULL))
			abort();
	}
}

static void wrong(const struct engine *engine, const struct bpf_insn *insn, const char *what,
        uint32_t which, const struct value *value, uint64_t number)
{
	uint32_t program = (uint32_t)(engine->program - engine->generation->programs);
	struct buffer text = {0};
	disasm_program(
	        engine->generation->image, &engine->generation->image->programs[program], &text);
	fprintf(stderr, "%.*s\n", (int)text.size, (const char *)text.data);
	fprintf(stderr, "seed %llu, program %u, instruction %u: %s %u holds %#llx\n",
	        (unsigned long long)test.seed, program, (uint32_t)(insn - engine->program->insns),
	        what, which, (unsigned long long)number);
	if (value)
		fprintf(stderr, "said: kind %u, map %u, id %u, from %lld to %lld\n", value->kind,
		        value->map, value->id, (long long)value->min, (long long)value->max);
	fprintf(stderr, "packet at %#llx, size %llu\n", (unsigned long long)engine->packet_start,
	        (unsigned long long)engine->packet_size);
	abort();
}

static bool is_offset(uint64_t number, uint64_t base, const struct value *value)
{
	int64_t offset = (int64_t)(number - base);
	return offset >= value->min && offset <= value->max;
}

static bool is_map_value(const struct engine *engine, uint64_t number, const struct value *value)
{
	for (uint32_t i = 0; i < engine->generation->map_count; i++) {
		const struct linked_map *map = engine->generation->maps[i];
		bool is_meant = value->map & MAP_MIXED || value->map == i;
		if (!map || !map->address || !is_meant)
			continue;
		int64_t start = map->address, end = start + map->size;
		int64_t first = (int64_t)number - value->max, last = (int64_t)number - value->min;
		bool aligned = value->min != value->max || (last - start) % 8 == 0;
		if (last >= start && first + map->value_size <= end && aligned)
			return true;
	}
	return false;
}

static bool holds(
        const struct engine *engine, uint64_t frame, const struct value *value, uint64_t number)
{
	switch (value->kind) {
	case VALUE_ANY:
		return true;
	case VALUE_SCALAR:
		return number >= (uint64_t)value->min && number <= (uint64_t)value->max;
	case VALUE_CONTEXT:
		return is_offset(number, engine->context, value);
	case VALUE_PACKET_NULL:
		if (!number)
			return true;
		// fall through
	case VALUE_PACKET:
		return is_offset(number, engine->packet_start, value);
	case VALUE_PACKET_END:
		return is_offset(number, engine->packet_start + engine->packet_size, value);
	case VALUE_PACKET_META:
		return is_offset(number, engine->meta_start, value);
	case VALUE_STACK:
		return is_offset(number, frame, value);
	case VALUE_MAP:
		return number == handle_of_map(value->map);
	case VALUE_MAP_VALUE_NULL:
		if ((int64_t)number >= value->min && (int64_t)number <= value->max)
			return true;
		// fall through
	case VALUE_MAP_VALUE:
		return is_map_value(engine, number, value);
	case VALUE_FUNCTION:
		return number >> 48 == HANDLE_FUNCTION >> 48 && (uint32_t)number == value->min;
	case VALUE_LOW:
		return (uint32_t)number == value->min;
	default:
		return false;
	}
}

// Registers with one id: the same number, or the same place.
static bool agree(const struct value *a, uint64_t x, const struct value *b, uint64_t y)
{
	if (!a->id || a->id != b->id || a->kind != b->kind)
		return true;
	if (a->kind == VALUE_SCALAR)
		return x == y;
	if (a->kind == VALUE_PACKET)
		return x - (uint64_t)a->min == y - (uint64_t)b->min;
	if (a->kind == VALUE_PACKET_NULL)
		return !x == !y;
	return true;
}

static void check_extents(const struct engine *engine, const struct bpf_insn *insn,
        const struct state *state, const uint64_t r[])
{
	uint64_t end = engine->packet_start + engine->packet_size;
	int32_t plain = extent_of(state, 0), meta = extent_of(state, ID_META);
	if (plain != INT32_MIN && (int64_t)engine->packet_size < plain)
		wrong(engine, insn, "packet extent", (uint32_t)plain, NULL, engine->packet_size);
	if (meta != INT32_MIN && (int64_t)engine->meta_size < meta)
		wrong(engine, insn, "metadata extent", (uint32_t)meta, NULL, engine->meta_size);
	for (uint32_t i = 0; i < 10; i++) {
		const struct value *value = &state->regs[i];
		int32_t bytes = extent_of(state, value->id);
		bool counts =
		        value->kind == VALUE_PACKET || (value->kind == VALUE_PACKET_NULL && r[i]);
		if (counts && bytes != INT32_MIN &&
		        (int64_t)(r[i] - (uint64_t)value->min) + bytes > (int64_t)end)
			wrong(engine, insn, "extent of register", i, value, r[i]);
	}
}

static void check_state(const struct engine *engine, const struct bpf_insn *insn,
        const struct state *state, const uint64_t r[])
{
	for (uint32_t i = 0; i < 10; i++) {
		if (!holds(engine, r[10], &state->regs[i], r[i]))
			wrong(engine, insn, "register", i, &state->regs[i], r[i]);
		for (uint32_t k = 0; k < i; k++) {
			if (!agree(&state->regs[i], r[i], &state->regs[k], r[k]))
				wrong(engine, insn, "register of one id", i, &state->regs[i], r[i]);
		}
	}
	for (uint32_t i = 0; i < ANALYSIS_SLOTS; i++) {
		uint64_t number;
		if (!(state->known >> i & 1))
			continue;
		memcpy(&number, engine->base + r[10] - 8 * (i + 1), sizeof(number));
		if (!holds(engine, r[10], &state->slots[i], number))
			wrong(engine, insn, "slot", i, &state->slots[i], number);
		for (uint32_t k = 0; k < 10; k++) {
			if (!agree(&state->regs[k], r[k], &state->slots[i], number))
				wrong(engine, insn, "slot of one id", i, &state->slots[i], number);
		}
	}
	check_extents(engine, insn, state, r);
}

static void check_access(struct engine *engine, const struct bpf_insn *insn,
        const struct fact *fact, const uint64_t r[])
{
	const struct opcode *op = opcode_of(insn);
	bool is_load = op->kind == KIND_LOAD || op->kind == KIND_LOAD_SX ||
	               (op->kind == KIND_ATOMIC && insn->imm == BPF_LOAD_ACQ);
	if (!is_load && op->kind != KIND_STORE && op->kind != KIND_ATOMIC)
		return;
	test.accesses++;
	if (!fact->proven)
		return;
	test.proven++;
	uint64_t address =
	        r[is_load ? insn->src_reg : insn->dst_reg] + (uint64_t)(int64_t)insn->off;
	bool inside = false, aligned = op->kind != KIND_ATOMIC || address % op->size == 0;
	switch (fact->region) {
	case VALUE_CONTEXT:
		inside = is_load && access_within(address, op->size, engine->context, CONTEXT_SIZE);
		break;
	case VALUE_PACKET:
		inside =
		        access_within(address, op->size, engine->packet_start, engine->packet_size);
		break;
	case VALUE_PACKET_META:
		inside = access_within(address, op->size, engine->meta_start, engine->meta_size);
		break;
	case VALUE_STACK:
		inside = access_within(address, op->size, r[10] - STACK_FRAME, STACK_FRAME);
		break;
	case VALUE_MAP_VALUE:
		inside = access_rest(engine, address, op->size, !is_load);
		break;
	default:
		break;
	}
	if (!inside || !aligned)
		wrong(engine, insn, "proven access, region", fact->region, NULL, address);
}

static uint64_t garbage(void)
{
	static const uint64_t few[] = {0, 1, UINT64_MAX, 1ull << 31, 1ull << 32};
	uint32_t kind = random_pick(&test.random, 8);
	return kind < 5 ? few[kind] : (uint64_t)random_pick(&test.random, UINT32_MAX) << 16;
}

// What is not used after the instruction before, in this frame; after a return that is the call.
static void spoil_registers(const struct engine *engine, const struct bpf_insn *at, uint64_t r[])
{
	const struct bpf_insn *insn = test.insn;
	if (!insn || test.program != engine->program || test.registers != r)
		return;
	bool is_exit = insn->code == (BPF_JMP | BPF_EXIT);
	if (test.depth != engine->depth + is_exit)
		return;
	if (insn->code == (BPF_JMP | BPF_CALL) && at != insn + 1)
		return; // a tail call
	if (is_exit)
		insn = at - 1;
	uint32_t program = (uint32_t)(engine->program - engine->generation->programs);
	uint32_t live = test.programs[program].analysis->facts[insn - engine->program->insns].live;
	for (uint32_t i = 0; i < 10; i++) {
		if (!(live >> i & 1))
			r[i] = garbage();
	}
}

static void spoil_frame(struct engine *engine, uint32_t at, const uint64_t r[])
{
	uint32_t program = (uint32_t)(engine->program - engine->generation->programs);
	const struct analysis *analysis = test.programs[program].analysis;
	for (uint32_t i = 0; i < analysis->function_count; i++) {
		const struct function_fact *function = &analysis->functions[i];
		// Not where a loop leads back to a function's first instruction.
		bool enters = !test.insn || test.program != engine->program ||
		              test.insn->code == (BPF_JMP | BPF_CALL);
		if (function->insn != at || !enters || function->reads_unwritten)
			continue;
		memset(engine->base + r[10] - STACK_FRAME, 0x5a, STACK_FRAME);
		if (engine->stack_dirty > r[10] - STACK_FRAME)
			engine->stack_dirty = r[10] - STACK_FRAME;
	}
}

static void before_step(void *context, const void *at, void *registers)
{
	struct engine *engine = context;
	const struct bpf_insn *insn = at;
	uint64_t *r = registers;
	if (test.mode == MODE_PLAIN)
		return;
	if (test.generation != engine->generation)
		learn(engine->generation);
	if (test.packets != engine->stats.packets) // another packet begins
		test.insn = NULL;
	test.packets = engine->stats.packets;
	uint32_t program = (uint32_t)(engine->program - engine->generation->programs);
	uint32_t index = (uint32_t)(insn - engine->program->insns);
	const struct knowledge *known = &test.programs[program];
	test.steps++;
	if (test.mode == MODE_CHECK) {
		if (!known->analysis->facts[index].reached)
			wrong(engine, insn, "not reached", 0, NULL, 0);
		check_state(engine, insn, &known->states[index], r);
		check_access(engine, insn, &known->analysis->facts[index], r);
	} else {
		spoil_registers(engine, insn, r);
		spoil_frame(engine, index, r);
	}
	test.insn = insn;
	test.program = engine->program;
	test.registers = r;
	test.depth = engine->depth;
}

// What a program is made of: a random one, or an object file.
struct maker {
	const struct random_program *program;
	const void *object;
	size_t size;
};

static struct image *make_image(void *context, struct error *err)
{
	const struct maker *maker = context;
	struct image *image = NULL;
	if (maker->program)
		return random_program_image(maker->program, err);
	object_read(maker->object, maker->size, NULL, NULL, 0, &image, err);
	return image;
}

static void run_both(
        struct diff_side *side, const struct diff_setup *setup, struct diff_outcome outcomes[2])
{
	for (enum mode mode = MODE_CHECK; mode <= MODE_GARBAGE; mode++) {
		forget();
		test.mode = mode;
		diff_run(side, setup, &outcomes[mode - MODE_CHECK]);
	}
	if (diff_same(&outcomes[0], &outcomes[1]))
		return;
	struct image *image = setup->make(setup->context, NULL);
	struct buffer text = {0};
	disasm_program(image, &image->programs[0], &text);
	fprintf(stderr, "%.*s\nseed %llu: garbage where nothing should matter changed the end\n",
	        (int)text.size, (const char *)text.data, (unsigned long long)test.seed);
	diff_print(stderr, "plain", &outcomes[0], "garbage", &outcomes[1]);
	exit(1);
}

static void run_random(struct diff_side *side, uint64_t seed, struct diff_outcome outcomes[2])
{
	static struct random_program program;
	struct maker maker = {.program = &program};
	struct random random = {seed | 1};
	test.seed = seed;
	test.random = random;
	uint32_t kind = random_pick(&random, 8);
	if (kind < 4)
		random_program_write_dense(&program, &random);
	else
		random_program_write(&program, &random, kind < 7 ? RANDOM_FREE : RANDOM_FOR_KERNEL);
	const struct diff_setup setup = {.make = make_image,
	        .context = &maker,
	        .seed = seed,
	        .budget = kind < 4 ? 500 : 5000,
	        .bursts = 2,
	        .burst = 4,
	        .size = random_pick(&random, 2) ? RANDOM_PACKET_SIZE : 0};
	run_both(side, &setup, outcomes);
	test.loaded += outcomes[0].loaded;
}

// Ethernet, perhaps with tags; IPv4, IPv6 or ARP; TCP, UDP or ICMP.
static uint32_t make_packet(struct random *random, uint8_t bytes[256])
{
	static const uint8_t types[][2] = {{0x08, 0x00}, {0x08, 0x00}, {0x86, 0xdd}, {0x08, 0x06}};
	static const uint8_t protocols[] = {6, 17, 1, 4, 47, 58, 44, 0};
	uint32_t kind = random_pick(random, 4), at = 12;
	memset(bytes, 0, 256);
	for (uint32_t i = 0; i < 256; i++)
		bytes[i] = (uint8_t)random_pick(random, random_pick(random, 2) ? 4 : 256);
	for (uint32_t tags = random_pick(random, 4); tags > 1; tags--, at += 4) {
		bytes[at] = tags == 2 ? 0x81 : 0x88;
		bytes[at + 1] = tags == 2 ? 0x00 : 0xa8;
	}
	memcpy(bytes + at, types[kind], 2);
	at += 2;
	uint8_t protocol = protocols[random_pick(random, sizeof(protocols))];
	if (kind == 2) {
		bytes[at] = 0x60;
		bytes[at + 6] = protocol;
		at += 40;
	} else if (kind != 3) {
		uint32_t words = random_pick(random, 3) ? 5 : 5 + random_pick(random, 11);
		bytes[at] = (uint8_t)(0x40 | words);
		bytes[at + 6] = 0;
		bytes[at + 9] = protocol;
		at += 4 * words;
	}
	bytes[at + 12] = (uint8_t)(random_pick(random, 16) << 4);
	return 14 + random_pick(random, 200);
}

static void run_object(
        struct diff_side *side, struct maker *maker, uint64_t seed, struct diff_outcome outcomes[2])
{
	struct random random = {seed | 1};
	uint8_t bytes[256];
	test.seed = seed;
	test.random = random;
	const struct diff_setup setup = {.make = make_image,
	        .context = maker,
	        .seed = seed,
	        .size = make_packet(&random, bytes),
	        .bytes = bytes,
	        .budget = 20000,
	        .bursts = 3,
	        .burst = 2,
	        .churn = true};
	run_both(side, &setup, outcomes);
}

int main(int argc, char **argv)
{
	struct diff_side *side;
	struct diff_outcome outcomes[2] = {0};
	struct error err = {0};
	uint64_t start = clock_ns(), programs = 0;
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 0) : SECONDS;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	seed = seed ? seed : start;
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	if (diff_side_new(engine_way(0), &side, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (int i = 3; i < argc; i++) {
		autofree uint8_t *object = NULL;
		struct maker maker = {0};
		if (file_read(argv[i], OBJECT_SIZE_MAX, &object, &maker.size, &err)) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		maker.object = object;
		for (uint32_t n = 0; n < OBJECT_RUNS; n++)
			run_object(side, &maker, seed + n * 2654435761u, outcomes);
	}
	do {
		run_random(side, seed + programs * 2654435761u, outcomes);
		programs++;
	} while (clock_ns() - start < seconds * 1000000000u);
	forget();
	printf("%llu programs, %llu of them loaded, %llu steps, %llu accesses, %llu of them "
	       "proven\n",
	        (unsigned long long)programs, (unsigned long long)test.loaded,
	        (unsigned long long)test.steps, (unsigned long long)test.accesses,
	        (unsigned long long)test.proven);
	diff_outcome_free(&outcomes[0]);
	diff_outcome_free(&outcomes[1]);
	diff_side_free(&side);
	return test.proven ? 0 : 1;
}
