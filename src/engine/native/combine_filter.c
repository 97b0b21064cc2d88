// SPDX-License-Identifier: Apache-2.0
// Chains of compares, as clang writes memcmp(a, b, 6) != 0:
//
//	r2 = *(u8 *)(a + 0); r3 = *(u8 *)(b + 0); if r3 != r2 goto X; r2 = *(u8 *)(a + 1); …
//
// Where they jump at all, the chain itself must run: how far it comes is counted. Where all bytes
// are equal it always runs through, and a few compares of words in front tell that.
#include "engine/native/combine.h"

#include "ebpf/analysis.h"
#include "ebpf/opcode.h"

#define CHAIN_MAX 16u // bytes
#define CHAIN_MIN 4u

static bool is_plain_load(const struct bpf_insn *insn, const struct fact *fact)
{
	return BPF_CLASS(insn->code) == BPF_LDX && BPF_MODE(insn->code) == BPF_MEM &&
	       BPF_SIZE(insn->code) != BPF_DW && fact->proven && fact->reached &&
	       !fact->by_branch &&
	       (fact->region == VALUE_PACKET || fact->region == VALUE_MAP_VALUE);
}

// Two loads and a compare that falls through where they are equal.
static bool is_link(const struct bpf_insn *insn, const struct fact *fact)
{
	const struct bpf_insn *a = insn, *b = insn + 1, *jump = insn + 2;
	if (!is_plain_load(a, fact) || !is_plain_load(b, fact + 1) || a->code != b->code ||
	        !fact[2].reached || a->dst_reg == b->dst_reg || a->dst_reg == b->src_reg)
		return false;
	if (jump->code != (BPF_JMP | BPF_JNE | BPF_X) &&
	        jump->code != (BPF_JMP32 | BPF_JNE | BPF_X))
		return false;
	return (jump->dst_reg == a->dst_reg && jump->src_reg == b->dst_reg) ||
	       (jump->dst_reg == b->dst_reg && jump->src_reg == a->dst_reg);
}

bool combine_find_filter(const struct bpf_insn *insns, const struct fact *facts, uint32_t count,
        uint32_t at, struct filter *filter)
{
	const struct bpf_insn *first = &insns[at];
	uint32_t size = 0, written = 0, end = at;
	while (end + 3 <= count && is_link(&insns[end], &facts[end])) {
		const struct bpf_insn *a = &insns[end], *b = a + 1;
		uint32_t each = opcode_of(a)->size;
		if (size + each > CHAIN_MAX || a->src_reg != first->src_reg ||
		        b->src_reg != first[1].src_reg || a->off != first->off + (int32_t)size ||
		        b->off != first[1].off + (int32_t)size)
			break;
		uint32_t writes = 1u << a->dst_reg | 1u << b->dst_reg;
		if (writes & (1u << first->src_reg | 1u << first[1].src_reg))
			break;
		written |= writes;
		size += each;
		end += 3;
	}
	if (size < CHAIN_MIN || end - at < 6 || (facts[end - 1].live & written))
		return false;
	*filter = (struct filter){.end = end,
	        .a = first->src_reg,
	        .b = first[1].src_reg,
	        .a_offset = first->off,
	        .b_offset = first[1].off,
	        .size = size};
	return true;
}
