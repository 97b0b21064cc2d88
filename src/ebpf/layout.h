// SPDX-License-Identifier: Apache-2.0
// How a BTF type is shown and read by people: flattened to scalars and arrays of scalars, with the
// meaning that the type's name tells (__be32 is an IPv4 address, __u8[6] a MAC address, …).
//
// Widths: IPV4 32 bits, MAC 48, IPV6 128, CHAR and BYTES 8 with `count` bytes, others their type's.
#pragma once

#include <stdint.h>

struct btf;
struct image_layout;

// Appends the fields of `type`, called `name` ("" for a bare key or value), which stands `offset`
// bytes from the start, to a layout. Fields beyond `size` bytes from the start, and beyond
// IMAGE_FIELDS_MAX, are left out. *budget is what visiting types may still cost, shared by all
// layouts of an object: it bounds the work on types that hold each other. Returns 0 or -ENOMEM.
#define LAYOUT_BUDGET (1u << 18)
int layout_append(const struct btf *btf, uint32_t type, const char *name, uint32_t offset,
        uint32_t size, uint32_t *budget, struct image_layout *layout);
// The key of an LPM trie: the data behind prefixlen are an address where they are as wide as one.
int layout_lpm(uint32_t key_size, struct image_layout *layout);
