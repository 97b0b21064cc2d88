// SPDX-License-Identifier: Apache-2.0
// CO-RE against the types of core_kernel.c, which play the kernel, and against the object's own.
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ebpf/elf64.h"
#include "ebpf/image.h"
#include "ebpf/object_test.h"
#include "ebpf/opcode.h"

struct kernel {
	uint8_t *object;
	const uint8_t *types;
	size_t size;
};

static struct kernel kernel_load(void)
{
	struct kernel kernel = {0};
	struct elf elf;
	size_t size;
	kernel.object = object_load("core_kernel", "v3", &size);
	assert_int_equal(elf_open(kernel.object, size, &elf, NULL), 0);
	for (uint32_t i = 1; i < elf.section_count; i++) {
		if (strcmp(elf.sections[i].name, ".BTF"))
			continue;
		kernel.types = elf.sections[i].data;
		kernel.size = elf.sections[i].size;
	}
	elf_close(&elf);
	assert_non_null(kernel.types);
	return kernel;
}

static struct image *read_with(const char *name, const char *way, const struct kernel *kernel)
{
	struct error err = {0};
	struct image *image = NULL;
	size_t size;
	autofree uint8_t *data = object_load(name, way, &size);
	if (object_read(data, size, NULL, kernel ? kernel->types : NULL, kernel ? kernel->size : 0,
	            &image, &err))
		fail_msg("%s.%s: %s", name, way, err.text);
	return image;
}

// What the program stores into its global `name`: it moves constants only, so a table of registers
// is interpreter enough.
static uint64_t stored(const struct image *image, const char *name)
{
	const struct image_program *program = &image->programs[image->entry];
	const struct image_layout *layout = &image_map_find(image, ".bss")->value;
	uint32_t offset = UINT32_MAX;
	uint64_t registers[16] = {0}, value = 0xdead;
	for (uint32_t i = 0; i < layout->field_count; i++)
		if (!strcmp(layout->fields[i].name, name))
			offset = layout->fields[i].bit_offset / 8;
	assert_int_not_equal(offset, UINT32_MAX);
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		if (insn_is_lddw(insn)) {
			uint32_t low = insn->src_reg ? 0x80000000u : (uint32_t)insn->imm;
			registers[insn->dst_reg] = (uint64_t)(uint32_t)insn[1].imm << 32 | low;
			if (insn->src_reg)
				registers[insn->dst_reg] = 0x80000000u + (uint32_t)insn[1].imm;
			i++;
		} else if (BPF_OP(insn->code) == BPF_MOV &&
		           (BPF_CLASS(insn->code) == BPF_ALU64 ||
		                   BPF_CLASS(insn->code) == BPF_ALU)) {
			registers[insn->dst_reg] = BPF_SRC(insn->code) == BPF_K
			                                   ? (uint64_t)(int64_t)insn->imm
			                                   : registers[insn->src_reg];
		} else if (BPF_CLASS(insn->code) == BPF_STX || BPF_CLASS(insn->code) == BPF_ST) {
			if (registers[insn->dst_reg] + (uint64_t)insn->off != 0x80000000u + offset)
				continue;
			value = BPF_CLASS(insn->code) == BPF_STX ? registers[insn->src_reg]
			                                         : (uint64_t)(int64_t)insn->imm;
		}
	}
	return value;
}

static const char *const ways[] = {"v1", "o1", "v3", "v4"};

static void answers_by_the_kernels_types(void **state)
{
	struct kernel kernel = kernel_load();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!object_exists("core_fields", ways[i]))
			continue;
		struct image *image = read_with("core_fields", ways[i], &kernel);
		assert_int_equal(stored(image, "ifindex_offset"), 44);
		assert_int_equal(stored(image, "tos_offset"), 0);
		assert_int_equal(stored(image, "has_ifindex"), 1);
		assert_int_equal(stored(image, "has_nothing"), 0);
		assert_int_equal(stored(image, "name_size"), 24);
		assert_int_equal(stored(image, "has_type"), 1);
		assert_int_equal(stored(image, "has_no_type"), 0);
		assert_int_equal(stored(image, "type_size"), 8);
		assert_int_equal(stored(image, "has_pass"), 0);
		assert_int_equal(stored(image, "has_no_value"), 0);
		// Bits 8 to 13 of the word at 4.
		assert_int_equal(stored(image, "ihl_left"), 64 - 14);
		assert_int_equal(stored(image, "ihl_right"), 64 - 6);
		image_free(&image);
	}
	free(kernel.object);
}

