// SPDX-License-Identifier: Apache-2.0
// Bits of keys and values, numbered as BTF numbers them on little-endian machines.
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "layouts of big-endian machines number their bits the other way"
#endif

// `bits` (at most 64) from bit `offset` on.
static inline uint64_t bits_get(const uint8_t *bytes, uint32_t offset, uint32_t bits)
{
	uint64_t value = 0;
	if (!(offset % 8) && !(bits % 8)) {
		memcpy(&value, bytes + offset / 8, bits / 8);
		return value;
	}
	for (uint32_t i = 0; i < bits; i++)
		value |= (uint64_t)(bytes[(offset + i) / 8] >> (offset + i) % 8 & 1) << i;
	return value;
}

static inline void bits_set(uint8_t *bytes, uint32_t offset, uint32_t bits, uint64_t value)
{
	if (!(offset % 8) && !(bits % 8)) {
		memcpy(bytes + offset / 8, &value, bits / 8);
		return;
	}
	for (uint32_t i = 0; i < bits; i++) {
		uint8_t mask = (uint8_t)(1u << (offset + i) % 8);
		uint8_t *byte = &bytes[(offset + i) / 8];
		*byte = (uint8_t)(value >> i & 1 ? *byte | mask : *byte & ~mask);
	}
}

// The other byte order of a number of `bits` (a multiple of 8).
static inline uint64_t bits_swap(uint64_t value, uint32_t bits)
{
	return __builtin_bswap64(value) >> (64 - bits);
}
