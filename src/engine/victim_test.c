// SPDX-License-Identifier: Apache-2.0
// Random calls of every helper and kfunc, with every kind of pointer, size and handle, next to
// another owner's memory on the same card: none of it changes, and none of it is seen.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "ebpf/helper.h"
#include "engine/state.h"
#include "engine/test_kit.h"
#include "map/map.h"

#define SECRET   0x5ec2e7c0ffee1234ull
#define PROGRAMS 3000
#define CALLS    6

// The other owner: frames, a map, an engine that has just run.
struct victim {
	struct packet frames[16];
	uint32_t frame_count, map, map_size;
	struct engine *engine;
};

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void fill(uint8_t *at, size_t size)
{
	const uint64_t secret = SECRET;
	for (size_t i = 0; i + 8 <= size; i += 8)
		memcpy(at + i, &secret, 8);
}

static bool is_filled(const uint8_t *at, size_t size)
{
	const uint64_t secret = SECRET;
	for (size_t i = 0; i + 8 <= size; i += 8)
		if (memcmp(at + i, &secret, 8) != 0)
			return false;
	return true;
}

static bool holds_secret(const uint8_t *at, size_t size)
{
	const uint64_t secret = SECRET;
	return memmem(at, size, (const uint8_t *)&secret + 1, 6) != NULL;
}

static void victim_new(struct kit *kit, struct victim *victim)
{
	uint8_t *base = space_base(kit->space);
	const struct engine_options options = {.kind = kit->options.kind, .number = 1};
	assert_int_equal(engine_new(kit->space, &options, &victim->engine, NULL), 0);
	victim->frame_count = frames_take(kit->memory, victim->frames, 16);
	for (uint32_t i = 0; i < victim->frame_count; i++)
		fill(base + victim->frames[i].frame, FRAME_SIZE);
	victim->map_size = 65536;
	assert_int_equal(space_map(kit->space, victim->map_size, &victim->map, NULL), 0);
	fill(base + victim->map, victim->map_size);
	fill(base + victim->engine->stack_top - FRAMES_MAX * STACK_FRAME, FRAMES_MAX * STACK_FRAME);
	fill(base + victim->engine->context, CONTEXT_SIZE);
	fill(base + victim->engine->keys, FRAMES_MAX * KEY_SLOT);
}

static void victim_check(struct kit *kit, const struct victim *victim)
{
	uint8_t *base = space_base(kit->space);
	for (uint32_t i = 0; i < victim->frame_count; i++)
		assert_true(is_filled(base + victim->frames[i].frame, FRAME_SIZE));
	assert_true(is_filled(base + victim->map, victim->map_size));
	assert_true(is_filled(base + victim->engine->stack_top - FRAMES_MAX * STACK_FRAME,
	        FRAMES_MAX * STACK_FRAME));
	assert_true(is_filled(base + victim->engine->context, CONTEXT_SIZE));
	assert_true(is_filled(base + victim->engine->keys, FRAMES_MAX * KEY_SLOT));
}

// What a helper may mean by an argument of this kind.
static int put_good(char *text, size_t size, int reg, enum helper_arg kind, uint64_t *seed)
{
	static const char *const places[] = {"mov r%d r7", "mov r%d r8", "mov r%d r10; add r%d -64",
	        "mov r%d r10; add r%d -512"};
	switch (kind) {
	case ARG_CTX:
		return snprintf(text, size, "mov r%d r6", reg);
	case ARG_MAP:
		return snprintf(text, size, "map r%d %u", reg, (unsigned)(next(seed) % 7));
	case ARG_FUNC:
		return snprintf(text, size, "func r%d f", reg);
	case ARG_SIZE:
		return snprintf(text, size, "mov r%d %u", reg, (unsigned)(next(seed) % 64));
	case ARG_NONE:
	case ARG_ANY:
		return snprintf(text, size, "mov r%d %u", reg, (unsigned)(next(seed) % 3));
	default:
		return snprintf(text, size, places[next(seed) % ARRAY_SIZE(places)], reg, reg);
	}
}

