// SPDX-License-Identifier: Apache-2.0
// One suite over every exact-match type, against a model that is a plain table; then what each
// family adds: eviction, per-CPU copies, empty places, slots, bad definitions, memory that runs
// out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "map/map_rig.h"

#define CPUS 3u

static const struct map_def exact[] = {
        {BPF_MAP_TYPE_HASH, 4, 8, 100, 0, 0, CPUS},
        {BPF_MAP_TYPE_HASH, 16, 12, 100, BPF_F_NO_PREALLOC, 0, CPUS},
        {BPF_MAP_TYPE_HASH, 31, 100, 100, 0, 0, CPUS},
        {BPF_MAP_TYPE_PERCPU_HASH, 8, 8, 100, 0, 0, CPUS},
        {BPF_MAP_TYPE_LRU_HASH, 4, 8, 100, 0, 0, CPUS},
        {BPF_MAP_TYPE_LRU_PERCPU_HASH, 12, 8, 100, 0, 0, CPUS},
        {BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 100, 0, 0, CPUS},
        {BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 100, 0, 0, CPUS},
};
static const char *const exact_names[] = {"hash", "hash of 16 bytes", "hash of 31 bytes",
        "percpu_hash", "lru_hash", "lru_percpu_hash", "hash_of_maps", "devmap_hash"};

static void key_of(const struct map_def *def, uint32_t number, uint8_t *key)
{
	memset(key, 0xa5, def->key_size);
	memcpy(key, &number, 4);
}

static void write_number(struct map *map, uint32_t number, uint32_t value, uint64_t flags, int rc)
{
	uint8_t key[64], bytes[512] = {0};
	const struct map_def *def = map_def(map);
	key_of(def, number, key);
	for (size_t at = 0; at < map_io_size(map); at += (def->value_size + 7) / 8 * 8)
		memcpy(bytes + at, &value, 4);
	assert_int_equal(map_write(map, key, bytes, flags), rc);
}

static uint32_t read_number(struct map *map, uint32_t number)
{
	uint8_t key[64], bytes[512] = {0};
	uint32_t value;
	key_of(map_def(map), number, key);
	if (map_read(map, key, bytes, 0))
		return 0;
	memcpy(&value, bytes, 4);
	return value;
}

static void fills_up_and_refuses_more(void **state)
{
	const struct map_def *def = *state;
	struct rig rig;
	uint8_t key[64];
	assert_int_equal(rig_open(&rig, def), 0);
	assert_int_equal(map_count(rig.map), 0);
	for (uint32_t i = 0; i < def->max_entries; i++)
		write_number(rig.map, i, i + 1, BPF_NOEXIST, 0);
	assert_int_equal(map_count(rig.map), def->max_entries);
	for (uint32_t i = 0; i < def->max_entries; i++) {
		write_number(rig.map, i, 7, BPF_NOEXIST, -EEXIST);
		assert_int_equal(read_number(rig.map, i), i + 1);
	}
	bool is_lru =
	        def->type == BPF_MAP_TYPE_LRU_HASH || def->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	write_number(rig.map, 1000, 5, BPF_ANY, is_lru ? 0 : -E2BIG);
	write_number(rig.map, 5, 55, BPF_ANY, 0); // in a full map too
	assert_int_equal(read_number(rig.map, 5), 55);
	assert_int_equal(map_count(rig.map), def->max_entries);
	key_of(def, 5, key);
	assert_int_equal(map_delete(rig.map, key), 0);
	assert_int_equal(map_delete(rig.map, key), -ENOENT);
	assert_int_equal(read_number(rig.map, 5), 0);
	write_number(rig.map, 2000, 9, BPF_NOEXIST, 0);
	assert_int_equal(read_number(rig.map, 2000), 9);
	write_number(rig.map, 1, 1, BPF_F_LOCK, -EINVAL); // its values have no lock
	write_number(rig.map, 1, 1, 3, -EINVAL);
	rig_close(&rig);
}

