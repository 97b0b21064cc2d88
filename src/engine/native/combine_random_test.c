// SPDX-License-Identifier: Apache-2.0
// Programs at random, of the idioms that combine() looks for and of what may come between: they end
// alike in the interpreter, in the interpreter once they are rewritten, and as native code.
//
//	RAIO_COMBINE_PROGRAMS=N   how many
//	RAIO_COMBINE_SEED=N       others
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/native/combine_kit.h"
#include "engine/space.h"
#include "engine/state.h"
#include "engine/test_kit.h"
#include "map/map.h"

struct writer {
	char text[16384];
	size_t used;
	uint64_t state;
	uint32_t labels;
};

static uint32_t pick(struct writer *it, uint32_t below)
{
	it->state = it->state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(it->state >> 33) % below;
}

__attribute__((format(printf, 2, 3))) static void put(struct writer *it, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	it->used +=
	        (size_t)vsnprintf(it->text + it->used, sizeof(it->text) - it->used, format, args);
	va_end(args);
	assert_true(it->used < sizeof(it->text));
}

struct memory {
	const char *base;
	int32_t low, high;
};
static const struct memory memories[] = {
        {"r6", 0, 39}, {"r7", 0, 47}, {"r8", 0, 47}, {"r9", 0, 47}, {"r10", -56, -1}};

// A place for `size` bytes, within a few bytes of others.
static struct memory place(struct writer *it, int32_t size)
{
	const struct memory *memory = &memories[pick(it, ARRAY_SIZE(memories))];
	int32_t low = memory->low + (int32_t)pick(it, 2) * 16 + (int32_t)pick(it, 10);
	if (low + size > memory->high + 1)
		low = memory->high + 1 - size;
	return (struct memory){memory->base, low, low + size};
}

// A load, at times by another register with the address.
static void put_load(
        struct writer *it, const char *size, uint32_t reg, const char *base, int32_t offset)
{
	if (pick(it, 4)) {
		put(it, "ldx%s r%u [%s%+d]\n", size, reg, base, offset);
		return;
	}
	uint32_t other = pick(it, 6);
	int32_t by = (int32_t)pick(it, 9) - 4;
	put(it, "mov r%u %s\nadd r%u %d\n", other, base, other, by);
	put(it, "ldx%s r%u [r%u%+d]\n", size, reg, other, offset - by);
}

static void put_noise(struct writer *it)
{
	static const char *const alu[] = {"add", "sub", "mul", "or", "and", "xor", "mov", "add32",
	        "or32", "and32", "xor32", "mov32", "mul32"};
	static const char *const shift[] = {"lsh", "rsh", "arsh", "lsh32", "rsh32", "arsh32"};
	static const char *const sizes[] = {"b", "h", "w", "dw", "sb", "sh", "sw"};
	static const int32_t bytes[] = {1, 2, 4, 8, 1, 2, 4};
	static const char *const swaps[] = {"be16", "be32", "le16", "be64", "neg", "neg32"};
	uint32_t size = pick(it, 7);
	struct memory m = place(it, bytes[size]);
	uint32_t a = pick(it, 6), b = pick(it, 6);
	switch (pick(it, 10)) {
	case 0:
		put(it, "%s r%u r%u\n", alu[pick(it, ARRAY_SIZE(alu))], a, b);
		break;
	case 1:
		put(it, "%s r%u %d\n", alu[pick(it, ARRAY_SIZE(alu))], a,
		        pick(it, 2) ? (int32_t)pick(it, 3) * 255 : (int32_t)pick(it, 65537) - 1);
		break;
	case 2:
		put(it, "%s r%u %u\n", shift[pick(it, ARRAY_SIZE(shift))], a, pick(it, 4) * 8);
		break;
	case 3:
		put(it, "rsh r%u %u\n", a, pick(it, 2) ? 32 : 7);
		break;
	case 4:
		put(it, "%s r%u\n", swaps[pick(it, ARRAY_SIZE(swaps))], a);
		break;
	case 5:
		put(it, "movs%u r%u r%u\n", 8u << pick(it, 3), a, b);
		break;
	case 6:
		put(it, "ldx%s r%u [%s%+d]\n", sizes[size], a, m.base, m.low);
		break;
	case 7:
		put(it, "stx%s [%s%+d] r%u\n", sizes[size % 4], m.base, m.high - bytes[size % 4],
		        b);
		break;
	case 8:
		put(it, "st%s [%s%+d] %u\n", sizes[size % 4], m.base, m.high - bytes[size % 4],
		        pick(it, 3) * 127);
		break;
	default:
		put(it, "j%s r%u r%u skip%u\n", pick(it, 2) ? "gt" : "eq", a, b, it->labels);
		for (uint32_t i = pick(it, 3); i--;)
			put(it, "add r%u 1\n", pick(it, 6));
		put(it, "skip%u:\n", it->labels++);
		break;
	}
}

