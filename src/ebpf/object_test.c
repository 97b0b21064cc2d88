// SPDX-License-Identifier: Apache-2.0
// Objects of tests/data/objects, compiled in several ways, and what their images must say.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/check.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "ebpf/object_test.h"
#include "ebpf/opcode.h"

// Reads one that must be good, and sees that its image passes the check and survives its encoding.
static struct image *read_good(const char *name, const char *way, const char *program)
{
	struct error err = {0};
	struct image *image = NULL, *again = NULL;
	struct buffer encoded = {0};
	size_t size;
	autofree uint8_t *data = object_load(name, way, &size);
	if (object_read(data, size, program, NULL, 0, &image, &err))
		fail_msg("%s.%s.o: %s", name, way, err.text);
	if (check_image(image, &err))
		fail_msg("%s.%s.o: check: %s", name, way, err.text);
	image_encode(image, &encoded);
	assert_false(encoded.failed);
	if (image_decode(encoded.data, encoded.size, &again, &err))
		fail_msg("%s.%s.o: decode: %s", name, way, err.text);
	image_free(&again);
	buffer_free(&encoded);
	return image;
}

// Reads one that must be refused with this text somewhere in the error.
static void read_bad(const char *name, const char *program, int code, const char *text)
{
	struct error err = {0};
	struct image *image = NULL;
	size_t size;
	autofree uint8_t *data = object_load(name, "v3", &size);
	assert_int_equal(object_read(data, size, program, NULL, 0, &image, &err), -code);
	assert_null(image);
	if (!strstr(err.text, text))
		fail_msg("%s: '%s' is not in: %s", name, text, err.text);
}

static const struct image_program *entry_of(const struct image *image)
{
	return &image->programs[image->entry];
}

static uint32_t map_index(const struct image *image, const char *name)
{
	const struct image_map *map = image_map_find(image, name);
	if (!map)
		fail_msg("no map %s", name);
	return (uint32_t)(map - image->maps);
}

static const struct image_field *field_of(const struct image_layout *layout, const char *name)
{
	for (uint32_t i = 0; i < layout->field_count; i++)
		if (!strcmp(layout->fields[i].name, name))
			return &layout->fields[i];
	fail_msg("no field '%s'", name);
	return NULL;
}

static void assert_field(const struct image_layout *layout, const char *name, enum image_kind kind,
        uint32_t bit_offset, uint32_t bits, uint32_t count)
{
	const struct image_field *field = field_of(layout, name);
	assert_int_equal(field->kind, kind);
	assert_int_equal(field->bit_offset, bit_offset);
	assert_int_equal(field->bits, bits);
	assert_int_equal(field->count, count);
}

// How many LDDW of a program refer to map `map` with source register `src`.
static uint32_t references(const struct image_program *program, uint8_t src, uint32_t map)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < program->insn_count; i++) {
		if (!insn_is_lddw(&program->insns[i]))
			continue;
		count += program->insns[i].src_reg == src && (uint32_t)program->insns[i].imm == map;
		i++;
	}
	return count;
}

// A test of every way in which an object is compiled, those with BTF or all.
static void each_way(const char *name, bool needs_btf, void (*test)(struct image *image))
{
	for (uint32_t i = 0; i < object_way_count; i++) {
		if (needs_btf && !strcmp(object_ways[i], "nog"))
			continue;
		if (!object_exists(name, object_ways[i]))
			continue;
		struct image *image = read_good(name, object_ways[i], NULL);
		test(image);
		image_free(&image);
	}
}

static void check_plain(struct image *image)
{
	assert_int_equal(image->program_count, 1);
	assert_string_equal(entry_of(image)->name, "pass");
	assert_string_equal(entry_of(image)->section, "xdp");
	assert_string_equal(image->license, "GPL");
	assert_int_equal(entry_of(image)->insn_count, 2);
	assert_int_equal(entry_of(image)->insns[0].imm, 2);
	assert_int_equal(image->map_count, 0);
}

static void reads_a_plain_program(void **state)
{
	each_way("section_xdp", false, check_plain);
}