// Entries come, change and go during the walk; those that stand all the time are met once each.
static void walks_over_what_stands_exactly_once(void **state)
{
	const struct map_def *def = *state;
	struct rig rig;
	uint64_t seed = 42;
	uint32_t standing = def->max_entries / 2, seen[64] = {0};
	uint8_t key[64], next[64];
	assert_true(standing <= 64);
	assert_int_equal(rig_open(&rig, def), 0);
	for (uint32_t i = 0; i < standing; i++)
		write_number(rig.map, i, 1, BPF_ANY, 0);
	bool first = true;
	for (; !map_next_key(rig.map, first ? NULL : key, next); first = false) {
		uint32_t number;
		memcpy(key, next, def->key_size);
		memcpy(&number, key, 4);
		if (number < standing)
			seen[number]++;
		else
			continue; // leave the walk's own key alone
		for (int i = 0; i < 10; i++) {
			uint32_t other = 1000 + (uint32_t)(rig_random(&seed) % 40);
			write_number(
			        rig.map, (uint32_t)(rig_random(&seed) % standing), 2, BPF_ANY, 0);
			write_number(rig.map, other, 3, BPF_ANY, 0);
			key_of(def, 1000 + (uint32_t)(rig_random(&seed) % 40), next);
			map_delete(rig.map, next);
		}
	}
	for (uint32_t i = 0; i < standing; i++)
		assert_int_equal(seen[i], 1);
	memset(key, 0xee, sizeof(key)); // a key that is gone: from the first again
	assert_int_equal(map_next_key(rig.map, key, next), 0);
	rig_close(&rig);
}

// A walk that takes out whoever follows never goes back, and stops where its steps end.
static void a_walk_goes_on_behind_a_key_that_is_gone(void **state)
{
	(void)state;
	const struct map_def def = {BPF_MAP_TYPE_HASH, 4, 8, 1000, 0, 0, CPUS};
	cleanup(rig_close) struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	for (uint32_t i = 0; i < 1000; i++)
		write_number(rig.map, i, i, BPF_ANY, 0);
	uint8_t met[1000] = {0};
	uint32_t key, next, count = 0;
	uint64_t steps = 10000;
	int rc = map_follow(rig.map, NULL, &key, &steps);
	for (; !rc; rc = map_follow(rig.map, &key, &next, &steps), key = next) {
		assert_int_equal(met[key]++, 0);
		count++;
		assert_int_equal(map_delete(rig.map, &key), 0); // the walk stands on what is gone
	}
	assert_int_equal(rc, -ENOENT);
	assert_int_equal(count, 1000);
	assert_in_range(steps, 10000 - 4096, 10000 - 1000);
	steps = 100;
	assert_int_equal(map_follow(rig.map, NULL, &key, &steps), -EAGAIN);
	assert_int_equal(steps, 0);
}

// A value of three words with its lock in the middle: updates and reads know nothing of it.
static void a_lock_in_a_value_is_the_programs_own(void **state)
{
	(void)state;
	static const uint32_t types[] = {
	        BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct map_def def = {types[i], 4, 20, 8, 0, 0, CPUS};
		cleanup(rig_close) struct rig rig;
		const uint32_t key = 3, value[5] = {1, 2, 77, 4, 5};
		uint32_t got[5];
		assert_int_equal(rig_open(&rig, &def), 0);
		assert_int_equal(map_set_lock(rig.map, 18), -EINVAL);
		assert_int_equal(map_set_lock(rig.map, 20), -EINVAL);
		assert_int_equal(map_set_lock(rig.map, 8), 0);
		assert_int_equal(map_write(rig.map, &key, value, BPF_ANY), 0);
		uint32_t *place = map_lookup(rig.map, &key, 0);
		assert_int_equal(place[2], 0); // not 77
		assert_int_equal(place[3], 4);
		assert_int_equal(place[4], 5);
		place[2] = 1; // held by a program
		assert_int_equal(map_write(rig.map, &key, value, BPF_F_LOCK), -EBUSY);
		assert_int_equal(map_read(rig.map, &key, got, BPF_F_LOCK), -EBUSY);
		assert_int_equal(map_read(rig.map, &key, got, 0), 0);
		assert_int_equal(got[2], 0);
		assert_int_equal(got[3], 4);
		if (def.type == BPF_MAP_TYPE_ARRAY) { // written in place
			assert_int_equal(map_write(rig.map, &key, value, BPF_ANY), 0);
			assert_int_equal(place[2], 1);
		}
		place[2] = 0;
		assert_int_equal(map_write(rig.map, &key, value, BPF_F_LOCK), 0);
		assert_int_equal(map_read(rig.map, &key, got, BPF_F_LOCK), 0);
		assert_int_equal(place[2], 0);
	}
}

