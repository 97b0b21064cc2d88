// SPDX-License-Identifier: Apache-2.0
// What the tables promise beyond any one map's behaviour: chains of any length, look-ups in place
// that agree with the functions, keys that cannot be made to meet, LRUs against a model, nodes that
// come back, tables of the Internet's size against a search through all rules.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "map/hash_table.h"
#include "map/in_place.h"
#include "map/lpm.h"
#include "map/prefix_rig.h"

#define CPUS  2u
#define CHAIN 60u

static void key_of(uint32_t key_size, uint64_t number, uint8_t *key)
{
	memset(key, 0x5a, key_size);
	memcpy(key, &number, key_size < 8 ? key_size : 8);
}

static uint32_t chain_length(const struct hash *hash, struct bucket *home)
{
	uint32_t length = 1;
	for (; home->next; length++)
		home = overflow_at(hash, home->next);
	return length;
}

// The first numbers whose keys meet in one bucket of this map.
static void find_meeting(const struct map *map, uint64_t *numbers, uint32_t count)
{
	const struct hash *hash = (const struct hash *)map;
	uint32_t found = 0;
	uint8_t key[64];
	for (uint64_t number = 1; found < count; number++) {
		key_of(map->def.key_size, number, key);
		if (!(hash_key(&hash->seed, key, map->def.key_size) & hash->mask))
			numbers[found++] = number;
	}
}

static void chains_hold_whatever_meets(void **state)
{
	(void)state;
	static const uint32_t sizes[] = {4, 8, 16, 24, 40};
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		const struct map_def def = {BPF_MAP_TYPE_HASH, sizes[s], 8, CHAIN, 0, 0, CPUS};
		cleanup(rig_close) struct rig rig;
		uint64_t numbers[CHAIN], model[CHAIN] = {0}, seed = sizes[s];
		uint8_t key[64], next[64];
		assert_int_equal(rig_open(&rig, &def), 0);
		find_meeting(rig.map, numbers, CHAIN);
		struct hash *hash = (struct hash *)rig.map;
		struct bucket *home = bucket_home(hash, 0);
		for (uint64_t step = 1; step <= 20000; step++) {
			uint32_t i = (uint32_t)(rig_random(&seed) % CHAIN), count = 0;
			key_of(def.key_size, numbers[i], key);
			// Fills up, empties, fills up.
			if (rig_random(&seed) % 10 < (step / 5000 % 2 ? 2 : 8)) {
				assert_int_equal(map_update(rig.map, key, &step, BPF_ANY, 0), 0);
				model[i] = step;
			} else {
				assert_int_equal(map_delete(rig.map, key), model[i] ? 0 : -ENOENT);
				model[i] = 0;
			}
			for (uint32_t j = 0; j < CHAIN; j++) {
				key_of(def.key_size, numbers[j], key);
				const uint64_t *value = map_lookup(rig.map, key, 0);
				assert_int_equal(value ? *value : 0, model[j]);
				count += model[j] != 0;
			}
			assert_int_equal(map_count(rig.map), count);
			assert_int_equal(chain_length(hash, home),
			        count <= SLOTS ? 1 : (count + SLOTS - 1) / SLOTS);
		}
		uint32_t met = 0;
		for (void *at = NULL; !map_next_key(rig.map, at, next); at = key, met++)
			memcpy(key, next, def.key_size);
		assert_int_equal(met, map_count(rig.map));
	}
}

// Keys that an attacker without the seed would send: in sequence, in steps, with one bit set.
static void keys_cannot_be_made_to_meet(void **state)
{
	(void)state;
	enum { COUNT = 2048 };
	const struct map_def def = {BPF_MAP_TYPE_HASH, 8, 8, COUNT, 0, 0, 1};
	uint64_t seed = 3;
	for (int round = 0; round < 200; round++) {
		cleanup(rig_close) struct rig rig;
		assert_int_equal(rig_open(&rig, &def), 0);
		struct hash *hash = (struct hash *)rig.map;
		uint64_t step = 1ull << rig_random(&seed) % 53, flip = rig_random(&seed);
		for (uint64_t i = 0; i < COUNT; i++) {
			uint64_t key = round % 3 == 0   ? i * step
			               : round % 3 == 1 ? flip ^ i * step
			                                : i * (step + 1);
			assert_int_equal(map_update(rig.map, &key, &i, BPF_ANY, 0), 0);
		}
		for (uint64_t at = 0; at <= hash->mask; at += hash->bucket_size)
			assert_in_range(chain_length(hash, bucket_home(hash, at)), 1, 4);
	}
}