static void check_names(struct image *image)
{
	assert_int_equal(image->program_count, 5);
	assert_string_equal(entry_of(image)->name, "entry");
}

static void enters_the_first_xdp_program_of_usual_names(void **state)
{
	each_way("section_names", false, check_names);
}

static void enters_the_program_that_is_named(void **state)
{
	struct image *image = read_good("section_names", "v3", "named");
	assert_string_equal(entry_of(image)->name, "named");
	image_free(&image);
	image = read_good("section_names", "v3", "xdp_underscore");
	assert_string_equal(entry_of(image)->name, "underscore");
	image_free(&image);
	image = read_good("section_names", "v3", "optional");
	assert_string_equal(entry_of(image)->name, "optional");
	image_free(&image);
}

static void lists_the_programs_when_the_named_one_is_missing(void **state)
{
	read_bad("section_names", "nobody", ENOENT, "named (section xdp/named)");
	read_bad("bad_no_program", NULL, ENOENT, "no program");
}

static void check_own(struct image *image)
{
	assert_int_equal(image->program_count, 2);
	assert_string_equal(entry_of(image)->name, "first");
}

static void takes_sections_of_the_authors_own_names(void **state)
{
	each_way("section_own", false, check_own);
}

static void check_single(struct image *image)
{
	assert_int_equal(image->program_count, 1);
	assert_int_equal(entry_of(image)->function_count, 1);
}

static void takes_a_single_program_of_any_section(void **state)
{
	each_way("section_only_own", false, check_single);
	each_way("section_text", false, check_single);
}

static void check_only(struct image *image)
{
	check_single(image);
	assert_string_equal(entry_of(image)->name, "only");
	assert_int_equal(image->map_count, 0);
}

static void leaves_out_programs_for_other_hooks_and_their_maps(void **state)
{
	each_way("section_other_hooks", true, check_only);
}

static void check_elf_names(struct image *image)
{
	assert_int_equal(image->program_count, 2);
	assert_string_equal(entry_of(image)->name, "plain");
}

static void survives_sections_named_as_elfs_own(void **state)
{
	each_way("section_elf_names", false, check_elf_names);
	read_bad("bad_symtab_name", NULL, EINVAL, "'.symtab'");
}

// Every call of a program, and every function address, must reach the start of one of its
// functions.
static void assert_calls_reach_functions(const struct image_program *program)
{
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		bool is_call =
		        insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
		bool is_address = insn_is_lddw(insn) && insn->src_reg == BPF_PSEUDO_FUNC;
		if (is_call || is_address) {
			uint32_t target = i + (uint32_t)insn->imm + 1;
			assert_true(target < program->insn_count);
			assert_int_equal(image_function_of(program, target)->insn, target);
		}
		i += insn_is_lddw(insn);
	}
}

static void check_static(struct image *image)
{
	const struct image_program *program = entry_of(image);
	assert_int_equal(image->program_count, 1);
	assert_int_equal(program->function_count, 3);
	assert_string_equal(program->functions[0].name, "calls");
	assert_string_equal(program->functions[1].name, "middle");
	assert_string_equal(program->functions[2].name, "leaf");
	assert_calls_reach_functions(program);
}

static void links_static_functions_behind_their_caller(void **state)
{
	each_way("subprogram_static", false, check_static);
}

static void check_global(struct image *image)
{
	assert_int_equal(image->program_count, 2);
	assert_int_equal(image->programs[0].function_count, 3);
	assert_int_equal(image->programs[1].function_count, 2);
	assert_string_equal(image->programs[1].functions[1].name, "add");
	assert_calls_reach_functions(&image->programs[0]);
	assert_calls_reach_functions(&image->programs[1]);
}

static void links_to_each_program_what_it_calls(void **state)
{
	each_way("subprogram_global", false, check_global);
}

static void check_same_section(struct image *image)
{
	assert_int_equal(image->program_count, 1);
	assert_string_equal(entry_of(image)->name, "between");
	assert_int_equal(entry_of(image)->function_count, 3);
	assert_calls_reach_functions(entry_of(image));
}

