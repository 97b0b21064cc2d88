// SPDX-License-Identifier: Apache-2.0
// Stretches are found, followed from the front, with each step rewritten as soon as all that it
// stands for is known, and swept from the back for what nobody reads any more.
//
// Why order is kept: a step may move only over steps that touch other bytes, as the program stands
// then. Loads that are gone count as readers where they stood, since their bytes may be loaded
// again by the step that took their place. A value of a map may change between two loads: a byte of
// it is never loaded twice where the program loads it once.
#include "engine/native/combine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/native/combine_parts.h"
#include "engine/state.h"

#define ALL_BUT_FRAME 0x3ffu // R0 to R9
#define LOOK_BACK     64u    // steps that touch memory: keeps time linear
#define STEPS_FIRST   128u

uint8_t size_code(uint32_t size)
{
	return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW;
}

// Programs know a map by its index; an inner map may be any.
static bool same_map(const struct generation *generation, uint16_t a, uint16_t b)
{
	if (a == b || a >= generation->map_count || b >= generation->map_count)
		return true;
	if (!generation->maps[a] || !generation->maps[b])
		return true;
	return generation->maps[a] == generation->maps[b];
}

static uint8_t window_of(uint8_t region)
{
	return region == VALUE_PACKET_META || region == VALUE_PACKET_END ? VALUE_PACKET : region;
}

bool may_overlap(const struct combiner *it, const struct place *a, const struct fact *of_a,
        const struct place *b, const struct fact *of_b)
{
	if (a->root == b->root)
		return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
	if (window_of(of_a->region) != window_of(of_b->region))
		return false;
	return of_a->region != VALUE_MAP_VALUE || same_map(it->generation, of_a->map, of_b->map);
}

bool is_unchanged(const struct combiner *it, const struct place *place, const struct fact *fact,
        uint16_t first, uint16_t last)
{
	uint32_t seen = 0;
	for (uint16_t at = it->memory; at != NO_STEP && at >= first; at = it->steps[at].memory) {
		const struct step *step = &it->steps[at];
		if (++seen > LOOK_BACK)
			return false;
		if (at <= last && step->access.is_store &&
		        may_overlap(it, &step->access, &it->facts[at], place, fact))
			return false;
	}
	return true;
}

void chain_memory(struct combiner *it, uint16_t step)
{
	uint16_t *link = &it->memory;
	while (*link != NO_STEP && *link > step)
		link = &it->steps[*link].memory;
	if (*link == step)
		return;
	it->steps[step].memory = *link;
	*link = step;
}

void remove_step(struct combiner *it, uint16_t at)
{
	struct step *step = &it->steps[at];
	struct bpf_insn *insn = &it->insns[at];
	uint32_t operands = opcode_of(insn)->operands;
	uint8_t reg = insn->dst_reg;
	step->is_gone = true;
	if (step->access.is_store)
		step->access = (struct place){0};
	*insn = (struct bpf_insn){.code = BPF_JMP | BPF_JA};
	if (operands & WRITES_DST && it->makers[reg] == at)
		it->registers[reg] = word_of_value(VALUE_GONE);
	if (operands & READS_DST)
		drop_use(it, step->dst);
	if (operands & READS_SRC)
		drop_use(it, step->src);
}

void drop_use(struct combiner *it, uint16_t at)
{
	if (at == NO_STEP || --it->steps[at].uses || it->steps[at].is_gone)
		return;
	// An LDDW has a second slot and counts once: the sweep leaves it, with nobody to read it.
	if (!insn_is_lddw(&it->insns[at]))
		remove_step(it, at);
}

// Uses within the stretch and behind it, before anything is rewritten.
static void count_uses(struct combiner *it, uint16_t live)
{
	uint16_t makers[ANALYSIS_REGISTERS];
	memset(makers, 0xff, sizeof(makers));
	for (uint32_t i = 0; i < it->count; i++) {
		const struct bpf_insn *insn = &it->insns[i];
		uint32_t operands = opcode_of(insn)->operands;
		it->steps[i] = (struct step){.dst = NO_STEP, .src = NO_STEP, .memory = NO_STEP};
		if (operands & READS_DST)
			add_use(it, makers[insn->dst_reg]);
		if (operands & READS_SRC)
			add_use(it, makers[insn->src_reg]);
		if (operands & WRITES_DST)
			makers[insn->dst_reg] = (uint16_t)i;
		if (insn_is_lddw(insn))
			it->steps[++i] = (struct step){.is_gone = true};
	}
	for (uint32_t r = 0; r < ANALYSIS_REGISTERS; r++) {
		if (live >> r & 1)
			add_use(it, makers[r]);
	}
}