static void answers_by_its_own_types_without_a_kernel(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!object_exists("core_fields", ways[i]))
			continue;
		struct image *image = read_with("core_fields", ways[i], NULL);
		assert_int_equal(stored(image, "ifindex_offset"), 0);
		assert_int_equal(stored(image, "tos_offset"), 1);
		assert_int_equal(stored(image, "has_nothing"), 1);
		assert_int_equal(stored(image, "name_size"), 16);
		assert_int_equal(stored(image, "has_no_type"), 1);
		assert_int_equal(stored(image, "type_size"), 4);
		assert_int_equal(stored(image, "pass_value"), 77);
		assert_int_equal(stored(image, "ihl_left"), 60);
		assert_int_equal(stored(image, "ihl_right"), 60);
		image_free(&image);
	}
}

// How many loads of a program have this size and offset.
static uint32_t loads(const struct image *image, uint8_t size, int16_t offset)
{
	const struct image_program *program = &image->programs[image->entry];
	uint32_t count = 0;
	for (uint32_t i = 0; i < program->insn_count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		count += BPF_CLASS(insn->code) == BPF_LDX && BPF_SIZE(insn->code) == size &&
		         insn->off == offset;
		i += insn_is_lddw(insn);
	}
	return count;
}

static void moves_and_widens_loads(void **state)
{
	struct kernel kernel = kernel_load();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!object_exists("core_loads", ways[i]))
			continue;
		struct image *image = read_with("core_loads", ways[i], &kernel);
		assert_int_equal(loads(image, BPF_DW, 0), 1); // small, 4 bytes at 4 here
		assert_int_equal(loads(image, BPF_W, 8), 1);  // behind
		assert_int_equal(loads(image, BPF_W, 12 + 2 * 16 + 4), 1);
		assert_int_equal(stored(image, "choice"), 11);
		image_free(&image);
		image = read_with("core_loads", ways[i], NULL);
		assert_int_equal(stored(image, "choice"), 4);
		image_free(&image);
	}
	free(kernel.object);
}

static void names_the_instruction_that_cannot_reach_a_field(void **state)
{
	struct kernel kernel = kernel_load();
	struct error err = {0};
	struct image *image = NULL;
	size_t size;
	autofree uint8_t *data = object_load("core_far", "v3", &size);
	assert_int_equal(
	        object_read(data, size, NULL, kernel.types, kernel.size, &image, &err), -EINVAL);
	assert_non_null(strstr(err.text, "'reads'"));
	assert_non_null(strstr(err.text, "40000"));
	free(kernel.object);
}

static void resolves_against_the_running_kernel(void **state)
{
	struct error err = {0};
	struct image *image = NULL;
	size_t size, kernel_size;
	autofree uint8_t *kernel = NULL, *data = object_load("core_fields", "v3", &size);
	if (file_read("/sys/kernel/btf/vmlinux", 64u << 20, &kernel, &kernel_size, &err))
		skip(); // a kernel without BTF
	if (object_read(data, size, NULL, kernel, kernel_size, &image, &err))
		fail_msg("%s", err.text);
	assert_int_equal(stored(image, "tos_offset"), 1);
	assert_int_equal(stored(image, "has_ifindex"), 1);
	assert_int_equal(stored(image, "has_nothing"), 0);
	assert_int_equal(stored(image, "pass_value"), 2);
	assert_int_equal(stored(image, "type_size"), 20);
	assert_int_equal(stored(image, "name_size"), 16);
	image_free(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(answers_by_the_kernels_types),
	        cmocka_unit_test(answers_by_its_own_types_without_a_kernel),
	        cmocka_unit_test(moves_and_widens_loads),
	        cmocka_unit_test(names_the_instruction_that_cannot_reach_a_field),
	        cmocka_unit_test(resolves_against_the_running_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
