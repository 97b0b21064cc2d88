// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

static void joins_ports_in_pairs(void **state)
{
	struct stage *stage = stage_new("wire", NULL);
	struct frame frame;
	frame_eth(&frame, "02:00:00:00:00:02", "02:00:00:00:00:01", 0x88b5);
	frame.size = 60;
	static const char *const expected[] = {
	        "redirect 1", "redirect 0", "redirect 3", "redirect 2"};
	for (uint8_t port = 0; port < STAGE_PORTS; port++) {
		struct outcome outcome = stage_put(stage, port, frame.data, frame.size);
		assert_verdict(outcome, expected[port]);
		assert_int_equal(outcome.size, frame.size);
		assert_memory_equal(outcome.data, frame.data, frame.size);
	}
	stage_free(stage);
}

static void drops_where_the_partner_is_missing(void **state)
{
	struct stage *stage = stage_new("wire", "-raio_ports 1");
	struct frame frame;
	frame_eth(&frame, "02:00:00:00:00:02", "02:00:00:00:00:01", 0x88b5);
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	stage_free(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(joins_ports_in_pairs),
	        cmocka_unit_test(drops_where_the_partner_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