static void in_place_agrees_with(const struct map_def *def)
{
	cleanup(rig_close) struct rig rig;
	uint64_t seed = def->key_size, number, value = 1, words[MAP_WORDS_MAX];
	uint32_t known = 0, hits = 0;
	struct map_inline in;
	assert_int_equal(rig_open(&rig, def), 0);
	map_inline(rig.map, &in);
	assert_int_equal(in.path, MAP_PATH_HASH);
	map_lookup_fn lookup = map_lookup_function(rig.map);
	map_lookup_word_fn by_word = map_lookup_word_function(rig.map);
	map_lookup_pair_fn by_pair = map_lookup_pair_function(rig.map);
	assert_int_equal(by_word != NULL, def->key_size <= 8);
	assert_int_equal(by_pair != NULL, def->key_size > 8 && def->key_size <= 16);
	for (int i = 0; i < 20000; i++) {
		memset(words, 0, sizeof(words));
		number = rig_random(&seed) % (2 * def->max_entries);
		key_of(def->key_size, number, (uint8_t *)words);
		if (rig_random(&seed) % 2)
			map_update(rig.map, words, &value, BPF_ANY, 1);
		else if (rig_random(&seed) % 4 == 0)
			map_delete(rig.map, words);
		void *found = NULL, *expected = lookup(rig.map, words, 1);
		uint8_t *bucket = in_place_bucket(&in, words, in.words);
		if (in_place_hash(&in, bucket, words, in.words, in.marks, 1, &found)) {
			assert_ptr_equal(found, expected);
			known++;
		}
		hits += expected != NULL;
		assert_ptr_equal(map_lookup(rig.map, words, 1), expected);
		if (by_word)
			assert_ptr_equal(by_word(rig.map, words[0], 1), expected);
		if (by_pair)
			assert_ptr_equal(by_pair(rig.map, words[0], words[1], 1), expected);
	}
	assert_in_range(known, 20000 * 85 / 100, 20000);
	assert_in_range(hits, 20000 / 4, 20000 * 9 / 10);
}

static void look_ups_in_place_agree(void **state)
{
	(void)state;
	static const uint32_t types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH,
	        BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH};
	static const uint32_t sizes[] = {1, 4, 6, 8, 12, 13, 16, 17, 20, 24};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			struct map_def def = {types[i], sizes[j], 8, 100, 0, 0, CPUS};
			in_place_agrees_with(&def);
		}
}

static void look_ups_of_arrays_in_place_agree(void **state)
{
	(void)state;
	const struct map_def defs[] = {
	        {BPF_MAP_TYPE_ARRAY, 4, 12, 50, 0, 0, CPUS},
	        {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 12, 50, 0, 0, CPUS},
	        {BPF_MAP_TYPE_DEVMAP, 4, 4, 50, 0, 0, CPUS},
	};
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		cleanup(rig_close) struct rig rig;
		struct map_inline in;
		assert_int_equal(rig_open(&rig, &defs[i]), 0);
		map_inline(rig.map, &in);
		assert_int_equal(in.path, i == 2 ? MAP_PATH_DEVMAP : MAP_PATH_ARRAY);
		for (uint32_t key = 0; key < 60; key++) {
			uint64_t value[4] = {1, 1};
			if (key % 3 && key < in.limit)
				assert_int_equal(map_write(rig.map, &key, value, BPF_ANY), 0);
			void *found = key < in.limit ? in_place_value(&in, key, 1) : NULL;
			if (i == 2 && found && !load_relaxed((uint32_t *)found))
				found = NULL; // an empty place
			assert_ptr_equal(map_lookup_function(rig.map)(rig.map, &key, 1), found);
		}
	}
}

static void look_ups_of_prefixes_in_place_agree(void **state)
{
	(void)state;
	enum { COUNT = 3000 };
	const struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, 8, 8, COUNT, BPF_F_NO_PREALLOC, 0, 1};
	cleanup(rig_close) struct rig rig;
	uint64_t seed = 7, value = 1;
	uint32_t known = 0;
	uint8_t keys[COUNT][8], key[8];
	struct map_inline in;
	assert_int_equal(rig_open(&rig, &def), 0);
	map_inline(rig.map, &in);
	assert_int_equal(in.path, MAP_PATH_LPM);
	for (uint32_t i = 0; i < COUNT; i++) {
		rig_prefix(&seed, keys[i], 8);
		if (i % 5 == 0) // a host's
			rig_address_in(&seed, keys[i], keys[i], 32);
		map_update(rig.map, keys[i], &value, BPF_ANY, 0);
	}
	for (uint32_t i = 0; i < 20000; i++) {
		void *found;
		if (i % 8)
			rig_address_in(&seed, keys[rig_random(&seed) % COUNT], key, 32);
		else
			for (uint32_t j = 4; j < 8; j++)
				key[j] = (uint8_t)(rig_random(&seed) >> 32);
		uint32_t address = (uint32_t)key[4] << 24 | (uint32_t)key[5] << 16 |
		                   (uint32_t)key[6] << 8 | key[7];
		void *expected = map_lookup(rig.map, key, 0);
		if (in_place_lpm(&in, address, &found)) {
			assert_ptr_equal(found, expected);
			known++;
		}
	}
	assert_in_range(known, 20000 * 99 / 100, 20000);
}