static void maybe_noise(struct writer *it)
{
	if (!pick(it, 6))
		put_noise(it);
}

// Bytes in some order: 0, 1, 2 …, or down, or shuffled by a few.
static void shuffle(struct writer *it, uint32_t *order, uint32_t count)
{
	bool down = pick(it, 2);
	for (uint32_t i = 0; i < count; i++)
		order[i] = down ? count - 1 - i : i;
	for (uint32_t n = pick(it, 3); n--;) {
		uint32_t i = pick(it, count), k = pick(it, count), kept = order[i];
		order[i] = order[k];
		order[k] = kept;
	}
}

static void put_word(struct writer *it)
{
	uint32_t size = 2u << pick(it, 3), order[8], sum = pick(it, 3), part = 3 + pick(it, 3);
	bool big = !pick(it, 4);
	struct memory m = place(it, (int32_t)size);
	const char *wide = size < 8 && pick(it, 2) ? "32" : "";
	shuffle(it, order, size);
	for (uint32_t i = 0; i < size; i++) {
		uint32_t reg = i ? part : sum, byte = order[i];
		put_load(it, "b", reg, m.base, m.low + (int32_t)byte);
		maybe_noise(it);
		uint32_t shift = 8 * (big ? size - 1 - byte : byte);
		if (shift)
			put(it, "lsh%s r%u %u\n", wide, reg, shift);
		if (i)
			put(it, "%s%s r%u r%u\n", pick(it, 2) ? "or" : "add", wide, sum, reg);
	}
}

static void put_copy(struct writer *it)
{
	static const char *const sizes[] = {"b", "h", "w"};
	uint32_t each = 1u << pick(it, 3), count = 2 + pick(it, 16 / each - 1), order[16];
	struct memory from = place(it, (int32_t)(each * count));
	struct memory to = place(it, (int32_t)(each * count));
	const char *size = sizes[__builtin_ctz(each)];
	shuffle(it, order, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t reg = pick(it, 6);
		int32_t at = (int32_t)(order[i] * each);
		put_load(it, size, reg, from.base, from.low + at);
		maybe_noise(it);
		put(it, "stx%s [%s%+d] r%u\n", size, to.base, to.low + at, reg);
	}
}

static void put_parts(struct writer *it)
{
	uint32_t size = 2u << pick(it, 3), order[8], from = pick(it, 3), part = 3 + pick(it, 3);
	struct memory m = place(it, (int32_t)size);
	shuffle(it, order, size);
	for (uint32_t i = 0; i < size; i++) {
		put(it, "mov%s r%u r%u\n", pick(it, 2) ? "" : "32", part, from);
		if (order[i])
			put(it, "rsh r%u %u\n", part, 8 * order[i]);
		put(it, "stxb [%s%+d] r%u\n", m.base, m.low + (int32_t)order[i], part);
		maybe_noise(it);
	}
}

// The same, the word shifted where it is.
static void put_shifts(struct writer *it)
{
	uint32_t size = 2u << pick(it, 3), from = pick(it, 6);
	struct memory m = place(it, (int32_t)size);
	const char *wide = size < 8 && pick(it, 2) ? "32" : "";
	for (uint32_t i = 0; i < size; i++) {
		if (i)
			put(it, "rsh%s r%u 8\n", wide, from);
		put(it, "stxb [%s%+d] r%u\n", m.base, m.low + (int32_t)i, from);
		maybe_noise(it);
	}
}

// Whether bytes are all zero, and at times the sum itself.
static void put_zero_test(struct writer *it)
{
	uint32_t size = 4 + pick(it, 5), order[8], label = it->labels++;
	struct memory m = place(it, (int32_t)size);
	shuffle(it, order, size);
	for (uint32_t i = 0; pick(it, 2) && i < size; i++)
		put(it, "stb [%s%+d] 0\n", m.base, m.low + (int32_t)i);
	for (uint32_t i = 0; i < size; i++) {
		put(it, "ldxb r%u [%s%+d]\n", i ? 1 : 2, m.base, m.low + (int32_t)order[i]);
		if (i)
			put(it, "or32 r2 r1\n");
		if (!pick(it, 12))
			put_noise(it);
	}
	put(it, "%sjeq32 r2 0 zero%u\nadd r0 7\nzero%u: %s\n", pick(it, 2) ? "and32 r2 255\n" : "",
	        label, label, pick(it, 4) ? "mov r2 1\nmov r1 1" : "add r0 r2");
}

