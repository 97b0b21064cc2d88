// SPDX-License-Identifier: Apache-2.0
// Programs for the kernel keep to what its verifier understands (the writer knows which registers
// hold numbers, and writes accesses behind their tests), so that most are accepted; and to what the
// kernel defines: all of the stack that they read is written first. Free programs are made of the
// same pieces, with slips, and of others.
#include "engine/random_program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"
#include "engine/bare.h"
#include "engine/random_writer.h"

#define LARGE 20000u // entries

static void put_piece(struct writer *w)
{
	switch (pick(w, w->is_free ? 28 : 19)) {
	case 0:
		put_branch(w);
		break;
	case 1:
		put_packet(w);
		break;
	case 2:
		put_held_packet(w);
		break;
	case 3:
		put_variable_offset(w);
		break;
	case 4:
	case 5:
		put_copy(w);
		break;
	case 6:
	case 7:
	case 8:
		put_map(w);
		break;
	case 9:
		put_held_value(w);
		break;
	case 10:
		put_global(w);
		break;
	case 11:
		put_spill(w);
		break;
	case 12:
		put_helper(w);
		break;
	case 13:
		if (one_in(w, 4))
			put_callback(w);
		else
			put_call(w);
		break;
	case 14:
		put_loop(w);
		break;
	case 15:
		put_simple(w);
		break;
	case 16:
		put_gather(w);
		break;
	case 17:
		put_scatter(w);
		break;
	case 18:
		put_compare(w);
		break;
	case 19:
		put_tail_call(w);
		break;
	case 20:
		put_redirect(w);
		break;
	case 21:
		put_inner(w);
		break;
	case 22:
	case 23:
		put_constants(w);
		break;
	default:
		put_wild(w);
		break;
	}
}

static void put_start(struct writer *w)
{
	put_kept(w, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, 1, CONTEXT_AT, 0);
	// Of what is not written, zeros are read.
	for (int at = STACK_LOW; at < CONTEXT_AT && (!w->is_free || pick(w, 2)); at += 8)
		put_kept(w, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, at, 0);
	put_prologue(w, 0);
	memset(w->spilled, HELD_NUMBER, sizeof(w->spilled));
}

static void put_end(struct writer *w)
{
	put_outs(w);
	if (w->is_free && pick(w, 3)) // mostly a verdict
		put(w, BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 3);
	put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	put_callees(w);
}

static uint32_t piece_count(struct writer *w)
{
	return w->is_free && one_in(w, 3) ? 1 + pick(w, 6) : 3 + pick(w, 16);
}

void random_program_write(
        struct random_program *program, struct random *random, enum random_style style)
{
	struct writer writer = {.program = program,
	                      .random = random,
	                      .is_free = style == RANDOM_FREE},
	              *w = &writer;
	memset(program, 0, sizeof(*program));
	put_start(w);
	for (uint32_t n = piece_count(w); n; n--)
		put_piece(w);
	put_end(w);
	if (!w->is_free)
		return;
	program->large = one_in(w, 8);
	program->second = program->count;
	put_start(w);
	for (uint32_t n = 1 + pick(w, 4); n; n--)
		put_piece(w);
	put_end(w);
	mutate(w);
}

static bool fill_constants(struct image_map *map)
{
	map->is_global = true;
	map->is_readonly = true;
	map->data = malloc(map->value_size);
	for (uint32_t i = 0; map->data && i < map->value_size; i++)
		map->data[i] = (uint8_t)(i * 37);
	return map->data;
}

static void mark_used(const struct random_program *program, bool used[RANDOM_MAPS])
{
	for (uint32_t i = 0; i + 1 < program->count; i++) {
		const struct bpf_insn *insn = &program->insns[i];
		if (!insn_is_lddw(insn))
			continue;
		bool names_map =
		        insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE;
		if (names_map && (uint32_t)insn->imm < RANDOM_MAPS)
			used[insn->imm] = true;
		i++;
	}
}

static bool fill_slots(struct image_map *map, const struct image_slot slots[3])
{
	map->slots = malloc(3 * sizeof(slots[0]));
	if (!map->slots)
		return false;
	memcpy(map->slots, slots, 3 * sizeof(slots[0]));
	map->slot_count = 3;
	return true;
}

struct image *random_program_image(const struct random_program *program, struct error *err)
{
	struct image *image;
	uint32_t first = program->second ? program->second : program->count;
	static const struct image_slot programs[] = {{0, 0}, {1, 1}, {3, 0}},
	                               maps[] = {{0, RANDOM_ARRAY}, {1, RANDOM_HASH},
	                                       {3, RANDOM_HASH}};
	bool used[RANDOM_MAPS] = {0}, filled = true;
	if (bare_image(program->insns, first, random_maps, RANDOM_MAPS, &image, err))
		return NULL;
	if (program->second &&
	        bare_add_program(image, program->insns + first, program->count - first, err)) {
		image_free(&image);
		return NULL;
	}
	mark_used(program, used);
	used[RANDOM_ARRAY] |= used[RANDOM_OUTER];
	used[RANDOM_HASH] |= used[RANDOM_OUTER];
	for (uint32_t i = 0; i < RANDOM_MAPS; i++) {
		image->maps[i].is_template = !used[i];
		if (program->large && random_maps[i].max_entries >= RANDOM_ENTRIES &&
		        i < RANDOM_PROGRAMS)
			image->maps[i].max_entries = LARGE;
	}
	if (used[RANDOM_PROGRAMS] && program->second)
		filled = fill_slots(&image->maps[RANDOM_PROGRAMS], programs);
	if (used[RANDOM_OUTER])
		filled &= fill_slots(&image->maps[RANDOM_OUTER], maps);
	if (used[RANDOM_CONSTANTS])
		filled &= fill_constants(&image->maps[RANDOM_CONSTANTS]);
	if (!filled) {
		image_free(&image);
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	return image;
}
