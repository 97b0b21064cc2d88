// SPDX-License-Identifier: Apache-2.0
// A thousand swaps under load over veth and AF_XDP, in a network namespace of this test's own:
//
//	card "load"                                   card under test
//	port 0 gen  <wire> port 1 va1 ===veth=== va0 port 0 \ wire, swapped
//	port 2 gen  <wire> port 3 vb1 ===veth=== vb0 port 1 / a thousand times
//
// Both generators number their packets and check the numbers of what reaches them. The load is the
// highest of a few rates that this machine carries without a swap and without loss.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "card/card.h"
#include "card/test_images.h"

#define SWAPS 1000u

struct outcome {
	uint64_t received, lost, reordered, duplicate;
	uint64_t
	        dropped; // before a card saw them, by the drivers' own counts, and for want of room
};

static struct card *card_open(const char *const *specs, uint32_t count)
{
	struct error err;
	struct card *card = NULL;
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = count, .worker_count = 1};
	if (soft_card_new(&options, &card, &err))
		fail_msg("%s", err.text);
	return card;
}

static uint64_t deploy(struct card *card, uint32_t version, uint64_t ports)
{
	static struct receipt receipt;
	const struct card_load options = {.ports = ports};
	struct image *image = image_wire(version);
	struct error err;
	uint64_t id;
	if (card->ops->load(card, image, &options, &id, &err) ||
	        card->ops->swap(card, id, ports, 0, &receipt, &err))
		fail_msg("%s", err.text);
	image_free(&image);
	return receipt.lost;
}

static void count_drops(struct card *card, struct outcome *outcome)
{
	static struct card_port ports[PORTS_MAX];
	uint32_t count;
	card->ops->ports(card, ports, PORTS_MAX, &count, NULL);
	for (uint32_t i = 0; i < count; i++) {
		outcome->dropped += ports[i].stats.rx_dropped + ports[i].stats.tx_dropped +
		                    ports[i].total.tx_dropped;
		outcome->received += ports[i].stats.seq_packets;
		outcome->lost += ports[i].stats.seq_lost;
		outcome->reordered += ports[i].stats.seq_reordered;
		outcome->duplicate += ports[i].stats.seq_duplicate;
	}
}

static struct outcome run(uint32_t kpps, uint32_t swaps, uint64_t *told_lost)
{
	char gen[64];
	snprintf(gen, sizeof(gen), "gen:seq=1,flows=4,rate=%ukpps", kpps);
	const char *under_test[] = {"af_xdp:va0,host=none", "af_xdp:vb0,host=none"};
	const char *load[] = {gen, "af_xdp:va1,host=none", gen, "af_xdp:vb1,host=none"};
	struct card *card = card_open(under_test, 2), *source = card_open(load, 4);
	struct outcome outcome = {0};
	*told_lost = 0;
	deploy(card, 0, 3);
	deploy(source, 0, 15);
	usleep(100000);
	for (uint32_t i = 1; i <= swaps; i++)
		*told_lost += deploy(card, i, 3);
	usleep(200000);
	count_drops(card, &outcome);
	count_drops(source, &outcome);
	card_free(&source);
	card_free(&card);
	return outcome;
}

static void loses_and_reorders_nothing_over_a_thousand_swaps(void **state)
{
	static const uint32_t rates[] = {200, 100, 50, 25, 10};
	for (uint32_t i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t told;
		struct outcome plain = run(rates[i], 0, &told);
		if (plain.lost || plain.dropped) // more than this machine carries now
			continue;
		struct outcome swapped = run(rates[i], SWAPS, &told);
		print_message("2 x %u kpps, %u swaps: %llu packets checked, %llu lost, "
		              "%llu reordered; receipts say %llu lost, drivers %llu dropped\n",
		        rates[i], SWAPS, (unsigned long long)swapped.received,
		        (unsigned long long)swapped.lost, (unsigned long long)swapped.reordered,
		        (unsigned long long)told, (unsigned long long)swapped.dropped);
		assert_int_equal(swapped.reordered, 0);
		assert_int_equal(swapped.duplicate, 0);
		if (swapped.dropped && i + 1 < ARRAY_SIZE(rates))
			continue; // a queue overran: busy machine; once more with less
		assert_true(swapped.received > SWAPS);
		assert_int_equal(swapped.lost, 0);
		assert_int_equal(told, 0);
		return;
	}
	fail_msg("this machine carries not even 10 kpps without loss");
}

// A namespace of our own, which ends with this process, and the veth pairs in it.
static bool make_network(void)
{
	return !unshare(CLONE_NEWNET) &&
	       !system("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null;"
	               "ip link add va0 type veth peer name va1 && "
	               "ip link add vb0 type veth peer name vb1 && "
	               "for i in va0 va1 vb0 vb1; do ip link set $i up || exit 1; done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(loses_and_reorders_nothing_over_a_thousand_swaps),
	};
	if (!make_network()) {
		fputs("skipped: needs root to make a network namespace and veth pairs\n", stderr);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
