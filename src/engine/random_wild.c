// SPDX-License-Identifier: Apache-2.0
// What no verifier would pass: numbers as addresses, pointers that travel through memory and come
// back as something else, what is gone or was never written. And changes to a whole program, a
// field or two at a time: of programs that are nearly right there are more than one can think of.
#include "ebpf/opcode.h"
#include "engine/random_writer.h"

// r5 = r10, got by a way that a typed pass loses track of.
static void put_alias_pointer(struct writer *w)
{
	unsigned number = any_register(w);
	int at = 8 * (int)pick(w, 8), size = pick(w, 2) ? BPF_DW : BPF_W;
	put_move(w, 5, BPF_REG_10);
	switch (pick(w, 6)) {
	case 0: // through a global
		put_wide(w, 4, BPF_PSEUDO_MAP_VALUE, RANDOM_GLOBAL, 0);
		put_store(w, size, 4, at, BPF_REG_10);
		put_load(w, size, 5, 4, at);
		break;
	case 1: // left there by a packet before, or by chance
		put_wide(w, 4, BPF_PSEUDO_MAP_VALUE, RANDOM_GLOBAL, 0);
		put_load(w, size, 5, 4, at);
		break;
	case 2:
		put(w, BPF_ALU | BPF_MOV | BPF_X, 5, BPF_REG_10, 0, 0);
		break;
	case 3:
		put(w, BPF_ALU64 | BPF_ADD | BPF_X, 5, number, 0, 0);
		put(w, BPF_ALU64 | BPF_SUB | BPF_X, 5, number, 0, 0);
		break;
	case 4:
		put(w, BPF_ALU64 | BPF_XOR | BPF_K, 5, 0, 0, -1);
		put(w, BPF_ALU64 | BPF_XOR | BPF_K, 5, 0, 0, -1);
		break;
	default: // an offset that only the run knows
		put_move(w, 4, number);
		put(w, BPF_ALU64 | BPF_AND | BPF_K, 4, 0, 0, pick(w, 2) ? 56 : 63);
		put(w, BPF_ALU64 | BPF_SUB | BPF_X, 5, 4, 0, 0);
		break;
	}
}

// A helper gets r5 and something added, and reads or writes there.
static void put_alias_argument(struct writer *w)
{
	static const unsigned maps[] = {
	        RANDOM_HASH, RANDOM_HASH_WIDE, RANDOM_HASH_FLOW, RANDOM_LRU};
	unsigned map = maps[pick(w, 4)];
	int32_t at = pick(w, 2) ? KEY_AT : -8 * (int32_t)(1 + pick(w, 16));
	switch (pick(w, 3)) {
	case 0:
		put_move(w, 1, 5);
		put_add(w, 1, at);
		put_number(w, 2, 8);
		put_number(w, 3, 0);
		put_number(w, 4, 0);
		put_number(w, 5, 0);
		put_helper_call(w, BPF_FUNC_csum_diff);
		break;
	case 1: // bpf_probe_read_kernel, from here to there or from there to here
		put_move(w, 1, pick(w, 2) ? 5 : BPF_REG_10);
		put_add(w, 1, at);
		put_number(w, 2, 8);
		put_move(w, 3, pick(w, 2) ? 5 : BPF_REG_10);
		put_add(w, 3, -8 * (int32_t)(1 + pick(w, 16)));
		put_helper_call(w, BPF_FUNC_probe_read_kernel);
		break;
	default:
		put_wide(w, 1, BPF_PSEUDO_MAP_FD, (int32_t)map, 0);
		put_move(w, 2, 5);
		put_add(w, 2, at);
		put_move(w, 3, BPF_REG_10);
		put_add(w, 3, VALUE_AT);
		put_number(w, 4, 0);
		put_helper_call(
		        w, pick(w, 2) ? BPF_FUNC_map_update_elem : BPF_FUNC_map_delete_elem);
		break;
	}
}

void put_stack_alias(struct writer *w)
{
	put_alias_pointer(w);
	if (one_in(w, 3)) {
		put_alias_argument(w);
		return;
	}
	for (uint32_t n = 1 + pick(w, 3); n; n--) {
		if (one_in(w, 5))
			put_atomic(w, 5, -64, 64);
		else
			put_access(w, 5, one_in(w, 3) ? SPILL_AT : KEY_AT + (int)pick(w, 40), 64,
			        false);
	}
}

// A pointer to the packet that another packet may find.
static void put_stale_packet(struct writer *w)
{
	put_wide(w, 4, BPF_PSEUDO_MAP_VALUE, RANDOM_GLOBAL, 56);
	if (pick(w, 2)) {
		put_load(w, BPF_DW, 1, BPF_REG_10, CONTEXT_AT);
		put_load(w, BPF_W, 5, 1, 4 * (int)pick(w, 3));
		put_store(w, BPF_DW, 4, 0, 5);
	} else {
		put_load(w, BPF_DW, 5, 4, 0);
		put_access(w, 5, (int)pick(w, 16) - 8, 32, false);
	}
}

