// SPDX-License-Identifier: Apache-2.0
// A stranger's program image: what decodes must encode to something that decodes to the same, be
// checked, and be printed. The input is an encoding, or, behind a first byte of 0xff, raw
// instructions of an otherwise sound image, so that the check is reached at once.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/check.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct image *image)
{
	struct error err = {0};
	check_image(image, &err);
	for (uint32_t i = 0; i < image->program_count; i++) {
		cleanup(buffer_free) struct buffer text = {0};
		disasm_program(image, &image->programs[i], &text);
		char place[64];
		image_place(&image->programs[i], image->programs[i].insn_count - 1, place,
		        sizeof(place));
	}
}

static char file[] = "/src/f.c", line_text[] = "return g(ctx);";
static char *strings[] = {file, line_text};
static struct image_field fields[] = {
        {"port", IMAGE_UINT, 0, 16, 1}, {"mac", IMAGE_MAC, 16, 48, 1}};
static uint8_t global[8] = {1, 2, 3};

// An image with something of everything, around these instructions.
static void with_image(struct bpf_insn *insns, uint32_t count,
        void (*then)(const struct image *image, const uint8_t *data, size_t size),
        const uint8_t *data, size_t size)
{
	struct image_slot slot = {3, 0};
	struct image_map maps[] = {
	        {.name = "m",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = 1,
	                .inner = IMAGE_NONE,
	                .value = {fields, 2}},
	        {.name = ".bss",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = 1,
	                .inner = IMAGE_NONE,
	                .is_global = true,
	                .data = global},
	        {.name = "jumps",
	                .type = BPF_MAP_TYPE_PROG_ARRAY,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 9,
	                .inner = IMAGE_NONE,
	                .slots = &slot,
	                .slot_count = 1},
	};
	struct image_function functions[2] = {{"f", 0}, {"g", count / 2}};
	struct image_line line = {0, 7, 2, file, line_text};
	struct image_program program = {.name = "f",
	        .section = "xdp",
	        .insns = insns,
	        .insn_count = count,
	        .functions = functions,
	        .function_count = count > 1 ? 2 : 1,
	        .lines = &line,
	        .line_count = 1};
	char kfuncs[1][IMAGE_NAME_MAX] = {"bpf_dynptr_slice"};
	struct image image = {.programs = &program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = 3,
	        .kfuncs = kfuncs,
	        .kfunc_count = 1,
	        .license = "GPL",
	        .strings = strings,
	        .string_count = 2};
	then(&image, data, size);
}

static void use_alone(const struct image *image, const uint8_t *data, size_t size)
{
	(void)data;
	(void)size;
	use(image);
}

static void use_instructions(const uint8_t *data, size_t size)
{
	uint32_t count = (uint32_t)(size / sizeof(struct bpf_insn));
	struct bpf_insn *insns = count ? malloc(count * sizeof(*insns)) : NULL;
	if (!insns || count > IMAGE_INSNS_MAX) {
		free(insns);
		return;
	}
	memcpy(insns, data, count * sizeof(*insns));
	with_image(insns, count, use_alone, NULL, 0);
	free(insns);
}

// What decodes encodes to what decodes to the same.
static void use_encoding(const uint8_t *data, size_t size)
{
	struct error err;
	cleanup(image_free) struct image *image = NULL, *again = NULL;
	if (image_decode(data, size, &image, &err))
		return;
	use(image);
	cleanup(buffer_free) struct buffer first = {0}, second = {0};
	image_encode(image, &first);
	if (first.failed || image_decode(first.data, first.size, &again, &err))
		abort();
	image_encode(again, &second);
	if (first.size != second.size || memcmp(first.data, second.data, first.size))
		abort();
}

static void use_changed(const struct image *image, const uint8_t *data, size_t size)
{
	cleanup(buffer_free) struct buffer buffer = {0};
	image_encode(image, &buffer);
	if (buffer.failed)
		abort();
	for (size_t i = 0; i + 3 <= size; i += 3)
		buffer.data[(data[i] | (size_t)data[i + 1] << 8) % buffer.size] ^= data[i + 2];
	use_encoding(buffer.data, buffer.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bpf_insn insns[] = {{.code = 0x18, .src_reg = 1}, {0}, {.code = 0x85, .imm = 1},
	        {.code = 0x95}, {.code = 0xb7}, {.code = 0x95}};
	if (size && data[0] == 0xff)
		use_instructions(data + 1, size - 1);
	else if (size && data[0] == 0xfe)
		with_image(insns, 6, use_changed, data + 1, size - 1);
	else
		use_encoding(data, size);
	return 0;
}