static void agrees_with_a_model(void **state)
{
	const struct map_def *def = *state;
	struct rig rig;
	uint64_t seed = 99;
	uint32_t model[90] = {0}, count = 0;
	uint8_t key[64];
	assert_int_equal(rig_open(&rig, def), 0);
	for (int i = 0; i < 30000; i++) {
		uint32_t number = (uint32_t)(rig_random(&seed) % 90);
		switch (rig_random(&seed) % 3) {
		case 0:
			count += !model[number];
			model[number] = (uint32_t)(rig_random(&seed) % 1000000) + 1;
			write_number(rig.map, number, model[number], BPF_ANY, 0);
			break;
		case 1:
			key_of(def, number, key);
			assert_int_equal(map_delete(rig.map, key), model[number] ? 0 : -ENOENT);
			count -= model[number] != 0;
			model[number] = 0;
			break;
		default:
			assert_int_equal(read_number(rig.map, number), model[number]);
		}
		assert_int_equal(map_count(rig.map), count);
	}
	rig_close(&rig);
}

static void stays_as_it_is_when_frozen(void **state)
{
	const struct map_def *def = *state;
	struct rig rig;
	uint8_t key[64];
	assert_int_equal(rig_open(&rig, def), 0);
	write_number(rig.map, 1, 1, BPF_ANY, 0);
	assert_int_equal(map_freeze(rig.map), 0);
	assert_int_equal(map_freeze(rig.map), -EBUSY);
	write_number(rig.map, 1, 2, BPF_ANY, -EPERM);
	key_of(def, 1, key);
	assert_int_equal(map_delete(rig.map, key), -EPERM);
	assert_int_equal(read_number(rig.map, 1), 1);
	rig_close(&rig);
}

static void lru_gives_up_what_is_not_used(void **state)
{
	struct map_def def = {BPF_MAP_TYPE_LRU_HASH, 4, 8, 1000, 0, 0, 1};
	struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	uint64_t value = 1;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < 50000; i++) {
		assert_int_equal(map_update(rig.map, &i, &value, BPF_ANY, 0), 0);
		for (uint32_t hot = 0; hot < 100 && i % 200 == 0 && i > 100; hot++)
			map_lookup(rig.map, &hot, 0);
	}
	for (uint32_t hot = 0; hot < 100; hot++)
		kept += map_lookup(rig.map, &hot, 0) != NULL;
	assert_int_equal(kept, 100);
	assert_int_equal(map_count(rig.map), 1000);
	uint32_t last = 49999;
	assert_non_null(map_lookup(rig.map, &last, 0));
	for (uint32_t i = 50000; i < 55000; i++)
		assert_int_equal(map_update(rig.map, &i, &value, BPF_ANY, 0), 0);
	for (uint32_t cold = 0; cold < 100; cold++) // used once, not of late
		assert_null(map_lookup(rig.map, &cold, 0));
	rig_close(&rig);
}

static void percpu_copies_are_apart(void **state)
{
	static const struct map_def defs[] = {
	        {BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 8, 0, 0, CPUS},
	        {BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 4, 8, 0, 0, CPUS},
	        {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 4, 8, 0, 0, CPUS},
	};
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		struct rig rig;
		uint32_t key = 3, value = 77;
		uint64_t all[CPUS] = {10, 11, 12};
		assert_int_equal(rig_open(&rig, &defs[i]), 0);
		assert_int_equal(map_io_size(rig.map), sizeof(all));
		assert_int_equal(map_write(rig.map, &key, all, BPF_ANY), 0);
		assert_int_equal(map_update(rig.map, &key, &value, BPF_ANY, 1), 0);
		memset(all, 0, sizeof(all));
		assert_int_equal(map_read(rig.map, &key, all, 0), 0);
		assert_int_equal(all[0], 10);
		assert_int_equal(all[1], 77);
		assert_int_equal(all[2], 12);
		assert_int_equal(*(uint32_t *)map_lookup(rig.map, &key, 2), 12);
		if (defs[i].type != BPF_MAP_TYPE_PERCPU_ARRAY) { // a new key: other copies are zero
			assert_int_equal(map_delete(rig.map, &key), 0);
			assert_int_equal(map_update(rig.map, &key, &value, BPF_NOEXIST, 2), 0);
			assert_int_equal(*(uint32_t *)map_lookup(rig.map, &key, 0), 0);
			assert_int_equal(*(uint32_t *)map_lookup(rig.map, &key, 2), 77);
		}
		rig_close(&rig);
	}
}

