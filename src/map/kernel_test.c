// SPDX-License-Identifier: Apache-2.0
// The same random operations on our maps and on the running kernel's: every return code and every
// value must agree, and in the end every entry. Without the right to make kernel maps: exit 77.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "map/map_rig.h"

#define STEPS   20000
#define KEY_MAX 64

struct case_row {
	const char *name;
	uint32_t type, key_size, value_size, max_entries, flags;
	uint32_t key_range; // keys are numbers below it, so that they meet again
};

static const struct case_row cases[] = {
        {"array", BPF_MAP_TYPE_ARRAY, 4, 12, 32, 0, 40},
        {"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 12, 32, 0, 40},
        {"hash", BPF_MAP_TYPE_HASH, 4, 8, 32, 0, 48},
        {"hash of big keys", BPF_MAP_TYPE_HASH, 37, 13, 32, 0, 48},
        {"hash without preallocation", BPF_MAP_TYPE_HASH, 16, 8, 32, BPF_F_NO_PREALLOC, 48},
        {"hash of one", BPF_MAP_TYPE_HASH, 6, 8, 1, 0, 3},
        {"percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 8, 20, 32, 0, 48},
        {"lru_hash that is not full", BPF_MAP_TYPE_LRU_HASH, 8, 8, 16384, 0, 64},
        {"lru_percpu_hash that is not full", BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, 8, 16384, 0, 64},
        {"lpm_trie, IPv4", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 64, BPF_F_NO_PREALLOC, 4},
        {"lpm_trie, IPv6", BPF_MAP_TYPE_LPM_TRIE, 20, 8, 64, BPF_F_NO_PREALLOC, 3},
        {"lpm_trie of one byte", BPF_MAP_TYPE_LPM_TRIE, 5, 4, 64, BPF_F_NO_PREALLOC, 256},
        {"lpm_trie of 13 bytes", BPF_MAP_TYPE_LPM_TRIE, 17, 24, 200, BPF_F_NO_PREALLOC, 2},
        {"devmap", BPF_MAP_TYPE_DEVMAP, 4, 4, 8, 0, 10},
        {"devmap with programs", BPF_MAP_TYPE_DEVMAP, 4, 8, 8, 0, 10},
        {"devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 8, 0, 12},
        {"cpumap", BPF_MAP_TYPE_CPUMAP, 4, 4, 2, 0, 4},
};

static uint64_t seed;

static bool is_lpm(const struct case_row *row)
{
	return row->type == BPF_MAP_TYPE_LPM_TRIE;
}

static bool is_device(const struct case_row *row)
{
	return row->type == BPF_MAP_TYPE_DEVMAP || row->type == BPF_MAP_TYPE_DEVMAP_HASH ||
	       row->type == BPF_MAP_TYPE_CPUMAP;
}

static void random_key(const struct case_row *row, uint8_t *key)
{
	memset(key, 0, row->key_size);
	uint32_t number = (uint32_t)(rig_random(&seed) % row->key_range);
	if (!is_lpm(row)) {
		memcpy(key, &number, 4 < row->key_size ? 4 : row->key_size);
		if (row->key_size > 8)
			key[row->key_size - 1] = (uint8_t)number;
		return;
	}
	uint32_t bits = (row->key_size - 4) * 8,
	         length = (uint32_t)(rig_random(&seed) % (bits + 2));
	if (rig_random(&seed) % 3 == 0)
		length = bits; // as packets' keys
	memcpy(key, &length, 4);
	for (uint32_t i = 4; i < row->key_size; i++)
		key[i] = (uint8_t)(rig_random(&seed) % row->key_range * 0x55);
}

// One copy, or all copies of a per-CPU value.
static void random_value(const struct case_row *row, uint8_t *value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		value[i] = (uint8_t)rig_random(&seed);
	if (is_device(row)) {
		memset(value, 0, size);
		value[0] = rig_random(&seed) % 4 ? 1 : 0; // port 1 is the loopback interface
	}
}

static int or_errno(int rc)
{
	return rc < 0 ? -errno : rc;
}

// A per-CPU value's padding is the user's noise in the kernel and ours.
static void assert_same_value(
        const struct case_row *row, const uint8_t *a, const uint8_t *b, size_t size)
{
	size_t stride = (row->value_size + 7) / 8 * 8;
	for (size_t at = 0; at < size; at += stride)
		assert_memory_equal(a + at, b + at, row->value_size);
}

static void assert_same_reads(const struct case_row *row, struct map *map, int fd, uint8_t *key)
{
	uint8_t ours[4096] = {0}, theirs[4096] = {0};
	int rc = map_read(map, key, ours, 0);
	assert_int_equal(rc, or_errno(bpf_map_lookup_elem(fd, key, theirs)));
	if (!rc)
		assert_same_value(row, ours, theirs, map_io_size(map));
}

// Every entry of ours is theirs, and as many of theirs are met.
static void assert_same_entries(const struct case_row *row, struct map *map, int fd)
{
	uint8_t key[KEY_MAX], next[KEY_MAX];
	uint32_t ours = 0, theirs = 0;
	for (void *at = NULL; !map_next_key(map, at, next); at = key, ours++) {
		memcpy(key, next, row->key_size);
		assert_same_reads(row, map, fd, key);
	}
	for (void *at = NULL; !bpf_map_get_next_key(fd, at, next); at = key, theirs++) {
		memcpy(key, next, row->key_size);
		assert_same_reads(row, map, fd, key);
	}
	assert_int_equal(ours, theirs);
}

static void step(const struct case_row *row, struct map *map, int fd)
{
	uint8_t key[KEY_MAX], value[4096];
	random_key(row, key);
	uint64_t flags = rig_random(&seed) % 5; // 3 and 4 are none that a write knows
	flags = flags == 4 ? 0 : flags;
	switch (rig_random(&seed) % 4) {
	case 0:
	case 1:
		random_value(row, value, map_io_size(map));
		int rc = or_errno(bpf_map_update_elem(fd, key, value, flags));
		assert_int_equal(map_write(map, key, value, flags), rc);
		break;
	case 2:
		assert_int_equal(map_delete(map, key), or_errno(bpf_map_delete_elem(fd, key)));
		break;
	default:
		assert_same_reads(row, map, fd, key);
	}
}

static void agrees_with_the_kernel(void **state)
{
	const struct case_row *row = *state;
	int cpus = libbpf_num_possible_cpus();
	struct map_def def = {row->type, row->key_size, row->value_size, row->max_entries,
	        row->flags, 0, (uint32_t)cpus};
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = row->flags);
	autoclose int fd = bpf_map_create((enum bpf_map_type)row->type, "raio_test", row->key_size,
	        row->value_size, row->max_entries, &options);
	assert_true(fd >= 0);
	struct rig rig;
	assert_int_equal(rig_open(&rig, &def), 0);
	assert_true(map_io_size(rig.map) <= 4096);
	for (int i = 0; i < STEPS; i++) {
		step(row, rig.map, fd);
		if (i % 1000 == 999)
			assert_same_entries(row, rig.map, fd);
	}
	rig_close(&rig);
}

// Definitions that the kernel refuses are refused, those that it takes are taken.
static void judges_definitions_like_the_kernel(void **state)
{
	for (int i = 0; i < STEPS / 4; i++) {
		const struct case_row *row = &cases[rig_random(&seed) % ARRAY_SIZE(cases)];
		const uint32_t sizes[] = {0, 1, 3, 4, 5, 8, 16, 260, 261};
		const uint32_t flags[] = {0, BPF_F_NO_PREALLOC, BPF_F_NO_COMMON_LRU, 1u << 20,
		        BPF_F_RDONLY_PROG, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG};
		struct map_def def = {row->type, row->key_size, row->value_size, row->max_entries,
		        row->flags, 0, 1};
		switch (rig_random(&seed) % 4) {
		case 0:
			def.key_size = sizes[rig_random(&seed) % ARRAY_SIZE(sizes)];
			break;
		case 1:
			def.value_size = sizes[rig_random(&seed) % ARRAY_SIZE(sizes)];
			break;
		case 2:
			def.flags = flags[rig_random(&seed) % ARRAY_SIZE(flags)];
			break;
		default:
			def.max_entries = (uint32_t)rig_random(&seed) % 2;
		}
		LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = def.flags);
		autoclose int fd = bpf_map_create((enum bpf_map_type)def.type, NULL, def.key_size,
		        def.value_size, def.max_entries, &options);
		struct rig rig;
		int rc = rig_open(&rig, &def);
		if ((fd < 0) != (rc < 0))
			fail_msg("type %u key %u value %u entries %u flags 0x%x: kernel %d, ours "
			         "%d %s",
			        def.type, def.key_size, def.value_size, def.max_entries, def.flags,
			        fd, rc, rig.err.text);
		rig_close(&rig);
	}
}

int main(void)
{
	autoclose int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "raio_test", 4, 4, 1, NULL);
	if (fd < 0) {
		fprintf(stderr, "skipped: no right to make kernel maps (%s)\n", strerror(errno));
		return 77;
	}
	const char *text = getenv("RAIO_TEST_SEED");
	seed = text ? strtoull(text, NULL, 0) : 0x5eed;
	struct CMUnitTest tests[ARRAY_SIZE(cases) + 1];
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){
		        cases[i].name, agrees_with_the_kernel, NULL, NULL, (void *)&cases[i]};
	tests[ARRAY_SIZE(cases)] =
	        (struct CMUnitTest)cmocka_unit_test(judges_definitions_like_the_kernel);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
