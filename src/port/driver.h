// SPDX-License-Identifier: Apache-2.0
// What port.c and the drivers share: the port object, counters that any thread may read, and frames
// by their offset from the packet memory's first. Private to this layer.
#pragma once

#include <string.h>

#include "base/error.h"
#include "port/port.h"

#define ETHERNET_MIN 14u // octets of an Ethernet header: what is shorter is a runt

struct port {
	const struct port_ops *ops;
	struct packet_memory *memory; // borrowed
	uint8_t *base;                // host address of card address 0
	char *spec;                   // as port_open() was given it
	void *driver;                 // the driver's own; open() makes it, close() frees it
	struct port_stats stats;      // written by the port's thread through count()
	struct packet waste[BURST_MAX];
	uint32_t waste_count; // frames to give back at the next flush
	uint8_t number;
};

extern const struct port_ops null_port, gen_port, pcap_port, tap_port, af_xdp_port, dpdk_port;

// Adds to a counter that one thread writes and others read.
static inline void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint32_t bytes_of(const struct packet *packets, uint32_t n)
{
	uint32_t bytes = 0;
	for (uint32_t i = 0; i < n; i++)
		bytes += packet_size(&packets[i]);
	return bytes;
}

// Keeps a frame until the next flush, which gives all of them back at once.
void port_waste(struct port *port, const struct packet *packet);