// Whether bytes are equal: they are copied first, and at times one is changed.
static void put_chain(struct writer *it)
{
	uint32_t size = 4 + pick(it, 13), label = it->labels++;
	struct memory a = place(it, (int32_t)size), b = place(it, (int32_t)size);
	for (uint32_t i = 0; i < size; i++)
		put(it, "ldxb r4 [%s%+d]\nstxb [%s%+d] r4\n", a.base, a.low + (int32_t)i, b.base,
		        b.low + (int32_t)i);
	if (pick(it, 2))
		put(it, "stb [%s%+d] 9\n", b.base, b.low + (int32_t)pick(it, size));
	for (uint32_t i = 0; i < size; i++)
		put(it, "ldxb r4 [%s%+d]\nldxb r5 [%s%+d]\njne32 r5 r4 differ%u\n", a.base,
		        a.low + (int32_t)i, b.base, b.low + (int32_t)i, label);
	put(it, "add r0 3\ndiffer%u:\nmov r4 0\n%s", label, pick(it, 4) ? "mov r5 0\n" : "");
}

static void write_program(struct writer *it)
{
	it->used = it->labels = 0;
	for (uint32_t n = 1 + pick(it, 8); n--;) {
		void (*const idioms[])(struct writer *) = {put_word, put_copy, put_parts,
		        put_shifts, put_zero_test, put_chain, put_noise};
		idioms[pick(it, ARRAY_SIZE(idioms))](it);
	}
	for (uint32_t r = 1; r < 6; r++)
		put(it, "mul r0 31\nadd r0 r%u\n", r);
	for (int32_t at = -56; at < 0; at += 8)
		put(it, "ldxdw r1 [r10%+d]\nmul r0 31\nadd r0 r1\n", at);
	put(it, "stxdw [r6+40] r0\nmov r0 2\nexit\n");
}

// What a run leaves behind.
struct end {
	struct verdict verdict;
	struct engine_stats stats;
	uint8_t packet[64], values[3][48];
};

static void run_once(struct kit *kit, const char *body, bool combined, struct end *end)
{
	struct engine_stats before = *engine_stats(kit->engine);
	load_body(kit, body);
	const uint32_t keys[] = {0, 1, 0};
	for (uint32_t i = 0; i < 3; i++) {
		uint8_t value[48];
		for (uint32_t k = 0; k < sizeof(value); k++)
			value[k] = (uint8_t)(k * 5 + i * 77 + 3);
		assert_int_equal(
		        map_write(generation_map(kit->generation, i / 2), &keys[i], value, 0), 0);
	}
	if (combined) {
		struct program *program = &kit->generation->programs[0];
		struct rewritten it;
		rewrite(kit->generation, 0, &it);
		memcpy(program->insns, it.insns, it.count * sizeof(it.insns[0]));
		rewritten_clear(&it);
	}
	end->verdict = kit_run(kit, 64);
	end->stats = *engine_stats(kit->engine);
	end->stats.instructions -= before.instructions;
	end->stats.packets -= before.packets;
	end->stats.helper_calls -= before.helper_calls;
	memcpy(end->packet, kit_bytes(kit), sizeof(end->packet));
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(map_read(generation_map(kit->generation, i / 2), &keys[i],
		                         end->values[i], 0),
		        0);
}

static void fail_with(struct kit *kit, const char *body, const char *where)
{
	struct rewritten it;
	char text[8192];
	load_body(kit, body);
	rewrite(kit->generation, 0, &it);
	print_from(kit->generation->image, &it, BODY, text, sizeof(text));
	fail_msg("it ends otherwise, %s:\n%s\nbecame\n%s", where, body, text);
}

static void ends_as_before(void **state)
{
	static struct writer writer;
	const char *count = getenv("RAIO_COMBINE_PROGRAMS");
	const char *seed = getenv("RAIO_COMBINE_SEED");
	bool is_native = engine_kind_offered(ENGINE_NATIVE);
	struct kit kit, native;
	kit_new(&kit);
	kit_new(&native);
	if (is_native) {
		engine_free(&native.engine);
		native.options.kind = ENGINE_NATIVE;
		assert_int_equal(
		        engine_new(native.space, &native.options, &native.engine, NULL), 0);
	}
	for (int n = count ? atoi(count) : 1000, i = 0; i < n; i++) {
		struct end before, after;
		memset(&before, 0, sizeof(before));
		memset(&after, 0, sizeof(after));
		writer.state = (seed ? strtoull(seed, NULL, 0) : 1) * 1000003 + (uint64_t)i;
		write_program(&writer);
		run_once(&kit, writer.text, false, &before);
		run_once(&kit, writer.text, true, &after);
		if (before.verdict.verdict != XDP_PASS)
			fail_msg("program %d does not run to its end:\n%s", i, writer.text);
		if (memcmp(&before, &after, sizeof(before)) != 0)
			fail_with(&kit, writer.text, "rewritten, in the interpreter");
		memset(&after, 0, sizeof(after));
		run_once(&native, writer.text, false, &after);
		if (memcmp(&before, &after, sizeof(before)) != 0)
			fail_with(&kit, writer.text, "as native code");
	}
	kit_free(&native);
	kit_free(&kit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ends_as_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
