// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include <netinet/ip6.h>

#define A "02:00:00:00:00:0a"
#define B "02:00:00:00:00:0b"

static struct frame udp(const char *from, uint16_t to_port)
{
	struct frame frame;
	frame_eth(&frame, B, A, ETH_P_IP);
	frame_ipv4(&frame, from, "10.0.0.2", IPPROTO_UDP, 64, 20);
	frame_udp(&frame, 4000, to_port);
	return frame;
}

// Sends `count` at once by port 0. Returns how many passed to port 1.
static unsigned burst(struct stage *stage, const struct frame *frame, unsigned count)
{
	unsigned passed = 0;
	for (unsigned i = 0; i < count; i++) {
		struct outcome outcome = stage_put(stage, 0, frame->data, frame->size);
		if (outcome.verdict.verdict == XDP_REDIRECT) {
			assert_verdict(outcome, "redirect 1");
			passed++;
		} else {
			assert_verdict(outcome, "drop");
		}
	}
	return passed;
}

static void passes_all_without_rules(void **state)
{
	struct stage *stage = stage_new("ddos", NULL);
	struct frame frame = udp("10.0.0.1", 53);
	assert_int_equal(burst(stage, &frame, 1000), 1000);
	assert_int_equal(stage_number(stage, "counters", "0", "passed"), 1000);
	stage_free(stage);
}

static void blocks_and_allows_prefixes_longest_first(void **state)
{
	struct stage *stage = stage_new("ddos", "settings 0 = rate=1, burst=1\n"
	                                        "prefixes 192.0.2.0/24 = policy=0\n"
	                                        "prefixes 192.0.2.128/25 = policy=1\n");
	struct frame frame = udp("192.0.2.1", 80);
	assert_int_equal(burst(stage, &frame, 5), 0);
	assert_int_equal(stage_number(stage, "counters", "0", "blocked"), 5);
	frame = udp("192.0.2.200", 80);
	assert_int_equal(burst(stage, &frame, 5), 5);
	assert_int_equal(stage_number(stage, "counters", "0", "allowed"), 5);
	stage_free(stage);
}

static void limits_each_source_by_itself(void **state)
{
	struct stage *stage = stage_new("ddos", "settings 0 = rate=100, burst=10");
	stage_at_ms(stage, 0);
	struct frame one = udp("10.0.0.1", 80), two = udp("10.0.0.9", 80);
	assert_int_equal(burst(stage, &one, 50), 10);
	assert_int_equal(burst(stage, &two, 3), 3);
	stage_at_ms(stage, 50);
	assert_int_equal(burst(stage, &one, 50), 5);
	stage_at_ms(stage, 10000);
	assert_int_equal(burst(stage, &one, 50), 10);
	const char *bucket = "source=10.0.0.1, service.protocol=0, service.port=0";
	assert_int_equal(stage_number(stage, "sources", bucket, "passed"), 25);
	assert_int_equal(stage_number(stage, "sources", bucket, "dropped"), 125);
	assert_int_equal(stage_number(stage, "counters", "0", "limited"), 125);
	stage_free(stage);
}

static void protects_a_service_with_a_rate_of_its_own(void **state)
{
	struct stage *stage =
	        stage_new("ddos", "settings 0 = rate=1000, burst=100\n"
	                          "services protocol=17, port=53 = rate=10, burst=2\n"
	                          "services protocol=17, port=19 = rate=0, burst=0\n");
	stage_at_ms(stage, 0);
	struct frame dns = udp("10.0.0.1", 53), web = udp("10.0.0.1", 80);
	struct frame chargen = udp("10.0.0.1", 19);
	assert_int_equal(burst(stage, &dns, 10), 2);
	assert_int_equal(burst(stage, &web, 10), 10);
	assert_int_equal(burst(stage, &chargen, 10), 0);
	stage_free(stage);
}