static void begin(struct combiner *it)
{
	it->memory = NO_STEP;
	memset(it->makers, 0xff, sizeof(it->makers));
	for (uint32_t r = 0; r < ANALYSIS_REGISTERS; r++)
		it->registers[r] = word_of_value(VALUE_OF_REGISTER + r);
}

// A result that its register holds already: whoever reads it reads the step that made it first.
static bool remove_if_same(struct combiner *it, uint16_t at)
{
	struct step *step = &it->steps[at];
	const struct bpf_insn *insn = &it->insns[at];
	uint8_t reg = insn->dst_reg;
	if (opcode_of(insn)->kind > KIND_SWAP || !word_same(step->word, it->registers[reg]))
		return false;
	uint16_t before = it->makers[reg];
	if (before != NO_STEP && it->steps[before].is_gone)
		return false;
	if (before != NO_STEP)
		it->steps[before].uses = (uint16_t)(it->steps[before].uses + step->uses);
	remove_step(it, at);
	return true;
}

// `x <<= 32; x >>= 32` of 64 bits: the upper half goes.
static void combine_shifts(struct combiner *it, uint16_t at)
{
	struct bpf_insn *insn = &it->insns[at];
	uint16_t before = it->steps[at].dst;
	if ((insn->code & ~BPF_OP(0xff)) != (BPF_ALU64 | BPF_K) || insn->imm != 32 ||
	        before == NO_STEP || it->steps[before].uses != 1)
		return;
	const struct bpf_insn *left = &it->insns[before];
	uint8_t op = BPF_OP(insn->code);
	if ((op != BPF_RSH && op != BPF_ARSH) || left->code != (BPF_ALU64 | BPF_LSH | BPF_K) ||
	        left->imm != 32)
		return;
	uint8_t reg = insn->dst_reg;
	uint16_t origin = it->steps[before].dst;
	*insn = (struct bpf_insn){
	        .code = op == BPF_RSH ? BPF_ALU | BPF_MOV | BPF_X : BPF_ALU64 | BPF_MOV | BPF_X,
	        .dst_reg = reg,
	        .src_reg = reg,
	        .off = op == BPF_RSH ? 0 : 32};
	it->steps[at].dst = NO_STEP;
	it->steps[at].src = origin;
	add_use(it, origin);
	drop_use(it, before);
}

static void follow_memory(struct combiner *it, uint16_t at)
{
	struct step *step = &it->steps[at];
	const struct bpf_insn *insn = &it->insns[at];
	const struct fact *fact = &it->facts[at];
	const struct opcode *opcode = opcode_of(insn);
	step->is_load = opcode->kind != KIND_STORE;
	step->base = step->is_load ? insn->src_reg : insn->dst_reg;
	step->off = insn->off;
	step->offset = fact->offset;
	step->holder = at;
	step->base_maker = step->is_load ? step->src : step->dst;
	bool has_one_base = fact->region == VALUE_PACKET || fact->region == VALUE_STACK ||
	                    fact->region == VALUE_CONTEXT;
	struct place *place = &step->access;
	if (fact->exact && has_one_base) {
		place->root = fact->region;
		place->offset = fact->offset;
	} else {
		find_place(it, step->base, insn->off, at, place);
	}
	step->origin.root = place->root;
	step->origin.offset = place->offset;
	step->origin.size = place->size = opcode->size;
	place->is_store = !step->is_load;
	step->memory = it->memory;
	it->memory = at;
	if (!step->is_load)
		step->word = opcode->has_src ? it->registers[insn->src_reg]
		                             : word_of_constant(insn->imm);
}

static void follow(struct combiner *it, uint16_t at)
{
	struct step *step = &it->steps[at];
	const struct bpf_insn *insn = &it->insns[at];
	uint32_t operands = opcode_of(insn)->operands;
	if (operands & READS_DST)
		step->dst = it->makers[insn->dst_reg];
	if (operands & READS_SRC)
		step->src = it->makers[insn->src_reg];
	if (opcode_of(insn)->size)
		follow_memory(it, at);
	if (!(operands & WRITES_DST)) {
		if (step->access.is_store)
			combine_store(it, at);
		return;
	}
	uint8_t reg = insn->dst_reg;
	step->word = word_of(it, at);
	if (step->is_load || insn_is_lddw(insn)) {
		it->registers[reg] = step->word;
		it->makers[reg] = at;
		return;
	}
	if (remove_if_same(it, at))
		return;
	if (insn->code == (BPF_ALU64 | BPF_ADD | BPF_K))
		find_place(it, reg, insn->imm, at, &step->origin);
	combine_shifts(it, at);
	it->registers[reg] = step->word;
	it->makers[reg] = at;
	combine_word(it, at);
}