static void links_functions_of_the_programs_own_section(void **state)
{
	each_way("subprogram_same_section", false, check_same_section);
}

static void check_recursion(struct image *image)
{
	assert_int_equal(entry_of(image)->function_count, 2);
	assert_calls_reach_functions(entry_of(image));
}

static void links_a_function_that_calls_itself_once(void **state)
{
	each_way("subprogram_recursive", false, check_recursion);
}

static void check_pointers(struct image *image)
{
	const struct image_program *program = entry_of(image);
	uint32_t addresses = 0;
	for (uint32_t i = 0; i < program->insn_count; i++)
		addresses += insn_is_lddw(&program->insns[i]) &&
		             program->insns[i].src_reg == BPF_PSEUDO_FUNC;
	assert_int_equal(addresses, 2);
	assert_int_equal(program->function_count, 3);
	assert_calls_reach_functions(program);
}

static void links_functions_whose_address_is_taken(void **state)
{
	each_way("function_pointer", false, check_pointers);
}

static void check_many(struct image *image)
{
	assert_int_equal(image->program_count, 8);
	uint32_t bss = map_index(image, ".bss");
	bool seen[8] = {false};
	for (uint32_t i = 0; i < 8; i++) {
		const struct image_program *program = &image->programs[i];
		for (uint32_t k = 0; k + 1 < program->insn_count; k++) {
			if (!insn_is_lddw(&program->insns[k]))
				continue;
			assert_int_equal(program->insns[k].src_reg, BPF_PSEUDO_MAP_VALUE);
			assert_int_equal(program->insns[k].imm, bss);
			seen[program->insns[k + 1].imm / 4] = true;
		}
	}
	for (uint32_t i = 0; i < 8; i++)
		assert_true(seen[i]);
}

static void reads_many_programs_of_one_section(void **state)
{
	each_way("programs_many", false, check_many);
}

static void check_globals(struct image *image)
{
	const struct image_map *data = image_map_find(image, ".data");
	const struct image_map *rodata = image_map_find(image, ".rodata");
	const struct image_map *bss = image_map_find(image, ".bss");
	const struct image_map *custom = image_map_find(image, ".data.custom");
	assert_true(data->is_global && !data->is_readonly);
	assert_true(rodata->is_global && rodata->is_readonly);
	assert_int_equal(data->type, BPF_MAP_TYPE_ARRAY);
	assert_int_equal(data->max_entries, 1);
	assert_int_equal(custom->data[0], 11);
	assert_int_equal(image_map_find(image, ".rodata.custom")->data[0], 13);
	assert_true(image_map_find(image, ".rodata.custom")->is_readonly);
	for (uint32_t i = 0; i < bss->value_size; i++)
		assert_int_equal(bss->data[i], 0);
	assert_non_null(image_map_find(image, ".bss.custom"));
	for (uint32_t i = 0; i < image->map_count; i++)
		assert_true(references(entry_of(image), BPF_PSEUDO_MAP_VALUE, i) > 0);
}

static void check_global_fields(struct image *image)
{
	const struct image_map *data = image_map_find(image, ".data");
	const struct image_map *rodata = image_map_find(image, ".rodata");
	const struct image_field *number = field_of(&data->value, "in_data");
	assert_int_equal(data->data[number->bit_offset / 8], 7);
	number = field_of(&data->value, "static_data");
	assert_int_equal(data->data[number->bit_offset / 8], 0x88);
	number = field_of(&rodata->value, "static_rodata.mac");
	assert_int_equal(number->kind, IMAGE_MAC);
	assert_int_equal(rodata->data[number->bit_offset / 8 + 2], 6);
	number = field_of(&rodata->value, "static_rodata.name");
	assert_int_equal(number->kind, IMAGE_CHAR);
	assert_string_equal((char *)rodata->data + number->bit_offset / 8, "eight");
	assert_int_equal(field_of(&rodata->value, "static_rodata.address")->kind, IMAGE_IPV4);
}

static void reads_global_data(void **state)
{
	each_way("globals", false, check_globals);
}

static void names_global_variables_as_fields(void **state)
{
	each_way("globals", true, check_global_fields);
}

