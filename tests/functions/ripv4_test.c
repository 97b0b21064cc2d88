// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include <net/if_arp.h>
#include <netinet/if_ether.h>

#define HOST0     "02:00:00:00:00:10" // 10.0.0.1 on port 0
#define HOST1     "02:00:00:00:00:11" // 10.0.1.1 on port 1
#define ROUTER0   "02:00:00:00:00:a0"
#define ROUTER1   "02:00:00:00:00:a1"
#define BROADCAST "ff:ff:ff:ff:ff:ff"

static const char rules[] = "interfaces 0 = address=10.0.0.254, length=24, mac=" ROUTER0 "\n"
                            "interfaces 1 = address=10.0.1.254, length=24, mac=" ROUTER1 "\n"
                            "interfaces 2 = address=10.0.2.254, length=31, mac=02:00:00:00:00:a2\n"
                            "routes 10.0.0.0/24 = gateway=0.0.0.0, port=0\n"
                            "routes 10.0.1.0/24 = gateway=0.0.0.0, port=1\n"
                            "routes 10.0.2.254/31 = gateway=0.0.0.0, port=2\n"
                            "routes 172.16.0.0/12 = gateway=10.0.1.1, port=1\n"
                            "routes 172.16.5.0/24 = gateway=10.0.0.1, port=0\n"
                            "neighbours 10.0.0.1 = mac=" HOST0 ", port=0\n"
                            "neighbours 10.0.1.1 = mac=" HOST1 ", port=1\n";

// UDP from host 0 to `to`, as it reaches the router.
static struct frame udp_to(const char *to, uint8_t ttl)
{
	struct frame frame;
	frame_eth(&frame, ROUTER0, HOST0, ETH_P_IP);
	frame_ipv4(&frame, "10.0.0.1", to, IPPROTO_UDP, ttl, 40);
	frame_udp(&frame, 1000, 2000);
	return frame;
}

static const struct iphdr *ip_of(const struct outcome *outcome)
{
	return (const struct iphdr *)(outcome->data + ETH_HLEN);
}

static void assert_macs(const struct outcome *outcome, const char *to, const char *from)
{
	struct frame expected;
	frame_eth(&expected, to, from, ETH_P_IP);
	assert_memory_equal(outcome->data, expected.data, 2 * ETH_ALEN);
}

static void forwards_with_ttl_checksum_and_addresses(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	for (unsigned ttl = 255; ttl > 1; ttl -= 2) {
		struct frame frame = udp_to("10.0.1.1", (uint8_t)ttl);
		struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
		assert_verdict(outcome, "redirect 1");
		assert_macs(&outcome, HOST1, ROUTER1);
		assert_int_equal(ip_of(&outcome)->ttl, ttl - 1);
		assert_int_equal(internet_checksum(ip_of(&outcome), sizeof(struct iphdr)), 0);
		assert_memory_equal(outcome.data + 34, frame.data + 34, frame.size - 34);
	}
	assert_int_equal(stage_number(stage, "counters", "0", "forwarded"), 127);
	stage_free(stage);
}

// Every identification: each possible checksum, the carries among them.
static void updates_every_checksum_as_a_full_sum_would(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	stage_at_ms(stage, 0); // without the kernel: 65,536 test runs take too long
	struct frame frame = udp_to("10.0.1.1", 64);
	struct iphdr *ip = (struct iphdr *)(frame.data + ETH_HLEN);
	for (unsigned id = 0; id < 65536; id++) {
		ip->id = (uint16_t)id;
		frame_ipv4_finish(&frame, ip);
		struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
		assert_int_equal(internet_checksum(ip_of(&outcome), sizeof(*ip)), 0);
	}
	stage_free(stage);
}

static void takes_the_longest_prefix(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame = udp_to("172.17.1.1", 9);
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "redirect 1");
	assert_macs(&outcome, HOST1, ROUTER1);
	frame = udp_to("172.16.5.9", 9);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "redirect 0");
	assert_macs(&outcome, HOST0, ROUTER0);
	stage_free(stage);
}

