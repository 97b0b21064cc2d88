// SPDX-License-Identifier: Apache-2.0
// The forward pass over whatever check_image() passes: it ends within its bound and leaves facts
// that make sense. Of random bytes next to none pass, so each 8 bytes of the input are made into an
// instruction that may stand there; jumps and calls lead where there is something.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/analysis.h"
#include "ebpf/check.h"
#include "ebpf/helper.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"

#define INSNS_MAX    4096u
#define FUNCTIONS    4u
#define STEPS_FACTOR 160u // 80 for each of two runs, where the first finds a callback unknown

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAP(kind, key, value, entries, bits)                                                       \
	{                                                                                          \
		.name = #kind, .type = BPF_MAP_TYPE_##kind, .key_size = (key),                     \
		.value_size = (value), .max_entries = (entries), .flags = (bits),                  \
		.inner = IMAGE_NONE                                                                \
	}
static struct image_map maps[] = {
        MAP(ARRAY, 4, 16, 1, 0),
        MAP(HASH, 4, 16, 4, 0),
        MAP(PERCPU_ARRAY, 4, 8, 2, BPF_F_RDONLY_PROG),
        MAP(DEVMAP, 4, 4, 4, 0),
        MAP(PROG_ARRAY, 4, 4, 2, 0),
        MAP(ARRAY_OF_MAPS, 4, 4, 2, 0),
        MAP(RINGBUF, 0, 0, 4096, 0),
};

// Function `at` of the program stands in an equal part of it.
static uint32_t function_start(uint32_t function, uint32_t count)
{
	return function * (count / FUNCTIONS);
}

static void fit_call(struct bpf_insn *insn, uint32_t at, uint32_t count)
{
	uint32_t choice = (uint32_t)insn->imm;
	*insn = (struct bpf_insn){.code = insn->code, .src_reg = insn->src_reg % 3};
	if (insn->src_reg == BPF_PSEUDO_CALL)
		insn->imm = (int32_t)(function_start(choice % FUNCTIONS, count) - at - 1);
	else if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL)
		insn->imm = (int32_t)(choice % kfunc_count);
	else
		insn->imm = (int32_t)helper_table[choice % helper_count].id;
}

static void fit_jump(struct bpf_insn *insn, uint32_t at, uint32_t first, uint32_t end)
{
	uint32_t to = first + (uint16_t)insn->off % (end - first);
	insn->off = (int16_t)(to - at - 1);
	if (opcode_of(insn)->kind == KIND_JUMP_ALWAYS)
		*insn = (struct bpf_insn){.code = BPF_JMP | BPF_JA, .off = insn->off};
}

static void fit_wide(struct bpf_insn insn[2], uint32_t at, uint32_t count)
{
	uint32_t choice = (uint32_t)insn->imm;
	insn->off = 0;
	insn->src_reg %= 5;
	insn[1] = (struct bpf_insn){.imm = insn->src_reg == 0 ? insn[1].imm : 0};
	switch (insn->src_reg) {
	case BPF_PSEUDO_MAP_FD:
		insn->imm = (int32_t)(choice % ARRAY_SIZE(maps));
		break;
	case BPF_PSEUDO_MAP_VALUE:
		insn->imm = 0;
		insn[1].imm = (int32_t)(choice % 16);
		break;
	case BPF_PSEUDO_FUNC:
		insn->imm = (int32_t)(function_start(choice % FUNCTIONS, count) - at - 1);
		break;
	default:
		insn->src_reg = 0;
	}
}

