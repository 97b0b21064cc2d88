// SPDX-License-Identifier: Apache-2.0
// What only captures have: formats, damage, rounds, pace. Files are made by hand, octet by octet.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/space.h"
#include "port/port.h"

#define FRAMES 256u

static struct space *space;
static struct packet_memory *memory;

struct file {
	uint8_t data[65536];
	size_t size;
};

static void put32(struct file *file, uint32_t value)
{
	memcpy(file->data + file->size, &value, sizeof(value));
	file->size += sizeof(value);
}

// A pcap file's header; magic a1b23c4d has nanoseconds.
static void put_header(struct file *file, uint32_t magic, uint32_t link)
{
	put32(file, magic);
	put32(file, 2 | 4 << 16);
	put32(file, 0);
	put32(file, 0);
	put32(file, 65535);
	put32(file, link);
}

static void put_packet(struct file *file, uint32_t s, uint32_t ns, uint32_t size, uint32_t wire)
{
	put32(file, s);
	put32(file, ns);
	put32(file, size);
	put32(file, wire);
	memset(file->data + file->size, 0xab, size);
	file->size += size;
}

// Opens a port on the file; `options` follow its name. *fd is to be closed behind the port.
static int open_file(const struct file *file, const char *options, int *fd, struct port **port,
        struct error *err)
{
	char spec[128];
	*fd = memfd_create("capture", 0);
	assert_int_equal(write(*fd, file->data, file->size), file->size);
	snprintf(spec, sizeof(spec), "pcap:/proc/self/fd/%d%s", *fd, options);
	return port_open(spec, &(struct port_options){.memory = memory}, port, err);
}

static uint32_t count_packets(struct port *port)
{
	struct packet packets[BURST_MAX];
	uint32_t total = 0;
	for (int i = 0; i < 1000 && !port_finished(port); i++) {
		uint32_t n = port_receive(port, packets, BURST_MAX);
		frames_give(memory, packets, n);
		total += n;
	}
	return total;
}

static void check_end(
        const struct file *file, const char *options, uint32_t packets, const char *says)
{
	struct port *port = NULL;
	struct error err = {0};
	char text[256];
	int fd;
	if (open_file(file, options, &fd, &port, &err))
		fail_msg("%s", err.text);
	assert_int_equal(count_packets(port), packets);
	assert_true(port_finished(port));
	port_describe(port, text, sizeof(text));
	if (!strstr(text, says))
		fail_msg("%s", text);
	port_close(&port);
	close(fd);
}

static void reads_as_often_as_it_is_told(void **state)
{
	struct file file = {.size = 0};
	put_header(&file, 0xa1b23c4d, 1);
	for (uint32_t i = 0; i < 10; i++)
		put_packet(&file, i, 0, 60, 60);
	check_end(&file, "", 10, "as fast as possible");
	check_end(&file, ",loop=3", 30, "3 times");
	struct file empty = {.size = 0};
	put_header(&empty, 0xa1b23c4d, 1);
	check_end(&empty, ",loop=0", 0, "again and again"); // and does not hang
}

static void ends_where_a_capture_is_damaged(void **state)
{
	struct file file = {.size = 0};
	put_header(&file, 0xa1b23c4d, 1);
	for (uint32_t i = 0; i < 5; i++)
		put_packet(&file, i, 0, 60, 60);
	file.size -= 7; // in the fifth packet
	check_end(&file, "", 4, "input ended after packet 4: truncated");
	check_end(&file, ",loop=2", 4, "input ended after packet 4");
	file.size -= 60; // in the fifth packet's header
	check_end(&file, "", 4, "input ended after packet 4");
	file.size += 67;
	memset(file.data + 24 + 8, 0xff, 4); // the first packet's size
	check_end(&file, "", 0, "input ended after packet 0");
}

static void counts_what_the_capture_cut_short(void **state)
{
	struct file file = {.size = 0};
	put_header(&file, 0xa1b2c3d4, 1);
	put_packet(&file, 0, 0, 60, 1500);
	put_packet(&file, 0, 0, 60, 60);
	check_end(&file, "", 2, "1 cut short by the capture");
}

