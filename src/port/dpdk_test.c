// SPDX-License-Identifier: Apache-2.0
// What is DPDK's alone: frames that change hands without a copy, packets that are no frame of ours,
// threads of ours with caches of DPDK's. A net_ring gives back what it is sent, and is sent odd
// things behind the port's back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>
#include <unistd.h>
#undef NS_PER_S // DPDK has one too

#include "base/clock.h"
#include "base/error.h"
#include "engine/space.h"
#include "port/port.h"

#define FRAMES 4096u

static struct space *space;
static struct packet_memory *memory;
static cpu_set_t cpus; // before DPDK started

static struct port *must_open(const char *spec, uint8_t number)
{
	struct port *port = NULL;
	struct error err = {0};
	if (port_open(
	            spec, &(struct port_options){.memory = memory, .number = number}, &port, &err))
		fail_msg("%s", err.text);
	return port;
}

static void close_port(struct port **port)
{
	port_close(port);
	assert_int_equal(packet_memory_free_count(memory), FRAMES);
}

static uint8_t *bytes(const struct packet *packet)
{
	return packet_data(space_base(space), packet);
}

static void frames_of_another_port_leave_without_a_copy(void **state)
{
	struct packet made[BURST_MAX], came[BURST_MAX];
	struct port *gen = must_open("gen:size=128,flows=64", 0);
	struct port *ring = must_open("dpdk:net_ring0", 1);
	assert_int_equal(port_receive(gen, made, BURST_MAX), BURST_MAX);
	assert_int_equal(port_transmit(ring, made, BURST_MAX), BURST_MAX);
	assert_int_equal(port_receive(ring, came, BURST_MAX), BURST_MAX);
	for (uint32_t i = 0; i < BURST_MAX; i++) {
		assert_int_equal(came[i].frame, made[i].frame);
		assert_int_equal(came[i].data, made[i].data);
		assert_int_equal(came[i].end, made[i].end);
		assert_int_equal(came[i].port, 1);
	}
	assert_int_equal(port_transmit(gen, came, BURST_MAX), BURST_MAX); // and on, to its sink
	port_close(&gen);
	close_port(&ring);
}

// Programs may grow a packet over all of its headroom.
static void packets_that_begin_in_front_of_a_buffer_leave_whole(void **state)
{
	struct packet packet, came;
	struct port *ring = must_open("dpdk:net_ring0", 0);
	for (uint16_t data = 0; data <= FRAME_HEADROOM; data = (uint16_t)(data + 32)) {
		assert_int_equal(frames_take(memory, &packet, 1), 1);
		packet.data = data;
		memset(bytes(&packet), data / 32 + 1, packet_size(&packet) + 60u);
		packet.end += 60;
		assert_int_equal(port_transmit(ring, &packet, 1), 1);
		assert_int_equal(port_receive(ring, &came, 1), 1);
		assert_int_equal(came.frame, packet.frame);
		assert_int_equal(came.data, data);
		assert_int_equal(packet_size(&came), FRAME_HEADROOM + 60 - data);
		for (uint32_t i = 0; i < packet_size(&came); i++)
			assert_int_equal(bytes(&came)[i], data / 32 + 1);
		frames_give(memory, &came, 1);
	}
	close_port(&ring);
}

// Sends `parts` pieces of `size` octets each, of a memory that is not the card's.
static void send_pieces(struct rte_mempool *pool, uint32_t parts, uint16_t size)
{
	uint16_t id;
	struct rte_mbuf *first = NULL;
	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring0", &id), 0);
	for (uint32_t i = 0; i < parts; i++) {
		struct rte_mbuf *part = rte_pktmbuf_alloc(pool);
		assert_non_null(part);
		memset(rte_pktmbuf_append(part, size), (int)i + 1, size);
		if (first)
			assert_int_equal(rte_pktmbuf_chain(first, part), 0);
		else
			first = part;
	}
	assert_int_equal(rte_eth_tx_burst(id, 0, &first, 1), 1);
}