static void slots_hold_numbers_and_know_what_is_empty(void **state)
{
	struct map_def def = {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8, 0, 0, 1};
	struct rig rig;
	uint32_t key = 2, value = 0, big = 8;
	assert_int_equal(map_area_size(&def), 0);
	assert_int_equal(rig_open(&rig, &def), 0);
	assert_int_equal(map_slot(rig.map, &key), UINT32_MAX);
	assert_int_equal(map_write(rig.map, &key, &value, BPF_ANY), 0);
	assert_int_equal(map_slot(rig.map, &key), 0);
	assert_int_equal(map_count(rig.map), 1);
	assert_int_equal(map_write(rig.map, &key, &value, BPF_NOEXIST), -EINVAL);
	assert_int_equal(map_write(rig.map, &big, &value, BPF_ANY), -E2BIG);
	assert_int_equal(map_slot(rig.map, &big), UINT32_MAX);
	assert_int_equal(map_delete(rig.map, &big), -E2BIG);
	assert_int_equal(map_delete(rig.map, &key), 0);
	assert_int_equal(map_delete(rig.map, &key), -ENOENT);
	assert_null(map_lookup(rig.map, &key, 0));
	rig_close(&rig);
}

static void sockets_map_follows_its_flags(void **state)
{
	struct map_def def = {BPF_MAP_TYPE_XSKMAP, 4, 4, 4, 0, 0, 1};
	struct rig rig;
	uint32_t key = 2, value = 0;
	assert_int_equal(rig_open(&rig, &def), 0);
	assert_int_equal(map_write(rig.map, &key, &value, BPF_EXIST), -ENOENT);
	assert_null(map_lookup(rig.map, &key, 0));
	assert_int_equal(map_write(rig.map, &key, &value, BPF_NOEXIST), 0);
	assert_int_equal(map_write(rig.map, &key, &value, BPF_NOEXIST), -EEXIST);
	assert_non_null(map_lookup(rig.map, &key, 0));
	assert_int_equal(map_delete(rig.map, &key), 0);
	assert_null(map_lookup(rig.map, &key, 0));
	rig_close(&rig);
}

static void refuses_bad_definitions_and_says_why(void **state)
{
	static const struct {
		struct map_def def;
		int code;
		const char *text;
	} rows[] = {
	        {{99, 4, 4, 1, 0, 0, 1}, EINVAL, "99"},
	        {{BPF_MAP_TYPE_SOCKMAP, 4, 4, 1, 0, 0, 1}, ENOTSUP, "sockmap"},
	        {{BPF_MAP_TYPE_ARRAY, 8, 4, 1, 0, 0, 1}, EINVAL, "key_size"},
	        {{BPF_MAP_TYPE_ARRAY, 4, 4, 0, 0, 0, 1}, EINVAL, "max_entries"},
	        {{BPF_MAP_TYPE_HASH, 4, 0, 1, 0, 0, 1}, EINVAL, "value"},
	        {{BPF_MAP_TYPE_HASH, 513, 4, 1, 0, 0, 1}, E2BIG, "513"},
	        {{BPF_MAP_TYPE_HASH, 4, 4, 1, 1u << 30, 0, 1}, EINVAL, "map_flags"},
	        {{BPF_MAP_TYPE_HASH, 4, 1u << 20, 1u << 20, 0, 0, 1}, E2BIG, "4 GiB"},
	        {{BPF_MAP_TYPE_HASH, 4, 8, UINT32_MAX, 0, 0, 1}, E2BIG, "4 GiB"},
	        {{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 0x7fffffff, 0, 0, UINT32_MAX}, E2BIG, "4 GiB"},
	        {{BPF_MAP_TYPE_LPM_TRIE, 8, 4, 1, 0, 0, 1}, EINVAL, "BPF_F_NO_PREALLOC"},
	        {{BPF_MAP_TYPE_LPM_TRIE, 4, 4, 1, BPF_F_NO_PREALLOC, 0, 1}, EINVAL, "address"},
	        {{BPF_MAP_TYPE_RINGBUF, 0, 0, 5000, 0, 0, 1}, EINVAL, "power of two"},
	        {{BPF_MAP_TYPE_RINGBUF, 4, 0, 4096, 0, 0, 1}, EINVAL, "leave both out"},
	        {{BPF_MAP_TYPE_DEVMAP, 4, 6, 1, 0, 0, 1}, EINVAL, "value_size"},
	        {{BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, 0, 0}, EINVAL, "engine"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct map *map = NULL;
		struct error err = {0};
		assert_int_equal(map_area_size(&rows[i].def), 0);
		assert_int_equal(map_new(&rows[i].def, NULL, &map, &err), -rows[i].code);
		assert_null(map);
		if (!strstr(err.text, rows[i].text))
			fail_msg("row %zu: %s", i, err.text);
	}
}

// With so little address space that no table of the map fits.
static void says_so_when_memory_runs_out(void **state)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	static const struct map_def defs[] = {
	        {BPF_MAP_TYPE_HASH, 4, 8, 1u << 24, 0, 0, 1},
	        {BPF_MAP_TYPE_LRU_HASH, 4, 8, 1u << 24, 0, 0, 1},
	        {BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 1u << 24, 0, 0, 1},
	        {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1u << 24, BPF_F_NO_PREALLOC, 0, 1},
	        {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1u << 27, 0, 0, 1},
	        {BPF_MAP_TYPE_DEVMAP, 4, 4, 1u << 28, 0, 0, 1},
	        {BPF_MAP_TYPE_RINGBUF, 0, 0, 1u << 30, 0, 0, 1},
	        {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1, 0, 0, 1u << 20},
	};
	pid_t child = fork();
	if (!child) {
		struct rlimit limit = {64u << 20, 64u << 20};
		int failed = setrlimit(RLIMIT_AS, &limit) ? 100 : 0;
		for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
			struct map *map = NULL;
			struct error err = {0};
			static uint8_t area[4096];
			failed += map_new(&defs[i], area, &map, &err) != -ENOMEM || map;
		}
		_exit(failed);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
#endif
}

