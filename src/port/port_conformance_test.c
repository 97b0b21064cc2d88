// SPDX-License-Identifier: Apache-2.0
// One suite for every driver, named on the command line: port_conformance_test
// null|gen|pcap|tap|af_xdp|dpdk-null|dpdk-ring|dpdk-pcap|dpdk-af_xdp.
//
//	port under test <---- wire ----> far side
//	pcap IN,OUT                      the two files
//	tap far0                         AF_PACKET on far0
//	af_xdp near0                     AF_PACKET on far0, near0's veth peer
//	dpdk net_ring0                   the port itself: what is sent comes back
//
// Drivers with interfaces run in a network namespace of this process, which goes with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "engine/space.h"
#include "port/port.h"

#define FRAMES    4096u
#define TYPE      0x88b5 // local experimental Ethertype
#define WAIT_NS   (2 * NS_PER_S)
#define FRAME_LEN 60u
#define MOVED     8u

static const char *kind;
static char folder[] = "/tmp/raio-port-XXXXXX";
static struct space *space;
static struct packet_memory *memory;
static int far = -1;        // the far side's socket
static struct port *looped; // a port that receives what it sends

static bool is(const char *name)
{
	return strcmp(kind, name) == 0;
}

static bool is_dpdk(void)
{
	return strncmp(kind, "dpdk-", 5) == 0;
}

static bool is_null(void)
{
	return is("null") || is("dpdk-null");
}

static bool is_pcap(void)
{
	return is("pcap") || is("dpdk-pcap");
}

static bool has_interface(void)
{
	return is("tap") || is("af_xdp") || is("dpdk-af_xdp");
}

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

static const char *path(const char *name)
{
	static char text[2][64];
	static int turn;
	turn ^= 1;
	snprintf(text[turn], sizeof(text[turn]), "%s/%s", folder, name);
	return text[turn];
}

static void make_frame(uint8_t *frame, uint32_t number)
{
	memset(frame, 0, FRAME_LEN);
	memcpy(frame, "\x02\0\0\0\0\1\x02\0\0\0\0\2\x88\xb5", 14);
	memcpy(frame + 14, &number, sizeof(number));
}

static uint32_t frame_number(const uint8_t *frame)
{
	uint32_t number;
	memcpy(&number, frame + 14, sizeof(number));
	return number;
}

static void write_capture(const char *name, const uint32_t *sizes, uint32_t n)
{
	uint8_t frame[4096];
	pcap_t *form =
	        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);
	pcap_dumper_t *dumper = pcap_dump_open(form, name);
	assert_non_null(dumper);
	for (uint32_t i = 0; i < n; i++) {
		memset(frame, 0, sizeof(frame));
		make_frame(frame, i);
		uint32_t size = sizes ? sizes[i] : FRAME_LEN;
		struct pcap_pkthdr header = {
		        .ts = {.tv_sec = 1000, .tv_usec = i * 1000}, .caplen = size, .len = size};
		pcap_dump((u_char *)dumper, &header, frame);
	}
	pcap_dump_close(dumper);
	pcap_close(form);
}

