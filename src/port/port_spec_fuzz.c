// SPDX-License-Identifier: Apache-2.0
// Port specs: any text gives a port or an explanation, never a crash. Only generators and null are
// opened; other kinds would reach for files and interfaces, so their option tables are fuzzed by
// the generator's, which has every type of option.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/space.h"
#include "port/port.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_spec(struct packet_memory *memory, const char *spec)
{
	struct port *port = NULL;
	struct error err = {0};
	struct packet packets[BURST_MAX];
	char text[160];
	int status =
	        port_open(spec, &(struct port_options){.memory = memory, .number = 1}, &port, &err);
	assert(status ? err.text[0] && !port : !!port);
	if (status)
		return 0;
	uint32_t n = port_receive(port, packets, BURST_MAX);
	assert(n <= BURST_MAX);
	for (uint32_t i = 0; i < n; i++)
		assert(packet_size(&packets[i]) >= 60 && packet_size(&packets[i]) <= 1514);
	assert(port_transmit(port, packets, n) == n);
	port_describe(port, text, sizeof(text));
	port_next_ns(port);
	port_close(&port);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct space *space;
	static struct packet_memory *memory;
	char spec[512] = "gen:";
	struct error err;
	if (!space && (space_new(&space, &err) || packet_memory_new(space, 256, &memory, &err)))
		abort();
	if (size > sizeof(spec) - 5)
		return 0;
	memcpy(spec + 4, data, size);
	// A large table of flows costs time, not insight.
	if (!strstr(spec, "flows"))
		open_spec(memory, spec);
	memmove(spec, data, size);
	spec[size] = '\0';
	if (strncmp(spec, "pcap", 4) && strncmp(spec, "tap", 3) && strncmp(spec, "af_xdp", 6) &&
	        strncmp(spec, "dpdk", 4) && !strstr(spec, "flows"))
		open_spec(memory, spec);
	assert(packet_memory_free_count(memory) == 256);
	return 0;
}
