// SPDX-License-Identifier: Apache-2.0
// Swaps under load: no packet is handled by a mixture of two generations. Each generation stamps
// its id into two places of a packet, and into a third one what its own map holds; the capture of
// all packets that left shows whether the three agree.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "card/card.h"
#include "card/test_images.h"

static uint32_t stamp_at(const uint8_t *packet, uint32_t offset)
{
	uint32_t value;
	memcpy(&value, packet + offset, sizeof(value));
	return value;
}

// Packets in the capture (libpcap's format: 24 bytes, then 16 before each packet, the third word
// its length); fails on a mixture, or on an older generation's packet behind a newer one's.
static uint64_t check_capture(const char *path, uint32_t *newest)
{
	autofclose FILE *file = fopen(path, "r");
	uint8_t packet[2048];
	uint32_t record[4];
	assert_non_null(file);
	assert_int_equal(fread(packet, 24, 1, file), 1);
	uint64_t count = 0;
	*newest = 0;
	while (fread(record, sizeof(record), 1, file) == 1) {
		assert_in_range(record[2], 108, sizeof(packet));
		assert_int_equal(fread(packet, record[2], 1, file), 1);
		uint32_t id = stamp_at(packet, 70);
		assert_int_equal(stamp_at(packet, 100), id);
		assert_int_equal(stamp_at(packet, 104), id);
		assert_true(id >= *newest);
		*newest = id;
		count++;
	}
	return count;
}

static void deploy_stamp(struct card *card, uint32_t stamp)
{
	struct error err;
	static struct receipt receipt;
	const struct card_load options = {.ports = 3};
	struct image *image = image_stamp(stamp);
	uint64_t id;
	uint32_t key = 0, done;
	if (card->ops->load(card, image, &options, &id, &err))
		fail_msg("%s", err.text);
	image_free(&image);
	const struct card_entry entry = {&key, &stamp};
	assert_int_equal(
	        card->ops->map_apply(card, id, 0, CARD_MAP_UPDATE, 0, &entry, 1, &done, &err), 0);
	if (card->ops->swap(card, id, 3, 0, &receipt, &err))
		fail_msg("%s", err.text);
	assert_int_equal(receipt.lost, 0);
}

// Waits until the last generation's first packet has left, ends the load, and waits until all that
// the functions sent on has left or was counted as dropped. Returns the capturing port.
static struct card_port settle(struct card *card)
{
	static struct card_port ports[PORTS_MAX];
	static struct card_counters counters[PORTS_MAX];
	static struct receipt receipt;
	struct card_fault faults[CARD_FAULTS_MAX];
	uint32_t count;
	memset(counters, 0, sizeof(counters)); // of the run before
	uint64_t id = 0;
	for (int i = 0; i < 5000 && !counters[1].tx_packets; i++) {
		usleep(1000);
		assert_int_equal(card->ops->ports(card, ports, PORTS_MAX, &count, NULL), 0);
		id = ports[0].active;
		assert_int_equal(card->ops->counters(card, id, counters, faults, &count, NULL), 0);
	}
	assert_int_equal(card->ops->swap(card, 0, 3, 0, &receipt, NULL), 0);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(card->ops->ports(card, ports, PORTS_MAX, &count, NULL), 0);
		if (ports[0].total.verdict_packets[XDP_REDIRECT] ==
		        ports[1].total.tx_packets + ports[1].total.tx_dropped)
			return ports[1];
		usleep(1000);
	}
	fail_msg("packets are still on their way after 5 s");
	return ports[1];
}

static void handles_no_packet_by_a_mixture_of_generations(void **state)
{
	char folder[] = "/tmp/raio-swap-XXXXXX", path[64], spec[80];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/out.pcap", folder);
	snprintf(spec, sizeof(spec), "pcap:,%s", path);
	const char *specs[] = {"gen:size=128,rate=100kpps", spec};
	for (uint32_t workers = 1; workers <= 2; workers++) {
		const struct soft_card_options options = {
		        .port_specs = specs, .port_count = 2, .worker_count = workers};
		struct card *card;
		struct error err;
		if (soft_card_new(&options, &card, &err))
			fail_msg("%s", err.text);
		for (uint32_t stamp = 1; stamp <= 1000; stamp++)
			deploy_stamp(card, stamp);
		struct card_port out = settle(card);
		card_free(&card);
		uint32_t newest;
		assert_int_equal(check_capture(path, &newest), out.total.tx_packets);
		assert_int_equal(newest, 1000);
		unlink(path);
	}
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(handles_no_packet_by_a_mixture_of_generations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