static struct frame arp(
        uint16_t op, const char *to, const char *sender_mac, const char *sender, const char *target)
{
	struct frame frame;
	frame_eth(&frame, to, sender_mac, ETH_P_ARP);
	struct ether_arp *body = (struct ether_arp *)(frame.data + frame.size);
	body->arp_hrd = htons(ARPHRD_ETHER);
	body->arp_pro = htons(ETH_P_IP);
	body->arp_hln = ETH_ALEN;
	body->arp_pln = 4;
	body->arp_op = htons(op);
	memcpy(body->arp_sha, frame.data + ETH_ALEN, ETH_ALEN);
	in_addr_t from = inet_addr(sender), about = inet_addr(target);
	memcpy(body->arp_spa, &from, 4);
	memcpy(body->arp_tpa, &about, 4);
	frame.size = 60;
	return frame;
}

static void answers_arp_for_itself_and_learns_who_asked(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame =
	        arp(ARPOP_REQUEST, BROADCAST, "02:00:00:00:00:15", "10.0.0.5", "10.0.0.254");
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "tx");
	const struct ether_arp *reply = (const void *)(outcome.data + ETH_HLEN);
	struct frame expected;
	frame_eth(&expected, "02:00:00:00:00:15", ROUTER0, ETH_P_ARP);
	assert_memory_equal(outcome.data, expected.data, ETH_HLEN);
	assert_int_equal(reply->arp_op, htons(ARPOP_REPLY));
	assert_memory_equal(reply->arp_sha, expected.data + ETH_ALEN, ETH_ALEN);
	assert_memory_equal(reply->arp_tha, expected.data, ETH_ALEN);
	const char *neighbour = stage_entry(stage, "neighbours", "10.0.0.5");
	assert_non_null(neighbour);
	assert_non_null(strstr(neighbour, "02:00:00:00:00:15"));
	stage_free(stage);
}

static void ignores_arp_for_others_and_senders_off_the_link(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame =
	        arp(ARPOP_REQUEST, BROADCAST, "02:00:00:00:00:15", "10.0.0.5", "10.0.0.77");
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	assert_null(stage_entry(stage, "neighbours", "10.0.0.5"));
	frame = arp(ARPOP_REPLY, ROUTER0, "02:00:00:00:00:66", "10.0.1.1", "10.0.0.254");
	stage_put(stage, 0, frame.data, frame.size);
	assert_non_null(strstr(stage_entry(stage, "neighbours", "10.0.1.1"), HOST1));
	// Nor does a stranger overwrite what the operator set.
	frame = arp(ARPOP_REPLY, ROUTER0, "02:00:00:00:00:66", "10.0.0.1", "10.0.0.254");
	stage_put(stage, 0, frame.data, frame.size);
	assert_non_null(strstr(stage_entry(stage, "neighbours", "10.0.0.1"), HOST0));
	stage_free(stage);
}

static void asks_for_a_neighbour_once_a_second_and_uses_the_answer(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame = udp_to("10.0.1.9", 64);
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "redirect 1");
	assert_int_equal(outcome.size, 42);
	struct frame expected = arp(ARPOP_REQUEST, BROADCAST, ROUTER1, "10.0.1.254", "10.0.1.9");
	assert_memory_equal(outcome.data, expected.data, 42);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	stage_at_ms(stage, 1001);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "redirect 1");
	struct frame answer =
	        arp(ARPOP_REPLY, ROUTER1, "02:00:00:00:00:19", "10.0.1.9", "10.0.1.254");
	stage_put(stage, 1, answer.data, answer.size);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "redirect 1");
	assert_macs(&outcome, "02:00:00:00:00:19", ROUTER1);
	// And asks again when the entry has timed out.
	stage_at_ms(stage, 1201 * 1000);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_int_equal(outcome.size, 42);
	stage_free(stage);
}