static void reads_pcapng(void **state)
{
	struct file file = {.size = 0};
	const uint32_t section[] = {0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28};
	const uint32_t interface[] = {1, 20, 1, 0, 20};
	for (size_t i = 0; i < 7; i++)
		put32(&file, section[i]);
	for (size_t i = 0; i < 5; i++)
		put32(&file, interface[i]);
	for (uint32_t n = 0; n < 3; n++) {
		const uint32_t packet[] = {6, 32 + 60, 0, 0, n, 60, 60};
		for (size_t i = 0; i < 7; i++)
			put32(&file, packet[i]);
		file.size += 60;
		put32(&file, 32 + 60);
	}
	check_end(&file, "", 3, "pcap");
}

static void refuses_other_link_types(void **state)
{
	struct file file = {.size = 0};
	struct port *port = NULL;
	struct error err = {0};
	int fd;
	put_header(&file, 0xa1b23c4d, 101);
	assert_int_equal(open_file(&file, "", &fd, &port, &err), -EINVAL);
	assert_non_null(strstr(err.text, "link type RAW"));
	close(fd);
}

static void refuses_to_overwrite_its_input(void **state)
{
	struct file file = {.size = 0};
	struct port *port = NULL;
	struct error err = {0};
	char spec[128];
	put_header(&file, 0xa1b23c4d, 1);
	int fd = memfd_create("capture", 0);
	assert_int_equal(write(fd, file.data, file.size), file.size);
	snprintf(spec, sizeof(spec), "pcap:/proc/self/fd/%d,/proc/self/fd/%d", fd, fd);
	assert_int_equal(
	        port_open(spec, &(struct port_options){.memory = memory}, &port, &err), -EINVAL);
	assert_non_null(strstr(err.text, "the same file"));
	assert_int_equal(lseek(fd, 0, SEEK_END), file.size);
	close(fd);
}

static void keeps_the_captures_pace(void **state)
{
	struct file file = {.size = 0};
	struct port *port = NULL;
	struct error err = {0};
	struct packet packets[4];
	int fd;
	put_header(&file, 0xa1b23c4d, 1);
	put_packet(&file, 100, 0, 60, 60);
	put_packet(&file, 100, 30000000, 60, 60);
	put_packet(&file, 99, 0, 60, 60);         // goes back: at once
	put_packet(&file, 0xffffffff, 0, 60, 60); // a century on: damage; at once
	uint64_t begin_ns = clock_ns();
	assert_int_equal(open_file(&file, ",pace=capture", &fd, &port, &err), 0);
	assert_int_equal(port_receive(port, packets, 4), 1);
	frames_give(memory, packets, 1);
	uint64_t due_ns = port_next_ns(port);
	assert_in_range(due_ns - begin_ns, 30 * NS_PER_MS, 500 * NS_PER_MS);
	assert_int_equal(port_receive(port, packets, 4), clock_ns() > due_ns ? 3 : 0);
	while (clock_ns() < due_ns)
		usleep(1000);
	assert_int_equal(port_receive(port, packets, 4), 3);
	frames_give(memory, packets, 3);
	assert_true(port_finished(port));
	port_close(&port);
	close(fd);
}

static void says_when_it_cannot_write(void **state)
{
	struct port *port = NULL;
	struct error err = {0};
	struct packet packet;
	struct port_stats stats;
	char text[160];
	assert_int_equal(
	        port_open("pcap:,/dev/full", &(struct port_options){.memory = memory}, &port, &err),
	        0);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(frames_take(memory, &packet, 1), 1);
		packet.end += 60;
		assert_int_equal(port_transmit(port, &packet, 1), 1);
	}
	assert_true(port_drained(port));
	port_stats(port, &stats);
	assert_true(stats.tx_dropped > 0);
	port_describe(port, text, sizeof(text));
	assert_non_null(strstr(text, "stopped writing: No space left"));
	port_close(&port);
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
	        cmocka_unit_test(reads_as_often_as_it_is_told),
	        cmocka_unit_test(ends_where_a_capture_is_damaged),
	        cmocka_unit_test(counts_what_the_capture_cut_short),
	        cmocka_unit_test(reads_pcapng),
	        cmocka_unit_test(refuses_other_link_types),
	        cmocka_unit_test(refuses_to_overwrite_its_input),
	        cmocka_unit_test(keeps_the_captures_pace),
	        cmocka_unit_test(says_when_it_cannot_write),
	};
	return cmocka_run_group_tests(tests, make_memory, free_memory);
}