// Whatever it forgets, an LRU holds as many as it may and never an old value; what is used all the
// time stays.
static void an_lru_forgets_and_never_mixes_up(void **state)
{
	(void)state;
	enum { COUNT = 200, RANGE = 1000, HOT = 20 };
	static const uint32_t sizes[] = {4, 16, 40};
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		const struct map_def def = {BPF_MAP_TYPE_LRU_HASH, sizes[s], 8, COUNT, 0, 0, 1};
		cleanup(rig_close) struct rig rig;
		uint64_t model[RANGE] = {0}, seed = sizes[s];
		uint8_t key[64];
		assert_int_equal(rig_open(&rig, &def), 0);
		for (uint64_t step = 1; step < 50000; step++) {
			uint32_t i = (uint32_t)(rig_random(&seed) % RANGE), before;
			if (step % 4 == 0 || step <= HOT)
				i = (uint32_t)(step / 4 % HOT);
			key_of(def.key_size, i, key);
			before = map_count(rig.map);
			const uint64_t *value = map_lookup(rig.map, key, 0);
			if (value)
				assert_int_equal(*value, model[i]);
			if (i < HOT && step > 4000)
				assert_non_null(value);
			if (rig_random(&seed) % 8 == 0 && i >= HOT) {
				assert_int_equal(map_delete(rig.map, key), value ? 0 : -ENOENT);
				assert_int_equal(map_count(rig.map), before - (value != NULL));
				continue;
			}
			assert_int_equal(map_update(rig.map, key, &step, BPF_ANY, 0), 0);
			model[i] = step;
			before += !value && before < COUNT;
			assert_int_equal(map_count(rig.map), before);
			assert_int_equal(*(uint64_t *)map_lookup(rig.map, key, 0), step);
		}
	}
}

static uint32_t free_nodes(struct lpm *lpm)
{
	spin_lock(&lpm->lock);
	uint32_t count = lpm->node_pool.free_count;
	spin_unlock(&lpm->lock);
	return count;
}

static void nodes_come_back_when_nobody_can_be_in_them(void **state)
{
	(void)state;
	const struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 8, BPF_F_NO_PREALLOC, 0, 1};
	cleanup(rig_close) struct rig rig;
	const struct lpm_key {
		uint32_t length;
		uint8_t data[4];
	} host = {32, {10, 0, 0, 1}};
	uint64_t value = 1;
	assert_int_equal(rig_open(&rig, &def), 0);
	struct lpm *lpm = (struct lpm *)rig.map;
	map_enter();
	assert_int_equal(map_update(rig.map, &host, &value, BPF_ANY, 0), 0);
	assert_int_equal(lpm->node_pool.fresh, 1);
	assert_int_equal(map_delete(rig.map, &host), 0);
	usleep(50000); // the thread would have run
	assert_int_equal(free_nodes(lpm), 0);
	map_leave();
	for (int i = 0; i < 5000 && !free_nodes(lpm); i++)
		usleep(1000);
	assert_int_equal(free_nodes(lpm), 1);
	// More often than there are nodes: all come back, or cells do.
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(map_update(rig.map, &host, &value, BPF_ANY, 0), 0);
		assert_non_null(map_lookup(rig.map, &host, 0));
		assert_int_equal(map_delete(rig.map, &host), 0);
		assert_null(map_lookup(rig.map, &host, 0));
	}
}

static bool covers(const uint8_t *key, const uint8_t *address, uint32_t *length)
{
	memcpy(length, key, 4);
	uint32_t whole = *length / 8, rest = *length % 8;
	return !memcmp(key + 4, address + 4, whole) &&
	       (!rest || (key[4 + whole] ^ address[4 + whole]) >> (8 - rest) == 0);
}

