// SPDX-License-Identifier: Apache-2.0
// Programs over a packet, with maps and helpers at hand: whatever they do ends in a verdict, the
// same in every engine (diff.h), and the sanitizers see no access outside what is theirs.
//
// Of random bytes next to none pass the check. So each 8 bytes of the input are made into a legal
// instruction, in a program (first half) and a function that it may call (second half). Opcodes
// that are none become calls, and calls get arguments of the kind that their helper takes, but
// where the input says not to. What registers hold is the input's affair.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/helper.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"
#include "engine/bare.h"
#include "engine/diff.h"
#include "engine/way.h"

#define BUDGET      4096
#define PACKET_SIZE 64u
#define INSNS_MAX   1024u
#define INPUTS_MAX  64u // each becomes 13 slots at most
#define MAP(kind, key, value, entries, bits)                                                       \
	{                                                                                          \
		.name = #kind, .type = BPF_MAP_TYPE_##kind, .key_size = (key),                     \
		.value_size = (value), .max_entries = (entries), .flags = (bits),                  \
		.inner = IMAGE_NONE                                                                \
	}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct image_map maps[] = {
        MAP(ARRAY, 4, 16, 1, 0),
        MAP(HASH, 4, 16, 4, 0),
        MAP(LRU_HASH, 8, 24, 4, 0),
        MAP(PERCPU_ARRAY, 4, 8, 2, 0),
        MAP(LPM_TRIE, 8, 8, 4, BPF_F_NO_PREALLOC),
        MAP(RINGBUF, 0, 0, 4096, 0),
        MAP(PERF_EVENT_ARRAY, 4, 4, 2, 0),
        MAP(DEVMAP, 4, 4, 4, 0),
        MAP(PROG_ARRAY, 4, 4, 2, 0),
};
#define MAPS       (sizeof(maps) / sizeof(maps[0]))
#define PROG_ARRAY (MAPS - 1)

struct maker {
	struct bpf_insn insns[INSNS_MAX];
	uint32_t count;
	uint32_t starts[INSNS_MAX]; // of the instructions of the function that is made
	uint32_t start_count;
};

static void put(struct maker *maker, struct bpf_insn insn)
{
	maker->starts[maker->start_count++] = maker->count;
	maker->insns[maker->count++] = insn;
}

static void put_lddw(struct maker *maker, unsigned dst, unsigned src, int32_t imm, int32_t next)
{
	put(maker, (struct bpf_insn){.code = BPF_LD | BPF_DW | BPF_IMM,
	                   .dst_reg = dst & 15,
	                   .src_reg = src & 15,
	                   .imm = imm});
	maker->insns[maker->count++] = (struct bpf_insn){.imm = next};
}

static void put_move(struct maker *maker, unsigned dst, unsigned src, int32_t add)
{
	put(maker, (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X,
	                   .dst_reg = dst & 15,
	                   .src_reg = src & 15});
	if (add)
		put(maker, (struct bpf_insn){.code = BPF_ALU64 | BPF_ADD | BPF_K,
		                   .dst_reg = dst & 15,
		                   .imm = add});
}

// r6 = context, r7 = packet, r8 = a map's value; callees find them there too. On the stack, a key
// of a longest-prefix map whose update is within the budget.
static void put_prologue(struct maker *maker)
{
	put_move(maker, 6, 1, 0);
	put(maker,
	        (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 7, .src_reg = 1});
	put_lddw(maker, 8, BPF_PSEUDO_MAP_VALUE, 0, 0);
	put(maker, (struct bpf_insn){.code = BPF_ST | BPF_MEM | BPF_DW,
	                   .dst_reg = BPF_REG_10,
	                   .off = -8,
	                   .imm = 32});
}

// One argument of the kind that the helper takes, in register `dst`; `choice` varies it.
static void put_argument(struct maker *maker, unsigned dst, enum helper_arg arg, uint32_t choice)
{
	static const uint8_t bases[] = {BPF_REG_10, BPF_REG_10, 7, 8};
	unsigned base = bases[choice & 3];
	switch (arg) {
	case ARG_NONE:
		break;
	case ARG_CTX:
		put_move(maker, dst, 6, 0);
		break;
	case ARG_MAP:
		put_lddw(maker, dst, BPF_PSEUDO_MAP_FD, (int32_t)(choice % MAPS), 0);
		break;
	case ARG_FUNC:
		put_lddw(maker, dst, BPF_PSEUDO_FUNC, 0, 0);
		break;
	case ARG_ANY:
	case ARG_SIZE:
		put_lddw(maker, dst, 0, (int32_t)(choice % 72), 0);
		break;
	default:
		put_move(maker, dst, base,
		        base == BPF_REG_10 ? -8 * (1 + (int32_t)(choice % 9)) : 0);
		break;
	}
}

