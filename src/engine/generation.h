// SPDX-License-Identifier: Apache-2.0
// A generation: a program image linked for an engine, with its tail-called programs and its maps,
// each map in a window of the card address space. It switches as one. Immutable once made, but for
// the contents of its maps and its counters.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;
struct image;
struct image_map;
struct map;
struct space;
struct generation;

#define PORTS_MAX 64u // RAIO_PORTS_MAX of <raio/raio.h>

struct generation_options {
	uint64_t id;
	uint32_t engine_count; // copies of per-CPU maps; engines are numbered below it
	uint64_t ports;  // mask of the ports that the function owns; redirects elsewhere abort
	uint64_t budget; // instructions a packet may take; 0 = GENERATION_BUDGET
	struct generation *old; // where maps are carried from; borrowed; may be NULL
	bool carry_all; // carry every map whose name, type, key, value size and capacity agree
	const char *const *carry; // or these only
	uint32_t carry_count;
	bool is_bare; // for engine_call(): R1 and R2 of the entry program are a block, not the
	              // context
	// For tests: native code checks again all that was proven, and stops the process where a
	// proof was wrong.
	bool verify;
	bool look_ahead; // for tests: native code looks ahead in every map, however small
};

#define GENERATION_BUDGET     (1u << 20)
#define GENERATION_BUDGET_MAX (1u << 24) // 64 packets of it end before a swap gives up

// Links `image` (which the generation then owns, also where it fails). Runs check_image() first.
// Fills map `raio_ports` (index = port, value = the port's ifindex, which is port + 1) and the
// fields of the read-only global `raio_card` (include/raio/raio.h) where the image has them,
// freezes read-only globals, makes globals and initial slots. Carried maps are shared with `old`,
// not copied. Errors: those of check_image() and map_new(); EINVAL where a map named in `carry`
// disagrees.
int generation_new(struct space *space, struct image *image,
        const struct generation_options *options, struct generation **generation,
        struct error *err);
// Drops the generation and every map that no other one shares.
void generation_free(struct generation **generation);

uint64_t generation_id(const struct generation *generation);
uint64_t generation_ports(const struct generation *generation);
const struct image *generation_image(const struct generation *generation);
uint32_t generation_map_count(const struct generation *generation);
const struct image_map *generation_map_shape(const struct generation *generation, uint32_t index);
struct map *generation_map(
        const struct generation *generation, uint32_t index); // NULL for a template
bool generation_map_carried(const struct generation *generation, uint32_t index);