static void put_context(struct writer *w)
{
	put_load(w, BPF_DW, 1, BPF_REG_10, CONTEXT_AT);
	if (one_in(w, 8))
		put_access(w, 1, 0, 34, false);
	else
		put_load(w, one_in(w, 4) ? BPF_DW : BPF_W, any_register(w), 1,
		        4 * (int)pick(w, one_in(w, 8) ? 9 : 7));
}

// A record of the ring: in use, and after it has been given away.
static void put_record(struct writer *w)
{
	put_wide(w, 1, BPF_PSEUDO_MAP_FD, RANDOM_RING, 0);
	put_number(w, 2, 8 + 8 * (int32_t)pick(w, 8));
	put_number(w, 3, 0);
	put_helper_call(w, BPF_FUNC_ringbuf_reserve);
	uint32_t at = w->program->count;
	put(w, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0, 0);
	put_store(w, BPF_DW, BPF_REG_10, VALUE_AT, 0);
	put_move(w, 5, 0);
	put(w, BPF_ST | BPF_MEM | BPF_DW, 5, 0, 0, any_number(w));
	put_access(w, 5, 0, one_in(w, 8) ? 80 : 8, false);
	put_load(w, BPF_DW, 1, BPF_REG_10, VALUE_AT);
	put_number(w, 2, 0);
	put_helper_call(w, pick(w, 2) ? BPF_FUNC_ringbuf_submit : BPF_FUNC_ringbuf_discard);
	if (one_in(w, 6)) {
		put_load(w, BPF_DW, 5, BPF_REG_10, VALUE_AT);
		put_access(w, 5, 0, 8, false);
	}
	patch_jump(w, at);
	put_number(w, 0, any_number(w));
}

// A pointer at the very end of what it points into, or a byte too far.
static void put_edge(struct writer *w)
{
	unsigned map = pick(w, 2) ? RANDOM_HASH : RANDOM_HASH_FLOW;
	int32_t key = (int32_t)random_maps[map].key_size;
	put_wide(w, 1, BPF_PSEUDO_MAP_FD, (int32_t)map, 0);
	if (pick(w, 2)) {
		put_move(w, 2, BPF_REG_10);
	} else {
		put_load(w, BPF_DW, 4, BPF_REG_10, CONTEXT_AT);
		put_load(w, BPF_W, 2, 4, 4);
	}
	put_add(w, 2, -key + (int32_t)one_in(w, 4));
	put_helper_call(w, BPF_FUNC_map_lookup_elem);
	if (one_in(w, 2)) {
		put_jump_out(w, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0);
		put_access(w, 0, 0, 16, false);
	}
}

void put_wild(struct writer *w)
{
	switch (pick(w, 10)) {
	case 0:
	case 1:
	case 2:
		put_stack_alias(w);
		break;
	case 3:
		put_stale_packet(w);
		break;
	case 4:
	case 5:
		put_context(w);
		break;
	case 6:
		put_record(w);
		break;
	case 7:
		put_edge(w);
		break;
	case 8: // what a call left in r1 to r5, which is 0
		put(w, BPF_ALU64 | BPF_ADD | BPF_X, any_register(w), 1 + pick(w, 5), 0, 0);
		break;
	default:
		if (one_in(w, 4))
			put_access(w, pick(w, 11), -8, 16, false);
		else
			put_access(w, BPF_REG_10, -512 + (int)pick(w, 440), 64, false);
		break;
	}
}

// Changes one field of an instruction, as a slip of the hand would.
static void mutate_once(struct writer *w)
{
	struct random_program *program = w->program;
	uint32_t at = pick(w, program->count);
	struct bpf_insn *insn = &program->insns[at];
	enum opcode_kind kind = opcode_of(insn)->kind;
	if (insn_is_lddw(insn) || (at && insn_is_lddw(insn - 1)) || kind == KIND_EXIT)
		return;
	switch (pick(w, 6)) {
	case 0:
		if (insn->dst_reg != BPF_REG_10)
			insn->dst_reg = pick(w, 10) & 15;
		break;
	case 1:
		if (insn->src_reg && kind != KIND_CALL)
			insn->src_reg = pick(w, 11) & 15;
		break;
	case 2:
		if (kind == KIND_LOAD || kind == KIND_STORE)
			insn->off = (int16_t)(insn->off + (int)pick(w, 17) - 8);
		break;
	case 3:
		if (kind == KIND_ALU && insn->imm)
			insn->imm = (int32_t)((uint32_t)insn->imm + pick(w, 3) - 1);
		break;
	case 4: // gone
		if (kind != KIND_CALL)
			*insn = (struct bpf_insn){.code = BPF_JMP | BPF_JA};
		break;
	default:
		if (kind == KIND_JUMP || kind == KIND_ALU)
			insn->code ^= pick(w, 2) ? BPF_JMP ^ BPF_JMP32 : 0x10;
		break;
	}
}

void mutate(struct writer *w)
{
	for (uint32_t n = pick(w, 2) ? pick(w, 4) : 0; n; n--)
		mutate_once(w);
}
