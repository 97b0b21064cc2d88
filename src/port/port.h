// SPDX-License-Identifier: Apache-2.0
// A port: where packets enter and leave a card. One thread drives a port (receive, transmit, wait);
// port_stats() may be called from any. Frames come from and return to the packet memory given at
// opening; a port never copies between frames (drivers whose kernel interface is read and write
// copy once, between the kernel and the frame).
//
// Specs, as the command line takes them:
//   af_xdp:IFACE[,queue=N][,mode=native|generic][,host=NAME|none]   libxdp; zero-copy where the
//   driver has it tap:NAME[,mac=..]                                               the far side is
//   interface NAME pcap:IN[,OUT][,loop=N][,pace=capture|fast]                      pcap and pcapng,
//   nanosecond stamps; IN or OUT may be empty
//   gen[:size=64|imix][,flows=N][,rate=14.88Mpps|10Gbps|max][,count=N][,seq=1][,seed=N][,dst=MAC][,…]
//   in-memory generator and sink
//       (src=MAC dst=MAC srcip=ADDR[/LEN] dstip=ADDR[/LEN] sport=N dport=N; gen.c says what the
//       frames hold)
//   dpdk:DEVARGS                                                    a device of DPDK, in DPDK's own
//   words
//   null                                                            receives nothing, swallows all
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/packet.h"

struct error;
struct port;

struct port_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_dropped; // lost before the card saw them: no frame, ring full (the driver's own
	                     // count included)
	uint64_t tx_dropped; // accepted by transmit() but the driver could not send them
	uint64_t rx_oversize;                // longer than a frame holds
	uint64_t host_packets, host_dropped; // passed to the host; not deliverable there
	uint64_t host_sent; // sent by the host through this port; not in tx_packets
	uint64_t rx_runt;   // shorter than an Ethernet header; dropped
	// What a generator's sink found in sequence-numbered packets (seq=1), from the first one
	// on.
	uint64_t seq_packets, seq_lost, seq_reordered, seq_duplicate;
};

// The kinds of ports, as help texts and errors name them. The drivers' table is port.c's.
#define PORT_KINDS "af_xdp:IFACE, tap:NAME, pcap:IN[,OUT], gen[:OPTIONS], dpdk:DEVICE, null"

// Frames that one port holds at most; a card's packet memory has this many a port, and a burst a
// worker.
#define PORT_FRAMES 2048u

struct port_options {
	struct packet_memory *memory; // borrowed; must outlive the port
	uint8_t number;
};

// What a driver does. A member that is NULL is not offered. All but stats run on the port's thread.
struct port_ops {
	const char *kind;
	// Opens from the spec's text behind the colon. May need privileges, later calls do not.
	// Errors: EINVAL spec; ENODEV no such interface; EPERM with the capability that is missing;
	// EBUSY.
	int (*open)(struct port *port, const char *spec, struct error *err);
	void (*close)(struct port *port);
	// Up to `max` packets, at most BURST_MAX, whose frames the caller then owns. Never blocks.
	uint32_t (*receive)(struct port *port, struct packet *packets, uint32_t max);
	// Sends; the driver owns the frames of the first n packets, n being what it returns; the
	// rest stay with the caller (queue full). Never blocks. Order is kept.
	uint32_t (*transmit)(struct port *port, const struct packet *packets, uint32_t count);
	// Hands a packet to the host's stack; takes the frame in any case. NULL: the host is not
	// reachable here, packets are counted host_dropped.
	void (*to_host)(struct port *port, const struct packet *packet);
	// Finishes what receive and transmit began (completions, kicks). Called once a loop.
	void (*flush)(struct port *port);
	// Descriptors to poll for input (at most 2) when receive() found nothing; returns how many.
	// Asks the driver to wake them.
	uint32_t (*poll_fds)(struct port *port, int fds[2]);
	// Monotonic instant at which receive() will have something without any descriptor becoming
	// ready (generators, paced captures); 0 = now; UINT64_MAX = never.
	uint64_t (*next_ns)(struct port *port);
	bool (*finished)(
	        struct port *port); // input has ended for good (end of capture, count reached)
	// The sending side has no frames in flight any more.
	bool (*drained)(struct port *port);
	void (*stats)(struct port *port, struct port_stats *stats);
	// The kernel's indices of the interfaces that the port is, at most 2; returns how many. A
	// route that leaves by one of them leaves by the port.
	uint32_t (*interfaces)(struct port *port, uint32_t indices[2]);
	// One line for people: "af_xdp eth1 queue 0, native, copy mode", "gen 64 B, 1 flow, as fast
	// as possible".
	void (*describe)(struct port *port, char *text, uint32_t size);
};

int port_open(const char *spec, const struct port_options *options, struct port **port,
        struct error *err);
void port_close(struct port **port); // gives all frames back
const struct port_ops *port_ops(const struct port *port);
uint8_t port_number(const struct port *port);
const char *port_spec(const struct port *port);

// Checked wrappers around the ops; a missing member has the obvious default.
uint32_t port_receive(struct port *port, struct packet *packets, uint32_t max);
uint32_t port_transmit(struct port *port, const struct packet *packets, uint32_t count);
void port_to_host(struct port *port, const struct packet *packet);
void port_flush(struct port *port);
uint32_t port_poll_fds(struct port *port, int fds[2]);
uint64_t port_next_ns(struct port *port);
bool port_finished(struct port *port);
bool port_drained(struct port *port);
void port_stats(struct port *port, struct port_stats *stats);
uint32_t port_interfaces(struct port *port, uint32_t indices[2]);
void port_describe(struct port *port, char *text, uint32_t size);
