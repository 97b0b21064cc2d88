// SPDX-License-Identifier: Apache-2.0
// Captures: any file gives packets that fit their frames and then an end, or is refused; frames are
// conserved.
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/space.h"
#include "port/port.h"

#define FRAMES 128u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct port *port, struct packet_memory *memory)
{
	struct packet packets[BURST_MAX];
	struct port_stats stats;
	char text[160];
	uint64_t bytes = 0, count = 0;
	for (int i = 0; i < 64 && !port_finished(port); i++) {
		uint32_t n = port_receive(port, packets, BURST_MAX);
		for (uint32_t j = 0; j < n; j++) {
			assert(packets[j].data == FRAME_HEADROOM && packet_size(&packets[j]) >= 14);
			assert(packet_size(&packets[j]) <= PACKET_MAX);
			bytes += packet_size(&packets[j]);
		}
		count += n;
		assert(port_transmit(port, packets, n) == n);
		port_next_ns(port);
	}
	port_stats(port, &stats);
	port_describe(port, text, sizeof(text));
	assert(stats.rx_packets == count && stats.rx_bytes == bytes);
	assert(packet_memory_free_count(memory) == FRAMES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct space *space;
	static struct packet_memory *memory;
	static int fd = -1;
	char spec[64];
	struct error err;
	if (!space && (space_new(&space, &err) || packet_memory_new(space, FRAMES, &memory, &err)))
		abort();
	if (fd < 0)
		fd = memfd_create("capture", 0);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	const char *const modes[] = {"", ",loop=3", ",loop=0", ",pace=capture"};
	snprintf(spec, sizeof(spec), "pcap:/proc/self/fd/%d%s", fd, modes[size % 4]);
	struct port *port = NULL;
	int status = port_open(spec, &(struct port_options){.memory = memory}, &port, &err);
	assert(status ? !port : !!port);
	if (port)
		drain(port, memory);
	port_close(&port);
	assert(packet_memory_free_count(memory) == FRAMES);
	return 0;
}
