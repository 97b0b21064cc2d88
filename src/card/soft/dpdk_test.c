// SPDX-License-Identifier: Apache-2.0
// A card with ports of DPDK. A net_ring gives back what it is sent, so that packets go
//
//	gen (port 0) -> card -> net_ring (port 1) -> card -> the generator's sink
//
// and the sink counts what is lost, comes twice or out of order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/card.h"
#include "card/test_images.h"

#define SWAPS 300u

static struct card *make_card(const char *const specs[2], uint32_t workers)
{
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = 2, .worker_count = workers};
	struct card *card = NULL;
	struct error err;
	if (soft_card_new(&options, &card, &err))
		fail_msg("%s", err.text);
	return card;
}

static uint64_t deploy(struct card *card, struct image *image)
{
	static struct receipt receipt;
	struct error err;
	const struct card_load load = {.ports = 3};
	uint64_t id = 0;
	if (card->ops->load(card, image, &load, &id, &err) ||
	        card->ops->swap(card, id, 3, 0, &receipt, &err))
		fail_msg("%s", err.text);
	image_free(&image);
	assert_int_equal(receipt.lost, 0);
	return id;
}

static void read_ports(struct card *card, struct card_port ports[PORTS_MAX])
{
	uint32_t count;
	assert_int_equal(card->ops->ports(card, ports, PORTS_MAX, &count, NULL), 0);
	assert_int_equal(count, 2);
}

static void packets_come_back_from_a_ring_whole_and_in_order(void **state)
{
	static const char *const specs[] = {
	        "gen:seq=1,flows=16,rate=50kpps,count=30000", "dpdk:net_ring0"};
	static struct card_port ports[PORTS_MAX];
	for (uint32_t workers = 1; workers <= 2; workers++) {
		struct card *card = make_card(specs, workers);
		uint64_t came = 0;
		for (uint32_t i = 0; i < SWAPS; i++)
			deploy(card, image_wire(i));
		for (int i = 0; i < 5000; i++) {
			read_ports(card, ports);
			// What came back before the first swap went to the host.
			came = ports[0].stats.seq_packets + ports[1].stats.host_dropped;
			if (ports[0].finished && came == ports[1].stats.tx_packets)
				break;
			usleep(1000);
		}
		assert_true(ports[0].finished);
		assert_in_range(ports[1].stats.tx_packets, 10000, 30000);
		assert_int_equal(came, ports[1].stats.tx_packets);
		assert_in_range(ports[1].stats.host_dropped, 0, 2000);
		assert_int_equal(ports[1].stats.rx_packets, ports[1].stats.tx_packets);
		// A worker that others keep from its CPU for long loses packets, and counts them.
		uint64_t dropped = ports[1].total.tx_dropped;
		assert_in_range(ports[0].stats.seq_lost, 0, dropped);
		assert_true(workers == 2 || !dropped);
		assert_int_equal(ports[0].stats.seq_reordered, 0);
		assert_int_equal(ports[0].stats.seq_duplicate, 0);
		assert_int_equal(ports[1].stats.tx_dropped + ports[1].stats.rx_dropped, 0);
		card_free(&card);
	}
}

static uint64_t spent_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void an_idle_card_leaves_its_cpus_to_others(void **state)
{
	static const char *const specs[] = {"dpdk:net_ring0", "dpdk:net_ring1"};
	struct card *card = make_card(specs, 2);
	usleep(200000);
	// Looking each millisecond, against never resting: by time, which a busy machine stretches
	// alike.
	uint64_t before_ns = spent_ns(), began_ns = clock_ns();
	usleep(500000);
	uint64_t spent = spent_ns() - before_ns, passed = clock_ns() - began_ns;
	assert_in_range(spent, 0, passed / 4);
	card_free(&card);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(packets_come_back_from_a_ring_whole_and_in_order),
	        cmocka_unit_test(an_idle_card_leaves_its_cpus_to_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
