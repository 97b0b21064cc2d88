// SPDX-License-Identifier: Apache-2.0
// A made-up capture with some of everything: IPv4 and IPv6 with and without options, extension
// headers, VLAN tags and labels, fragments, ARP, tunnels, DNS, HTTP, what is cut, and noise. The
// same each time.
#pragma once

#include <stdint.h>

#define PACKETS     500
#define PACKET_ROOM 1520

struct sample {
	uint8_t data[PACKET_ROOM];
	uint32_t size; // at least 14
};

void packets_fill(struct sample samples[PACKETS]);
