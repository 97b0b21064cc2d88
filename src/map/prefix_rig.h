// SPDX-License-Identifier: Apache-2.0
// For tests and benchmarks: prefixes distributed as those of the Internet's routing tables, by
// length and by how they lie together, and addresses in them.
#pragma once

#include "map/map_rig.h"

struct prefix_share {
	uint32_t length, permille;
};

// As seen in today's tables: IPv4 /8 to /24, IPv6 /20 to /64.
static const struct prefix_share ipv4_shares[] = {
        {8, 1},
        {9, 1},
        {10, 1},
        {11, 1},
        {12, 1},
        {13, 1},
        {14, 2},
        {15, 2},
        {16, 14},
        {17, 9},
        {18, 14},
        {19, 25},
        {20, 45},
        {21, 52},
        {22, 115},
        {23, 98},
        {24, 618},
};
static const struct prefix_share ipv6_shares[] = {
        {20, 1},
        {24, 1},
        {28, 2},
        {29, 24},
        {30, 3},
        {31, 2},
        {32, 112},
        {33, 16},
        {34, 15},
        {35, 8},
        {36, 42},
        {37, 4},
        {38, 8},
        {39, 3},
        {40, 85},
        {41, 4},
        {42, 18},
        {43, 5},
        {44, 105},
        {45, 10},
        {46, 32},
        {47, 27},
        {48, 468},
        {56, 2},
        {64, 3},
};

static inline uint32_t rig_length(uint64_t *seed, const struct prefix_share *shares)
{
	uint32_t number = (uint32_t)(rig_random(seed) % 1000);
	while (number >= shares->permille)
		number -= (shares++)->permille;
	return shares->length;
}

// Mixes a number, so that a few of them are scattered over the space always in the same places.
static inline uint64_t rig_mix(uint64_t number)
{
	uint64_t state = (number + 1) * 0x9e3779b97f4a7c15ull;
	return rig_random(&state);
}

// A key of an LPM map, with the bits behind its length cleared. IPv4 prefixes stand in 45,000
// blocks of 16 bits. IPv6 ones in 25,000 blocks of 32 bits that the registries have given out of a
// few ranges, and follow each other in them.
static inline void rig_prefix(uint64_t *seed, uint8_t *key, uint32_t key_size)
{
	static const uint8_t ranges[][2] = {{0x20, 0x01}, {0x24, 0x00}, {0x24, 0x0e}, {0x26, 0x00},
	        {0x26, 0x07}, {0x28, 0x00}, {0x28, 0x04}, {0x2a, 0x00}, {0x2a, 0x02}, {0x2a, 0x0e},
	        {0x2c, 0x0f}};
	uint64_t bits; // the first eight bytes
	uint32_t length;
	if (key_size == 8) {
		uint64_t block = rig_mix(rig_random(seed) % 45000) >> 8;
		length = rig_length(seed, ipv4_shares);
		bits = (1 + block % 223) << 56 | (block >> 8 & 0xff) << 48 |
		       (rig_random(seed) & 0xffff) << 32;
	} else {
		uint64_t block = rig_mix(rig_random(seed) % 25000) >> 8;
		const uint8_t *range = ranges[block % (sizeof(ranges) / 2)];
		length = rig_length(seed, ipv6_shares);
		// Most are among the first subnets of their block.
		uint64_t subnet = rig_random(seed) & (rig_random(seed) % 4 ? 0xff : 0xffff);
		bits = (uint64_t)range[0] << 56 | (uint64_t)range[1] << 48 |
		       (block >> 16 & 0xffff) << 32 | subnet << 16 | (rig_random(seed) & 0xff);
	}
	bits &= ~0ull << (64 - length);
	memcpy(key, &length, 4);
	for (uint32_t i = 4; i < key_size; i++)
		key[i] = i < 12 ? (uint8_t)(bits >> (88 - 8 * i)) : 0;
}

// A whole address that the prefix `key` of an LPM map covers.
static inline void rig_address_in(
        uint64_t *seed, const uint8_t *key, uint8_t *address, uint32_t bits)
{
	uint32_t length;
	memcpy(&length, key, 4);
	memcpy(address, &bits, 4);
	for (uint32_t i = 0; i < bits / 8; i++) {
		uint8_t random = (uint8_t)(rig_random(seed) >> 32);
		uint32_t fixed = length < 8 * i ? 0 : length - 8 * i;
		uint8_t mask = fixed >= 8 ? 0xff : (uint8_t)(0xff << (8 - fixed));
		address[4 + i] = (uint8_t)((key[4 + i] & mask) | (random & ~mask));
	}
}
