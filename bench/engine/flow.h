// SPDX-License-Identifier: Apache-2.0
// The frames that the engines are measured with, written alike by the benchmark and by the BPF
// program that stands before a function in the kernel. Each store is as wide as a field of the
// protocol, so that no function reads across two of them: the kernel's side reads a frame right
// after it was written, and a load that two stores make up would wait.
#pragma once

#include <linux/types.h>

#define FLOW_SIZE 60u // 64 on the wire, with the frame check sequence

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words below are written as they lie");

// Who sends to whom: numbers of stations for lsl2, addresses in network order for IP.
struct flow {
	__u32 from, to;
};

#ifdef __bpf__
typedef __u32 flow_word; // packets may be written at any alignment: one store each
typedef __u16 flow_half;
#else
typedef __u32 __attribute__((aligned(1), may_alias)) flow_word;
typedef __u16 __attribute__((aligned(1), may_alias)) flow_half;
#endif

#define FLOW_WORD(frame, at) (*(flow_word *)((frame) + (at)))
#define FLOW_HALF(frame, at) (*(flow_half *)((frame) + (at)))
#define FLOW_MAC_HEAD        0x0002u     // 02-00, and the number of a station behind it
#define FLOW_ROUTER          0xa0000000u // 02-00-00-00-00-a0: port 0 of functions/ripv4/ripv4.rules
#define FLOW_HOST            0x01000000u // 02-00-00-00-00-01

static inline __attribute__((always_inline)) void flow_write_mac(
        __u8 *frame, __u32 at, __u32 station)
{
	FLOW_WORD(frame, at) = FLOW_MAC_HEAD | station << 16;
	FLOW_HALF(frame, at + 4) = (__u16)(station >> 16);
}

// An IPv4 header of 20 bytes for UDP, with its checksum (RFC 1071), and ports 4001 to 4000.
static inline __attribute__((always_inline)) void flow_write_ip(
        __u8 *frame, __u32 source, __u32 destination)
{
	const __u32 first = 0x2e000045, third = 0x00001140; // length 46; TTL 64, UDP
	__u32 sum = (first & 0xffff) + (first >> 16) + third + (source & 0xffff) + (source >> 16) +
	            (destination & 0xffff) + (destination >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	FLOW_HALF(frame, 12) = 0x0008;
	FLOW_WORD(frame, 14) = first;
	FLOW_WORD(frame, 18) = 0;
	FLOW_WORD(frame, 22) = third | ~sum << 16;
	FLOW_WORD(frame, 26) = source;
	FLOW_WORD(frame, 30) = destination;
	FLOW_HALF(frame, 34) = 0xa10f;
	FLOW_HALF(frame, 36) = 0xa00f;
}

// Between stations of a switch.
static inline __attribute__((always_inline)) void flow_write_stations(
        __u8 *frame, const struct flow *flow)
{
	flow_write_mac(frame, 0, flow->to);
	flow_write_mac(frame, 6, flow->from);
	flow_write_ip(frame, 0x0100000a, 0x0200000a);
}

// To a router, or to whoever looks at addresses only.
static inline __attribute__((always_inline)) void flow_write_addresses(
        __u8 *frame, const struct flow *flow)
{
	flow_write_mac(frame, 0, FLOW_ROUTER);
	flow_write_mac(frame, 6, FLOW_HOST);
	flow_write_ip(frame, flow->from, flow->to);
}
