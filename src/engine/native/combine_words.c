// SPDX-License-Identifier: Apache-2.0
// Where the bytes of registers come from, and words that loads of bytes, shifts and ors put
// together: one load at the last of them.
#include <string.h>

#include "engine/native/combine_parts.h"

#define DYING_MAX 16u

// The top bit of every lane that is not zero.
static uint64_t nonzero(uint64_t lanes)
{
	return (((lanes & LANES * 0x7fff) + LANES * 0x7fff) | lanes) & LANES << 15;
}

static bool is_constant(struct word word, int64_t *value)
{
	uint64_t sum = 0;
	if ((word.low | word.high) & LANES * 0xff00)
		return false;
	for (uint32_t i = 0; i < 8; i++)
		sum |= (uint64_t)word_byte(word, i) << 8 * i;
	*value = (int64_t)sum;
	return true;
}

void find_place(
        const struct combiner *it, uint8_t reg, int64_t offset, uint16_t step, struct place *place)
{
	struct word word = it->registers[reg];
	uint16_t value = word_byte(word, 0) >> 3;
	int64_t number;
	place->offset = offset;
	if (value < VALUE_OF_REGISTER || !word_same(word, word_of_value(value))) {
		place->root = (uint16_t)(VALUE_OF_STEP + step);
		if (is_constant(word, &number) && number >= 0 && number <= UINT32_MAX) {
			place->root = ROOT_NUMBER;
			place->offset += number;
		}
		return;
	}
	place->root = value;
	if (value < VALUE_OF_STEP)
		return;
	const struct step *maker = &it->steps[value - VALUE_OF_STEP];
	if (!maker->is_load && maker->origin.root) {
		place->root = maker->origin.root;
		place->offset += maker->origin.offset;
	}
}

// One byte of AND, OR, XOR. `otherwise`: not known.
static uint16_t byte_of(uint8_t op, uint16_t a, uint16_t b, uint16_t otherwise)
{
	if (op == BPF_AND) {
		if (!a || !b)
			return 0;
		if (a == 255 || a == b)
			return b;
		if (b == 255)
			return a;
		return a < 256 && b < 256 ? a & b : otherwise;
	}
	if (!a || !b)
		return a | b;
	if (op == BPF_OR) {
		if (a == b || a == 255)
			return a;
		if (b == 255)
			return b;
		return a < 256 && b < 256 ? a | b : otherwise;
	}
	if (a == b)
		return 0;
	return a < 256 && b < 256 ? a ^ b : otherwise;
}

// AND, OR, XOR, ADD of the low `size` bytes.
static struct word merged(
        uint8_t op, struct word a, struct word b, struct word otherwise, uint32_t size)
{
	a = word_cut(a, size);
	b = word_cut(b, size);
	bool apart = !((nonzero(a.low) & nonzero(b.low)) | (nonzero(a.high) & nonzero(b.high)));
	if (apart && op == BPF_AND)
		return (struct word){0};
	if (apart)
		return (struct word){a.low | b.low, a.high | b.high};
	if (op == BPF_ADD) // carries
		return otherwise;
	struct word word = {0};
	for (uint32_t i = 0; i < size; i++)
		word = word_with(word, i,
		        byte_of(op, word_byte(a, i), word_byte(b, i), word_byte(otherwise, i)));
	return word;
}

static struct word shifted_right(struct word word, uint32_t bytes)
{
	uint32_t by = bytes * 16;
	if (by == 0)
		return word;
	if (by >= 64)
		return (struct word){word.high >> (by - 64), 0};
	return (struct word){word.low >> by | word.high << (64 - by), word.high >> by};
}

static struct word word_of_alu(const struct combiner *it, uint16_t at, uint32_t size)
{
	const struct bpf_insn *insn = &it->insns[at];
	bool is_constant = BPF_SRC(insn->code) == BPF_K;
	struct word dst = it->registers[insn->dst_reg];
	struct word src = is_constant ? word_of_constant(insn->imm) : it->registers[insn->src_reg];
	struct word otherwise = word_cut(word_of_value(VALUE_OF_STEP + at), size);
	bool by_bytes = is_constant && insn->imm >= 0 && insn->imm % 8 == 0 &&
	                insn->imm < (int32_t)size * 8;
	uint32_t bytes = by_bytes ? (uint32_t)insn->imm / 8 : 0;
	switch (BPF_OP(insn->code)) {
	case BPF_MOV: // what the sign fills is not known
		for (uint32_t i = 0; insn->off && i < (uint32_t)insn->off / 8; i++)
			otherwise = word_with(otherwise, i, word_byte(src, i));
		return insn->off ? otherwise : word_cut(src, size);
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
	case BPF_ADD:
		return merged(BPF_OP(insn->code), dst, src, otherwise, size);
	case BPF_LSH:
		return by_bytes ? word_cut(word_shift(dst, bytes), size) : otherwise;
	case BPF_RSH:
		return by_bytes ? shifted_right(word_cut(dst, size), bytes) : otherwise;
	default:
		return otherwise;
	}
}

