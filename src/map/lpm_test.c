// SPDX-License-Identifier: Apache-2.0
// The longest match against a model that looks at every rule; shapes that make the trie grow,
// shrink and run out of nodes.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "map/map_rig.h"

#define RULES_MAX 512

struct key {
	uint32_t length;
	uint8_t data[16];
};

struct model {
	struct key keys[RULES_MAX];
	uint64_t values[RULES_MAX]; // 0: no rule
	uint32_t count, data_size;
};

static bool same_bits(const uint8_t *a, const uint8_t *b, uint32_t length)
{
	if (memcmp(a, b, length / 8))
		return false;
	return length % 8 == 0 || (a[length / 8] ^ b[length / 8]) >> (8 - length % 8) == 0;
}

static int model_find(const struct model *model, const struct key *key)
{
	for (int i = 0; i < RULES_MAX; i++)
		if (model->values[i] && model->keys[i].length == key->length &&
		        same_bits(model->keys[i].data, key->data, key->length))
			return i;
	return -1;
}

static uint64_t model_match(const struct model *model, const struct key *key)
{
	int best = -1;
	for (int i = 0; i < RULES_MAX; i++)
		if (model->values[i] && model->keys[i].length <= key->length &&
		        same_bits(model->keys[i].data, key->data, model->keys[i].length) &&
		        (best < 0 || model->keys[i].length > model->keys[best].length))
			best = i;
	return best < 0 ? 0 : model->values[best];
}

// Few distinct bytes, so that prefixes nest and branch late.
static struct key random_key(uint64_t *seed, uint32_t data_size)
{
	struct key key = {.length = (uint32_t)(rig_random(seed) % (data_size * 8 + 1))};
	for (uint32_t i = 0; i < data_size; i++)
		key.data[i] = (uint8_t)(i + 2 < data_size ? rig_random(seed) % 2 * 0x80
		                                          : rig_random(seed));
	return key;
}

static void check_matches(struct rig *rig, const struct model *model, uint64_t *seed, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		struct key key = random_key(seed, model->data_size);
		if (i % 4)
			key.length = model->data_size * 8;
		const uint64_t *value = map_lookup(rig->map, &key, 0);
		assert_int_equal(value ? *value : 0, model_match(model, &key));
	}
}

static void matches_like_a_model(uint32_t data_size)
{
	struct map_def def = {
	        BPF_MAP_TYPE_LPM_TRIE, 4 + data_size, 8, RULES_MAX, BPF_F_NO_PREALLOC, 0, 1};
	struct model model = {.data_size = data_size};
	struct rig rig;
	uint64_t seed = data_size;
	assert_int_equal(rig_open(&rig, &def), 0);
	for (uint64_t step = 1; step <= 6000; step++) {
		struct key key = random_key(&seed, data_size);
		int at = model_find(&model, &key);
		// Filling at first, then emptying, then filling again.
		if (rig_random(&seed) % 10 < (step / 2000 == 1 ? 3 : 7)) {
			for (int i = 0; at < 0 && i < RULES_MAX; i++)
				if (!model.values[i])
					at = i;
			assert_int_equal(
			        map_update(rig.map, &key, &step, BPF_ANY, 0), at < 0 ? -ENOSPC : 0);
			if (at >= 0)
				model.keys[at] = key, model.values[at] = step;
		} else {
			// Rather one that stands.
			uint32_t i = (uint32_t)(rig_random(&seed) % RULES_MAX);
			if (model.values[i])
				key = model.keys[i], at = (int)i;
			assert_int_equal(map_delete(rig.map, &key), at < 0 ? -ENOENT : 0);
			if (at >= 0)
				model.values[at] = 0;
		}
		check_matches(&rig, &model, &seed, 4);
	}
	for (int i = 0; i < RULES_MAX; i++)
		if (model.values[i])
			assert_int_equal(map_delete(rig.map, &model.keys[i]), 0);
	memset(model.values, 0, sizeof(model.values));
	assert_int_equal(map_count(rig.map), 0);
	check_matches(&rig, &model, &seed, 1000);
	rig_close(&rig);
}

static void matches_one_byte(void **state)
{
	matches_like_a_model(1);
}

static void matches_three_bytes(void **state)
{
	matches_like_a_model(3);
}

static void matches_ipv4(void **state)
{
	matches_like_a_model(4);
}

static void matches_ethernet_addresses(void **state)
{
	matches_like_a_model(6);
}

static void matches_ipv6(void **state)
{
	matches_like_a_model(16);
}