// What an instruction's other fields may be depends on its kind; what is still wrong becomes a
// move.
static void fit(struct bpf_insn *insn, uint32_t at, uint32_t first, uint32_t end, uint32_t count)
{
	static const uint8_t sources[] = {BPF_ADD, BPF_AND, BPF_OR, BPF_XOR, BPF_XCHG, BPF_CMPXCHG};
	const struct opcode *op = opcode_of(insn);
	insn->dst_reg %= 10 + (op->kind == KIND_STORE);
	insn->src_reg %= 11;
	if (op->kind == KIND_CALL)
		fit_call(insn, at, count);
	else if (op->kind == KIND_JUMP || op->kind == KIND_JUMP_ALWAYS)
		fit_jump(insn, at, first, end);
	else if (op->kind == KIND_ATOMIC)
		insn->imm = sources[(uint32_t)insn->imm % ARRAY_SIZE(sources)];
	else if (op->kind == KIND_EXIT)
		*insn = (struct bpf_insn){.code = insn->code};
	if (op->kind == KIND_LOAD || op->kind == KIND_STORE || op->kind == KIND_ATOMIC)
		insn->off %= 64;
	if (op->has_src && op->kind != KIND_ATOMIC)
		insn->imm = 0;
	if (!op->has_src && op->kind != KIND_CALL && op->kind != KIND_LDDW)
		insn->src_reg = 0;
	if (op->kind == KIND_ALU || op->kind == KIND_NEG || op->kind == KIND_SWAP)
		insn->off = 0;
	if (opcode_check(insn, count - at))
		*insn = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X,
		        .dst_reg = insn->dst_reg % 10,
		        .src_reg = insn->src_reg % 11};
}

static void fit_all(struct bpf_insn *insns, uint32_t count)
{
	for (uint32_t f = 0; f < FUNCTIONS; f++) {
		uint32_t first = function_start(f, count);
		uint32_t end = f + 1 < FUNCTIONS ? function_start(f + 1, count) : count;
		for (uint32_t i = first; i < end; i++) {
			if (insn_is_lddw(&insns[i]) && i + 2 < end) {
				insns[i].dst_reg %= 10;
				fit_wide(&insns[i], i, count);
				i++;
				continue;
			}
			fit(&insns[i], i, first, end, count);
		}
		insns[end - 1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	}
}

static void judge(const struct image *image, bool is_bare)
{
	struct analysis *analysis = NULL;
	struct error err;
	if (analysis_new(image, 0, is_bare, &analysis, &err))
		abort();
	for (uint32_t i = 0; i < analysis->insn_count; i++) {
		const struct fact *fact = &analysis->facts[i];
		if (fact->proven != (fact->proven && fact->reached && fact->region != VALUE_ANY &&
		                            fact->reason == REASON_PROVEN) ||
		        fact->live >> 10)
			abort();
	}
	if (analysis->steps > STEPS_FACTOR * (uint64_t)analysis->insn_count)
		abort();
	analysis_free(&analysis);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t count = (uint32_t)(size / sizeof(struct bpf_insn));
	struct bpf_insn *insns;
	if (count < 4 * FUNCTIONS || count > INSNS_MAX)
		return 0;
	insns = malloc(count * sizeof(insns[0]));
	if (!insns)
		return 0;
	memcpy(insns, data, count * sizeof(insns[0]));
	fit_all(insns, count);
	struct image_function functions[FUNCTIONS] = {0};
	for (uint32_t i = 0; i < FUNCTIONS; i++)
		functions[i].insn = function_start(i, count);
	char(*kfuncs)[IMAGE_NAME_MAX] = calloc(kfunc_count, IMAGE_NAME_MAX);
	for (uint32_t i = 0; kfuncs && i < kfunc_count; i++)
		strncpy(kfuncs[i], kfunc_table[i].name, IMAGE_NAME_MAX - 1);
	struct image_program program = {.name = "f",
	        .insns = insns,
	        .insn_count = count,
	        .functions = functions,
	        .function_count = FUNCTIONS};
	struct image image = {.programs = &program,
	        .program_count = 1,
	        .maps = maps,
	        .map_count = ARRAY_SIZE(maps),
	        .kfuncs = kfuncs,
	        .kfunc_count = kfuncs ? kfunc_count : 0};
	struct error err;
	if (check_image(&image, &err) == 0)
		judge(&image, size % 2);
	free(kfuncs);
	free(insns);
	return 0;
}