static void check_arrays(struct image *image)
{
	const struct image_program *program = entry_of(image);
	uint32_t data = map_index(image, ".data");
	bool middle = false;
	for (uint32_t i = 0; i + 1 < program->insn_count; i++)
		if (insn_is_lddw(&program->insns[i])) {
			assert_int_equal(program->insns[i].imm, data);
			middle = middle || program->insns[i + 1].imm > 0;
		}
	assert_true(middle);
}

static void relocates_into_the_middle_of_arrays(void **state)
{
	each_way("globals_arrays", false, check_arrays);
}

static void check_strings(struct image *image)
{
	const struct image_map *map = image_map_find(image, ".rodata.str1.1");
	assert_true(map->is_readonly);
	assert_non_null(memmem(map->data, map->value_size, "hello from the card", 20));
}

static void reads_string_sections(void **state)
{
	each_way("strings", false, check_strings);
}

static void check_btf_maps(struct image *image)
{
	const struct image_map *flows = image_map_find(image, "flows");
	assert_int_equal(flows->type, BPF_MAP_TYPE_HASH);
	assert_int_equal(flows->key_size, 20);
	assert_int_equal(flows->flags, BPF_F_NO_PREALLOC);
	assert_int_equal(flows->max_entries, 100);
	assert_int_equal(image_map_find(image, "events")->max_entries, 0);
	assert_int_equal(image_map_find(image, "ring")->max_entries, 4096);
	assert_int_equal(image_map_find(image, "shared")->flags, BPF_F_MMAPABLE);
	assert_int_equal(image_map_find(image, "routes")->value_size, 16);
	assert_int_equal(image_map_find(image, "counters")->value_size, 24);
	const char *const used[] = {"flows", "events", "ring", "shared", "routes", "counters"};
	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		assert_true(references(entry_of(image), BPF_PSEUDO_MAP_FD,
		                    map_index(image, used[i])) > 0);
}

static void reads_maps_defined_by_btf(void **state)
{
	each_way("maps_btf", true, check_btf_maps);
	struct error err = {0};
	struct image *image = NULL;
	size_t size;
	if (!object_exists("maps_btf", "nog"))
		return;
	autofree uint8_t *data = object_load("maps_btf", "nog", &size);
	assert_int_equal(object_read(data, size, NULL, NULL, 0, &image, &err), -EINVAL);
	assert_non_null(strstr(err.text, "-g"));
}

static void check_lock(struct image *image)
{
	const struct image_layout *value = &image_map_find(image, "accounts")->value;
	assert_int_equal(value->lock, 4 + 1);
	assert_int_equal(value->field_count, 2); // it is no field
	assert_field(value, "tokens", IMAGE_UINT, 64, 64, 1);
}

static void finds_the_lock_of_a_value(void **state)
{
	each_way("lock", true, check_lock);
}

static void check_layout(struct image *image)
{
	const struct image_map *flows = image_map_find(image, "flows");
	assert_field(&flows->key, "source", IMAGE_IPV6, 0, 128, 1);
	assert_field(&flows->key, "port", IMAGE_BE, 128, 16, 1);
	assert_field(&flows->key, "protocol", IMAGE_UINT, 144, 8, 1);
	assert_field(&flows->value, "delta", IMAGE_INT, 64, 32, 1);
	assert_field(&flows->value, "mac", IMAGE_MAC, 96, 48, 1);
	assert_field(&flows->value, "on", IMAGE_BOOL, 144, 8, 1);
	assert_field(&flows->value, "name", IMAGE_CHAR, 152, 8, 9);
	assert_field(&flows->value, "low", IMAGE_UINT, 224, 4, 1);
	assert_field(&flows->value, "high", IMAGE_UINT, 228, 12, 1);
	assert_field(&flows->value, "gateway.v6", IMAGE_IPV6, 256, 128, 1);
	assert_field(&flows->value, "list[1].id2", IMAGE_UINT, 432, 16, 1);
	assert_field(&flows->value, "verdict", IMAGE_UINT, 448, 32, 1);
	assert_field(&image_map_find(image, "counters")->value, "", IMAGE_UINT, 0, 64, 3);
	assert_int_equal(image_map_find(image, "routes")->key.field_count, 0);
}