// The value of the longest of `count` prefixes, those of `gone` left out; or UINT64_MAX.
static uint64_t search(const uint8_t *keys, uint32_t key_size, uint32_t count, uint32_t gone,
        const uint8_t *address)
{
	uint64_t best = UINT64_MAX;
	uint32_t longest = 0, length;
	for (uint32_t i = 0; i < count; i++)
		if ((!gone || i % gone) && covers(keys + (size_t)i * key_size, address, &length) &&
		        (best == UINT64_MAX || length > longest)) {
			best = i;
			longest = length;
		}
	return best;
}

static void check_samples(struct map *map, const uint8_t *keys, uint32_t count, uint32_t gone)
{
	uint32_t key_size = map->def.key_size;
	uint64_t seed = count;
	uint8_t address[20] = {0};
	for (int i = 0; i < 200; i++) {
		const uint8_t *key = keys + rig_random(&seed) % count * key_size;
		rig_address_in(&seed, key, address, (key_size - 4) * 8);
		const uint64_t *value = map_lookup(map, address, 0);
		assert_int_equal(
		        value ? *value : UINT64_MAX, search(keys, key_size, count, gone, address));
	}
}

static void holds_a_table_of(uint32_t key_size, uint32_t count)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	count /= 20;
#endif
	const struct map_def def = {
	        BPF_MAP_TYPE_LPM_TRIE, key_size, 8, count, BPF_F_NO_PREALLOC, 0, 1};
	cleanup(rig_close) struct rig rig;
	autofree uint8_t *keys = calloc(count, key_size);
	uint64_t seed = 5;
	assert_int_equal(rig_open(&rig, &def), 0);
	for (uint64_t i = 0; i < count;) {
		rig_prefix(&seed, keys + i * key_size, key_size);
		i += !map_update(rig.map, keys + i * key_size, &i, BPF_NOEXIST, 0);
	}
	check_samples(rig.map, keys, count, 0);
	// What a look-up is charged does not depend on how full it is.
	uint8_t address[20] = {0};
	rig_address_in(&seed, keys, address, (key_size - 4) * 8);
	assert_int_equal(map_effort(rig.map, address, false, UINT64_MAX), 0);
	for (uint32_t i = 0; i < count; i += 3)
		assert_int_equal(map_delete(rig.map, keys + (size_t)i * key_size), 0);
	check_samples(rig.map, keys, count, 3);
}

static void holds_the_internets_ipv4_table(void **state)
{
	(void)state;
	holds_a_table_of(8, 1000000);
}

static void holds_the_internets_ipv6_table(void **state)
{
	(void)state;
	holds_a_table_of(20, 250000);
}

// Whichever table is the first that finds no memory.
static void gives_up_at_any_table_that_finds_no_memory(void **state)
{
	(void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	static const struct map_def defs[] = {
	        {BPF_MAP_TYPE_HASH, 40, 8, 1u << 20, 0, 0, 1},
	        {BPF_MAP_TYPE_LRU_HASH, 8, 8, 1u << 20, 0, 0, 1},
	        {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1u << 20, BPF_F_NO_PREALLOC, 0, 1},
	        {BPF_MAP_TYPE_LPM_TRIE, 20, 8, 1u << 18, BPF_F_NO_PREALLOC, 0, 1},
	};
	pid_t child = fork();
	if (!child) {
		int failed = 0, refused = 0, made = 0;
		static uint8_t area[4096];
		for (size_t i = 0; i < ARRAY_SIZE(defs); i++)
			for (uint64_t room = 16; room < 1024; room += 8) {
				struct rlimit limit = {room << 20, RLIM_INFINITY};
				struct map *map = NULL;
				setrlimit(RLIMIT_AS, &limit);
				int rc = map_new(&defs[i], area, &map, NULL);
				refused += rc == -ENOMEM && !map;
				made += !rc && map;
				failed += !((rc == -ENOMEM && !map) || (!rc && map));
				map_free(&map);
			}
		_exit(failed || refused < 4 || made < 4);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(chains_hold_whatever_meets),
	        cmocka_unit_test(keys_cannot_be_made_to_meet),
	        cmocka_unit_test(look_ups_in_place_agree),
	        cmocka_unit_test(look_ups_of_arrays_in_place_agree),
	        cmocka_unit_test(look_ups_of_prefixes_in_place_agree),
	        cmocka_unit_test(an_lru_forgets_and_never_mixes_up),
	        cmocka_unit_test(nodes_come_back_when_nobody_can_be_in_them),
	        cmocka_unit_test(holds_the_internets_ipv4_table),
	        cmocka_unit_test(holds_the_internets_ipv6_table),
	        cmocka_unit_test(gives_up_at_any_table_that_finds_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