// One argument that may be anything: r6 is the context, r7 the packet, r8 a map's value.
static int put_wild(char *text, size_t size, int reg, const struct victim *victim, uint64_t *seed)
{
	static const char *const places[] = {"mov r%d r6", "mov r%d r7", "mov r%d r8",
	        "mov r%d r10", "mov r%d r10; add r%d -64", "mov r%d r10; add r%d -512",
	        "mov r%d r7; add r%d 32", "mov r%d r0", "func r%d f"};
	static const int64_t numbers[] = {0, 1, 4, 8, 16, 32, 63, 64, 65, 255, 512, 2048, 65535, -1,
	        -8, -64, -256, 1 << 20, 1ll << 31, 1ll << 32, INT64_MAX, INT64_MIN};
	switch (next(seed) % 6) {
	case 0:
	case 1:
		return snprintf(text, size, places[next(seed) % ARRAY_SIZE(places)], reg, reg);
	case 2:
		return snprintf(text, size, "map r%d %u", reg, (unsigned)(next(seed) % 7));
	case 3: // forged: a handle, or where the victim's things stand
		return snprintf(text, size, "lddw r%d %lld", reg,
		        (long long)((1 + next(seed) % 3) << 48 | next(seed) % 12));
	case 4:
		return snprintf(text, size, "lddw r%d %lld", reg,
		        (long long)(next(seed) % 2 ? victim->map : victim->frames[0].frame) +
		                (long long)(next(seed) % 64) - 32);
	default:
		return snprintf(text, size, "lddw r%d %lld", reg,
		        (long long)numbers[next(seed) % ARRAY_SIZE(numbers)]);
	}
}

static void put_program(char *text, size_t size, const struct victim *victim, uint64_t *seed)
{
	size_t at = (size_t)snprintf(text, size,
	        "mov r6 r1; ldxw r7 [r1+0]; value r8 1 0; stdw [r10-64] 3; stdw [r10-8] 0;");
	for (int call = 0; call < CALLS; call++) {
		bool is_kfunc = next(seed) % 5 == 0;
		const struct helper *helper = is_kfunc ? &kfunc_table[next(seed) % kfunc_count]
		                                       : &helper_table[next(seed) % helper_count];
		for (int reg = 1; reg <= 5; reg++) {
			bool is_good = next(seed) % 16 != 0;
			at += (size_t)(is_good ? put_good(text + at, size - at, reg,
			                                 helper->args[reg - 1], seed)
			                       : put_wild(text + at, size - at, reg, victim, seed));
			at += (size_t)snprintf(text + at, size - at, "; ");
		}
		at += (size_t)snprintf(
		        text + at, size - at, is_kfunc ? "kcall %u;" : "call %u;", helper->id);
		if (next(seed) % 4 == 0)
			at += (size_t)snprintf(text + at, size - at, "ldxw r7 [r6+0];");
	}
	snprintf(text + at, size - at, "mov r0 2; exit; f: mov r0 0; exit");
}

static void make_maps(struct kit *kit)
{
	kit_map(kit, BPF_MAP_TYPE_HASH, 4, 16, 8);
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 64, 1);
	kit_map(kit, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
	kit_map(kit, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2);
	kit_map(kit, BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
	kit_map(kit, BPF_MAP_TYPE_DEVMAP, 4, 4, 4);
	kit->maps[kit_map(kit, BPF_MAP_TYPE_LPM_TRIE, 8, 8, 8)].flags = BPF_F_NO_PREALLOC;
}

static void helpers_leave_other_owners_alone(void **state)
{
	(void)state;
	struct kit kit;
	struct victim victim = {0};
	uint64_t seed = 0x1234567;
	long reached = 0;
	const char *rounds = getenv("RAIO_VICTIM_PROGRAMS");
	long programs = rounds ? strtol(rounds, NULL, 10) : PROGRAMS;
	kit_new(&kit);
	make_maps(&kit);
	kit.budget = 10000;
	kit_load(&kit, "mov r0 2; exit", NULL);
	kit_run(&kit, 64); // takes the program's own frame
	victim_new(&kit, &victim);
	for (long i = 0; i < programs; i++) {
		char text[4096];
		uint64_t value[8];
		uint32_t key = 0;
		put_program(text, sizeof(text), &victim, &seed);
		kit_load(&kit, text, NULL);
		struct verdict verdict = kit_run(&kit, 64);
		reached += verdict.verdict == XDP_PASS;
		victim_check(&kit, &victim);
		assert_int_equal(map_read(generation_map(kit.generation, 1), &key, value, 0), 0);
		if (holds_secret((uint8_t *)value, sizeof(value)) ||
		        holds_secret(kit_bytes(&kit), packet_size(&kit.packet)))
			fail_msg("another owner's bytes: %s", text);
	}
	assert_true(reached > programs / 50); // not all of them fault at once
	engine_free(&victim.engine);
	space_unmap(kit.space, victim.map);
	frames_give(kit.memory, victim.frames, victim.frame_count);
	kit_free(&kit);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(helpers_leave_other_owners_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return kit_each_way(run);
}