static void check_odd_layout(struct image *image)
{
	const struct image_map *odd = image_map_find(image, "odd");
	assert_field(&odd->key, "", IMAGE_MAC, 0, 48, 1);
	assert_field(&odd->value, "a.b[3].inner", IMAGE_UINT, 48, 16, 1);
	assert_field(&odd->value, "many", IMAGE_BYTES, 64, 8, 1600);
	assert_field(&odd->value, "mixed.bytes", IMAGE_BYTES, 12864, 8, 12);
	assert_field(&odd->value, "signed_value", IMAGE_INT, 13056, 20, 1);
	assert_field(&odd->value, "wide", IMAGE_UINT, 13076, 40, 1);
	assert_field(&odd->value, "flags", IMAGE_BOOL, 13192, 8, 3);
	assert_field(&odd->value, "src_addr", IMAGE_IPV6, 13216, 128, 1);
	assert_field(&odd->value, "payload", IMAGE_BYTES, 13344, 8, 16);
}

static void lays_out_keys_and_values_by_type(void **state)
{
	each_way("maps_btf", true, check_layout);
	each_way("layout_odd", true, check_odd_layout);
}

static void check_ports(struct image *image)
{
	const struct image_map *ports = image_map_find(image, "raio_ports");
	assert_int_equal(ports->type, BPF_MAP_TYPE_DEVMAP);
	assert_int_equal(ports->max_entries, 64);
	const struct image_map *rodata = image_map_find(image, ".rodata");
	assert_non_null(field_of(&rodata->value, "raio_card.has_arrival"));
	assert_field(&rodata->value, "raio_card.port_plus_1", IMAGE_UINT,
	        field_of(&rodata->value, "raio_card.has_arrival")->bit_offset + 32, 32, 1);
}

static void finds_the_port_map_and_the_card(void **state)
{
	each_way("maps_ports", true, check_ports);
}

static void check_slots(struct image *image)
{
	const struct image_map *jumps = image_map_find(image, "jumps");
	assert_int_equal(jumps->slot_count, 2);
	assert_int_equal(jumps->slots[0].index, 0);
	assert_string_equal(image->programs[jumps->slots[0].target].name, "first");
	assert_int_equal(jumps->slots[1].index, 5);
	assert_string_equal(image->programs[jumps->slots[1].target].name, "third");
}

static void reads_initial_values_of_prog_arrays(void **state)
{
	each_way("maps_prog_array", true, check_slots);
}

static void check_inner(struct image *image)
{
	const struct image_map *outer = image_map_find(image, "outer");
	assert_int_equal(outer->slot_count, 2);
	assert_int_equal(outer->slots[0].index, 1);
	assert_string_equal(image->maps[outer->slots[0].target].name, "inner_a");
	assert_int_equal(outer->slots[1].index, 3);
	assert_string_equal(image->maps[outer->slots[1].target].name, "inner_b");
	assert_true(image->maps[outer->inner].is_template);
	assert_int_equal(image->maps[outer->inner].value_size, 8);
	const struct image_map *tenants = image_map_find(image, "tenants");
	assert_int_equal(image->maps[tenants->inner].key_size, 8);
	assert_int_equal(image->maps[tenants->inner].type, BPF_MAP_TYPE_HASH);
}

static void reads_maps_of_maps(void **state)
{
	each_way("maps_inner", true, check_inner);
}

static void check_legacy(struct image *image)
{
	const struct image_map *blocked = image_map_find(image, "blocked");
	assert_int_equal(blocked->type, BPF_MAP_TYPE_PERCPU_HASH);
	assert_int_equal(blocked->value_size, 8);
	assert_int_equal(blocked->max_entries, 1000);
	assert_int_equal(blocked->flags, BPF_F_NO_PREALLOC);
	assert_int_equal(blocked->key.field_count, 0);
	assert_int_equal(image_map_find(image, "verdicts")->max_entries, 5);
	assert_int_equal(
	        references(entry_of(image), BPF_PSEUDO_MAP_FD, map_index(image, "blocked")), 1);
}

