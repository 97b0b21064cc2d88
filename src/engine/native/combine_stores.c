// SPDX-License-Identifier: Apache-2.0
// Stores to neighbouring bytes: one store at the last of them, of a constant, of a register that
// holds them all, or of a word that is loaded at once where the last byte was.
#include "engine/native/combine_parts.h"

#define LOOK_BACK 16u // steps that touch memory: keeps time linear
#define AROUND    7   // bytes before and behind the last store that may be merged with it
#define BYTES     (2 * AROUND + 8)

// The bytes around the last store, from AROUND below it, and the stores there that can be moved to
// it, itself the first. Masks of bytes: what these write, and what is touched between.
struct surroundings {
	uint16_t stores[BYTES];
	uint8_t lows[BYTES]; // where each begins
	uint32_t count, written, blocked;
};

// The stores that become one, at `at`.
struct merge {
	uint16_t at, members[8]; // the others
	uint32_t member_count, size;
	int64_t offset;
	struct word word; // zeros above its size
	bool by_branch;
};

static void look_at(
        const struct combiner *it, uint16_t at, int64_t from, struct surroundings *around)
{
	const struct step *step = &it->steps[at];
	int64_t low = step->access.offset - from, high = low + step->access.size;
	bool fits = step->access.is_store && low >= 0 && high <= BYTES;
	int64_t start = low < 0 ? 0 : low, end = high > BYTES ? BYTES : high;
	if (start >= end)
		return;
	uint32_t mask = ((1u << (end - start)) - 1) << start;
	if (!fits || mask & (around->blocked | around->written)) {
		around->blocked |= mask & ~around->written;
		return;
	}
	around->written |= mask;
	around->lows[around->count] = (uint8_t)low;
	around->stores[around->count++] = at;
}

// Whether there is another store to merge with.
static bool look_around(struct combiner *it, uint16_t at, struct surroundings *around)
{
	const struct step *last = &it->steps[at];
	const struct fact *fact = &it->facts[at];
	int64_t from = last->access.offset - AROUND;
	around->count = around->written = around->blocked = 0;
	look_at(it, at, from, around);
	uint16_t *link = &it->steps[at].memory;
	for (uint32_t seen = 0; *link != NO_STEP && seen < LOOK_BACK;) {
		uint16_t i = *link;
		const struct step *step = &it->steps[i];
		if (!step->access.size) { // it has gone: not to be seen again
			*link = step->memory;
			continue;
		}
		if (step->access.root == last->access.root)
			look_at(it, i, from, around);
		else if (may_overlap(it, &step->access, &it->facts[i], &last->access, fact))
			break;
		link = &it->steps[i].memory;
		seen++;
	}
	return (around->written >> (AROUND - 1) & 1) ||
	       (around->written >> (AROUND + last->access.size) & 1);
}

// The `size` bytes from `start`, which are all written, as one store: by stores that lie within.
static bool merge_of(const struct combiner *it, uint16_t at, const struct surroundings *around,
        uint32_t start, uint32_t size, struct merge *merge)
{
	const struct step *last = &it->steps[at];
	const struct fact *fact = &it->facts[at];
	merge->at = at;
	merge->size = size;
	merge->by_branch = fact->by_branch;
	merge->member_count = 0;
	merge->offset = last->access.offset - AROUND + start;
	// Parts of keys on the stack may live in registers (slots.c): nothing may straddle two.
	if (fact->region == VALUE_STACK && (size > 4 || merge->offset % size))
		return false;
	merge->word = word_shift(word_cut(last->word, last->access.size), AROUND - start);
	for (uint32_t i = 1; i < around->count; i++) {
		uint32_t low = around->lows[i];
		const struct step *step = &it->steps[around->stores[i]];
		const struct fact *other = &it->facts[around->stores[i]];
		uint32_t high = low + step->access.size;
		if (high <= start || low >= start + size)
			continue;
		if (low < start || high > start + size || other->region != fact->region ||
		        other->map != fact->map)
			return false;
		struct word part = word_shift(word_cut(step->word, step->access.size), low - start);
		merge->word.low |= part.low;
		merge->word.high |= part.high;
		merge->members[merge->member_count++] = around->stores[i];
		merge->by_branch |= other->by_branch;
	}
	int64_t off = it->insns[at].off + merge->offset - last->access.offset;
	return merge->member_count && off >= INT16_MIN && off <= INT16_MAX;
}

static bool holds(struct word word, const struct merge *merge)
{
	return word_same(word_cut(word, merge->size), merge->word);
}

static bool constant_of(const struct merge *merge, int32_t *imm)
{
	uint64_t value = 0;
	for (uint32_t i = 0; i < merge->size; i++) {
		if (word_byte(merge->word, i) > 255)
			return false;
		value |= (uint64_t)word_byte(merge->word, i) << 8 * i;
	}
	*imm = (int32_t)(uint32_t)value;
	return merge->size < 8 || (int64_t)value == *imm;
}

// A register that holds the word when the last store runs, or -1.
static int find_holder(const struct combiner *it, const struct merge *merge)
{
	for (int r = 0; r < ANALYSIS_REGISTERS; r++) {
		uint16_t maker = it->makers[r];
		if (holds(it->registers[r], merge) &&
		        (maker == NO_STEP || !it->steps[maker].is_gone))
			return r;
	}
	return -1;
}