static void open_far(const char *name)
{
	far = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(TYPE));
	assert_true(far >= 0);
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
	        .sll_protocol = htons(TYPE),
	        .sll_ifindex = (int)if_nametoindex(name)};
	assert_true(address.sll_ifindex > 0);
	assert_int_equal(bind(far, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(far, SOL_SOCKET, SO_RCVBUFFORCE, &(int){8 << 20}, sizeof(int));
}

static struct port *must_open(const char *spec)
{
	struct port *port = NULL;
	struct error err = {0};
	if (port_open(spec, &(struct port_options){.memory = memory, .number = 3}, &port, &err))
		fail_msg("%s", err.text);
	return port;
}

// Opens the port, by which `expected` frames will come once they are fed.
static struct port *open_port(uint32_t expected)
{
	char spec[256];
	struct port *port;
	if (is("gen")) {
		snprintf(spec, sizeof(spec), "gen:seq=1,count=%u", expected);
		return must_open(spec);
	}
	if (is_pcap()) {
		write_capture(path("in.pcap"), NULL, expected);
		snprintf(spec, sizeof(spec),
		        is_dpdk() ? "dpdk:net_pcap0,rx_pcap=%s,tx_pcap=%s" : "pcap:%s,%s",
		        path("in.pcap"), path("out.pcap"));
		return must_open(spec);
	}
	if (is("dpdk-ring"))
		return looped = must_open("dpdk:net_ring0");
	if (is("dpdk-null"))
		return must_open("dpdk:net_null0,no-rx=1");
	if (is("tap")) {
		port = must_open("tap:far0,mtu=1714");
		open_far("far0");
		return port;
	}
	if (is("af_xdp") || is("dpdk-af_xdp")) {
		run("ip link add near0 mtu 1750 type veth peer name far0 mtu 1750 && "
		    "ip link set near0 up && ip link set far0 up");
		port = must_open(is_dpdk() ? "dpdk:net_af_xdp0,iface=near0" : "af_xdp:near0");
		open_far("far0");
		return port;
	}
	return must_open("null");
}

static struct packet new_packet(uint32_t number)
{
	struct packet packet;
	assert_int_equal(frames_take(memory, &packet, 1), 1);
	packet.data += MOVED; // as a program moves it
	packet.end = (uint16_t)(packet.data + FRAME_LEN);
	make_frame(packet_data(space_base(space), &packet), number);
	return packet;
}

static void transmit_all(struct port *port, uint32_t from, uint32_t n)
{
	uint64_t until_ns = clock_ns() + WAIT_NS;
	struct packet packets[BURST_MAX];
	while (n) {
		uint32_t burst = n < BURST_MAX ? n : BURST_MAX, sent = 0;
		for (uint32_t i = 0; i < burst; i++)
			packets[i] = new_packet(from++);
		while (sent < burst) {
			sent += port_transmit(port, packets + sent, burst - sent);
			port_flush(port);
			assert_true(clock_ns() < until_ns);
		}
		n -= burst;
	}
	while (!port_drained(port))
		assert_true(clock_ns() < until_ns);
}

static void feed(uint32_t from, uint32_t n)
{
	uint8_t frame[FRAME_LEN];
	if (looped)
		transmit_all(looped, from, n);
	for (uint32_t i = from; has_interface() && i < from + n; i++) {
		make_frame(frame, i);
		assert_int_equal(send(far, frame, sizeof(frame), 0), FRAME_LEN);
	}
}

static void close_port(struct port **port)
{
	port_close(port);
	assert_null(*port);
	if (far >= 0)
		close(far);
	far = -1;
	looped = NULL;
	if (has_interface())
		(void)!system("ip link del near0 2>/dev/null");
	assert_int_equal(packet_memory_free_count(memory), FRAMES);
}

// Receives until `n` have come or time is up; checks numbers from `from` on; gives the frames back.
static uint32_t receive_all(struct port *port, uint32_t from, uint32_t n)
{
	struct packet packets[BURST_MAX];
	uint64_t until_ns = clock_ns() + WAIT_NS;
	uint32_t got = 0;
	while (got < n && clock_ns() < until_ns) {
		uint32_t burst = port_receive(port, packets, BURST_MAX);
		for (uint32_t i = 0; i < burst; i++) {
			const uint8_t *data = packet_data(space_base(space), &packets[i]);
			assert_int_equal(packet_size(&packets[i]), FRAME_LEN);
			assert_int_equal(packets[i].data, FRAME_HEADROOM + (looped ? MOVED : 0));
			assert_int_equal(packets[i].port, 3);
			assert_true(packets[i].arrival_ns != 0);
			if (!is("gen"))
				assert_int_equal(frame_number(data), from + got);
			got++;
		}
		frames_give(memory, packets, burst);
		port_flush(port);
	}
	return got;
}

static uint32_t collect_capture(uint32_t from)
{
	char text[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u_char *data;
	uint32_t got = 0;
	pcap_t *in = pcap_open_offline_with_tstamp_precision(
	        path("out.pcap"), PCAP_TSTAMP_PRECISION_NANO, text);
	assert_non_null(in);
	while (pcap_next_ex(in, &header, &data) == 1) {
		assert_int_equal(header->len, FRAME_LEN);
		assert_int_equal(frame_number(data), from + got++);
	}
	pcap_close(in);
	return got;
}

static uint32_t collect(uint32_t from, uint32_t n)
{
	uint8_t frame[2048];
	uint32_t got = 0;
	if (is_pcap())
		return collect_capture(from);
	if (looped)
		return receive_all(looped, from, n);
	struct pollfd ready = {.fd = far, .events = POLLIN};
	while (has_interface() && got < n && poll(&ready, 1, 2000) > 0) {
		if (recv(far, frame, sizeof(frame), 0) != FRAME_LEN)
			continue;
		assert_int_equal(frame_number(frame), from + got);
		got++;
	}
	return has_interface() ? got : n;
}

static void receives_all_in_order(void **state)
{
	const uint32_t n = is_null() ? 0 : 400;
	struct port *port = open_port(n);
	port_flush(port);
	feed(0, n);
	assert_int_equal(receive_all(port, 0, n), n);
	struct port_stats stats;
	port_stats(port, &stats);
	assert_int_equal(stats.rx_packets, n);
	assert_int_equal(stats.rx_bytes, n * FRAME_LEN);
	assert_int_equal(stats.rx_dropped, 0);
	struct packet none;
	assert_int_equal(port_receive(port, &none, 1), 0);
	assert_int_equal(port_finished(port), !has_interface() && !is_dpdk());
	close_port(&port);
}

static void transmits_all_in_order(void **state)
{
	const uint32_t n = 900;
	struct port *port = open_port(0);
	assert_int_equal(port_transmit(port, NULL, 0), 0);
	transmit_all(port, 7, n);
	assert_int_equal(collect(7, n), n);
	struct port_stats stats;
	port_stats(port, &stats);
	assert_int_equal(stats.tx_packets, n);
	assert_int_equal(stats.tx_bytes, n * FRAME_LEN);
	assert_int_equal(stats.tx_dropped, 0);
	close_port(&port);
}

static void keeps_no_frame_that_it_received_and_did_not_hand_over(void **state)
{
	const uint32_t n = is_null() ? 0 : 100;
	struct port *port = open_port(n);
	feed(0, n);
	assert_int_equal(receive_all(port, 0, n / 2), n / 2 + (n ? BURST_MAX - n / 2 : 0));
	close_port(&port);
}

static void waits_when_there_is_no_free_frame(void **state)
{
	static struct packet all[FRAMES];
	struct packet packet;
	struct port *port = open_port(is_null() ? 0 : 10);
	uint32_t taken = 0, n;
	while ((n = frames_take(memory, all + taken, FRAMES - taken)))
		taken += n;
	bool has_frames = is("af_xdp") || looped; // without taking any when a packet comes
	if (!has_frames)
		feed(0, 10);
	assert_int_equal(port_receive(port, &packet, 1), 0);
	frames_give(memory, all, taken);
	if (has_frames)
		feed(0, 10);
	if (!is_null())
		assert_int_equal(receive_all(port, 0, 10), 10);
	close_port(&port);
}

static void drops_and_counts_what_is_too_long_or_too_short(void **state)
{
	const uint32_t sizes[] = {PACKET_MAX + 1, 13, 0, FRAME_LEN};
	struct port_stats stats;
	struct port *port;
	char spec[128];
	if (is_null() || is("gen") || is("dpdk-ring"))
		return; // nobody sends such frames
	if (is_pcap()) {
		write_capture(path("odd.pcap"), sizes, 4);
		snprintf(spec, sizeof(spec), is_dpdk() ? "dpdk:net_pcap0,rx_pcap=%s" : "pcap:%s",
		        path("odd.pcap"));
		port = must_open(spec);
		assert_int_equal(receive_all(port, 3, 1), 1);
	} else {
		uint8_t frame[PACKET_MAX + 1] = {0};
		port = open_port(0);
		if (is("tap"))
			run("ip link set far0 mtu 1750");
		make_frame(frame, 0);
		assert_int_equal(send(far, frame, sizeof(frame), 0), sizeof(frame));
		feed(1, 1);
		assert_int_equal(receive_all(port, 1, 1), 1);
	}
	port_stats(port, &stats);
	assert_int_equal(stats.rx_oversize, 1);
	assert_int_equal(stats.rx_runt, is_pcap() ? 2 : 0);
	assert_int_equal(stats.rx_packets, 1);
	close_port(&port);
}

static void drops_and_counts_a_runt_that_is_sent(void **state)
{
	struct port *port = open_port(0);
	struct packet packets[2] = {new_packet(1), new_packet(2)};
	packets[0].end = packets[0].data;
	assert_int_equal(port_transmit(port, packets, 2), 2);
	port_flush(port);
	if (!is("null") && !is("gen")) {
		struct port_stats stats;
		port_stats(port, &stats);
		assert_int_equal(stats.tx_dropped, 1);
		assert_int_equal(stats.tx_packets, 1);
	}
	close_port(&port);
}

static void wakes_whoever_waits_for_input(void **state)
{
	int fds[2];
	struct port *port = open_port(is_null() ? 0 : 1);
	uint32_t n = port_poll_fds(port, fds);
	if (is_dpdk()) { // looks from time to time
		assert_int_equal(n, 0);
		assert_in_range(port_next_ns(port), 0, clock_ns() + NS_PER_MS);
		close_port(&port);
		return;
	}
	if (!has_interface()) {
		assert_int_equal(n, 0);
		assert_int_equal(port_next_ns(port), is("null") ? UINT64_MAX : 0);
		close_port(&port);
		return;
	}
	port_flush(port);
	struct pollfd ready[2] = {
	        {.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
	assert_int_equal(poll(ready, 1, 0), 0);
	feed(0, 1);
	assert_int_equal(poll(ready, 1, 2000), 1);
	assert_int_equal(receive_all(port, 0, 1), 1);
	close_port(&port);
}

static void drops_for_a_host_that_is_not_there(void **state)
{
	struct port_stats stats;
	if (is("af_xdp"))
		return; // has one
	struct port *port = open_port(0);
	for (uint32_t i = 0; i < 2 * BURST_MAX + 1; i++)
		port_to_host(port, &(struct packet){.frame = new_packet(i).frame});
	port_flush(port);
	port_stats(port, &stats);
	assert_int_equal(stats.host_dropped, 2 * BURST_MAX + 1);
	assert_int_equal(packet_memory_free_count(memory), FRAMES);
	close_port(&port);
}

static void describes_itself(void **state)
{
	char text[160];
	struct port *port = open_port(5);
	port_describe(port, text, sizeof(text));
	const char *name = is_dpdk() ? "dpdk" : kind;
	assert_non_null(strstr(text, name));
	assert_string_equal(port_ops(port)->kind, name);
	assert_int_equal(port_number(port), 3);
	port_describe(port, text, 4); // cut, not overrun
	assert_int_equal(strlen(text), 3);
	close_port(&port);
}

static void explains_what_is_wrong_with_a_spec(void **state)
{
	static const struct {
		const char *kind, *spec;
		int code;
		const char *says;
	} cases[] = {
		{"null", "nul", EINVAL, "did you mean “null”"},
		{"null", "wormhole:7", EINVAL, "there are af_xdp"},
		{"null", "null:size=3", EINVAL, "no option “size”"},
#if !HAVE_DPDK
		{"null", "dpdk:net_ring0", ENOTSUP, "apt-get install libdpdk-dev"},
#endif
		{"gen", "gen:sise=64", EINVAL, "did you mean “size”"},
		{"gen", "gen:size=63", EINVAL, "from 64 to 1518"},
		{"gen", "gen:size=1519", EINVAL, "from 64 to 1518"},
		{"gen", "gen:rate=10", EINVAL, "a rate: 14.88Mpps"},
		{"gen", "gen:rate=-1Mpps", EINVAL, "a rate"},
		{"gen", "gen:rate=1e400pps", EINVAL, "a rate"},
		{"gen", "gen:flows=0", EINVAL, "from 1 to"},
		{"gen", "gen:dst=02:00", EINVAL, "MAC address"},
		{"gen", "gen:srcip=10.0.0.0/33", EINVAL, "IPv4"},
		{"gen", "gen:flows", EINVAL, "needs a value"},
		{"gen", "gen:,", EINVAL, "NAME=VALUE"},
		{"pcap", "pcap:", EINVAL, "neither input nor output"},
		{"pcap", "pcap:/none/in.pcap", ENOENT, "/none/in.pcap"},
		{"pcap", "pcap:/proc/self/status", EINVAL, "not a capture"},
		{"pcap", "pcap:,/none/out.pcap", ENOENT, "/none/out.pcap"},
		{"pcap", "pcap:/dev/zero", EINVAL, "not a regular file"},
		{"pcap", "pcap:x,pace=slow", EINVAL, "capture"},
		{"tap", "tap:", EINVAL, "name of an interface is missing"},
		{"tap", "tap:a-name-that-is-too-long", EINVAL, "longer than"},
		{"tap", "tap:lo", EBUSY, "name another"},
		{"tap", "tap:x,mtu=9000", EINVAL, "68 to 1714"},
		{"af_xdp", "af_xdp:", EINVAL, "missing"},
		{"af_xdp", "af_xdp:none0", ENODEV, "no interface none0"},
		{"af_xdp", "af_xdp:lo,queue=9,host=none", EINVAL, "no queue 9"},
		{"af_xdp", "af_xdp:lo,mode=fast", EINVAL, "native"},
		{"af_xdp", "af_xdp:lo,host=none", EOPNOTSUPP, "mode=generic"},
		{"af_xdp", "af_xdp:lo,hots=none", EINVAL, "did you mean “host”"},
		{"dpdk-null", "dpdk:", EINVAL, "a device of DPDK is missing"},
		{"dpdk-null", "dpdk:net_wormhole0", ENODEV, "no driver for net_wormhole0"},
		{"dpdk-null", "dpdk:net_null0,sise=3", EINVAL, "DPDK says"},
		{"dpdk-null", "dpdk:crypto_null0", ENODEV, "no network device"},
		{"dpdk-null", "dpdk:crypto_null0", ENODEV,
		        "no network device"}, // nothing is left of the first
		{"dpdk-null", "dpdk:fffe:00:1f.7", ENODEV, "no PCI device"},
		{"dpdk-null", "dpdk:fe:1f.7", ENODEV, "no PCI device"},
		{"dpdk-null", "dpdk:net_af_xdp0,iface=none0", EINVAL, "none0"},
		{"dpdk-pcap", "dpdk:net_pcap0", ENOENT, "No rx or tx queues"},
		{"dpdk-pcap", "dpdk:net_pcap0,rx_pcap=/none/in.pcap", EINVAL, "/none/in.pcap"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct port *port = NULL;
		struct error err = {0};
		if (strcmp(cases[i].kind, kind) != 0)
			continue;
		int status = port_open(cases[i].spec,
		        &(struct port_options){.memory = memory, .number = 0}, &port, &err);
		if (status != -cases[i].code || !strstr(err.text, cases[i].says))
			fail_msg("%s: %d %s", cases[i].spec, status, err.text);
		assert_null(port);
		assert_int_equal(packet_memory_free_count(memory), FRAMES);
	}
}

static void outlives_its_interface(void **state)
{
	char text[160];
	int fds[2];
	if (!has_interface() || is_dpdk()) // DPDK does not tell
		return;
	struct port *port = open_port(0);
	feed(0, 5);
	run("ip link del far0"); // and its peer
	struct packet packet = new_packet(1);
	uint64_t until_ns = clock_ns() + WAIT_NS;
	while (!port_finished(port) && clock_ns() < until_ns) {
		struct packet packets[BURST_MAX];
		frames_give(memory, packets, port_receive(port, packets, BURST_MAX));
		port_flush(port);
		port_poll_fds(port, fds);
	}
	assert_true(port_finished(port));
	assert_int_equal(port_poll_fds(port, fds), 0);
	if (!port_transmit(port, &packet, 1))
		frames_give(memory, &packet, 1);
	port_flush(port);
	assert_true(port_drained(port));
	port_describe(port, text, sizeof(text));
	assert_non_null(strstr(text, "gone"));
	close_port(&port);
}

static void returns_the_rest_when_its_queue_is_full(void **state)
{
	char text[160];
	if (!is("af_xdp"))
		return;
	struct port *port = open_port(0);
	run("ip link set near0 down");
	uint32_t sent = 0, before;
	struct packet packets[BURST_MAX];
	do {
		before = sent;
		for (uint32_t i = 0; i < BURST_MAX; i++)
			packets[i] = new_packet(i);
		sent += port_transmit(port, packets, BURST_MAX);
		port_flush(port);
		frames_give(memory, packets + (sent - before), BURST_MAX - (sent - before));
	} while (sent - before == BURST_MAX && sent < FRAMES);
	assert_in_range(sent, 1, PORT_FRAMES);
	port_describe(port, text, sizeof(text));
	assert_non_null(strstr(text, "down"));
	assert_true(port_drained(port)); // nothing can move
	run("ip link set near0 up");
	usleep(100000);
	uint64_t until_ns = clock_ns() + WAIT_NS;
	while (!port_drained(port) && clock_ns() < until_ns)
		port_flush(port);
	transmit_all(port, 0, 10);
	close_port(&port);
}

static void the_host_sends_and_receives_by_its_tap(void **state)
{
	struct port_stats stats;
	uint8_t frame[256];
	if (!is("af_xdp"))
		return;
	struct port *port = open_port(0);
	int wire = far;
	open_far("raio3");
	struct packet packet = new_packet(42);
	port_to_host(port, &packet);
	port_flush(port);
	struct pollfd ready = {.fd = far, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 2000), 1);
	assert_int_equal(recv(far, frame, sizeof(frame), 0), FRAME_LEN);
	assert_int_equal(frame_number(frame), 42);
	feed(43, 1);
	close(far);
	far = wire;
	int fds[2];
	assert_int_equal(port_poll_fds(port, fds), 2);
	struct pollfd host = {.fd = fds[1], .events = POLLIN};
	assert_int_equal(poll(&host, 1, 2000), 1);
	port_flush(port);
	assert_int_equal(collect(43, 1), 1);
	port_stats(port, &stats);
	assert_int_equal(stats.host_packets, 1);
	assert_int_equal(stats.host_sent, 1);
	assert_int_equal(stats.rx_packets, 0);
	assert_int_equal(stats.tx_packets, 0);
	close_port(&port);
}

static void refuses_a_device_that_is_taken(void **state)
{
	struct error err = {0};
	struct port *second = NULL;
	if (!is("dpdk-ring"))
		return;
	struct port *port = open_port(0);
	int status = port_open("dpdk:net_ring0",
	        &(struct port_options){.memory = memory, .number = 4}, &second, &err);
	assert_int_equal(status, -EBUSY);
	assert_non_null(strstr(err.text, "another port has the device net_ring0"));
	assert_null(second);
	second = must_open("dpdk:net_ring1");
	transmit_all(port, 0, 10);
	assert_int_equal(receive_all(second, 0, 0), 0);
	port_close(&port);
	port = must_open("dpdk:net_ring0"); // the first one left nothing behind
	struct packet packet;
	assert_int_equal(port_receive(port, &packet, 1), 0);
	port_close(&second);
	close_port(&port);
}

static void refuses_an_interface_that_is_taken(void **state)
{
	struct error err = {0};
	struct port *second = NULL;
	if (!is("af_xdp"))
		return;
	struct port *port = open_port(0);
	int status = port_open("af_xdp:near0,host=none",
	        &(struct port_options){.memory = memory, .number = 4}, &second, &err);
	assert_int_equal(status, -EBUSY);
	port_close(&port);
	port = must_open("af_xdp:near0,host=none"); // the first one left nothing behind
	close_port(&port);
	port = must_open("af_xdp:lo,mode=generic,host=none");
	port_close(&port);
}

static int make_memory(void **state)
{
	struct error err;
	if (!mkdtemp(folder) || space_new(&space, &err) ||
	        packet_memory_new(space, FRAMES, &memory, &err))
		return -1;
	return 0;
}

static int free_memory(void **state)
{
	packet_memory_free(&memory);
	space_free(&space);
	unlink(path("in.pcap"));
	unlink(path("out.pcap"));
	unlink(path("odd.pcap"));
	return rmdir(folder);
}

static void no_ipv6(const char *which)
{
	int fd = open(which, O_WRONLY);
	if (fd >= 0) {
		(void)!write(fd, "1", 1);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	kind = argc > 1 ? argv[1] : "null";
	if (has_interface()) {
		if (unshare(CLONE_NEWNET)) {
			fprintf(stderr, "skipped: a network namespace needs CAP_SYS_ADMIN\n");
			return 77;
		}
		no_ipv6("/proc/sys/net/ipv6/conf/default/disable_ipv6"); // nobody else talks
		no_ipv6("/proc/sys/net/ipv6/conf/all/disable_ipv6");
	}
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(receives_all_in_order),
	        cmocka_unit_test(transmits_all_in_order),
	        cmocka_unit_test(keeps_no_frame_that_it_received_and_did_not_hand_over),
	        cmocka_unit_test(waits_when_there_is_no_free_frame),
	        cmocka_unit_test(drops_and_counts_what_is_too_long_or_too_short),
	        cmocka_unit_test(drops_and_counts_a_runt_that_is_sent),
	        cmocka_unit_test(wakes_whoever_waits_for_input),
	        cmocka_unit_test(drops_for_a_host_that_is_not_there),
	        cmocka_unit_test(describes_itself),
	        cmocka_unit_test(explains_what_is_wrong_with_a_spec),
	        cmocka_unit_test(outlives_its_interface),
	        cmocka_unit_test(returns_the_rest_when_its_queue_is_full),
	        cmocka_unit_test(the_host_sends_and_receives_by_its_tap),
	        cmocka_unit_test(refuses_an_interface_that_is_taken),
	        cmocka_unit_test(refuses_a_device_that_is_taken),
	};
	return cmocka_run_group_tests(tests, make_memory, free_memory);
}