static void check_legacy_inner(struct image *image)
{
	const struct image_map *outer = image_map_find(image, "outer");
	assert_string_equal(image->maps[outer->inner].name, "shape");
	assert_false(image->maps[outer->inner].is_template);
}

static void check_iproute(struct image *image)
{
	const struct image_map *jumps = image_map_find(image, "jumps");
	assert_string_equal(entry_of(image)->name, "entry");
	assert_int_equal(jumps->slot_count, 1);
	assert_int_equal(jumps->slots[0].index, 7);
	assert_string_equal(image->programs[jumps->slots[0].target].name, "seventh");
}

static void check_namespace(struct image *image)
{
	assert_int_equal(image->map_count, 2);
	assert_int_equal(image_map_find(image, "first")->type, BPF_MAP_TYPE_HASH);
	assert_int_equal(image_map_find(image, "second")->type, BPF_MAP_TYPE_ARRAY);
}

static void reads_legacy_maps_of_every_size(void **state)
{
	each_way("maps_legacy", false, check_legacy);
	each_way("maps_legacy_inner", false, check_legacy_inner);
	each_way("maps_iproute", false, check_iproute);
	each_way("maps_legacy_namespace", false, check_namespace);
}

static void check_externs(struct image *image)
{
	const struct image_map *kconfig = image_map_find(image, ".kconfig");
	uint32_t version;
	assert_true(kconfig->is_readonly && kconfig->is_global);
	memcpy(&version,
	        kconfig->data + field_of(&kconfig->value, "LINUX_KERNEL_VERSION")->bit_offset / 8,
	        sizeof(version));
	assert_true(version > 0x30000);
	assert_int_equal(
	        kconfig->data[field_of(&kconfig->value, "CONFIG_NOT_THERE")->bit_offset / 8], 0);
	assert_int_equal(image->kfunc_count, 0);
}

static void resolves_externs_that_are_known_or_weak(void **state)
{
	each_way("externs", true, check_externs);
}

static void check_kfunc(struct image *image)
{
	assert_int_equal(image->kfunc_count, 1);
	assert_string_equal(image->kfuncs[0], "bpf_xdp_metadata_rx_timestamp");
	bool called = false;
	for (uint32_t i = 0; i < entry_of(image)->insn_count; i++) {
		const struct bpf_insn *insn = &entry_of(image)->insns[i];
		called =
		        called || (insn->code == (BPF_JMP | BPF_CALL) &&
		                          insn->src_reg == BPF_PSEUDO_KFUNC_CALL && insn->imm == 0);
	}
	assert_true(called);
}

static void calls_kfuncs_by_index(void **state)
{
	each_way("kfunc", false, check_kfunc);
}

static void check_lines(struct image *image)
{
	const struct image_program *program = entry_of(image);
	assert_true(program->line_count >= 4);
	bool counts = false, sum = false;
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct image_line *line = image_line_of(program, i);
		const char *function = image_function_of(program, i)->name;
		assert_non_null(line);
		assert_non_null(strstr(line->file, "lines.c"));
		counts = counts || (line->line == 15 && !strcmp(function, "counts"));
		sum = sum || (line->line == 9 && !strcmp(function, "sum"));
		if (line->line == 9)
			assert_non_null(strstr(line->text, "return a * 5 + b;"));
	}
	assert_true(counts && sum);
}

static void tells_the_line_of_each_instruction(void **state)
{
	each_way("lines", true, check_lines);
}

static void check_large(struct image *image)
{
	assert_true(entry_of(image)->insn_count > 16000);
}

static void reads_programs_of_over_16000_instructions(void **state)
{
	each_way("large", false, check_large);
}

static void check_sound(struct image *image)
{
	assert_calls_reach_functions(entry_of(image));
}