static void assert_icmp_error(
        const struct outcome *outcome, uint8_t type, const struct frame *about)
{
	assert_string_equal(stage_verdict(outcome), "tx");
	assert_int_equal(outcome->size, ETH_HLEN + 20 + 8 + 28);
	assert_macs(outcome, HOST0, ROUTER0);
	const struct iphdr *ip = ip_of(outcome);
	assert_int_equal(ip->saddr, inet_addr("10.0.0.254"));
	assert_int_equal(ip->daddr, inet_addr("10.0.0.1"));
	assert_int_equal(ntohs(ip->tot_len), 56);
	assert_int_equal(internet_checksum(ip, sizeof(*ip)), 0);
	const struct icmphdr *icmp = (const void *)(ip + 1);
	assert_int_equal(icmp->type, type);
	assert_int_equal(icmp->code, 0);
	assert_int_equal(internet_checksum(icmp, 36), 0);
	assert_memory_equal(icmp + 1, about->data + ETH_HLEN, 28);
}

static void sends_time_exceeded_and_net_unreachable(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame = udp_to("10.0.1.1", 1);
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_icmp_error(&outcome, ICMP_TIME_EXCEEDED, &frame);
	frame = udp_to("203.0.113.1", 64);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_icmp_error(&outcome, ICMP_DEST_UNREACH, &frame);
	assert_int_equal(stage_number(stage, "counters", "0", "ttl_exceeded"), 1);
	assert_int_equal(stage_number(stage, "counters", "0", "no_route"), 1);
	stage_free(stage);
}

static void limits_icmp_errors(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	stage_at_ms(stage, 0);
	struct frame frame = udp_to("10.0.1.1", 1);
	unsigned sent = 0;
	for (int i = 0; i < 100; i++) {
		struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
		sent += outcome.verdict.verdict == XDP_TX;
	}
	assert_int_equal(sent, 20);
	assert_int_equal(stage_number(stage, "counters", "0", "icmp_limited"), 80);
	stage_at_ms(stage, 50);
	sent = 0;
	for (int i = 0; i < 100; i++) {
		struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
		sent += outcome.verdict.verdict == XDP_TX;
	}
	assert_int_equal(sent, 5);
	stage_free(stage);
}

static void never_sends_an_error_about_an_error_or_a_later_fragment(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame;
	frame_eth(&frame, ROUTER0, HOST0, ETH_P_IP);
	struct iphdr *ip = frame_ipv4(&frame, "10.0.0.1", "10.0.1.1", IPPROTO_ICMP, 1, 40);
	((struct icmphdr *)(ip + 1))->type = ICMP_TIME_EXCEEDED;
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	frame = udp_to("10.0.1.1", 1);
	ip = (struct iphdr *)(frame.data + ETH_HLEN);
	ip->frag_off = htons(5);
	frame_ipv4_finish(&frame, ip);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	stage_free(stage);
}

static void answers_ping_to_any_of_its_addresses(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	static const char *const own[] = {"10.0.0.254", "10.0.1.254", "10.0.2.254"};
	for (int i = 0; i < 3; i++) {
		struct frame frame;
		frame_eth(&frame, ROUTER0, HOST0, ETH_P_IP);
		struct iphdr *ip = frame_ipv4(&frame, "10.0.0.1", own[i], IPPROTO_ICMP, 1, 64);
		struct icmphdr *icmp = (struct icmphdr *)(ip + 1);
		*icmp = (struct icmphdr){.type = ICMP_ECHO, .un.echo.sequence = htons((uint16_t)i)};
		icmp->checksum = internet_checksum(icmp, 64);
		struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
		assert_verdict(outcome, "tx");
		assert_macs(&outcome, HOST0, ROUTER0);
		assert_int_equal(ip_of(&outcome)->saddr, inet_addr(own[i]));
		assert_int_equal(ip_of(&outcome)->daddr, inet_addr("10.0.0.1"));
		assert_int_equal(internet_checksum(ip_of(&outcome), 20), 0);
		const struct icmphdr *reply = (const void *)(ip_of(&outcome) + 1);
		assert_int_equal(reply->type, ICMP_ECHOREPLY);
		assert_int_equal(internet_checksum(reply, 64), 0);
	}
	stage_free(stage);
}

