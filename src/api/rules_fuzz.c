// SPDX-License-Identifier: Apache-2.0
// A stranger's rules file against maps with every kind of field: never a crash, and each key and
// value that was read prints to a text that reads back to the same bytes.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/rules.h"
#include "api/slot.h"
#include "api/value.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(
        const struct image_layout *layout, uint32_t size, unsigned flags, const uint8_t *bytes)
{
	uint8_t back[64];
	cleanup(buffer_free) struct buffer text = {0};
	value_format(layout, size, flags, bytes, &text);
	buffer_u8(&text, 0);
	if (text.failed || value_parse(layout, size, flags, (const char *)text.data, back, NULL) ||
	        memcmp(back, bytes, size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_field key[] = {{"p", IMAGE_UINT, 0, 16, 1}, {"q", IMAGE_BE, 16, 16, 1}};
	struct image_field number[] = {{"", IMAGE_INT, 0, 32, 1}};
	struct image_field all[] = {{"u", IMAGE_UINT, 0, 3, 1}, {"i", IMAGE_INT, 3, 5, 1},
	        {"b", IMAGE_BOOL, 8, 8, 1}, {"c", IMAGE_CHAR, 16, 8, 6}, {"e", IMAGE_BE, 64, 32, 2},
	        {"v", IMAGE_IPV4, 128, 32, 1}, {"s", IMAGE_IPV6, 160, 128, 1},
	        {"m", IMAGE_MAC, 288, 48, 1}, {"x", IMAGE_BYTES, 336, 8, 2}};
	struct image_program program = {.name = "p"};
	struct image_map maps[] = {
	        {.name = "h",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 44,
	                .key = {key, 2},
	                .value = {all, 9}},
	        {.name = "l",
	                .type = BPF_MAP_TYPE_LPM_TRIE,
	                .key_size = 8,
	                .value_size = 4,
	                .value = {number, 1}},
	        {.name = "l6", .type = BPF_MAP_TYPE_LPM_TRIE, .key_size = 20, .value_size = 5},
	        {.name = "a",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 4,
	                .key = {number, 1},
	                .value = {number, 1}},
	        {.name = "j", .type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4},
	        {.name = "o",
	                .type = BPF_MAP_TYPE_HASH_OF_MAPS,
	                .key_size = 4,
	                .value_size = 4,
	                .inner = 3},
	};
	const struct image image = {
	        .programs = &program, .program_count = 1, .maps = maps, .map_count = 6};
	struct error err;
	cleanup(rules_free) struct rules *rules = NULL;
	if (rules_parse((const char *)data, size, &image, &rules, &err))
		return 0;
	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];
		const struct image_map *map = &maps[rule->map];
		check_text(&map->key, map->key_size, rules_key_flags(map), rule->key);
		if (!rule->remove && !slot_is_name(map->type))
			check_text(&map->value, map->value_size, 0, rule->value);
	}
	return 0;
}
