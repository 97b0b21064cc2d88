// SPDX-License-Identifier: Apache-2.0
// What all cards share: the latency histogram's bins, the names of engines, and freeing what card
// calls hand out.
#include "card/card.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define BINS_PER_POWER 8u
#define POWER_BITS     3u // log2 of BINS_PER_POWER

// Below 8 ns a bin is one nanosecond; from there on each power of two has eight bins.
uint64_t latency_bin_ns(uint32_t bin)
{
	if (bin < BINS_PER_POWER)
		return bin;
	uint32_t power = bin / BINS_PER_POWER - 1;
	return (uint64_t)(BINS_PER_POWER + bin % BINS_PER_POWER) << power;
}

uint32_t latency_bin_of(uint64_t ns)
{
	if (ns < BINS_PER_POWER)
		return (uint32_t)ns;
	uint32_t power = 63u - (uint32_t)__builtin_clzll(ns) - POWER_BITS;
	uint32_t bin = (power + 1) * BINS_PER_POWER + (uint32_t)(ns >> power) % BINS_PER_POWER;
	return bin < CARD_LATENCY_BINS ? bin : CARD_LATENCY_BINS - 1;
}

uint64_t latency_quantile(const uint64_t bins[CARD_LATENCY_BINS], double q)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < CARD_LATENCY_BINS; i++)
		total += bins[i];
	if (!total)
		return 0;
	double wanted = (q < 0 ? 0 : q > 1 ? 1 : q) * (double)total;
	uint64_t seen = 0;
	for (uint32_t i = 0; i < CARD_LATENCY_BINS; i++) {
		seen += bins[i];
		if (bins[i] && (double)seen >= wanted)
			return latency_bin_ns(i);
	}
	return latency_bin_ns(CARD_LATENCY_BINS - 1);
}

bool engine_kind_of(const char *name, enum engine_kind *kind)
{
	static const char *const names[] = {
	        [ENGINE_BEST] = "best",
	        [ENGINE_INTERPRETER] = "interpreter",
	        [ENGINE_NATIVE] = "native",
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*kind = (enum engine_kind)i;
		return true;
	}
	return false;
}

void card_map_free(struct card_map *map)
{
	if (!map)
		return;
	free(map->shape.key.fields);
	free(map->shape.value.fields);
	free(map->shape.data);
	free(map->shape.slots);
	*map = (struct card_map){0};
}
