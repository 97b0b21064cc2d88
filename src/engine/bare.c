// SPDX-License-Identifier: Apache-2.0
#include "engine/bare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"

static bool is_call(const struct bpf_insn *insn)
{
	return (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL) ||
	       (insn_is_lddw(insn) && insn->src_reg == BPF_PSEUDO_FUNC);
}

static int find_functions(struct image_program *program, struct error *err)
{
	uint32_t count = program->insn_count;
	uint8_t *starts = calloc(count, 1);
	program->functions = calloc(count, sizeof(program->functions[0]));
	if (!starts || !program->functions) {
		free(starts);
		return error_set(err, ENOMEM, "out of memory for a program");
	}
	starts[0] = 1;
	for (uint32_t i = 0; i < count; i++) {
		int64_t callee =
		        is_call(&program->insns[i]) ? image_callee(&program->insns[i], i) : 0;
		if (callee >= 0 && callee < count)
			starts[callee] = 1;
		i += insn_is_lddw(&program->insns[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!starts[i])
			continue;
		struct image_function *function = &program->functions[program->function_count++];
		snprintf(function->name, sizeof(function->name), "function_%u", i);
		function->insn = i;
	}
	free(starts);
	return 0;
}

int bare_add_program(
        struct image *image, const struct bpf_insn *insns, uint32_t count, struct error *err)
{
	if (!count || count > IMAGE_INSNS_MAX)
		return error_set(err, EINVAL, "a program of %u instructions: from 1 to %u can run",
		        count, IMAGE_INSNS_MAX);
	struct image_program *programs =
	        reallocarray(image->programs, image->program_count + 1, sizeof(programs[0]));
	if (!programs)
		return error_set(err, ENOMEM, "out of memory for a program");
	image->programs = programs;
	struct image_program *program = &programs[image->program_count++];
	*program = (struct image_program){.name = "bare", .section = "xdp"};
	program->insns = calloc(count, sizeof(insns[0]));
	if (!program->insns)
		return error_set(err, ENOMEM, "out of memory for a program");
	memcpy(program->insns, insns, count * sizeof(insns[0]));
	program->insn_count = count;
	return find_functions(program, err);
}

int bare_image(const struct bpf_insn *insns, uint32_t count, const struct image_map *maps,
        uint32_t map_count, struct image **image, struct error *err)
{
	struct image *new = calloc(1, sizeof(*new));
	if (!new)
		return error_set(err, ENOMEM, "out of memory for a program");
	int r = bare_add_program(new, insns, count, err);
	if (!r && map_count) {
		new->maps = calloc(map_count, sizeof(maps[0]));
		if (!new->maps)
			r = error_set(err, ENOMEM, "out of memory for maps");
	}
	if (r) {
		image_free(&new);
		return r;
	}
	if (map_count)
		memcpy(new->maps, maps, map_count * sizeof(maps[0]));
	new->map_count = map_count;
	*image = new;
	return 0;
}
