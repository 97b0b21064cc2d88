// SPDX-License-Identifier: Apache-2.0
// What a generation fills by itself, and which maps go from one to the next.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "ebpf/image.h"
#include "engine/bare.h"
#include "engine/generation.h"
#include "engine/space.h"
#include "map/map.h"

static const struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS}, {.code = BPF_JMP | BPF_EXIT}};

static struct image *image_with(uint32_t capacity)
{
	const struct image_map maps[] = {
	        {.name = "flows",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = capacity,
	                .inner = IMAGE_NONE},
	        {.name = "raio_ports",
	                .type = BPF_MAP_TYPE_DEVMAP,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 64,
	                .inner = IMAGE_NONE},
	        {.name = "programs",
	                .type = BPF_MAP_TYPE_PROG_ARRAY,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 4,
	                .inner = IMAGE_NONE},
	        {.name = ".rodata",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = 1,
	                .is_global = true,
	                .is_readonly = true,
	                .flags = BPF_F_RDONLY_PROG,
	                .inner = IMAGE_NONE},
	};
	struct image *image;
	assert_int_equal(bare_image(program, 2, maps, 4, &image, NULL), 0);
	struct image_map *rodata = &image->maps[3];
	rodata->data = calloc(1, 8);
	rodata->value.fields = calloc(1, sizeof(rodata->value.fields[0]));
	rodata->value.field_count = 1;
	snprintf(rodata->value.fields[0].name, IMAGE_NAME_MAX, "raio_card.has_arrival");
	return image;
}

static void ports_and_card_are_filled(void **state)
{
	struct space *space;
	struct generation *generation;
	const struct generation_options options = {.id = 9, .engine_count = 2, .ports = 0x5};
	uint32_t key, value;
	uint64_t card;
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(generation_new(space, image_with(8), &options, &generation, NULL), 0);
	struct map *ports = generation_map(generation, 1);
	key = 0;
	assert_int_equal(map_read(ports, &key, &value, 0), 0);
	assert_int_equal(value, 1);
	key = 2;
	assert_int_equal(map_read(ports, &key, &value, 0), 0);
	assert_int_equal(value, 3);
	key = 1;
	assert_int_not_equal(map_read(ports, &key, &value, 0), 0);
	key = 0;
	assert_int_equal(map_read(generation_map(generation, 3), &key, &card, 0), 0);
	assert_int_equal(card, 1);
	assert_int_equal(map_write(generation_map(generation, 3), &key, &card, 0), -EPERM);
	assert_int_equal(generation_id(generation), 9);
	generation_free(&generation);
	space_free(&space);
}

static void carried_maps_are_shared_and_outlive_the_old(void **state)
{
	struct space *space;
	struct generation *old, *new;
	struct generation_options options = {.id = 1, .engine_count = 1, .ports = 1};
	uint32_t key = 5;
	uint64_t value = 77;
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(generation_new(space, image_with(8), &options, &old, NULL), 0);
	assert_int_equal(map_write(generation_map(old, 0), &key, &value, 0), 0);
	options.old = old;
	options.carry_all = true;
	assert_int_equal(generation_new(space, image_with(8), &options, &new, NULL), 0);
	assert_true(generation_map_carried(new, 0));
	assert_false(generation_map_carried(new, 1)); // ports, programs and constants are its own
	assert_false(generation_map_carried(new, 2));
	assert_false(generation_map_carried(new, 3));
	generation_free(&old);
	value = 0;
	assert_int_equal(map_read(generation_map(new, 0), &key, &value, 0), 0);
	assert_int_equal(value, 77);
	generation_free(&new);
	space_free(&space);
}

static void a_map_that_differs_is_fresh_or_an_error_where_it_was_named(void **state)
{
	struct space *space;
	struct generation *old, *new = NULL;
	struct error err = {0};
	const char *const names[] = {"flows"};
	struct generation_options options = {.id = 1, .engine_count = 1, .ports = 1};
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(generation_new(space, image_with(8), &options, &old, NULL), 0);
	options.old = old;
	options.carry_all = true;
	assert_int_equal(generation_new(space, image_with(16), &options, &new, NULL), 0);
	assert_false(generation_map_carried(new, 0));
	generation_free(&new);
	options.carry_all = false;
	options.carry = names;
	options.carry_count = 1;
	assert_int_equal(generation_new(space, image_with(16), &options, &new, &err), -EINVAL);
	assert_non_null(strstr(err.text, "flows"));
	assert_null(new);
	generation_free(&old);
	space_free(&space);
}

static void maps_together_stay_within_the_cards_memory(void **state)
{
	(void)state;
	struct space *space;
	struct generation *first, *second = NULL;
	struct error err = {0};
	const struct generation_options options = {.id = 1, .engine_count = 1, .ports = 1};
	assert_int_equal(space_new(&space, NULL), 0);
	space_limit(space, 2 << 20); // a hash of 2^15 takes 1.4 MiB
	assert_int_equal(generation_new(space, image_with(1 << 15), &options, &first, NULL), 0);
	assert_int_equal(
	        generation_new(space, image_with(1 << 15), &options, &second, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "max_entries"));
	assert_null(second);
	generation_free(&first);
	assert_int_equal(generation_new(space, image_with(1 << 15), &options, &second, NULL), 0);
	generation_free(&second);
	space_free(&space);
}

static void a_budget_has_a_bound(void **state)
{
	(void)state;
	struct space *space;
	struct generation *generation = NULL;
	struct error err = {0};
	const struct generation_options options = {
	        .id = 1, .engine_count = 1, .ports = 1, .budget = GENERATION_BUDGET_MAX + 1ull};
	assert_int_equal(space_new(&space, NULL), 0);
	assert_int_equal(
	        generation_new(space, image_with(8), &options, &generation, &err), -EINVAL);
	assert_non_null(strstr(err.text, "budget"));
	space_free(&space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ports_and_card_are_filled),
	        cmocka_unit_test(carried_maps_are_shared_and_outlive_the_old),
	        cmocka_unit_test(a_map_that_differs_is_fresh_or_an_error_where_it_was_named),
	        cmocka_unit_test(maps_together_stay_within_the_cards_memory),
	        cmocka_unit_test(a_budget_has_a_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