static void put_call(struct maker *maker, const struct bpf_insn *raw)
{
	uint32_t choice = (uint32_t)raw->imm;
	struct bpf_insn call = {.code = BPF_JMP | BPF_CALL, .src_reg = raw->src_reg % 3};
	const struct helper *helper = NULL;
	if (call.src_reg == BPF_PSEUDO_CALL) {
		put(maker, call);
		return;
	}
	if (call.src_reg == BPF_PSEUDO_KFUNC_CALL) {
		call.imm = (uint16_t)raw->off % (int32_t)kfunc_count;
		helper = &kfunc_table[call.imm];
	} else {
		helper = &helper_table[(uint16_t)raw->off % helper_count];
		call.imm = (int32_t)helper->id;
	}
	for (unsigned i = 0; i < 5; i++) {
		if (!(raw->dst_reg & 1u << i)) // of the fifth always
			put_argument(maker, 1 + i, helper->args[i], choice >> 5 * i);
	}
	put(maker, call);
}

// What the fields of other instructions may be, by kind.
static void fit(struct bpf_insn *insn, const struct opcode *op)
{
	static const int16_t extends[] = {0, 8, 16, 32};
	static const int32_t widths[] = {16, 32, 64};
	static const int32_t atomics[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
	        BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG,
	        BPF_LOAD_ACQ, BPF_STORE_REL};
	bool stores = op->kind == KIND_STORE || op->kind == KIND_ATOMIC;
	uint8_t operation = BPF_OP(insn->code);
	insn->dst_reg = insn->dst_reg % (stores ? 11 : 10) & 15;
	insn->src_reg = insn->src_reg % (op->kind == KIND_ATOMIC ? 10 : 11) & 15;
	switch (op->kind) {
	case KIND_ALU:
		if (operation == BPF_DIV || operation == BPF_MOD)
			insn->off &= 1;
		else
			insn->off = operation == BPF_MOV && op->has_src
			                    ? extends[(uint16_t)insn->off % (op->is_64 ? 4 : 3)]
			                    : 0;
		break;
	case KIND_NEG:
	case KIND_SWAP:
		insn->src_reg = 0;
		insn->off = 0;
		insn->imm = op->kind == KIND_SWAP ? widths[(uint32_t)insn->imm % 3] : 0;
		return;
	case KIND_LOAD:
	case KIND_LOAD_SX:
	case KIND_STORE:
		insn->off = (int8_t)insn->off;
		break;
	case KIND_ATOMIC:
		insn->off = (int16_t)((int8_t)insn->off & -8);
		insn->imm = atomics[(uint32_t)insn->imm % (op->size < 4 ? 2 : 12)];
		if (op->size < 4)
			insn->imm = insn->imm == BPF_ADD ? BPF_LOAD_ACQ : BPF_STORE_REL;
		if (insn->imm == BPF_LOAD_ACQ && insn->dst_reg == BPF_REG_10)
			insn->dst_reg = 0;
		return;
	case KIND_JUMP_ALWAYS:
		insn->dst_reg = 0;
		insn->src_reg = 0;
		insn->imm = op->is_64 ? 0 : insn->off;
		insn->off = op->is_64 ? insn->off : 0;
		return;
	case KIND_EXIT:
		*insn = (struct bpf_insn){.code = insn->code};
		return;
	default:
		break;
	}
	if (op->has_src || op->kind == KIND_LOAD || op->kind == KIND_LOAD_SX)
		insn->imm = 0;
	else
		insn->src_reg = 0;
}

static void put_raw(struct maker *maker, const struct bpf_insn *raw)
{
	struct bpf_insn insn = *raw;
	const struct opcode *op = opcode_of(&insn);
	bool is_none = op->kind == KIND_INVALID || op->kind == KIND_PACKET;
	if (op->kind == KIND_CALL || is_none) {
		put_call(maker, raw);
	} else if (op->kind == KIND_LDDW) {
		uint32_t kind = raw->src_reg % 4;
		if (kind == 3)
			put_lddw(maker, raw->dst_reg % 10, BPF_PSEUDO_FUNC, 0, 0);
		else
			put_lddw(maker, raw->dst_reg % 10, kind,
			        kind == 1 ? (int32_t)((uint32_t)raw->imm % MAPS)
			        : kind    ? 0
			                  : raw->imm,
			        kind == 2 ? raw->off & 15
			        : kind    ? 0
			                  : raw->off);
	} else {
		fit(&insn, op);
		put(maker, insn);
	}
}

