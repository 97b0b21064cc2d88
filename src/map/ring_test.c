// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "map/map_rig.h"

static const struct map_def ring = {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, 0, 1};
static const struct map_def perf = {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2, 0, 0, 2};

static void ringbuf_gives_records_in_order_whatever_their_size(void **state)
{
	struct rig rig;
	uint64_t seed = 7, written = 0, read = 0;
	uint8_t data[4096], want[4096];
	assert_int_equal(rig_open(&rig, &ring), 0);
	while (read < 50000) {
		uint32_t size = 1 + (uint32_t)((written * 37) % 1500);
		uint8_t *sample = rig_random(&seed) % 2 ? ringbuf_reserve(rig.map, size, 0) : NULL;
		if (sample) {
			assert_true(sample + size <= (uint8_t *)rig.area + rig.area_size);
			assert_int_equal(ringbuf_sample_size(rig.map, sample), size);
			memset(sample, (int)(written % 251), size);
			assert_int_equal(ringbuf_commit(rig.map, sample, 0, written % 5 == 4), 0);
			written++;
			continue;
		}
		uint32_t got = map_consume(rig.map, data, sizeof(data));
		if (!got) {
			read += written > read; // only discarded ones were left
			read = written;
			continue;
		}
		read += read % 5 == 4; // discarded
		assert_int_equal(got, 1 + (read * 37) % 1500);
		memset(want, (int)(read % 251), got);
		assert_memory_equal(data, want, got);
		read++;
	}
	rig_close(&rig);
}

static void ringbuf_holds_back_what_is_not_committed(void **state)
{
	struct rig rig;
	char data[16];
	assert_int_equal(rig_open(&rig, &ring), 0);
	char *first = ringbuf_reserve(rig.map, 8, 0), *second = ringbuf_reserve(rig.map, 4, 0);
	memcpy(first, "first", 6);
	memcpy(second, "2nd", 4);
	assert_int_equal(ringbuf_commit(rig.map, second, BPF_RB_NO_WAKEUP, false), 0);
	assert_int_equal(map_consume(rig.map, data, sizeof(data)), 0);
	assert_int_equal(ringbuf_query(rig.map, BPF_RB_AVAIL_DATA), 32);
	assert_int_equal(ringbuf_query(rig.map, BPF_RB_RING_SIZE), 4096);
	assert_int_equal(ringbuf_commit(rig.map, first, BPF_RB_FORCE_WAKEUP, false), 0);
	assert_int_equal(map_consume(rig.map, data, sizeof(data)), 8);
	assert_string_equal(data, "first");
	assert_int_equal(map_consume(rig.map, data, 2), 4); // cut, with its true size
	assert_int_equal(map_consume(rig.map, data, sizeof(data)), 0);
	assert_int_equal(ringbuf_query(rig.map, BPF_RB_CONS_POS), 32);
	assert_int_equal(ringbuf_query(rig.map, BPF_RB_PROD_POS), 32);
	rig_close(&rig);
}

static void ringbuf_refuses_what_is_no_sample(void **state)
{
	struct rig rig;
	assert_int_equal(rig_open(&rig, &ring), 0);
	char *sample = ringbuf_reserve(rig.map, 100, 0);
	assert_int_equal(ringbuf_commit(rig.map, sample + 8, 0, false), -EINVAL);
	assert_int_equal(ringbuf_commit(rig.map, sample + 1, 0, false), -EINVAL);
	assert_int_equal(ringbuf_commit(rig.map, sample - 8, 0, false), -EINVAL);
	assert_int_equal(ringbuf_commit(rig.map, NULL, 0, false), -EINVAL);
	assert_int_equal(ringbuf_commit(rig.map, rig.map, 0, false), -EINVAL);
	assert_int_equal(ringbuf_commit(rig.map, (char *)rig.area + 8192, 0, false), -EINVAL);
	assert_int_equal(ringbuf_sample_size(rig.map, sample + 8), 0);
	assert_int_equal(ringbuf_commit(rig.map, sample, 0, false), 0);
	assert_int_equal(ringbuf_commit(rig.map, sample, 0, false), -EINVAL);
	assert_null(ringbuf_reserve(rig.map, 8, 1));
	assert_null(ringbuf_reserve(rig.map, 4096, 0));
	assert_null(ringbuf_reserve(rig.map, UINT64_MAX, 0));
	assert_int_equal(map_lost(rig.map), 1);
	rig_close(&rig);
}

static void perf_array_keeps_each_engine_in_order_and_counts_losses(void **state)
{
	struct rig rig;
	uint32_t next[2] = {0}, record[2], lost = 0;
	static uint8_t big[(64 << 10) + 8];
	assert_int_equal(rig_open(&rig, &perf), 0);
	assert_int_equal(perf_output(rig.map, 2, big, 8), -ENOENT);
	assert_int_equal(perf_output(rig.map, 0, big, sizeof(big)), -E2BIG);
	for (uint32_t i = 0; i < 200; i++) {
		record[0] = i % 2, record[1] = i / 2;
		assert_int_equal(perf_output(rig.map, i % 2, record, sizeof(record)), 0);
	}
	while (map_consume(rig.map, record, sizeof(record)))
		assert_int_equal(record[1], next[record[0]]++);
	assert_int_equal(next[0], 100);
	assert_int_equal(next[1], 100);
	for (int i = 0; i < 10; i++)
		lost += perf_output(rig.map, 1, big, 64 << 10) == -ENOSPC;
	assert_true(lost > 0);
	assert_int_equal(map_lost(rig.map), lost);
	assert_int_equal(map_consume(rig.map, record, sizeof(record)), 64 << 10);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ringbuf_gives_records_in_order_whatever_their_size),
	        cmocka_unit_test(ringbuf_holds_back_what_is_not_committed),
	        cmocka_unit_test(ringbuf_refuses_what_is_no_sample),
	        cmocka_unit_test(perf_array_keeps_each_engine_in_order_and_counts_losses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