static void packets_in_pieces_of_other_memory_are_copied(void **state)
{
	struct packet packet;
	struct port_stats stats;
	struct port *ring = must_open("dpdk:net_ring0", 0);
	struct rte_mempool *pool = rte_pktmbuf_pool_create("other", 64, 0, 0, 1024, SOCKET_ID_ANY);
	assert_non_null(pool);
	send_pieces(pool, 1, 60);
	assert_int_equal(port_receive(ring, &packet, 1), 1);
	assert_int_equal(packet_size(&packet), 60);
	frames_give(memory, &packet, 1);
	send_pieces(pool, 3, 500);
	assert_int_equal(port_receive(ring, &packet, 1), 1);
	assert_int_equal(packet.data, FRAME_HEADROOM);
	assert_int_equal(packet_size(&packet), 1500);
	for (uint32_t i = 0; i < 1500; i++)
		assert_int_equal(bytes(&packet)[i], i / 500 + 1);
	frames_give(memory, &packet, 1);
	send_pieces(pool, 3, 600); // longer than a frame holds
	send_pieces(pool, 1, 13);
	assert_int_equal(port_receive(ring, &packet, 1), 0);
	assert_int_equal(port_receive(ring, &packet, 1), 0);
	port_flush(ring);
	port_stats(ring, &stats);
	assert_int_equal(stats.rx_oversize, 1);
	assert_int_equal(stats.rx_runt, 1);
	assert_int_equal(stats.rx_packets, 2);
	assert_int_equal(rte_mempool_avail_count(pool), 64); // all went back where they are from
	rte_mempool_free(pool);
	close_port(&ring);
}

static void *drive(void *context)
{
	struct port **ports = context;
	struct packet packets[BURST_MAX];
	for (int i = 0; i < 1000; i++) {
		uint32_t n = port_receive(ports[0], packets, BURST_MAX);
		uint32_t sent = port_transmit(ports[1], packets, n);
		frames_give(memory, packets + sent, n - sent);
	}
	return NULL;
}

static void frames_that_an_ended_thread_cached_come_back(void **state)
{
	struct port *ports[2] = {
	        must_open("dpdk:net_null0", 0), must_open("dpdk:net_null1,no-rx=1", 1)};
	for (int i = 0; i < 200; i++) { // more threads than DPDK has numbers
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, drive, ports), 0);
		pthread_join(thread, NULL);
	}
	struct port_stats stats;
	port_stats(ports[1], &stats);
	assert_int_equal(stats.tx_packets, 200ull * 1000 * BURST_MAX);
	port_close(&ports[0]);
	close_port(&ports[1]);
}

static void looks_less_often_the_longer_nothing_comes(void **state)
{
	struct packet packet;
	struct port *ring = must_open("dpdk:net_ring0", 0);
	assert_int_equal(port_receive(ring, &packet, 1), 0);
	assert_true(port_next_ns(ring) <= clock_ns());
	usleep(5000);
	uint64_t now_ns = clock_ns(), next_ns = port_next_ns(ring);
	assert_in_range(next_ns, now_ns + 5000000 / 16, clock_ns() + NS_PER_MS);
	assert_int_equal(frames_take(memory, &packet, 1), 1);
	packet.end += 60;
	assert_int_equal(port_transmit(ring, &packet, 1), 1);
	assert_int_equal(port_receive(ring, &packet, 1), 1);
	frames_give(memory, &packet, 1);
	assert_true(port_next_ns(ring) <= clock_ns()); // something came
	close_port(&ring);
}

static void leaves_the_thread_its_cpus_and_the_machine_no_files(void **state)
{
	cpu_set_t now;
	struct port *ring = must_open("dpdk:net_ring0", 0);
	char path[64];
	snprintf(path, sizeof(path), "/var/run/dpdk/raio-%d", (int)getpid());
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
	assert_true(CPU_EQUAL(&now, &cpus));
	close_port(&ring);
}

static int make_memory(void **state)
{
	struct error err;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	return space_new(&space, &err) || packet_memory_new(space, FRAMES, &memory, &err);
}

static int free_memory(void **state)
{
	packet_memory_free(&memory);
	space_free(&space);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(frames_of_another_port_leave_without_a_copy),
	        cmocka_unit_test(packets_that_begin_in_front_of_a_buffer_leave_whole),
	        cmocka_unit_test(packets_in_pieces_of_other_memory_are_copied),
	        cmocka_unit_test(frames_that_an_ended_thread_cached_come_back),
	        cmocka_unit_test(looks_less_often_the_longer_nothing_comes),
	        cmocka_unit_test(leaves_the_thread_its_cpus_and_the_machine_no_files),
	};
	return cmocka_run_group_tests(tests, make_memory, free_memory);
}