// Clusters of hosts far down, each of which would like a node a byte of the way: there are not as
// many.
static void goes_on_without_nodes(void **state)
{
	enum { COUNT = 20000 };
	struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, 20, 8, COUNT, BPF_F_NO_PREALLOC, 0, 1};
	struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	for (uint64_t i = 0; i < COUNT; i++) {
		struct key key = {.length = 128};
		uint32_t cluster = htonl((uint32_t)(i / 5) * 2654435761u);
		memcpy(key.data, &cluster, 4);
		key.data[15] = (uint8_t)(i % 5);
		assert_int_equal(map_update(rig.map, &key, &i, BPF_NOEXIST, 0), 0);
	}
	for (uint64_t i = 0; i < COUNT; i++) {
		struct key key = {.length = 128};
		uint32_t cluster = htonl((uint32_t)(i / 5) * 2654435761u);
		memcpy(key.data, &cluster, 4);
		key.data[15] = (uint8_t)(i % 5);
		assert_int_equal(*(uint64_t *)map_lookup(rig.map, &key, 0), i);
		if (i % 2)
			assert_int_equal(map_delete(rig.map, &key), 0);
	}
	assert_int_equal(map_count(rig.map), COUNT / 2);
	rig_close(&rig);
}

static void walks_over_what_stands_exactly_once(void **state)
{
	struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 300, BPF_F_NO_PREALLOC, 0, 1};
	struct rig rig;
	uint64_t value = 1, seed = 5;
	uint32_t seen[100] = {0};
	struct key key = {0}, next;
	assert_int_equal(rig_open(&rig, &def), 0);
	for (uint8_t i = 0; i < 100; i++) {
		struct key put = {24, {10, 0, i, 99}};
		assert_int_equal(map_update(rig.map, &put, &value, BPF_ANY, 0), 0);
	}
	for (bool first = true; !map_next_key(rig.map, first ? NULL : &key, &next); first = false) {
		key = next;
		if (key.length != 24)
			continue;
		seen[key.data[2]]++;
		assert_true(key.data[3] == 99 || key.data[3] == 98);
		struct key other = {20 + rig_random(&seed) % 4, {11, rig_random(&seed) % 8, 0, 0}};
		struct key again = {24, {10, 0, rig_random(&seed) % 100, 98}};
		assert_int_equal(map_update(rig.map, &again, &value, BPF_EXIST, 0), 0);
		assert_int_equal(map_update(rig.map, &other, &value, BPF_ANY, 0), 0);
		other.data[1] = rig_random(&seed) % 8;
		map_delete(rig.map, &other);
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
	rig_close(&rig);
}

// A walk that takes out whom it stands on never goes back.
static void a_walk_goes_on_behind_a_prefix_that_is_gone(void **state)
{
	(void)state;
	const struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 500, BPF_F_NO_PREALLOC, 0, 1};
	cleanup(rig_close) struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	struct key key = {.length = 24}, following;
	uint64_t value = 1, steps = 10000;
	uint32_t count = 0;
	for (uint32_t i = 0; i < 500; i++) {
		key.data[1] = (uint8_t)(i >> 8);
		key.data[2] = (uint8_t)i;
		assert_int_equal(map_write(rig.map, &key, &value, BPF_ANY), 0);
	}
	int rc = map_follow(rig.map, NULL, &key, &steps);
	for (; !rc; rc = map_follow(rig.map, &key, &following, &steps), key = following) {
		assert_int_equal(map_delete(rig.map, &key), 0); // fails where it is met again
		count++;
	}
	assert_int_equal(rc, -ENOENT);
	assert_int_equal(count, 500);
	assert_in_range(steps, 10000 - 2048, 10000 - 1000);
}

static void refuses_lengths_and_flags_that_are_none(void **state)
{
	struct map_def def = {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 2, BPF_F_NO_PREALLOC, 0, 1};
	struct rig rig;
	uint64_t value = 1;
	struct key key = {33, {0}};
	assert_int_equal(rig_open(&rig, &def), 0);
	assert_int_equal(map_update(rig.map, &key, &value, BPF_ANY, 0), -EINVAL);
	assert_int_equal(map_delete(rig.map, &key), -EINVAL);
	assert_null(map_lookup(rig.map, &key, 0));
	key.length = 8;
	assert_int_equal(map_update(rig.map, &key, &value, BPF_EXIST, 0), -ENOENT);
	assert_int_equal(map_update(rig.map, &key, &value, 4, 0), -EINVAL);
	assert_int_equal(map_update(rig.map, &key, &value, BPF_NOEXIST, 0), 0);
	assert_int_equal(map_update(rig.map, &key, &value, BPF_NOEXIST, 0), -EEXIST);
	key.length = 9;
	assert_int_equal(map_update(rig.map, &key, &value, BPF_ANY, 0), 0);
	key.length = 10;
	assert_int_equal(map_update(rig.map, &key, &value, BPF_ANY, 0), -ENOSPC);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(matches_one_byte),
	        cmocka_unit_test(matches_three_bytes),
	        cmocka_unit_test(matches_ipv4),
	        cmocka_unit_test(matches_ethernet_addresses),
	        cmocka_unit_test(matches_ipv6),
	        cmocka_unit_test(goes_on_without_nodes),
	        cmocka_unit_test(walks_over_what_stands_exactly_once),
	        cmocka_unit_test(a_walk_goes_on_behind_a_prefix_that_is_gone),
	        cmocka_unit_test(refuses_lengths_and_flags_that_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
