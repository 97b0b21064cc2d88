// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/capture.h"
#include "cli/compare.h"

static void add(
        struct capture *capture, const char *data, uint8_t port, bool is_host, uint64_t time_ns)
{
	const struct capture_packet packet = {
	        .data = (uint8_t *)data,
	        .size = (uint32_t)strlen(data),
	        .original_size = (uint32_t)strlen(data),
	        .port = port,
	        .is_host = is_host,
	        .time_ns = time_ns,
	};
	assert_int_equal(capture_add(capture, &packet), 0);
}

static void written_file(char *path)
{
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

static void reads_back_packets_ports_and_stamps_that_it_wrote(void **state)
{
	cleanup(capture_free) struct capture out = {0}, in = {0};
	char path[] = "/tmp/capture-XXXXXX";
	struct error err = {0};
	written_file(path);
	add(&out, "first", 0, false, 1700000000123456789);
	add(&out, "second packet", 3, false, 1700000001000000001);
	add(&out, "to the host", 2, true, 1);
	assert_int_equal(capture_write(path, &out, &err), 0);
	assert_int_equal(capture_read(path, 9, &in, &err), 0);
	unlink(path);
	assert_true(in.has_ports);
	assert_int_equal(in.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(in.packets[i].size, out.packets[i].size);
		assert_memory_equal(in.packets[i].data, out.packets[i].data, in.packets[i].size);
		assert_int_equal(in.packets[i].port, out.packets[i].port);
		assert_int_equal(in.packets[i].is_host, out.packets[i].is_host);
		assert_int_equal(in.packets[i].time_ns, out.packets[i].time_ns);
	}
}

static void reads_pcap_and_gives_packets_the_port_named(void **state)
{
	cleanup(capture_free) struct capture in = {0};
	cleanup(buffer_free) struct buffer file = {0};
	char path[] = "/tmp/capture-XXXXXX";
	struct error err = {0};
	buffer_u32(&file, 0xa1b23c4d); // nanoseconds
	buffer_u32(&file, 0x00040002);
	buffer_u64(&file, 0);
	buffer_u32(&file, 65535);
	buffer_u32(&file, 1);
	buffer_u32(&file, 10);
	buffer_u32(&file, 7);
	buffer_u32(&file, 4);
	buffer_u32(&file, 60);
	buffer_put(&file, "abcd", 4);
	written_file(path);
	assert_int_equal(file_write(path, file.data, file.size, 0600, &err), 0);
	assert_int_equal(capture_read(path, 2, &in, &err), 0);
	unlink(path);
	assert_false(in.has_ports);
	assert_int_equal(in.count, 1);
	assert_int_equal(in.packets[0].port, 2);
	assert_int_equal(in.packets[0].size, 4);
	assert_int_equal(in.packets[0].original_size, 60);
	assert_int_equal(in.packets[0].time_ns, 10000000007);
}

// A section of the other byte order, stamps in units of 1/2^10 s, and a simple packet.
static void reads_both_byte_orders_and_time_resolutions(void **state)
{
	static const uint8_t file[] = {
	        0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, // section
	        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 28,             //
	        0, 0, 0, 1, 0, 0, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0,                    // interface
	        0, 9, 0, 1, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32,                 //
	        0, 0, 0, 6, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0,        // enhanced
	        0, 0, 0, 2, 0, 0, 0, 2, 'h', 'i', 0, 0, 0, 0, 0, 36,                //
	        0, 0, 0, 3, 0, 0, 0, 20, 0, 0, 0, 3, 'y', 'o', 'u', 0, 0, 0, 0, 20, // simple
	};
	cleanup(capture_free) struct capture in = {0};
	struct error err = {0};
	assert_int_equal(capture_parse(file, sizeof(file), &in, &err), 0);
	assert_int_equal(in.count, 2);
	assert_int_equal(in.packets[0].time_ns, 1500000000);
	assert_memory_equal(in.packets[0].data, "hi", 2);
	assert_int_equal(in.packets[1].size, 3);
	for (size_t cut = 1; cut < sizeof(file); cut++) {
		struct capture part = {0};
		if (cut != 28 && cut != 60 && cut != 96)
			assert_int_equal(capture_parse(file, cut, &part, &err), -22);
		capture_free(&part);
	}
}

static void names_the_first_packet_that_differs(void **state)
{
	cleanup(capture_free) struct capture got = {0}, want = {0};
	struct compare compare;
	add(&got, "same", 0, false, 1);
	add(&got, "abcd", 1, false, 2);
	add(&want, "same", 0, false, 9);
	compare_captures(&got, &want, &compare);
	assert_false(compare.is_equal);
	assert_int_equal(compare.place, 1);
	assert_string_equal(compare.what, "2 packets leave, expected 1");
	add(&want, "abxd", 1, false, 2);
	compare_captures(&got, &want, &compare);
	assert_string_equal(compare.what, "byte 2 is 63, expected 78");
	want.packets[1].data[2] = 'c';
	want.packets[1].port = 3;
	compare_captures(&got, &want, &compare);
	assert_true(compare.is_equal); // the file did not say ports
	want.has_ports = true;
	compare_captures(&got, &want, &compare);
	assert_string_equal(compare.what, "it leaves out of port 1, expected out of port 3");
}

static void underlines_the_bytes_that_differ(void **state)
{
	const struct capture_packet got = {.data = (uint8_t *)"0123456789abcdefXYZ", .size = 19};
	const struct capture_packet want = {.data = (uint8_t *)"0123456789abcdefXyZ", .size = 18};
	autofree char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	compare_print(&got, &want, out);
	fclose(out);
	assert_string_equal(text,
	        "            0000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66\n"
	        "  got       0010  58 59 5a\n"
	        "  expected  0010  58 79\n"
	        "                     ^^ ^^\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads_back_packets_ports_and_stamps_that_it_wrote),
	        cmocka_unit_test(reads_pcap_and_gives_packets_the_port_named),
	        cmocka_unit_test(reads_both_byte_orders_and_time_resolutions),
	        cmocka_unit_test(names_the_first_packet_that_differs),
	        cmocka_unit_test(underlines_the_bytes_that_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
