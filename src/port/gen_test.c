// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/space.h"
#include "port/port.h"

#define FRAMES 256u

static struct space *space;
static struct packet_memory *memory;

static struct port *open_gen(const char *spec, uint8_t number)
{
	struct port *port = NULL;
	struct error err = {0};
	if (port_open(
	            spec, &(struct port_options){.memory = memory, .number = number}, &port, &err))
		fail_msg("%s", err.text);
	return port;
}

static uint32_t word(const uint8_t *data, uint32_t at, uint32_t octets)
{
	uint32_t value = 0;
	for (uint32_t i = 0; i < octets; i++)
		value = value << 8 | data[at + i];
	return value;
}

static void check_headers(const struct packet *packet)
{
	const uint8_t *data = packet_data(space_base(space), packet);
	uint32_t sum = 0;
	for (uint32_t at = 14; at < 34; at += 2)
		sum += word(data, at, 2);
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	assert_int_equal(word(data, 12, 4), 0x08004500);
	assert_int_equal(word(data, 16, 2), packet_size(packet) - 14);
	assert_int_equal(word(data, 38, 2), packet_size(packet) - 34);
}

static void makes_valid_packets_of_every_size(void **state)
{
	const uint32_t sizes[] = {64, 65, 127, 128, 594, 1517, 1518};
	char spec[64];
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct packet packet;
		snprintf(spec, sizeof(spec), "gen:size=%u,seq=1", sizes[i]);
		struct port *port = open_gen(spec, 0);
		assert_int_equal(port_receive(port, &packet, 1), 1);
		assert_int_equal(packet_size(&packet), sizes[i] - 4);
		check_headers(&packet);
		frames_give(memory, &packet, 1);
		port_close(&port);
	}
}

static void spreads_flows_over_addresses_and_ports(void **state)
{
	struct packet packets[8];
	struct port *port =
	        open_gen("gen:flows=4,dst=02:aa:bb:cc:dd:ee,dstip=192.0.2.7,dport=53", 1);
	assert_int_equal(port_receive(port, packets, 8), 8);
	for (uint32_t i = 0; i < 8; i++) {
		const uint8_t *data = packet_data(space_base(space), &packets[i]);
		check_headers(&packets[i]);
		assert_memory_equal(data, "\x02\xaa\xbb\xcc\xdd\xee\x02\x00\x01\x00\x00", 11);
		assert_int_equal(data[11], i % 4);
		assert_int_equal(word(data, 26, 4), 0x0a010001 + i % 4);
		assert_int_equal(word(data, 30, 4), 0xc0000207);
		assert_int_equal(word(data, 34, 2), 0x4000 + i % 4);
		assert_int_equal(word(data, 36, 2), 53);
	}
	frames_give(memory, packets, 8);
	port_close(&port);
}

static void mixes_sizes_as_the_field_does(void **state)
{
	uint32_t counts[3] = {0};
	struct packet packets[12];
	struct port *port = open_gen("gen:size=imix", 0);
	assert_int_equal(port_receive(port, packets, 12), 12);
	for (uint32_t i = 0; i < 12; i++)
		counts[packet_size(&packets[i]) == 60     ? 0
		        : packet_size(&packets[i]) == 590 ? 1
		                                          : 2]++;
	assert_int_equal(counts[0], 7);
	assert_int_equal(counts[1], 4);
	assert_int_equal(counts[2], 1);
	frames_give(memory, packets, 12);
	port_close(&port);
}

static uint64_t made_in(const char *spec, uint64_t ns)
{
	struct packet packets[BURST_MAX];
	struct port_stats stats;
	struct port *port = open_gen(spec, 0);
	uint64_t begin_ns = clock_ns(), now_ns;
	while ((now_ns = clock_ns()) - begin_ns < ns)
		frames_give(memory, packets, port_receive(port, packets, BURST_MAX));
	port_stats(port, &stats);
	port_close(&port);
	uint64_t took_ns = now_ns - begin_ns;
	return (stats.rx_packets * ns + took_ns / 2) / took_ns; // as if we had not been late
}

// A machine that stops us for long makes a generator give its arrears up: then it has another try.
static bool makes(const char *spec, uint64_t ns, uint64_t least, uint64_t most)
{
	for (int i = 0; i < 10; i++) {
		uint64_t packets = made_in(spec, ns);
		if (packets >= least && packets <= most)
			return true;
	}
	return false;
}

