// SPDX-License-Identifier: Apache-2.0
// A stage for tests of the shipped functions: one function on an engine with four ports, its rules,
// and packets put in by hand, at a clock that the test moves. Where the machine lets it, the same
// program stands in the Linux kernel too, gets every packet as well (BPF_PROG_TEST_RUN), and must
// give the same verdict and bytes.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

#include "engine/engine.h"

#define STAGE_PORTS 4

struct stage;

// What became of a packet, and its bytes afterwards.
struct outcome {
	struct verdict verdict;
	uint8_t data[PACKET_MAX];
	uint32_t size;
};

// `name` as in functions/NAME; rules in the text form of rules files, may be NULL.
struct stage *stage_new(const char *name, const char *rules);
void stage_free(struct stage *stage);
// The stage's clock: when the next packets arrive.
void stage_at_ms(struct stage *stage, uint64_t ms);
struct outcome stage_put(struct stage *stage, uint8_t port, const void *data, uint32_t size);
// A field of a map's entry as the text form shows it: stage_entry(stage, "stations", "mac=…,
// vlan=0"). Per-CPU maps: the engine's copy. Returns a static text, or NULL where there is no such
// entry.
const char *stage_entry(struct stage *stage, const char *map, const char *key);
// The number behind `field=` in an entry; fails the test where there is none.
uint64_t stage_number(struct stage *stage, const char *map, const char *key, const char *field);

#define assert_verdict(outcome, expected) assert_string_equal(stage_verdict(&(outcome)), expected)
// "drop", "pass", "tx", "redirect 1", "redirect 0 2 3", "aborted (cause)".
const char *stage_verdict(const struct outcome *outcome);

// Packets.
struct frame {
	uint8_t data[1600];
	uint32_t size;
};
void frame_eth(struct frame *frame, const char *to, const char *from, uint16_t type);
void frame_vlan(struct frame *frame, uint16_t tci, uint16_t type); // after the addresses
struct iphdr *frame_ipv4(struct frame *frame, const char *from, const char *to, uint8_t protocol,
        uint8_t ttl, uint32_t payload);
struct udphdr *frame_udp(struct frame *frame, uint16_t from, uint16_t to);
void frame_ipv4_finish(struct frame *frame, struct iphdr *ip); // its header checksum
uint16_t internet_checksum(const void *data, uint32_t size);   // RFC 1071; 0 over a right header
