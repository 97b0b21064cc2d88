// SPDX-License-Identifier: Apache-2.0
// The small parts of the card layer: histogram, rings between workers, trace lines, wire format.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "card/card.h"
#include "card/protocol.h"
#include "card/soft/receipts.h"
#include "card/soft/ring.h"
#include "card/soft/trace.h"

static void latency_bins_cover_all_times_without_a_hole(void **state)
{
	assert_int_equal(latency_bin_of(0), 0);
	for (uint32_t bin = 0; bin + 1 < CARD_LATENCY_BINS; bin++) {
		assert_true(latency_bin_ns(bin) < latency_bin_ns(bin + 1));
		assert_int_equal(latency_bin_of(latency_bin_ns(bin)), bin);
		assert_int_equal(latency_bin_of(latency_bin_ns(bin + 1) - 1), bin);
	}
	assert_int_equal(latency_bin_of(UINT64_MAX), CARD_LATENCY_BINS - 1);
}

static void finds_quantiles(void **state)
{
	uint64_t bins[CARD_LATENCY_BINS] = {0};
	assert_int_equal(latency_quantile(bins, 0.5), 0);
	bins[latency_bin_of(100)] = 98;
	bins[latency_bin_of(5000)] = 2;
	assert_int_equal(latency_quantile(bins, 0), latency_bin_ns(latency_bin_of(100)));
	assert_int_equal(latency_quantile(bins, 0.5), latency_bin_ns(latency_bin_of(100)));
	assert_int_equal(latency_quantile(bins, 0.99), latency_bin_ns(latency_bin_of(5000)));
	assert_int_equal(latency_quantile(bins, 1), latency_bin_ns(latency_bin_of(5000)));
}

static void a_ring_keeps_order_and_refuses_when_full(void **state)
{
	autofree struct ring *ring = aligned_alloc(64, sizeof(*ring));
	assert_non_null(ring);
	memset(ring, 0, sizeof(*ring));
	uint32_t put = 0, got = 0;
	for (int round = 0; round < 3; round++) {
		struct packet packet = {.frame = put};
		for (; ring_push(ring, &packet, NULL); packet.frame = ++put)
			;
		assert_int_equal(put - got, RING_SIZE);
		assert_int_equal(ring_room(ring, 1), 0);
		assert_true(ring_publish(ring));
		assert_false(ring_publish(ring));
		for (int i = 0; i < 20; i++) { // half of it, so that it wraps
			uint32_t count;
			struct departure *entries = ring_peek(ring, 32, &count);
			for (uint32_t k = 0; k < count; k++)
				assert_int_equal(entries[k].packet.frame, got++);
			ring_release(ring, count);
		}
		assert_false(ring_is_empty(ring));
	}
}

static void shows_nothing_before_it_is_published(void **state)
{
	autofree struct ring *ring = aligned_alloc(64, sizeof(*ring));
	assert_non_null(ring);
	memset(ring, 0, sizeof(*ring));
	struct packet packet = {0};
	uint32_t count = 1;
	assert_true(ring_push(ring, &packet, NULL));
	assert_true(ring_is_empty(ring));
	ring_peek(ring, 8, &count);
	assert_int_equal(count, 0);
}

static void trace_lines_come_whole_or_not_at_all(void **state)
{
	autofree struct trace *trace = calloc(1, sizeof(*trace));
	char text[64];
	trace_put(trace, "one");
	trace_put(trace, "two\nlines\n");
	assert_int_equal(trace_take(trace, text, 6), 4);
	assert_memory_equal(text, "one\n", 4);
	assert_int_equal(trace_take(trace, text, sizeof(text)), 10);
	assert_memory_equal(text, "two lines\n", 10);
	assert_int_equal(trace_take(trace, text, sizeof(text)), 0);
	for (uint32_t i = 0; i < TRACE_SIZE; i++)
		trace_put(trace, "0123456");
	assert_int_equal(trace->dropped, TRACE_SIZE - TRACE_SIZE / 8);
}

static void receipts_are_kept_up_to_a_number(void **state)
{
	static struct receipts receipts;
	static struct receipt receipt;
	for (uint64_t i = 1; i <= RECEIPTS_KEPT + 1; i++) {
		receipt.sequence = i;
		receipt.map_count = 1;
		receipt.map[0].entries = (uint32_t)i;
		assert_int_equal(receipts_keep(&receipts, &receipt), 0);
	}
	assert_null(receipts_find(&receipts, 1));
	assert_non_null(receipts_find(&receipts, 2));
	receipt_copy(receipts_find(&receipts, 0), &receipt);
	assert_int_equal(receipt.sequence, RECEIPTS_KEPT + 1);
	assert_int_equal(receipt.map[0].entries, RECEIPTS_KEPT + 1);
	receipts_clear(&receipts);
}