static void gives_the_host_what_is_for_it(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame = udp_to("10.0.0.254", 64);
	struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "pass");
	// IP options: four no-operations.
	frame = udp_to("10.0.1.1", 64);
	struct iphdr *ip = (struct iphdr *)(frame.data + ETH_HLEN);
	memmove((uint8_t *)(ip + 1) + 4, ip + 1, 40);
	memset(ip + 1, 1, 4);
	ip->ihl = 6;
	ip->tot_len = htons(64);
	frame.size += 4;
	frame_ipv4_finish(&frame, ip);
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "pass");
	stage_free(stage);
}

static void drops_what_rfc_1812_says(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	static const char *const martians[][2] = {{"127.0.0.1", "10.0.1.1"},
	        {"0.0.0.0", "10.0.1.1"}, {"224.0.0.1", "10.0.1.1"}, {"255.255.255.255", "10.0.1.1"},
	        {"10.0.0.1", "127.0.0.1"}, {"10.0.0.1", "224.0.0.5"},
	        {"10.0.0.1", "255.255.255.255"}, {"10.0.0.1", "0.1.2.3"},
	        {"10.0.0.1", "10.0.1.255"}};
	struct frame frame;
	for (unsigned i = 0; i < sizeof(martians) / sizeof(martians[0]); i++) {
		frame_eth(&frame, ROUTER0, HOST0, ETH_P_IP);
		frame_ipv4(&frame, martians[i][0], martians[i][1], IPPROTO_UDP, 64, 20);
		struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
		assert_verdict(outcome, "drop");
		assert_int_equal(stage_number(stage, "counters", "0", "martian"), i + 1);
	}
	stage_free(stage);
}

static void drops_malformed_headers(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame good = udp_to("10.0.1.1", 64), frame;
	struct iphdr *ip = (struct iphdr *)(frame.data + ETH_HLEN);
	for (int i = 0; i < 6; i++) {
		frame = good;
		switch (i) {
		case 0:
			ip->check ^= 1;
			break;
		case 1:
			ip->version = 6;
			break;
		case 2:
			ip->ihl = 4;
			frame_ipv4_finish(&frame, ip);
			break;
		case 3:
			ip->tot_len = htons(19);
			frame_ipv4_finish(&frame, ip);
			break;
		case 4:
			ip->tot_len = htons(1000); // more than arrived
			frame_ipv4_finish(&frame, ip);
			break;
		case 5:
			frame.size = ETH_HLEN + 19;
			break;
		}
		struct outcome outcome = stage_put(stage, 0, frame.data, frame.size);
		assert_verdict(outcome, "drop");
		assert_int_equal(
		        stage_number(stage, "counters", "0", "malformed"), (unsigned)i + 1);
	}
	stage_free(stage);
}

static void ignores_what_is_not_sent_to_it(void **state)
{
	struct stage *stage = stage_new("ripv4", rules);
	struct frame frame = udp_to("10.0.1.1", 64);
	struct outcome outcome = stage_put(stage, 1, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	outcome = stage_put(stage, 3, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	frame_eth(&frame, ROUTER0, HOST0, ETH_P_IPV6);
	frame.size = 60;
	outcome = stage_put(stage, 0, frame.data, frame.size);
	assert_verdict(outcome, "drop");
	assert_int_equal(stage_number(stage, "counters", "0", "not_ours"), 1);
	stage_free(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(forwards_with_ttl_checksum_and_addresses),
	        cmocka_unit_test(updates_every_checksum_as_a_full_sum_would),
	        cmocka_unit_test(takes_the_longest_prefix),
	        cmocka_unit_test(answers_arp_for_itself_and_learns_who_asked),
	        cmocka_unit_test(ignores_arp_for_others_and_senders_off_the_link),
	        cmocka_unit_test(asks_for_a_neighbour_once_a_second_and_uses_the_answer),
	        cmocka_unit_test(sends_time_exceeded_and_net_unreachable),
	        cmocka_unit_test(limits_icmp_errors),
	        cmocka_unit_test(never_sends_an_error_about_an_error_or_a_later_fragment),
	        cmocka_unit_test(answers_ping_to_any_of_its_addresses),
	        cmocka_unit_test(gives_the_host_what_is_for_it),
	        cmocka_unit_test(drops_what_rfc_1812_says),
	        cmocka_unit_test(drops_malformed_headers),
	        cmocka_unit_test(ignores_what_is_not_sent_to_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