static void an_empty_big_map_costs_no_memory(void **state)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	static const struct map_def defs[] = {
	        {BPF_MAP_TYPE_HASH, 16, 64, 1u << 20, 0, 0, 4},
	        {BPF_MAP_TYPE_LPM_TRIE, 20, 8, 1u << 20, BPF_F_NO_PREALLOC, 0, 1},
	        {BPF_MAP_TYPE_ARRAY, 4, 64, 1u << 20, 0, 0, 1},
	};
	long before, after, ignored;
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		struct rig rig;
		uint8_t key[20] = {32};
		for (int round = 0; round < 2; round++) {
			FILE *file = fopen("/proc/self/statm", "r");
			assert_int_equal(
			        fscanf(file, "%ld %ld", &ignored, round ? &after : &before), 2);
			fclose(file);
			if (!round) {
				assert_int_equal(rig_open(&rig, &defs[i]), 0);
				map_lookup(rig.map, key, 0);
			}
		}
		assert_true(after - before < 64); // pages
		assert_true(map_memory(rig.map) > 1u << 20);
		rig_close(&rig);
	}
#endif
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction test;
	} suite[] = {
	        {"fills up and refuses more", fills_up_and_refuses_more},
	        {"walks over what stands exactly once", walks_over_what_stands_exactly_once},
	        {"agrees with a model", agrees_with_a_model},
	        {"stays as it is when frozen", stays_as_it_is_when_frozen},
	};
	const struct CMUnitTest families[] = {
	        cmocka_unit_test(a_walk_goes_on_behind_a_key_that_is_gone),
	        cmocka_unit_test(a_lock_in_a_value_is_the_programs_own),
	        cmocka_unit_test(lru_gives_up_what_is_not_used),
	        cmocka_unit_test(percpu_copies_are_apart),
	        cmocka_unit_test(slots_hold_numbers_and_know_what_is_empty),
	        cmocka_unit_test(sockets_map_follows_its_flags),
	        cmocka_unit_test(refuses_bad_definitions_and_says_why),
	        cmocka_unit_test(says_so_when_memory_runs_out),
	        cmocka_unit_test(an_empty_big_map_costs_no_memory),
	};
	struct CMUnitTest tests[ARRAY_SIZE(exact)];
	int failed = 0;
	for (size_t i = 0; i < ARRAY_SIZE(suite); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(exact); j++)
			tests[j] = (struct CMUnitTest){
			        exact_names[j], suite[i].test, NULL, NULL, (void *)&exact[j]};
		failed += cmocka_run_group_tests_name(suite[i].name, tests, NULL, NULL);
	}
	return failed + cmocka_run_group_tests(families, NULL, NULL);
}
