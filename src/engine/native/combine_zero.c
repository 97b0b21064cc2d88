// SPDX-License-Identifier: Apache-2.0
// Bytes that are ored together to see whether all are zero, as clang writes a test of an address:
//
//	r1 = *(u8 *)(r8 + 0); r2 = *(u8 *)(r8 + 1); w2 |= w1; … w2 &= 255; if w2 == 0 goto X
//
// Words can be ored as well, where nobody wants to know more of the sum than that.
#include "engine/native/combine_parts.h"

#define LEAVES_MAX 8u
#define NODES_MAX  24u

struct tree {
	uint16_t leaves[LEAVES_MAX]; // loads of one byte, by address once they are sorted
	uint32_t count;
};

// The loads whose bytes are ored in step `root`. False: there is something else in it, or somebody
// else reads a part.
static bool find_leaves(const struct combiner *it, uint16_t root, struct tree *tree)
{
	uint16_t nodes[NODES_MAX] = {root};
	uint32_t left = 1;
	while (left) {
		uint16_t at = nodes[--left];
		if (at == NO_STEP || it->steps[at].uses != 1)
			return false;
		const struct bpf_insn *insn = &it->insns[at];
		const struct step *step = &it->steps[at];
		uint8_t class = BPF_CLASS(insn->code);
		if (insn->code == (BPF_LDX | BPF_MEM | BPF_B)) {
			if (tree->count == LEAVES_MAX || step->holder != at)
				return false;
			tree->leaves[tree->count++] = at;
		} else if ((class == BPF_ALU || class == BPF_ALU64) && left + 2 <= NODES_MAX &&
		           (insn->code & ~7) == (BPF_OR | BPF_X)) {
			nodes[left++] = step->dst;
			nodes[left++] = step->src;
		} else {
			return false;
		}
	}
	return true;
}

static void sort_leaves(const struct combiner *it, struct tree *tree)
{
	for (uint32_t i = 1; i < tree->count; i++) {
		uint16_t leaf = tree->leaves[i];
		uint32_t k = i;
		for (; k && it->steps[tree->leaves[k - 1]].origin.offset >
		                    it->steps[leaf].origin.offset;
		        k--)
			tree->leaves[k] = tree->leaves[k - 1];
		tree->leaves[k] = leaf;
	}
}

// The word of leaves [first, first + size), which are neighbours at one address.
static bool run_of_leaves(const struct combiner *it, const struct tree *tree, uint32_t first,
        uint32_t size, struct run *run)
{
	struct word word = {0};
	const struct step *some = &it->steps[tree->leaves[0]];
	for (uint32_t i = 0; i < size; i++) {
		const struct step *leaf = &it->steps[tree->leaves[first + i]];
		if (leaf->base != some->base || leaf->base_maker != some->base_maker)
			return false;
		word = word_with(word, i, word_byte(leaf->word, 0));
	}
	return find_run(it, word, size, run) && !run->reversed;
}

// Puts the loads of both words where the last or's operands are made.
static bool load_words(struct combiner *it, const struct tree *tree, uint16_t last)
{
	uint16_t dst = it->steps[last].dst, src = it->steps[last].src;
	uint16_t readers[] = {dst, src};
	uint32_t high = tree->count - 4;
	struct run low_run, high_run;
	const struct step *first = &it->steps[tree->leaves[0]];
	struct place place = {.root = first->origin.root,
	        .offset = first->origin.offset,
	        .size = (uint8_t)tree->count};
	const struct fact *fact = &it->facts[tree->leaves[0]];
	uint16_t oldest = last;
	for (uint32_t i = 0; i < tree->count; i++)
		oldest = tree->leaves[i] < oldest ? tree->leaves[i] : oldest;
	if (!run_of_leaves(it, tree, 0, 4, &low_run) ||
	        !run_of_leaves(it, tree, 4, high, &high_run) ||
	        high_run.offset != low_run.offset + 4 ||
	        it->makers[first->base] != first->base_maker ||
	        !run_moves(it, &low_run, readers, 2, NO_STEP) ||
	        !run_moves(it, &high_run, readers, 2, NO_STEP) ||
	        !is_unchanged(it, &place, fact, oldest, last))
		return false;
	// Neither can fail: their address stands in one register to the end, and memory as well.
	return load_run(it, &low_run, dst, it->insns[last].dst_reg) &&
	       load_run(it, &high_run, src, it->insns[last].src_reg);
}

void combine_zero_test(struct combiner *it, const struct bpf_insn *jump, const struct fact *fact)
{
	uint8_t reg = jump->dst_reg, op = BPF_OP(jump->code), class = BPF_CLASS(jump->code);
	if ((class != BPF_JMP && class != BPF_JMP32) || BPF_SRC(jump->code) != BPF_K ||
	        (op != BPF_JEQ && op != BPF_JNE) || jump->imm || fact->leader ||
	        fact->live >> reg & 1)
		return;
	uint16_t mask = NO_STEP, last = it->makers[reg];
	if (last != NO_STEP && it->steps[last].uses == 1 &&
	        (it->insns[last].code & ~7) == (BPF_AND | BPF_K) && it->insns[last].imm == 255) {
		mask = last;
		last = it->steps[last].dst;
	}
	struct tree tree = {.count = 0};
	if (last == NO_STEP || it->insns[last].dst_reg != reg || !find_leaves(it, last, &tree) ||
	        (tree.count != 5 && tree.count != 6 && tree.count != 8))
		return;
	sort_leaves(it, &tree);
	if (load_words(it, &tree, last) && mask != NO_STEP)
		it->insns[mask] = (struct bpf_insn){.code = BPF_JMP | BPF_JA};
}