// Ends a function: its jumps go to where an instruction of it starts.
static void end_function(struct maker *maker)
{
	put(maker, (struct bpf_insn){.code = BPF_JMP | BPF_EXIT});
	for (uint32_t i = 0; i < maker->start_count; i++) {
		uint32_t at = maker->starts[i];
		struct bpf_insn *insn = &maker->insns[at];
		const struct opcode *op = opcode_of(insn);
		bool is_long = op->kind == KIND_JUMP_ALWAYS && !op->is_64;
		if (op->kind != KIND_JUMP && op->kind != KIND_JUMP_ALWAYS)
			continue;
		uint32_t to = i + (uint32_t)(int8_t)(is_long ? insn->imm : insn->off);
		int32_t by = (int32_t)maker->starts[to % maker->start_count] - (int32_t)at - 1;
		if (is_long)
			insn->imm = by;
		else
			insn->off = (int16_t)by;
	}
	maker->start_count = 0;
}

static void make_program(struct maker *maker, const uint8_t *data, uint32_t count)
{
	struct bpf_insn raw[INPUTS_MAX];
	memcpy(raw, data, count * sizeof(raw[0]));
	put_prologue(maker);
	for (uint32_t i = 0; i < count / 2; i++)
		put_raw(maker, &raw[i]);
	end_function(maker);
	uint32_t callee = maker->count;
	for (uint32_t i = count / 2; i < count; i++)
		put_raw(maker, &raw[i]);
	end_function(maker);
	for (uint32_t i = 0; i < maker->count; i++) {
		struct bpf_insn *insn = &maker->insns[i];
		bool is_function = insn_is_lddw(insn) && insn->src_reg == BPF_PSEUDO_FUNC;
		if (is_function ||
		        (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL))
			insn->imm = (int32_t)callee - (int32_t)i - 1;
		i += insn_is_lddw(insn);
	}
}

// The image, with all kfuncs, and the program as a target of its own tail calls.
static struct image *make_image(void *context, struct error *err)
{
	const struct maker *maker = context;
	struct image *image;
	if (bare_image(maker->insns, maker->count, maps, MAPS, &image, err))
		abort();
	image->kfuncs = calloc(kfunc_count, sizeof(image->kfuncs[0]));
	image->maps[PROG_ARRAY].slots = calloc(1, sizeof(struct image_slot));
	if (!image->kfuncs || !image->maps[PROG_ARRAY].slots)
		abort();
	image->maps[PROG_ARRAY].slot_count = 1;
	for (uint32_t i = 0; i < kfunc_count; i++)
		strncpy(image->kfuncs[i], kfunc_table[i].name, IMAGE_NAME_MAX - 1);
	image->kfunc_count = kfunc_count;
	return image;
}

static struct diff_side *side_of(uint32_t way)
{
	static struct diff_side *sides[ENGINE_WAYS_MAX];
	if (!sides[way] && diff_side_new(engine_way(way), &sides[way], NULL))
		abort();
	return sides[way];
}

// Runs all ways and holds them against the first.
static void compare(const struct diff_setup *setup)
{
	static struct diff_outcome outcomes[ENGINE_WAYS_MAX];
	for (uint32_t i = 0; engine_way(i); i++) {
		diff_run(side_of(i), setup, &outcomes[i]);
		if (!outcomes[i].loaded)
			fprintf(stderr, "what is made here must load\n");
		else if (diff_same(&outcomes[0], &outcomes[i]))
			continue;
		diff_print(stderr, engine_way(0)->name, &outcomes[0], engine_way(i)->name,
		        &outcomes[i]);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct maker maker = {.count = 0};
	uint8_t packet[PACKET_SIZE] = {0};
	uint32_t count = (uint32_t)(size / sizeof(struct bpf_insn));
	if (!count || count > INPUTS_MAX)
		return 0;
	make_program(&maker, data, count);
	memcpy(packet, data, size < PACKET_SIZE ? size : PACKET_SIZE); // the input, too
	const struct diff_setup setup = {.make = make_image,
	        .context = &maker,
	        .bytes = packet,
	        .size = PACKET_SIZE,
	        .seed = 1,
	        .budget = BUDGET,
	        .bursts = 2,
	        .burst = 2};
	compare(&setup);
	return 0;
}