static void keeps_its_rate(void **state)
{
	assert_true(makes("gen:rate=100kpps", 50 * NS_PER_MS, 4900, 5010));
	// 64 octets and 20 more on the wire: 672 bits
	assert_true(makes("gen:rate=67.2Mbps", 50 * NS_PER_MS, 4900, 5010));
	assert_true(makes("gen:rate=0.5pps", 5 * NS_PER_MS, 1, 1));
}

static void stops_at_its_count(void **state)
{
	struct packet packets[BURST_MAX];
	struct port *port = open_gen("gen:count=70", 0);
	assert_false(port_finished(port));
	assert_int_equal(port_receive(port, packets, BURST_MAX), 64);
	frames_give(memory, packets, 64);
	assert_int_equal(port_receive(port, packets, BURST_MAX), 6);
	frames_give(memory, packets, 6);
	assert_true(port_finished(port));
	assert_true(port_next_ns(port) == UINT64_MAX);
	port_close(&port);
}

static struct port_stats sink_after(struct port *source, const uint8_t *order, uint32_t n)
{
	struct packet packets[16];
	struct port_stats stats;
	struct port *sink = open_gen("gen:count=0,seq=1", 1);
	assert_int_equal(port_receive(source, packets, 16), 16);
	for (uint32_t i = 0; i < n; i++) {
		struct packet copy = packets[order[i]];
		struct packet frame;
		assert_int_equal(frames_take(memory, &frame, 1), 1);
		copy.frame = frame.frame;
		memcpy(packet_data(space_base(space), &copy),
		        packet_data(space_base(space), &packets[order[i]]), 60);
		assert_int_equal(port_transmit(sink, &copy, 1), 1);
	}
	port_stats(sink, &stats);
	port_close(&sink);
	frames_give(memory, packets, 16);
	return stats;
}

static void finds_loss_reordering_and_duplicates(void **state)
{
	static const struct {
		uint8_t order[8];
		uint32_t n, lost, reordered, duplicate;
	} cases[] = {
	        {{0, 1, 2, 3, 4, 5}, 6, 0, 0, 0},
	        {{4, 5, 6}, 3, 0, 0, 0}, // counts from the first that it sees
	        {{0, 1, 5, 6}, 4, 3, 0, 0},
	        {{0, 2, 1, 3}, 4, 0, 1, 0},
	        {{0, 3, 1, 4}, 4, 1, 1, 0},
	        {{0, 1, 1, 2}, 4, 0, 0, 1},
	        {{0, 2, 1, 1, 3}, 5, 0, 1, 1},
	        {{1, 15, 14, 2}, 4, 11, 2, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct port *source = open_gen("gen:seq=1", 0);
		struct port_stats stats = sink_after(source, cases[i].order, cases[i].n);
		assert_int_equal(stats.seq_packets, cases[i].n);
		assert_int_equal(stats.seq_lost, cases[i].lost);
		assert_int_equal(stats.seq_reordered, cases[i].reordered);
		assert_int_equal(stats.seq_duplicate, cases[i].duplicate);
		port_close(&source);
	}
}

static void numbers_each_flow_for_itself(void **state)
{
	struct packet packets[BURST_MAX];
	struct port_stats stats;
	struct port *source = open_gen("gen:flows=5,seq=1,seed=9", 0);
	struct port *sink = open_gen("gen:flows=5,seq=1,count=0", 1);
	for (int i = 0; i < 20; i++) {
		uint32_t n = port_receive(source, packets, BURST_MAX);
		assert_int_equal(port_transmit(sink, packets, n), n);
	}
	port_stats(sink, &stats);
	assert_int_equal(stats.seq_packets, 20 * BURST_MAX);
	assert_int_equal(stats.seq_lost + stats.seq_reordered + stats.seq_duplicate, 0);
	port_close(&source);
	port_close(&sink);
}

static int make_memory(void **state)
{
	struct error err;
	return space_new(&space, &err) || packet_memory_new(space, FRAMES, &memory, &err) ? -1 : 0;
}

static int free_memory(void **state)
{
	int leaked = packet_memory_free_count(memory) != FRAMES;
	packet_memory_free(&memory);
	space_free(&space);
	return leaked;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(makes_valid_packets_of_every_size),
	        cmocka_unit_test(spreads_flows_over_addresses_and_ports),
	        cmocka_unit_test(mixes_sizes_as_the_field_does),
	        cmocka_unit_test(keeps_its_rate),
	        cmocka_unit_test(stops_at_its_count),
	        cmocka_unit_test(finds_loss_reordering_and_duplicates),
	        cmocka_unit_test(numbers_each_flow_for_itself),
	};
	return cmocka_run_group_tests(tests, make_memory, free_memory);
}