static struct word word_of_swap(const struct combiner *it, uint16_t at)
{
	const struct bpf_insn *insn = &it->insns[at];
	struct word from = it->registers[insn->dst_reg], word = {0};
	uint32_t size = (uint32_t)insn->imm / 8;
	if (insn->code == (BPF_ALU | BPF_END | BPF_TO_LE))
		return word_cut(from, size);
	for (uint32_t i = 0; i < size; i++)
		word = word_with(word, i, word_byte(from, size - 1 - i));
	return word;
}

struct word word_of(const struct combiner *it, uint16_t at)
{
	const struct bpf_insn *insn = &it->insns[at];
	const struct opcode *opcode = opcode_of(insn);
	switch (opcode->kind) {
	case KIND_LDDW:
		return word_of_constant(
		        (int64_t)((uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn->imm));
	case KIND_LOAD:
		return word_cut(word_of_value(VALUE_OF_STEP + at), opcode->size);
	case KIND_LOAD_SX:
		return word_of_value(VALUE_OF_STEP + at);
	case KIND_SWAP:
		return word_of_swap(it, at);
	case KIND_ALU:
		return word_of_alu(it, at, opcode->is_64 ? 8 : 4);
	default:
		return word_cut(word_of_value(VALUE_OF_STEP + at), opcode->is_64 ? 8 : 4);
	}
}

bool find_run(const struct combiner *it, struct word word, uint32_t size, struct run *run)
{
	int64_t offsets[8] = {0};
	uint16_t root = 0;
	*run = (struct run){.size = size, .first = NO_STEP};
	for (uint32_t i = 0; i < size; i++) {
		uint32_t value = word_byte(word, i) >> 3, byte = word_byte(word, i) & 7;
		if (value < VALUE_OF_STEP)
			return false;
		uint16_t at = (uint16_t)(value - VALUE_OF_STEP);
		const struct step *step = &it->steps[at];
		if (!step->is_load || byte >= step->origin.size || (i && step->origin.root != root))
			return false;
		root = step->origin.root;
		offsets[i] = step->origin.offset + byte;
		if (i == 1)
			run->reversed = offsets[1] < offsets[0];
		if (i && offsets[i] != offsets[i - 1] + (run->reversed ? -1 : 1))
			return false;
		run->loads[i] = at;
		run->first = at < run->first ? at : run->first;
		run->last = at > run->last ? at : run->last;
		run->by_branch |= it->facts[at].by_branch;
	}
	run->offset = run->reversed ? offsets[size - 1] : offsets[0];
	const struct fact *fact = &it->facts[run->loads[0]];
	for (uint32_t i = 1; i < size; i++) {
		const struct fact *other = &it->facts[run->loads[i]];
		if (other->region != fact->region || other->map != fact->map)
			return false;
	}
	// Parts of keys on the stack may live in registers (slots.c): nothing may straddle two. Nor
	// do fields of the context stand in memory before they are asked for (compile_burst.c).
	if (fact->region == VALUE_CONTEXT)
		return false;
	return fact->region != VALUE_STACK || (size <= 4 && run->offset % size == 0);
}

struct dying {
	uint16_t steps[DYING_MAX];
	uint32_t count;
};

// Adds the step whose only reader goes, and those that only it reads.
static void add_dying(const struct combiner *it, uint16_t at, struct dying *dying)
{
	if (at == NO_STEP || it->steps[at].uses != 1 || dying->count == DYING_MAX)
		return;
	dying->steps[dying->count++] = at;
	add_dying(it, it->steps[at].dst, dying);
	add_dying(it, it->steps[at].src, dying);
}

bool run_moves(const struct combiner *it, const struct run *run, const uint16_t *readers,
        uint32_t count, uint16_t except)
{
	if (it->facts[run->loads[0]].region != VALUE_MAP_VALUE)
		return true;
	struct dying dying = {.count = 0};
	for (uint32_t i = 0; i < count; i++)
		add_dying(it, readers[i], &dying);
	for (uint32_t i = 0; i < run->size; i++) {
		uint16_t holder = it->steps[run->loads[i]].holder;
		bool goes = holder == except || it->steps[holder].is_gone;
		for (uint32_t k = 0; !goes && k < dying.count; k++)
			goes = dying.steps[k] == holder;
		if (!goes)
			return false;
	}
	return true;
}

// The load of the run whose base register still holds the address at `at`; NO_STEP for none.
static uint16_t find_base(const struct combiner *it, const struct run *run, uint16_t at)
{
	for (uint32_t i = 0; i < run->size; i++) {
		uint16_t load = run->loads[i];
		const struct step *step = &it->steps[load];
		int64_t off = step->off + run->offset - step->origin.offset;
		if (off < INT16_MIN || off > INT16_MAX)
			continue;
		uint16_t maker = step->base_maker;
		if (maker != NO_STEP && (maker >= at || it->steps[maker].is_gone))
			continue;
		if (load == at || it->makers[step->base] == maker)
			return load;
	}
	return NO_STEP;
}

bool load_run(struct combiner *it, const struct run *run, uint16_t at, uint8_t reg)
{
	uint16_t like = find_base(it, run, at);
	uint16_t first = run->first < at ? run->first : at, last = run->last > at ? run->last : at;
	if (like == NO_STEP || insn_is_lddw(&it->insns[at]))
		return false;
	struct step *step = &it->steps[at];
	const struct step *from = &it->steps[like];
	struct place place = {
	        .root = from->origin.root, .offset = run->offset, .size = (uint8_t)run->size};
	if (!is_unchanged(it, &place, &it->facts[like], first, last))
		return false;
	uint32_t operands = opcode_of(&it->insns[at])->operands;
	uint16_t dst = step->dst, src = step->src;
	struct fact *fact = &it->facts[at];
	bool leader = fact->leader, loop = fact->loop;
	*fact = it->facts[like];
	fact->offset = from->offset + (int32_t)(run->offset - from->origin.offset);
	fact->by_branch = run->by_branch;
	fact->leader = leader;
	fact->loop = loop;
	it->insns[at] =
	        (struct bpf_insn){.code = (uint8_t)(BPF_LDX | BPF_MEM | size_code(run->size)),
	                .dst_reg = reg,
	                .src_reg = from->base,
	                .off = (int16_t)(from->off + run->offset - from->origin.offset)};
	step->access = place;
	step->dst = NO_STEP;
	step->src = from->base_maker;
	add_use(it, step->src);
	chain_memory(it, at);
	for (uint32_t i = 0; i < run->size; i++)
		it->steps[run->loads[i]].holder = at;
	if (operands & READS_DST)
		drop_use(it, dst);
	if (operands & READS_SRC)
		drop_use(it, src);
	return true;
}

// Steps that change `reg` in place, each read by the next only, from a load that the run has to
// `at`: the load can be the wide one.
static uint16_t find_load_in_place(const struct combiner *it, const struct run *run, uint16_t at)
{
	uint8_t reg = it->insns[at].dst_reg;
	uint16_t before = it->steps[at].dst;
	for (uint32_t i = 0; i < DYING_MAX && before != NO_STEP; i++) {
		const struct step *step = &it->steps[before];
		if (step->uses != 1 || it->insns[before].dst_reg != reg)
			return NO_STEP;
		for (uint32_t k = 0; step->is_load && k < run->size; k++) {
			if (run->loads[k] == before)
				return before;
		}
		before = step->dst;
	}
	return NO_STEP;
}

// The wide load takes the place of the load `from`, and what lies between it and `at` goes.
static void load_in_place(struct combiner *it, const struct run *run, uint16_t from, uint16_t at)
{
	uint8_t reg = it->insns[at].dst_reg;
	struct word word = it->steps[at].word;
	if (!load_run(it, run, from, reg))
		return;
	struct step *load = &it->steps[from];
	load->uses = (uint16_t)(load->uses + it->steps[at].uses);
	remove_step(it, at);
	load->word = word;
	it->registers[reg] = word;
	it->makers[reg] = from;
}

// Bytes in the other order: the step before, which made what this one reads, becomes the load, this
// one the swap.
static void load_and_swap(struct combiner *it, const struct run *run, uint16_t at)
{
	struct step *step = &it->steps[at];
	uint16_t before = step->dst;
	uint32_t operands = opcode_of(&it->insns[at])->operands;
	uint8_t reg = it->insns[at].dst_reg;
	if (before == NO_STEP || it->steps[before].uses != 1 || it->insns[before].dst_reg != reg ||
	        !load_run(it, run, before, reg))
		return;
	struct word word = {0};
	for (uint32_t i = 0; i < run->size; i++)
		word = word_with(word, i, word_byte(step->word, run->size - 1 - i));
	it->steps[before].word = word;
	it->insns[at] = (struct bpf_insn){.code = BPF_ALU | BPF_END | BPF_TO_BE,
	        .dst_reg = reg,
	        .imm = (int32_t)run->size * 8};
	if (operands & READS_SRC)
		drop_use(it, step->src);
	step->src = NO_STEP;
}

void combine_word(struct combiner *it, uint16_t at)
{
	const struct step *step = &it->steps[at];
	const struct bpf_insn *insn = &it->insns[at];
	struct run run;
	struct word word = step->word;
	uint32_t size = word.high ? 8 : word.low >> 32 ? 4 : 2;
	if (word_byte(word, 0) < 256 || word_byte(word, size - 1) < 256 ||
	        !(opcode_of(insn)->operands & READS_DST) || !find_run(it, word, size, &run))
		return;
	const uint16_t readers[] = {step->dst, step->src};
	if (!run_moves(it, &run, readers, 2, NO_STEP))
		return;
	if (run.reversed && opcode_of(insn)->kind != KIND_SWAP)
		load_and_swap(it, &run, at);
	if (run.reversed || run.first == run.last)
		return;
	if (!load_run(it, &run, at, insn->dst_reg)) {
		uint16_t load = find_load_in_place(it, &run, at);
		if (load != NO_STEP)
			load_in_place(it, &run, load, at);
	}
}