static void a_receipt_and_a_map_travel_unchanged(void **state)
{
	static struct receipt sent = {.sequence = 3, .lost = 7, .new_tag = "r2"}, got;
	sent.port_count = 2;
	sent.port[1] = (struct receipt_port){.port = 5, .gap_ns = 900};
	sent.map_count = 1;
	strcpy(sent.map[0].name, "flows");
	sent.map[0].carried = true;
	struct image_field field = {.name = "a.b", .kind = IMAGE_IPV4, .bits = 32, .count = 1};
	struct card_map map = {.index = 2, .shape = {.name = "m"}}, back = {0};
	map.shape.key = (struct image_layout){&field, 1, 0};
	cleanup(buffer_free) struct buffer buffer = {0};
	struct wire out = {.out = &buffer};
	wire_receipt(&out, &sent);
	wire_map(&out, &map);
	struct cursor cursor = cursor_of(buffer.data, buffer.size);
	struct wire in = {.in = &cursor};
	wire_receipt(&in, &got);
	wire_map(&in, &back);
	assert_true(cursor_done(&cursor));
	assert_memory_equal(&sent, &got, sizeof(sent));
	assert_int_equal(back.index, 2);
	assert_int_equal(back.shape.key.field_count, 1);
	assert_string_equal(back.shape.key.fields[0].name, "a.b");
	assert_int_equal(back.shape.key.fields[0].kind, IMAGE_IPV4);
	card_map_free(&back);
}

static void answers_malformed_requests_with_an_error(void **state)
{
	struct session session = {0};
	struct card card = {0}; // never reached
	struct cursor cursor;
	const struct {
		uint16_t type;
		bool greeted;
		const char *body;
		uint32_t size;
	} cases[] = {
	        {MESSAGE_HELLO, false, "RAIO", 4},
	        {MESSAGE_HELLO, false, "nope\1\0\0\0", 8},
	        {MESSAGE_HELLO, false, "RAIO\2\0\0\0", 8},
	        {MESSAGE_INFO, false, "", 0},
	        {MESSAGE_INFO, true, "x", 1},
	        {MESSAGE_SWAP, true, "12345678", 8},
	        {MESSAGE_LOAD, true, "\3\0\0\0\0\0\0\0\xff\xff\xff\xff", 12},
	        {MESSAGE_MAP_DUMP, true, "\1", 1},
	        {MESSAGE_COUNT, true, "", 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup(buffer_free) struct buffer reply = {0};
		session.greeted = cases[i].greeted;
		session_answer(
		        &session, &card, cases[i].type, cases[i].body, cases[i].size, &reply);
		cursor = cursor_of(reply.data, reply.size);
		assert_int_not_equal(cursor_u32(&cursor), 0);
		assert_int_equal(session.greeted, cases[i].greeted);
	}
}

static void refuses_headers_that_are_too_large(void **state)
{
	struct message_header header = {.size = 100, .id = 7, .type = 3}, back;
	uint8_t bytes[MESSAGE_HEADER];
	message_header_put(&header, bytes);
	assert_int_equal(message_header_get(bytes, 100, &back), 0);
	assert_int_equal(back.size, 100);
	assert_int_equal(back.id, 7);
	assert_int_equal(back.type, 3);
	assert_true(message_header_get(bytes, 99, &back) < 0);
	bytes[6] = 1; // reserved
	assert_true(message_header_get(bytes, 100, &back) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(latency_bins_cover_all_times_without_a_hole),
	        cmocka_unit_test(finds_quantiles),
	        cmocka_unit_test(a_ring_keeps_order_and_refuses_when_full),
	        cmocka_unit_test(shows_nothing_before_it_is_published),
	        cmocka_unit_test(trace_lines_come_whole_or_not_at_all),
	        cmocka_unit_test(receipts_are_kept_up_to_a_number),
	        cmocka_unit_test(a_receipt_and_a_map_travel_unchanged),
	        cmocka_unit_test(answers_malformed_requests_with_an_error),
	        cmocka_unit_test(refuses_headers_that_are_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