// Whether only stores that become one read the result of `step`; `others`: how often something else
// may.
static bool is_read_by_members(
        const struct combiner *it, const struct merge *merge, uint16_t step, uint32_t others)
{
	uint32_t uses = others;
	for (uint32_t i = 0; i < merge->member_count; i++)
		uses += it->steps[merge->members[i]].src == step;
	return it->steps[step].uses == uses;
}

// `w2 >>= 8` for the sake of the last byte: where its register held the whole word before and
// nobody else reads what it holds since, it need not be shifted.
static bool undo_shifts(struct combiner *it, const struct merge *merge)
{
	uint8_t reg = it->insns[merge->at].src_reg;
	uint16_t links[8], step = it->steps[merge->at].src;
	uint32_t count = 0;
	struct word before;
	do {
		if (step == NO_STEP || count == 8 || !is_read_by_members(it, merge, step, 1))
			return false;
		const struct bpf_insn *insn = &it->insns[step];
		enum opcode_kind kind = opcode_of(insn)->kind;
		if (kind > KIND_SWAP || !(opcode_of(insn)->operands & READS_DST) ||
		        insn->dst_reg != reg)
			return false;
		links[count++] = step;
		step = it->steps[step].dst;
		before = step == NO_STEP ? word_of_value(VALUE_OF_REGISTER + reg)
		                         : it->steps[step].word;
	} while (!holds(before, merge));
	// The last store reads the word; each link goes as its reader does.
	add_use(it, step);
	it->steps[merge->at].src = step;
	it->registers[reg] = before;
	it->makers[reg] = step;
	for (uint32_t i = 0; i < merge->member_count; i++) {
		for (uint32_t k = 0; k < count; k++) {
			struct step *member = &it->steps[merge->members[i]];
			if (member->src != links[k])
				continue;
			it->steps[links[k]].uses--;
			member->src = NO_STEP;
		}
	}
	drop_use(it, links[0]);
	return true;
}

// Makes what brought the last byte bring the whole word.
static bool load_word(struct combiner *it, const struct merge *merge)
{
	struct run run;
	uint16_t step = it->steps[merge->at].src, readers[8];
	uint8_t reg = it->insns[merge->at].src_reg;
	if (step == NO_STEP || !is_read_by_members(it, merge, step, 1) ||
	        it->insns[step].dst_reg != reg || !find_run(it, merge->word, merge->size, &run) ||
	        run.reversed)
		return false;
	for (uint32_t i = 0; i < merge->member_count; i++)
		readers[i] = it->steps[merge->members[i]].src;
	if (!run_moves(it, &run, readers, merge->member_count, step) ||
	        !load_run(it, &run, step, reg))
		return false;
	it->steps[step].word = merge->word;
	it->registers[reg] = merge->word;
	return true;
}

// The last store reads register `reg`, or stores `imm` where that is -1.
static void store_merged(struct combiner *it, const struct merge *merge, int reg, int32_t imm)
{
	struct step *step = &it->steps[merge->at];
	struct bpf_insn *insn = &it->insns[merge->at];
	struct fact *fact = &it->facts[merge->at];
	int64_t moved = merge->offset - step->access.offset;
	uint16_t before = step->src;
	step->src = reg < 0 ? NO_STEP : it->makers[reg];
	add_use(it, step->src);
	*insn = (struct bpf_insn){
	        .code = (uint8_t)((reg < 0 ? BPF_ST : BPF_STX) | BPF_MEM | size_code(merge->size)),
	        .dst_reg = insn->dst_reg,
	        .src_reg = reg < 0 ? 0 : (uint8_t)reg & 15,
	        .off = (int16_t)(insn->off + moved),
	        .imm = imm};
	fact->offset += (int32_t)moved;
	fact->by_branch = merge->by_branch;
	step->access.offset = merge->offset;
	step->access.size = (uint8_t)merge->size;
	step->word = merge->word;
	drop_use(it, before);
	for (uint32_t i = 0; i < merge->member_count; i++)
		remove_step(it, merge->members[i]);
}

static bool try_merge(struct combiner *it, const struct merge *merge)
{
	int32_t imm = 0;
	if (constant_of(merge, &imm)) {
		store_merged(it, merge, -1, imm);
		return true;
	}
	int holder = find_holder(it, merge);
	if (holder < 0 && opcode_of(&it->insns[merge->at])->has_src &&
	        (undo_shifts(it, merge) || load_word(it, merge)))
		holder = it->insns[merge->at].src_reg;
	if (holder < 0)
		return false;
	store_merged(it, merge, holder, 0);
	return true;
}

void combine_store(struct combiner *it, uint16_t at)
{
	struct surroundings around __attribute__((uninitialized));
	struct merge merge __attribute__((uninitialized));
	uint32_t own = it->steps[at].access.size;
	if (own == 8 || it->facts[at].region == VALUE_CONTEXT || !look_around(it, at, &around))
		return;
	// All of its bytes are written: it lies in the run of written ones around the last store.
	uint32_t low = AROUND, high = AROUND + own;
	for (; low && around.written >> (low - 1) & 1; low--)
		;
	for (; around.written >> high & 1; high++)
		;
	for (uint32_t size = 8; size > own; size /= 2) {
		uint32_t start = AROUND + own > low + size ? AROUND + own - size : low;
		for (; start <= AROUND && start + size <= high; start++) {
			if (merge_of(it, at, &around, start, size, &merge) && try_merge(it, &merge))
				return;
		}
	}
}