static void reads_the_rest_of_what_clang_makes(void **state)
{
	const char *const names[] = {"atomics", "loop_long", "core_context"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		each_way(names[i], false, check_sound);
}

static void says_what_to_do_about_what_it_refuses(void **state)
{
	read_bad("bad_data_pointer", NULL, ENOTSUP, "global data cannot hold addresses");
	read_bad("bad_extern", NULL, ENOTSUP, "'elsewhere'");
	read_bad("bad_config", NULL, ENOTSUP, "'CONFIG_NR_CPUS'");
	read_bad("bad_map_attribute", NULL, ENOTSUP, "'colour'");
	read_bad("bad_section", NULL, ENOTSUP, "'my_data'");
}

static void says_what_a_file_is_instead(void **state)
{
	struct error err = {0};
	struct image *image = NULL;
	size_t size;
	autofree uint8_t *self = NULL;
	assert_int_equal(file_read("/proc/self/exe", OBJECT_SIZE_MAX, &self, &size, &err), 0);
	assert_int_equal(object_read(self, size, NULL, NULL, 0, &image, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a BPF object"));
	assert_int_equal(object_read("int main;", 9, NULL, NULL, 0, &image, &err), -EINVAL);
	assert_non_null(strstr(err.text, "this is text"));
	assert_int_equal(object_read("", 0, NULL, NULL, 0, &image, &err), -EINVAL);
	assert_non_null(strstr(err.text, "empty"));
	assert_int_equal(object_read("BC\xc0\xde", 4, NULL, NULL, 0, &image, &err), -EINVAL);
	assert_non_null(strstr(err.text, "bitcode"));
	autofree uint8_t *data = object_load("section_xdp", "v3", &size);
	data[5] = 2; // EI_DATA
	assert_int_equal(object_read(data, size, NULL, NULL, 0, &image, &err), -EINVAL);
	assert_non_null(strstr(err.text, "big-endian"));
	assert_int_equal(object_read(data, size, NULL, NULL, 0, &image, NULL), -EINVAL);
	assert_null(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads_a_plain_program),
	        cmocka_unit_test(enters_the_first_xdp_program_of_usual_names),
	        cmocka_unit_test(enters_the_program_that_is_named),
	        cmocka_unit_test(lists_the_programs_when_the_named_one_is_missing),
	        cmocka_unit_test(takes_sections_of_the_authors_own_names),
	        cmocka_unit_test(takes_a_single_program_of_any_section),
	        cmocka_unit_test(leaves_out_programs_for_other_hooks_and_their_maps),
	        cmocka_unit_test(survives_sections_named_as_elfs_own),
	        cmocka_unit_test(links_static_functions_behind_their_caller),
	        cmocka_unit_test(links_to_each_program_what_it_calls),
	        cmocka_unit_test(links_functions_of_the_programs_own_section),
	        cmocka_unit_test(links_a_function_that_calls_itself_once),
	        cmocka_unit_test(links_functions_whose_address_is_taken),
	        cmocka_unit_test(reads_many_programs_of_one_section),
	        cmocka_unit_test(reads_global_data),
	        cmocka_unit_test(names_global_variables_as_fields),
	        cmocka_unit_test(relocates_into_the_middle_of_arrays),
	        cmocka_unit_test(reads_string_sections),
	        cmocka_unit_test(reads_maps_defined_by_btf),
	        cmocka_unit_test(finds_the_lock_of_a_value),
	        cmocka_unit_test(lays_out_keys_and_values_by_type),
	        cmocka_unit_test(finds_the_port_map_and_the_card),
	        cmocka_unit_test(reads_initial_values_of_prog_arrays),
	        cmocka_unit_test(reads_maps_of_maps),
	        cmocka_unit_test(reads_legacy_maps_of_every_size),
	        cmocka_unit_test(resolves_externs_that_are_known_or_weak),
	        cmocka_unit_test(calls_kfuncs_by_index),
	        cmocka_unit_test(tells_the_line_of_each_instruction),
	        cmocka_unit_test(reads_programs_of_over_16000_instructions),
	        cmocka_unit_test(reads_the_rest_of_what_clang_makes),
	        cmocka_unit_test(says_what_to_do_about_what_it_refuses),
	        cmocka_unit_test(says_what_a_file_is_instead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
