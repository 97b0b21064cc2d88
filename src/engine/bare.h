// SPDX-License-Identifier: Apache-2.0
// A program image around bare instructions, with no object file: for the conformance runner and for
// tests.
#pragma once

#include <linux/bpf.h>
#include <stdint.h>

struct error;
struct image;
struct image_map;

// Copies `count` instructions; a function begins wherever one is called. `maps` are copied as they
// are (no layouts, slots or data). One program more for each call of bare_add_program().
int bare_image(const struct bpf_insn *insns, uint32_t count, const struct image_map *maps,
        uint32_t map_count, struct image **image, struct error *err);
int bare_add_program(
        struct image *image, const struct bpf_insn *insns, uint32_t count, struct error *err);