static void refills_without_overflow_after_a_long_silence(void **state)
{
	struct stage *stage = stage_new("ddos", "settings 0 = rate=4294967295, burst=4294967295");
	stage_at_ms(stage, 0);
	struct frame frame = udp("10.0.0.1", 80);
	assert_int_equal(burst(stage, &frame, 3), 3);
	stage_at_ms(stage, 1000ull * 3600 * 24 * 365);
	assert_int_equal(burst(stage, &frame, 3), 3);
	stage_free(stage);
}

static struct frame ipv6(const char *from)
{
	struct frame frame;
	frame_eth(&frame, B, A, ETH_P_IPV6);
	struct ip6_hdr *ip = (struct ip6_hdr *)(frame.data + frame.size);
	ip->ip6_vfc = 0x60;
	ip->ip6_nxt = IPPROTO_UDP;
	ip->ip6_plen = htons(8);
	inet_pton(AF_INET6, from, &ip->ip6_src);
	inet_pton(AF_INET6, "2001:db8::2", &ip->ip6_dst);
	frame.size += sizeof(*ip) + 8;
	return frame;
}

static void counts_ipv6_sources_by_their_network(void **state)
{
	struct stage *stage = stage_new("ddos", "settings 0 = rate=10, burst=4\n"
	                                        "prefixes6 2001:db8:bad::/48 = policy=0\n");
	stage_at_ms(stage, 0);
	struct frame one = ipv6("2001:db8:1:1::1"), same = ipv6("2001:db8:1:1:ffff::9");
	struct frame other = ipv6("2001:db8:1:2::1"), bad = ipv6("2001:db8:bad:7::1");
	assert_int_equal(burst(stage, &one, 3), 3);
	assert_int_equal(burst(stage, &same, 3), 1);
	assert_int_equal(burst(stage, &other, 3), 3);
	assert_int_equal(burst(stage, &bad, 3), 0);
	stage_free(stage);
}

static void sees_through_vlan_tags(void **state)
{
	struct stage *stage = stage_new("ddos", "prefixes 192.0.2.0/24 = policy=0");
	struct frame frame;
	frame_eth(&frame, B, A, ETH_P_8021AD);
	frame_vlan(&frame, 7, ETH_P_8021Q);
	frame_vlan(&frame, 9, ETH_P_IP);
	frame_ipv4(&frame, "192.0.2.1", "10.0.0.2", IPPROTO_UDP, 64, 20);
	assert_int_equal(burst(stage, &frame, 1), 0);
	assert_int_equal(stage_number(stage, "counters", "0", "blocked"), 1);
	stage_free(stage);
}

static void passes_what_is_not_ip_and_drops_what_is_malformed(void **state)
{
	struct stage *stage = stage_new("ddos", NULL);
	struct frame frame;
	frame_eth(&frame, "ff:ff:ff:ff:ff:ff", A, ETH_P_ARP);
	frame.size = 60;
	struct outcome outcome = stage_put(stage, 3, frame.data, frame.size);
	assert_verdict(outcome, "redirect 2");
	frame = udp("10.0.0.1", 80);
	outcome = stage_put(stage, 0, frame.data, 33);
	assert_verdict(outcome, "drop");
	outcome = stage_put(stage, 0, frame.data, 13);
	assert_verdict(outcome, "drop");
	frame = ipv6("2001:db8::1");
	outcome = stage_put(stage, 0, frame.data, 53);
	assert_verdict(outcome, "drop");
	assert_int_equal(stage_number(stage, "counters", "0", "malformed"), 3);
	assert_int_equal(stage_number(stage, "counters", "0", "not_ip"), 1);
	stage_free(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(passes_all_without_rules),
	        cmocka_unit_test(blocks_and_allows_prefixes_longest_first),
	        cmocka_unit_test(limits_each_source_by_itself),
	        cmocka_unit_test(protects_a_service_with_a_rate_of_its_own),
	        cmocka_unit_test(refills_without_overflow_after_a_long_silence),
	        cmocka_unit_test(counts_ipv6_sources_by_their_network),
	        cmocka_unit_test(sees_through_vlan_tags),
	        cmocka_unit_test(passes_what_is_not_ip_and_drops_what_is_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
