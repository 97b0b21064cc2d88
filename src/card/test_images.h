// SPDX-License-Identifier: Apache-2.0
// Program images for the card's tests and benchmarks, assembled by hand: no object file is needed.
#pragma once

#include <stdint.h>

struct image;

// Port i to port i ^ 1. The version only makes two of them differ.
struct image *image_wire(uint32_t version);
// As wire, and writes its id at offset 70, its id once more at 100, and what its map `ids` holds
// under key 0 at 104, all as host-order u32. Packets shorter than 108 bytes are dropped.
struct image *image_stamp(uint32_t id);
// Port i to port i ^ 1, with source and destination MAC address exchanged.
struct image *image_macswap(void);
// One packet in its life: it loops for ever.
struct image *image_loop(void);
// Reads address 64.
struct image *image_fault(void);
// To all ports but the one it came by (BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS on `raio_ports`).
struct image *image_flood(void);
// Counts packets in map `count` (an array of one u64) and returns `verdict`.
struct image *image_count(uint32_t verdict);
// bpf_trace_printk("packet"), XDP_DROP.
struct image *image_trace(void);
// An opcode that no one knows.
struct image *image_invalid(void);
