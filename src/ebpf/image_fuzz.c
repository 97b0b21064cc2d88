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

static void use_instructions(const uint8_t *data, size_t size)
{
	struct image_map maps[2] = {
	        {.name = "m",
	                .type = BPF_MAP_TYPE_HASH,
	                .key_size = 4,
	                .value_size = 4,
	                .max_entries = 1,
	                .inner = IMAGE_NONE},
	        {.name = ".bss",
	                .type = BPF_MAP_TYPE_ARRAY,
	                .key_size = 4,
	                .value_size = 8,
	                .max_entries = 1,
	                .inner = IMAGE_NONE},
	};
	uint32_t count = (uint32_t)(size / sizeof(struct bpf_insn));
	if (!count || count > IMAGE_INSNS_MAX)
		return;
	struct bpf_insn *insns = malloc(count * sizeof(*insns));
	if (!insns)
		return;
	memcpy(insns, data, count * sizeof(*insns));
	struct image_function functions[2] = {{"f", 0}, {"g", count / 2}};
	struct image_program program = {.name = "f",
	        .insns = insns,
	        .insn_count = count,
	        .functions = functions,
	        .function_count = count > 1 ? 2 : 1};
	char kfuncs[1][IMAGE_NAME_MAX] = {"bpf_dynptr_slice"};
	struct image image = {.programs = &program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = 2,
	        .kfuncs = kfuncs,
	        .kfunc_count = 1};
	use(&image);
	free(insns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 0xff) {
		use_instructions(data + 1, size - 1);
		return 0;
	}
	struct error err;
	cleanup(image_free) struct image *image = NULL, *again = NULL;
	if (image_decode(data, size, &image, &err))
		return 0;
	use(image);
	cleanup(buffer_free) struct buffer first = {0}, second = {0};
	image_encode(image, &first);
	if (first.failed || image_decode(first.data, first.size, &again, &err))
		abort();
	image_encode(again, &second);
	if (first.size != second.size || memcmp(first.data, second.data, first.size))
		abort();
	return 0;
}
