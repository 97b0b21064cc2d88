// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#define A "02:00:00:00:00:0a"
#define B "02:00:00:00:00:0b"

static struct outcome send_from(struct stage *stage, uint8_t port, const char *to, const char *from)
{
	struct frame frame;
	frame_eth(&frame, to, from, 0x88b5);
	frame.size = 60;
	return stage_put(stage, port, frame.data, frame.size);
}

static void floods_what_it_does_not_know_and_learns(void **state)
{
	struct stage *stage = stage_new("lsl2", NULL);
	struct outcome outcome = send_from(stage, 2, B, A);
	assert_verdict(outcome, "redirect 0 1 3");
	assert_int_equal(stage_number(stage, "stations", "mac=" A ", vlan=0", "port"), 2);
	outcome = send_from(stage, 1, A, B);
	assert_verdict(outcome, "redirect 2");
	outcome = send_from(stage, 2, B, A);
	assert_verdict(outcome, "redirect 1");
	assert_int_equal(stage_number(stage, "counters", "2", "flooded"), 1);
	assert_int_equal(stage_number(stage, "counters", "2", "forwarded"), 1);
	assert_int_equal(stage_number(stage, "counters", "2", "learned"), 1);
	stage_free(stage);
}

static void follows_a_station_that_moves(void **state)
{
	struct stage *stage = stage_new("lsl2", NULL);
	send_from(stage, 2, B, A);
	send_from(stage, 3, B, A);
	struct outcome outcome = send_from(stage, 1, A, B);
	assert_verdict(outcome, "redirect 3");
	assert_int_equal(stage_number(stage, "stations", "mac=" A ", vlan=0", "moves"), 1);
	assert_int_equal(stage_number(stage, "counters", "3", "moved"), 1);
	stage_free(stage);
}

static void filters_what_stays_on_its_port(void **state)
{
	struct stage *stage = stage_new("lsl2", NULL);
	send_from(stage, 2, B, A);
	struct outcome outcome = send_from(stage, 2, A, B);
	assert_verdict(outcome, "drop");
	assert_int_equal(stage_number(stage, "counters", "2", "filtered"), 1);
	stage_free(stage);
}

static void floods_groups_and_broadcast(void **state)
{
	struct stage *stage = stage_new("lsl2", NULL);
	struct outcome outcome = send_from(stage, 0, "ff:ff:ff:ff:ff:ff", A);
	assert_verdict(outcome, "redirect 1 2 3");
	outcome = send_from(stage, 0, "01:00:5e:00:00:01", A);
	assert_verdict(outcome, "redirect 1 2 3");
	stage_free(stage);
}

static void refuses_reserved_groups_and_group_sources_and_runts(void **state)
{
	struct stage *stage = stage_new("lsl2", NULL);
	struct outcome outcome = send_from(stage, 0, "01:80:c2:00:00:0e", A);
	assert_verdict(outcome, "drop");
	outcome = send_from(stage, 0, B, "01:00:00:00:00:01");
	assert_verdict(outcome, "drop");
	outcome = stage_put(stage, 0, "\2\0\0\0\0\1\2\0\0\0\0\2\x08", 13);
	assert_verdict(outcome, "drop");
	assert_int_equal(stage_number(stage, "counters", "0", "refused"), 3);
	stage_free(stage);
}

static void keeps_vlans_apart(void **state)
{
	struct stage *stage = stage_new("lsl2", NULL);
	struct frame frame;
	frame_eth(&frame, B, A, ETH_P_8021Q);
	frame_vlan(&frame, 0x6005, 0x88b5); // priority 3, VLAN 5
	frame.size = 60;
	stage_put(stage, 1, frame.data, frame.size);
	assert_int_equal(stage_number(stage, "stations", "mac=" A ", vlan=5", "port"), 1);
	struct outcome outcome = send_from(stage, 2, A, B);
	assert_verdict(outcome, "redirect 0 1 3");
	frame_eth(&frame, A, B, ETH_P_8021Q);
	frame_vlan(&frame, 5, 0x88b5);
	outcome = stage_put(stage, 2, frame.data, frame.size);
	assert_verdict(outcome, "redirect 1");
	stage_free(stage);
}

static void forgets_after_the_ageing_time(void **state)
{
	struct stage *stage = stage_new("lsl2", "settings 0 = ageing_s=10");
	send_from(stage, 2, B, A);
	stage_at_ms(stage, 9000);
	struct outcome outcome = send_from(stage, 1, A, B);
	assert_verdict(outcome, "redirect 2");
	stage_at_ms(stage, 2000);
	outcome = send_from(stage, 1, A, B);
	assert_verdict(outcome, "redirect 0 2 3");
	assert_null(stage_entry(stage, "stations", "mac=" A ", vlan=0"));
	// B was heard again, so B is still known.
	stage_at_ms(stage, 9000);
	outcome = send_from(stage, 0, B, A);
	assert_verdict(outcome, "redirect 1");
	stage_free(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(floods_what_it_does_not_know_and_learns),
	        cmocka_unit_test(follows_a_station_that_moves),
	        cmocka_unit_test(filters_what_stays_on_its_port),
	        cmocka_unit_test(floods_groups_and_broadcast),
	        cmocka_unit_test(refuses_reserved_groups_and_group_sources_and_runts),
	        cmocka_unit_test(keeps_vlans_apart),
	        cmocka_unit_test(forgets_after_the_ageing_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
