// SPDX-License-Identifier: Apache-2.0
// Readers, writers and a walking control side on one map at once. Half of the keys stand all the
// time, and are updated meanwhile: no look-up may miss them, no value may be of another key. Run it
// under the thread sanitizer (-Db_sanitize=thread) to see data races.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "map/in_place.h"
#include "map/map_rig.h"

#define STANDING 64u
#define COMING   64u
#define RUN_MS   300u

struct shared {
	struct map *map;
	uint32_t stop, misses, wrong, walks;
	uint32_t lpm_bits; // 0: not an LPM
};

struct worker {
	struct shared *shared;
	uint32_t cpu;
	pthread_t thread;
};

// Keys of both kinds share buckets, nodes and cells.
static void key_of(const struct shared *shared, uint32_t number, uint8_t *key)
{
	memset(key, 0, 32);
	if (!shared->lpm_bits) {
		memcpy(key, &number, 4);
		return;
	}
	memcpy(key, &shared->lpm_bits, 4);
	key[4] = 10;
	key[6] = (uint8_t)(number % 8);
	key[7] = (uint8_t)number;
}

static bool done(struct shared *shared)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

static void *read_all(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;
	uint8_t key[32];
	for (uint32_t i = 0; !done(shared); i++) {
		uint32_t number = i % (STANDING + COMING);
		key_of(shared, number, key);
		const uint64_t *value = map_lookup(shared->map, key, worker->cpu);
		if (value)
			__atomic_load_n(value, __ATOMIC_RELAXED);
		else if (number < STANDING)
			__atomic_fetch_add(&shared->misses, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *write_all(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;
	uint64_t seed = 17 + worker->cpu;
	uint8_t key[32];
	while (!done(shared)) {
		uint32_t number = (uint32_t)(rig_random(&seed) % (STANDING + COMING));
		uint64_t value = number;
		key_of(shared, number, key);
		if (number >= STANDING && rig_random(&seed) % 2)
			map_delete(shared->map, key);
		else
			map_update(shared->map, key, &value, BPF_ANY, worker->cpu);
	}
	return NULL;
}

static void *walk_all(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;
	uint8_t key[32] = {0}, next[32], buffer[256];
	while (!done(shared)) {
		uint32_t met = 0;
		bool first = true, restarted = false;
		for (; !map_next_key(shared->map, first ? NULL : key, next); first = false) {
			uint32_t number = shared->lpm_bits ? next[7] : 0;
			if (!shared->lpm_bits)
				memcpy(&number, next, 4);
			memcpy(key, next, sizeof(key));
			met += number < STANDING;
			// A key that goes away sends the walk back to the first.
			restarted |= number >= STANDING;
			if (met > 100 * STANDING)
				break;
			key_of(shared, number, next);
			map_read(shared->map, next, buffer, 0);
		}
		if (met < STANDING || (!restarted && met != STANDING))
			__atomic_fetch_add(&shared->wrong, 1, __ATOMIC_RELAXED);
		shared->walks++;
	}
	return NULL;
}

static void survives_readers_writers_and_walks(void **state)
{
	const struct map_def *def = *state;
	struct rig rig;
	uint8_t key[32];
	uint64_t value[4] = {0};
	assert_int_equal(rig_open(&rig, def), 0);
	struct shared shared = {.map = rig.map};
	if (def->type == BPF_MAP_TYPE_LPM_TRIE)
		shared.lpm_bits = (def->key_size - 4) * 8;
	for (uint32_t i = 0; i < STANDING; i++) {
		key_of(&shared, i, key);
		assert_int_equal(map_write(rig.map, key, value, BPF_ANY), 0);
	}
	struct worker workers[] = {
	        {.shared = &shared, .cpu = 0},
	        {.shared = &shared, .cpu = 1},
	        {.shared = &shared, .cpu = 2},
	        {.shared = &shared, .cpu = 3},
	        {.shared = &shared, .cpu = 0},
	};
	void *(*const jobs[])(void *) = {read_all, read_all, write_all, write_all, walk_all};
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_create(&workers[i].thread, NULL, jobs[i], &workers[i]);
	usleep(RUN_MS * 1000);
	__atomic_store_n(&shared.stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_join(workers[i].thread, NULL);
	assert_int_equal(shared.misses, 0);
	assert_int_equal(shared.wrong, 0);
	assert_true(shared.walks > 0);
	rig_close(&rig);
}

// An LRU that is always full: it may forget, but never grows over its size or hands out another's
// node.
static void lru_stays_full_under_many_writers(void **state)
{
	struct map_def def = {BPF_MAP_TYPE_LRU_HASH, 4, 8, 64, 0, 0, 4};
	struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	struct shared shared = {.map = rig.map};
	struct worker workers[3];
	for (uint32_t i = 0; i < ARRAY_SIZE(workers); i++) {
		workers[i] = (struct worker){.shared = &shared, .cpu = i};
		pthread_create(&workers[i].thread, NULL, i ? write_all : read_all, &workers[i]);
	}
	usleep(RUN_MS * 1000);
	__atomic_store_n(&shared.stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_join(workers[i].thread, NULL);
	uint32_t key, met = 0;
	for (void *at = NULL; !map_next_key(rig.map, at, &key); at = &key, met++)
		assert_int_equal(*(uint64_t *)map_lookup(rig.map, &key, 0), key);
	assert_int_equal(met, map_count(rig.map));
	assert_true(met <= 64);
	rig_close(&rig);
}

// Keys that meet in one chain: half of them stand and are never written, so that each look-up has
// to find them with their own values, while the others come and go, and entries move, and buckets
// are added and taken away.
struct chain {
	struct map *map;
	uint64_t keys[STANDING];
	uint32_t stop, wrong, found;
};

static void *read_chain(void *argument)
{
	struct chain *chain = argument;
	map_lookup_fn lookup = map_lookup_function(chain->map);
	uint32_t wrong = 0, found = 0;
	for (uint32_t i = 0; !__atomic_load_n(&chain->stop, __ATOMIC_RELAXED); i++) {
		uint32_t number = i % STANDING;
		map_enter();
		const uint64_t *value = lookup(chain->map, &chain->keys[number], 0);
		map_leave();
		if (number % 2 && (!value || __atomic_load_n(value, __ATOMIC_RELAXED) != number))
			wrong++;
		found += value != NULL;
	}
	__atomic_fetch_add(&chain->wrong, wrong, __ATOMIC_RELAXED);
	__atomic_fetch_add(&chain->found, found, __ATOMIC_RELAXED);
	return NULL;
}

static void *change_chain(void *argument)
{
	struct chain *chain = argument;
	uint64_t seed = (uintptr_t)&seed | 1;
	while (!__atomic_load_n(&chain->stop, __ATOMIC_RELAXED)) {
		uint64_t number = rig_random(&seed) % (STANDING / 2) * 2;
		if (rig_random(&seed) % 2)
			map_update(chain->map, &chain->keys[number], &number, BPF_ANY, 0);
		else
			map_delete(chain->map, &chain->keys[number]);
	}
	return NULL;
}

static void run_chain(struct chain *chain)
{
	pthread_t threads[4];
	for (uint64_t i = 1; i < STANDING; i += 2)
		assert_int_equal(map_update(chain->map, &chain->keys[i], &i, BPF_ANY, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, i % 2 ? read_chain : change_chain, chain);
	usleep(RUN_MS * 1000);
	__atomic_store_n(&chain->stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(chain->wrong, 0);
	assert_true(chain->found > 0);
}

static void look_ups_find_what_moves_in_a_chain(void **state)
{
	(void)state;
	const struct map_def def = {BPF_MAP_TYPE_HASH, 8, 8, STANDING, 0, 0, 4};
	cleanup(rig_close) struct rig rig;
	struct map_inline in;
	assert_int_equal(rig_open(&rig, &def), 0);
	struct chain chain = {.map = rig.map};
	map_inline(rig.map, &in);
	uint32_t count = 0;
	for (uint64_t key = 0; count < STANDING; key++)
		if (in_place_bucket(&in, &key, 1) == in.buckets)
			chain.keys[count++] = key;
	run_chain(&chain);
}

// Keys of two words that are alike, in few places that are used again and again: no look-up may
// take the first word of one and the second of another for a key.
static void *read_mixed(void *argument)
{
	struct chain *chain = argument;
	map_lookup_fn lookup = map_lookup_function(chain->map);
	uint64_t seed = (uintptr_t)&seed | 1;
	uint32_t wrong = 0, found = 0;
	while (!__atomic_load_n(&chain->stop, __ATOMIC_RELAXED)) {
		uint64_t key[2] = {rig_random(&seed) % 4, rig_random(&seed) % 4};
		map_enter();
		if (lookup(chain->map, key, 0))
			*(key[0] == key[1] ? &found : &wrong) += 1;
		map_leave();
	}
	__atomic_fetch_add(&chain->wrong, wrong, __ATOMIC_RELAXED);
	__atomic_fetch_add(&chain->found, found, __ATOMIC_RELAXED);
	return NULL;
}

static void *change_mixed(void *argument)
{
	struct chain *chain = argument;
	uint64_t seed = (uintptr_t)&seed | 1;
	while (!__atomic_load_n(&chain->stop, __ATOMIC_RELAXED)) {
		uint64_t word = rig_random(&seed) % 4, key[2] = {word, word};
		map_update(chain->map, key, &word, BPF_ANY, 0);
		map_delete(chain->map, key);
	}
	return NULL;
}

static void look_ups_find_no_mixture_of_keys(void **state)
{
	(void)state;
	const struct map_def def = {BPF_MAP_TYPE_HASH, 16, 8, 2, 0, 0, 4};
	cleanup(rig_close) struct rig rig;
	pthread_t threads[4];
	assert_int_equal(rig_open(&rig, &def), 0);
	struct chain chain = {.map = rig.map};
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, i % 2 ? read_mixed : change_mixed, &chain);
	usleep(RUN_MS * 1000);
	__atomic_store_n(&chain.stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(chain.wrong, 0);
	assert_true(chain.found > 0);
}

// Hosts of one network: with each that comes and the last that goes, a node does; the network's own
// prefix, and one over all, stand in between.
static void look_ups_find_what_stands_among_nodes(void **state)
{
	(void)state;
	const struct map_def def = {
	        BPF_MAP_TYPE_LPM_TRIE, 8, 8, 2 * STANDING, BPF_F_NO_PREALLOC, 0, 4};
	cleanup(rig_close) struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	struct chain chain = {.map = rig.map};
	for (uint32_t i = 0; i < STANDING; i++) { // each in a network of its own, or in four
		uint8_t key[8] = {32, 0, 0, 0, 10, 0, (uint8_t)(i % 2 ? i % 8 : i), (uint8_t)i};
		memcpy(&chain.keys[i], key, 8);
	}
	run_chain(&chain);
}

static void *produce(void *argument)
{
	struct worker *worker = argument;
	for (uint64_t i = 0; i < 20000;) {
		uint64_t *sample = ringbuf_reserve(worker->shared->map, 16, 0);
		if (!sample) {
			sched_yield();
			continue;
		}
		sample[0] = worker->cpu;
		sample[1] = i++;
		ringbuf_commit(worker->shared->map, sample, 0, false);
	}
	return NULL;
}

static void ringbuf_keeps_each_writer_in_order(void **state)
{
	struct map_def def = {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, 0, 2};
	struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	struct shared shared = {.map = rig.map};
	struct worker workers[] = {{.shared = &shared, .cpu = 0}, {.shared = &shared, .cpu = 1}};
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_create(&workers[i].thread, NULL, produce, &workers[i]);
	uint64_t next[2] = {0}, record[2];
	while (next[0] + next[1] < 40000) {
		if (map_consume(rig.map, record, sizeof(record)))
			assert_int_equal(record[1], next[record[0]]++);
		else
			sched_yield();
	}
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_join(workers[i].thread, NULL);
	rig_close(&rig);
}

int main(void)
{
	static const struct map_def defs[] = {
	        {BPF_MAP_TYPE_HASH, 4, 8, STANDING + COMING, 0, 0, 4},
	        {BPF_MAP_TYPE_HASH, 24, 8, STANDING + COMING, 0, 0, 4},
	        {BPF_MAP_TYPE_PERCPU_HASH, 4, 8, STANDING + COMING, 0, 0, 4},
	        {BPF_MAP_TYPE_LRU_HASH, 4, 8, 4 * (STANDING + COMING), 0, 0, 4},
	        {BPF_MAP_TYPE_LPM_TRIE, 8, 8, STANDING + COMING, BPF_F_NO_PREALLOC, 0, 4},
	        {BPF_MAP_TYPE_LPM_TRIE, 20, 8, STANDING + COMING, BPF_F_NO_PREALLOC, 0, 4},
	};
	static const char *const names[] = {"hash", "hash of big keys", "percpu_hash", "lru_hash",
	        "lpm_trie IPv4", "lpm_trie IPv6"};
	struct CMUnitTest tests[ARRAY_SIZE(defs)];
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++)
		tests[i] = (struct CMUnitTest){
		        names[i], survives_readers_writers_and_walks, NULL, NULL, (void *)&defs[i]};
	const struct CMUnitTest others[] = {
	        cmocka_unit_test(lru_stays_full_under_many_writers),
	        cmocka_unit_test(look_ups_find_what_moves_in_a_chain),
	        cmocka_unit_test(look_ups_find_no_mixture_of_keys),
	        cmocka_unit_test(look_ups_find_what_stands_among_nodes),
	        cmocka_unit_test(ringbuf_keeps_each_writer_in_order),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed + cmocka_run_group_tests(others, NULL, NULL);
}
