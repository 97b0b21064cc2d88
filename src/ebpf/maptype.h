// SPDX-License-Identifier: Apache-2.0
// The map type table: which types cards offer, what the kernel calls them, and what their
// definitions must say. Shared by the object reader, the check, the map layer and the
// documentation.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;

// What the kernel's verifier lets XDP programs do with a type.
enum map_operation { MAP_LOOKUP = 1, MAP_UPDATE = 2, MAP_DELETE = 4, MAP_WALK = 8 };

struct map_type {
	uint32_t type; // enum bpf_map_type
	const char *name;
	bool is_offered;
	bool is_per_cpu;
	bool no_delete;      // array-like: every index always has a value
	uint32_t key_size;   // required key size; 0 = any
	uint32_t value_size; // required value size; 0 = any
	uint32_t flags;      // BPF_F_… that its definition may carry
	uint32_t operations; // enum map_operation: what XDP programs may do
};

// The row of a type, offered or not; NULL beyond the kernel's list.
const struct map_type *map_type_find(uint32_t type);
extern const struct map_type map_type_table[];
extern const uint32_t map_type_count;

#define MAP_KEY_MAX   512u
#define MAP_VALUE_MAX (1u << 20)