// What nobody reads goes; what is left says which registers are read behind it.
static void sweep(struct combiner *it, uint16_t live)
{
	for (uint32_t i = it->count; i--;) {
		struct bpf_insn *insn = &it->insns[i];
		struct fact *fact = &it->facts[i];
		uint32_t operands = opcode_of(insn)->operands;
		bool is_lddw = insn_is_lddw(insn);
		fact->live = live & ALL_BUT_FRAME;
		if (operands & WRITES_DST && !(live >> insn->dst_reg & 1) && !is_lddw) {
			*insn = (struct bpf_insn){.code = BPF_JMP | BPF_JA};
		}
		if (insn_is_nothing(insn))
			*fact = (struct fact){.reached = fact->reached,
			        .leader = fact->leader,
			        .loop = fact->loop,
			        .live = fact->live};
		live = opcode_live(opcode_of(insn), insn, live);
	}
}

static void combine_stretch(struct combiner *it, bool is_last)
{
	uint32_t last = it->count - 1;
	if (last && insn_is_lddw(&it->insns[last - 1]))
		last--;
	uint16_t live = it->facts[last].live;
	count_uses(it, live);
	begin(it);
	for (uint32_t i = 0; i < it->count; i++) {
		follow(it, (uint16_t)i);
		i += insn_is_lddw(&it->insns[i]);
	}
	if (!is_last)
		combine_zero_test(it, &it->insns[it->count], &it->facts[it->count]);
	sweep(it, live);
}

// Whether an instruction can be part of a stretch. `worth` counts what is worth a look at it: two
// accesses of less than 8 bytes, a shift by 32, or what has become constant.
#define WORTH 2u
static bool is_step(const struct bpf_insn *insn, const struct fact *fact, uint32_t *worth)
{
	uint8_t mode = BPF_MODE(insn->code);
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU64:
		*worth += insn->imm == 32 ? WORTH : 0;
		return true;
	case BPF_ALU:
		return true;
	case BPF_LD:
		return insn_is_lddw(insn);
	case BPF_LDX:
	case BPF_ST:
	case BPF_STX:
		*worth += BPF_SIZE(insn->code) != BPF_DW;
		return mode != BPF_ATOMIC && fact->proven && fact->region >= VALUE_CONTEXT;
	default:
		return insn_is_nothing(insn);
	}
}

// Most stretches are short: room for the longest so far, since untouched memory is dear.
static int make_room(struct combiner *it)
{
	if (it->count <= it->room)
		return 0;
	free(it->steps);
	it->room = it->count < STEPS_FIRST ? STEPS_FIRST : it->count;
	it->steps = malloc(it->room * sizeof(it->steps[0]));
	if (!it->steps)
		it->room = 0;
	return it->steps ? 0 : -ENOMEM;
}

int combine(const struct generation *generation, const struct analysis *analysis,
        struct bpf_insn *insns, struct fact *facts)
{
	uint32_t count = analysis->insn_count;
	struct combiner it = {.generation = generation};
	bool *changed = calloc(count, sizeof(*changed));
	int r = changed ? combine_constants(generation, analysis, insns, facts, changed) : -ENOMEM;
	for (uint32_t i = 0, end; !r && i < count; i = end) {
		uint32_t worth = 0;
		for (end = i; end < count && facts[end].reached && end - i < STEPS_MAX &&
		              (end == i || !facts[end].leader) &&
		              is_step(&insns[end], &facts[end], &worth);
		        end += 1 + insn_is_lddw(&insns[end]))
			worth += changed[end] ? WORTH : 0;
		it.insns = insns + i;
		it.facts = facts + i;
		it.count = end - i;
		if (worth >= WORTH)
			r = make_room(&it);
		if (worth >= WORTH && !r)
			combine_stretch(&it, end == count);
		end += end == i;
	}
	free(changed);
	free(it.steps);
	return r;
}
