// SPDX-License-Identifier: Apache-2.0
// Operations of maps in place, where map, key and flags are known when compiling: look-ups as
// map/inline.h describes them, with addresses, sizes and seeds as constants and the key from where
// slots.c keeps it; redirects through a devmap. What the short way does not find goes out of line:
// to the map's own function, or to the helper where that may charge the budget.
//
// R0 to R5, T0 and T1 are free here: a call clears R1 to R5 and sets R0.
#include "engine/helpers.h"
#include "engine/native/compile.h"
#include "map/inline.h"

#define VALID_FLAGS (XDP_ABORTED | XDP_DROP | XDP_PASS | XDP_TX) // of a redirect

struct lookup {
	uint32_t insn;
	int32_t key; // where it begins, from r10
	struct linked_map *map;
	struct map_inline path;
};

struct linked_map *compile_known_map(const struct compiler *compiler, const struct value *value)
{
	const struct generation *generation = compiler->generation;
	if (value->kind != VALUE_MAP || value->map >= generation->map_count)
		return NULL;
	return generation->maps[value->map];
}

bool value_on_stack(const struct value *value, uint32_t size)
{
	return value->kind == VALUE_STACK && value->min == value->max &&
	       value->min >= -(int64_t)STACK_FRAME && value->min + size <= 0;
}

static const struct call_fact *helper_call_at(
        const struct compiler *compiler, uint32_t insn, int32_t helper)
{
	const struct bpf_insn *call = &compiler->insns[insn];
	if (call->code != (BPF_JMP | BPF_CALL) || call->src_reg != 0 || call->imm != helper)
		return NULL;
	return analysis_call(compiler->analysis, insn);
}

static bool find_lookup(const struct compiler *compiler, uint32_t insn, struct lookup *lookup)
{
	const struct call_fact *call = helper_call_at(compiler, insn, BPF_FUNC_map_lookup_elem);
	struct linked_map *map = call ? compile_known_map(compiler, &call->args[0]) : NULL;
	if (!map)
		return false;
	const struct value *key = &call->args[1];
	if (!value_on_stack(key, map->key_size))
		return false;
	*lookup = (struct lookup){.insn = insn, .key = (int32_t)key->min, .map = map};
	map_inline(map->map, &lookup->path);
	if (lookup->path.copy_size > INT32_MAX)
		return false;
	return lookup->path.path == MAP_PATH_ARRAY || lookup->path.path == MAP_PATH_HASH ||
	       lookup->path.path == MAP_PATH_LPM;
}

// flags: what it answers where there is no port; VALID_FLAGS + 1: R3 says as it runs.
static bool find_redirect(
        const struct compiler *compiler, uint32_t insn, struct map_inline *path, uint32_t *flags)
{
	const struct call_fact *call = helper_call_at(compiler, insn, BPF_FUNC_redirect_map);
	struct linked_map *map = call ? compile_known_map(compiler, &call->args[0]) : NULL;
	if (!map || map->type != BPF_MAP_TYPE_DEVMAP)
		return false;
	const struct value *value = &call->args[2];
	bool known = value->kind == VALUE_SCALAR && value->min == value->max;
	if (known && value->min & ~VALID_FLAGS)
		return false;
	map_inline(map->map, path);
	*flags = known ? (uint32_t)value->min : VALID_FLAGS + 1;
	return path->path == MAP_PATH_DEVMAP;
}

uint32_t compile_map_key(const struct compiler *compiler, uint32_t insn)
{
	struct lookup lookup;
	bool inlined = find_lookup(compiler, insn, &lookup);
	return inlined ? lookup.map->key_size : 0;
}

bool compile_map_inlines(const struct compiler *compiler, uint32_t insn)
{
	struct lookup lookup;
	struct map_inline path;
	uint32_t flags;
	return find_lookup(compiler, insn, &lookup) || find_redirect(compiler, insn, &path, &flags);
}

bool compile_map_in_place(const struct compiler *compiler, uint32_t insn)
{
	struct lookup lookup;
	if (find_lookup(compiler, insn, &lookup))
		return lookup.path.path != MAP_PATH_LPM;
	struct map_inline path;
	uint32_t flags;
	return find_redirect(compiler, insn, &path, &flags) && flags <= VALID_FLAGS;
}

// Bytes [at, at + size) of the key, size up to 8, padded with zeros.
static void load_key(struct compiler *compiler, const struct lookup *lookup, enum reg dst,
        uint32_t at, uint32_t size)
{
	struct code *code = compiler->code;
	uint32_t in_slot, done = 0;
	int32_t offset = lookup->key + (int32_t)at;
	const struct slot *slot = slot_of(compiler, offset, size, &in_slot);
	if (slot && in_slot % size == 0 && (size & (size - 1)) == 0) {
		asm_slot_extract(
		        code, dst, (unsigned)(slot - compiler->slots), in_slot, size, false);
		return;
	}
	slots_spill(compiler, slots_overlapping(compiler, offset, size));
	while (done < size) { // 6 bytes are 4 and 2
		uint32_t part = 1u << (31 - __builtin_clz(size - done));
		enum reg reg = done ? REG_T1 : dst;
		asm_load(code, reg, mem_at(REG_FRAME, offset + (int32_t)done), part, false);
		if (done) {
			asm_alu_constant(code, BPF_LSH, REG_T1, (int32_t)(8 * done), true);
			asm_alu(code, BPF_OR, dst, REG_T1, true);
		}
		done += part;
	}
}

static void scale(struct code *code, enum reg reg, uint32_t factor)
{
	if (factor & (factor - 1))
		asm_alu_constant(code, BPF_MUL, reg, (int32_t)factor, true);
	else
		asm_alu_constant(code, BPF_LSH, reg, __builtin_ctz(factor), true);
}

// dst = number * stride + the card address of value 0.
static void value_address(
        struct compiler *compiler, const struct lookup *lookup, enum reg number, int64_t first)
{
	struct code *code = compiler->code;
	const struct map_inline *path = &lookup->path;
	uint64_t base = lookup->map->address - (uint64_t)(first * path->stride);
	scale(code, number, path->stride);
	if (path->copy_size) {
		asm_load(code, REG_T1, ENGINE_FIELD(options.number), 4, false);
		scale(code, REG_T1, (uint32_t)path->copy_size);
		asm_alu(code, BPF_ADD, number, REG_T1, true);
	}
	if (base <= INT32_MAX) {
		asm_alu_constant(code, BPF_ADD, number, (int32_t)base, true);
	} else {
		asm_constant(code, REG_T1, base);
		asm_alu(code, BPF_ADD, number, REG_T1, true);
	}
}

// Behind the function, with `back` to come back to; 0 where memory has ended.
static uint32_t stub_at(struct compiler *compiler, uint32_t insn,
        void (*emit)(struct compiler *, const struct stub *), uint32_t what, uint32_t back)
{
	struct stub *stub = compile_stub(compiler, insn, emit);
	if (!stub)
		return 0;
	stub->what = what;
	stub->back = back;
	return stub->label;
}

// Whether what comes behind a look-up is the jump where it found nothing, and its target.
static bool jumps_at_null(const struct compiler *compiler, uint32_t insn, uint32_t *target)
{
	const struct bpf_insn *jump = &compiler->insns[insn + 1];
	*target = insn + 2 + (uint32_t)(int32_t)jump->off;
	if (compiler->ahead) // it goes from leader to leader, and stubs stand behind all of them
		return false;
	return jump->code == (BPF_JMP | BPF_JEQ | BPF_K) && jump->dst_reg == BPF_REG_0 &&
	       !jump->imm && jump->off && !compiler->facts[insn + 1].leader &&
	       compiler->facts[*target].reached && compiler->facts[insn + 2].reached;
}

// The way out of a look-up that found nothing, to the jump's target if there is one; what it found
// goes past the jump then.
static void go_with_null(struct compiler *compiler, const struct stub *stub)
{
	struct code *code = compiler->code;
	uint32_t target;
	if (jumps_at_null(compiler, stub->insn, &target)) {
		compile_clear_arguments(compiler, stub->insn);
		compile_settle(compiler, compiler->facts[stub->insn + 1].live & ~1u);
		asm_constant(code, REG_R0, 0);
		asm_jump(code, counts_edge(compiler, stub->insn + 1, target));
	} else {
		asm_constant(code, REG_R0, 0);
		asm_jump(code, stub->back);
	}
}

// R0 is what a function found.
static void go_with_result(struct compiler *compiler, const struct stub *stub)
{
	struct code *code = compiler->code;
	uint32_t found = asm_label(code);
	asm_branch_constant(code, BPF_JNE, REG_R0, 0, true, found);
	go_with_null(compiler, stub);
	asm_bind(code, found);
}

static void lookup_array(struct compiler *compiler, const struct lookup *lookup)
{
	struct code *code = compiler->code;
	uint32_t back = asm_label(code);
	load_key(compiler, lookup, REG_R0, 0, 4);
	asm_branch_constant(code, BPF_JGE, REG_R0, (int32_t)lookup->path.limit, false,
	        stub_at(compiler, lookup->insn, go_with_null, 0, back));
	value_address(compiler, lookup, REG_R0, 0);
	asm_bind(code, back);
}

// The helper, from code that counts it as done in place: what it charges itself is seen at once.
static void call_helper(struct compiler *compiler, uint32_t insn)
{
	int32_t charged = compiler->pending[insn].budget + (int32_t)helper_cost(compiler, insn);
	compile_helper(compiler, insn, charged);
	asm_memory_add(compiler->code, ENGINE_FIELD(budget), charged);
	compile_clear_arguments(compiler, insn);
	compile_check_budget(compiler, insn + 1);
}

static void emit_helper(struct compiler *compiler, const struct stub *stub)
{
	struct lookup lookup;
	if (!find_lookup(compiler, stub->insn, &lookup))
		return;
	const struct call_fact *call = analysis_call(compiler->analysis, stub->insn);
	lazy_set(&compiler->lazy, BPF_REG_1, false, (int64_t)handle_of_map(call->args[0].map));
	lazy_set(&compiler->lazy, BPF_REG_2, true, lookup.key);
	call_helper(compiler, stub->insn);
	go_with_result(compiler, stub);
	asm_jump(compiler->code, stub->back);
}

// The bucket stands in R5, its version in R3. A miss that is sure, or the function, at `what`.
static void emit_hash_miss(struct compiler *compiler, const struct stub *stub)
{
	struct code *code = compiler->code;
	asm_branch_memory_constant(
	        code, BPF_JNE, mem_at(REG_R5, MAP_BUCKET_NEXT), 0, 4, stub->what);
	asm_load_fence(code); // keys and next one before the version, as for a hit
	asm_branch_memory(code, BPF_JNE, REG_R3, mem_at(REG_R5, MAP_BUCKET_VERSION), 4, stub->what);
	go_with_null(compiler, stub);
}

// The map's own function, with the key from memory. It charges nothing and cannot fault.
static void emit_hash_function(struct compiler *compiler, const struct stub *stub)
{
	struct code *code = compiler->code;
	struct lookup lookup;
	if (!find_lookup(compiler, stub->insn, &lookup))
		return;
	slots_spill(compiler, compiler->slots_live[stub->insn]);
	asm_constant(code, REG_R1, (uintptr_t)lookup.map->map);
	asm_lea(code, REG_R2, mem_at(REG_FRAME, lookup.key));
	asm_load(code, REG_R3, ENGINE_FIELD(options.number), 4, false);
	asm_call_host(code, (const void *)map_lookup_function(lookup.map->map));
	slots_fill(compiler, compiler->slots_live[stub->insn + 1]);
	go_with_result(compiler, stub);
	asm_alu(code, BPF_SUB, REG_R0, REG_BASE, true);
	asm_jump(code, stub->back);
}

// A map whose tables may be larger than the caches.
static bool is_large(const struct compiler *compiler, const struct lookup *lookup)
{
	return lookup->path.path != MAP_PATH_ARRAY &&
	       (compiler->look_ahead || map_def(lookup->map->map)->max_entries >= AHEAD_ENTRIES);
}

bool compile_map_large(const struct compiler *compiler, uint32_t insn)
{
	struct lookup lookup;
	return find_lookup(compiler, insn, &lookup) && is_large(compiler, &lookup);
}

// Whether the look-up is only to be asked for.
static bool asks_ahead(const struct compiler *compiler, const struct lookup *lookup)
{
	return compiler->ahead == 2 * compiler->depth + 1 && is_large(compiler, lookup);
}

static const enum reg key_word[MAP_WORDS_MAX] = {REG_R1, REG_R2, REG_R4};

// The bucket's address into R5. fold() changes R0, R3 and T1.
static void find_bucket(struct compiler *compiler, const struct lookup *lookup)
{
	struct code *code = compiler->code;
	const struct map_inline *path = &lookup->path;
	uint32_t size = lookup->map->key_size;
	for (uint32_t i = 0; i < path->words; i++)
		load_key(compiler, lookup, key_word[i], 8 * i, size - 8 * i < 8 ? size - 8 * i : 8);
	asm_constant(code, REG_T0, path->seed[0]);
	asm_alu(code, BPF_XOR, REG_T0, key_word[0], true);
	asm_constant(code, REG_R5, path->seed[1]);
	if (path->words > 1)
		asm_alu(code, BPF_XOR, REG_R5, key_word[1], true);
	asm_multiply_fold(code, REG_T0, REG_T0, REG_R5);
	if (path->words > 2) {
		asm_alu(code, BPF_XOR, REG_T0, key_word[2], true);
		asm_constant(code, REG_R5, path->seed[1]);
		asm_multiply_fold(code, REG_T0, REG_T0, REG_R5);
	}
	asm_constant(code, REG_R5, path->seed[0]);
	asm_alu(code, BPF_XOR, REG_T0, REG_R5, true);
	asm_constant(code, REG_R5, path->seed[1]);
	asm_multiply_fold(code, REG_T0, REG_T0, REG_R5);
	if (path->mask <= INT32_MAX) {
		asm_alu_constant(code, BPF_AND, REG_T0, (int32_t)path->mask, false);
	} else {
		asm_constant(code, REG_R5, path->mask);
		asm_alu(code, BPF_AND, REG_T0, REG_R5, true);
	}
	asm_constant(code, REG_R5, (uintptr_t)path->buckets);
	asm_alu(code, BPF_ADD, REG_R5, REG_T0, true);
}

static void lookup_hash(struct compiler *compiler, const struct lookup *lookup)
{
	struct code *code = compiler->code;
	const struct map_inline *path = &lookup->path;
	find_bucket(compiler, lookup);
	if (asks_ahead(compiler, lookup)) {
		for (uint32_t at = 0; at < MAP_BUCKET_WORDS + 32 * path->words; at += 64)
			asm_prefetch(code, mem_at(REG_R5, (int32_t)at));
		return;
	}
	uint32_t back = asm_label(code);
	// The function marks entries of an LRU as used, which none is until the packet's turn.
	uint32_t call = compiler->ahead && path->marks
	                        ? compiler->end
	                        : stub_at(compiler, lookup->insn, emit_hash_function, 0, back);
	uint32_t miss = stub_at(compiler, lookup->insn, emit_hash_miss, call, back);
	asm_load_acquire(code, REG_R3, mem_at(REG_R5, MAP_BUCKET_VERSION));
	asm_match(code, REG_R0, key_word[0], mem_at(REG_R5, MAP_BUCKET_WORDS));
	for (uint32_t i = 1; i < path->words; i++) {
		asm_match(code, REG_T0, key_word[i],
		        mem_at(REG_R5, (int32_t)(MAP_BUCKET_WORDS + 32 * i)));
		asm_alu(code, BPF_AND, REG_R0, REG_T0, false);
	}
	asm_branch_constant(code, BPF_JEQ, REG_R0, 0, false, miss);
	asm_lowest_bit(code, REG_R1, REG_R0);
	asm_lea(code, REG_R2, (struct mem){REG_R5, REG_R1, 0});
	asm_alu_constant(code, BPF_LSH, REG_R1, 2, false);
	asm_load_acquire(code, REG_R0, (struct mem){REG_R5, REG_R1, MAP_BUCKET_NUMBERS});
	asm_branch_constant(code, BPF_JEQ, REG_R0, 0, false, miss);
	asm_load_fence(code);
	asm_branch_memory(code, BPF_JNE, REG_R3, mem_at(REG_R5, MAP_BUCKET_VERSION), 4, call);
	if (path->marks && !compiler->ahead) {
		uint32_t marked = asm_label(code);
		asm_load(code, REG_T0, mem_at(REG_R2, MAP_BUCKET_USED), 1, false);
		asm_branch_constant(code, BPF_JEQ, REG_T0, MAP_BUCKET_MARK, false, marked);
		asm_store_constant(code, mem_at(REG_R2, MAP_BUCKET_USED), MAP_BUCKET_MARK, 1);
		asm_bind(code, marked);
	}
	value_address(compiler, lookup, REG_R0, 1);
	asm_bind(code, back);
}

// An IPv4 address's rule: R2 is the address, R0 the table's entry.
static void lookup_lpm(struct compiler *compiler, const struct lookup *lookup)
{
	struct code *code = compiler->code;
	const struct map_inline *path = &lookup->path;
	uint32_t back = asm_label(code), rule = asm_label(code), kind = asm_label(code);
	uint32_t other = asm_label(code);
	uint32_t helper = compiler->ahead ? compiler->end
	                                  : stub_at(compiler, lookup->insn, emit_helper, 0, back);
	load_key(compiler, lookup, REG_R1, 0, 4);
	asm_branch_constant(code, BPF_JNE, REG_R1, 32, false, helper);
	load_key(compiler, lookup, REG_R2, 4, 4);
	asm_swap(code, REG_R2, 32, true);
	asm_move(code, REG_T0, REG_R2, false);
	asm_alu_constant(code, BPF_RSH, REG_T0, (int32_t)path->root_shift, false);
	asm_alu_constant(code, BPF_LSH, REG_T0, 2, true);
	asm_constant(code, REG_R5, (uintptr_t)path->root);
	if (asks_ahead(compiler, lookup)) {
		asm_prefetch(code, (struct mem){REG_R5, REG_T0, 0});
		return;
	}
	asm_load_acquire(code, REG_R0, (struct mem){REG_R5, REG_T0, 0});
	asm_lea(code, REG_T0, mem_at(REG_R0, -1));
	asm_branch_constant(code, BPF_JLT, REG_T0, MAP_LPM_NODE - 1, false, rule);
	if (path->root_shift == 8) {
		asm_move(code, REG_T0, REG_R0, false);
		asm_alu_constant(code, BPF_RSH, REG_T0, 30, false);
		asm_branch_constant(code, BPF_JNE, REG_T0, MAP_LPM_NODE >> 30, false, kind);
		asm_alu_constant(code, BPF_LSH, REG_R0, 8, false); // the kind's bits go out
		asm_move(code, REG_T0, REG_R2, false);
		asm_alu_constant(code, BPF_AND, REG_T0, 255, false);
		asm_alu(code, BPF_ADD, REG_R0, REG_T0, true);
		asm_alu_constant(code, BPF_LSH, REG_R0, 2, true);
		asm_constant(code, REG_R5, (uintptr_t)path->nodes);
		asm_load_acquire(code, REG_R0, (struct mem){REG_R5, REG_R0, 0});
	}
	asm_bind(code, kind);
	asm_branch_constant(code, BPF_JNE, REG_R0, 0, false, other);
	asm_move(code, REG_T0, REG_R2, false);
	asm_alu_constant(code, BPF_RSH, REG_T0, 24, false);
	asm_alu_constant(code, BPF_LSH, REG_T0, 2, true);
	asm_constant(code, REG_R5, (uintptr_t)path->shorts);
	asm_load_acquire(code, REG_R0, (struct mem){REG_R5, REG_T0, 0});
	asm_branch_constant(code, BPF_JEQ, REG_R0, 0, false,
	        stub_at(compiler, lookup->insn, go_with_null, 0, back));
	asm_bind(code, other);
	asm_branch_constant(code, BPF_JSET, REG_R0, (int32_t)MAP_LPM_KIND, false, helper);
	asm_bind(code, rule);
	value_address(compiler, lookup, REG_R0, 1);
	asm_bind(code, back);
}

// Behind the function: the map has no such port. The answer stands in the flags.
static void emit_no_port(struct compiler *compiler, const struct stub *stub)
{
	struct code *code = compiler->code;
	asm_store_constant(code, ENGINE_FIELD(redirect), REDIRECT_NONE, 4);
	if (stub->what > VALID_FLAGS) {
		asm_move(code, REG_R0, REG_R3, false);
		asm_alu_constant(code, BPF_AND, REG_R0, VALID_FLAGS, false);
	} else {
		asm_constant(code, REG_R0, stub->what);
	}
	asm_jump(code, stub->back);
}

// To many ports, or with flags that are none; R1 to R3 are as they were.
static void emit_redirect_helper(struct compiler *compiler, const struct stub *stub)
{
	call_helper(compiler, stub->insn);
	asm_jump(compiler->code, stub->back);
}

static bool redirect(struct compiler *compiler, uint32_t insn)
{
	struct code *code = compiler->code;
	struct map_inline path;
	uint32_t flags, back = asm_label(code);
	if (!find_redirect(compiler, insn, &path, &flags))
		return false;
	enum reg index = compile_operand(compiler, BPF_REG_2);
	if (flags > VALID_FLAGS) {
		asm_move(code, REG_T0, compile_operand(compiler, BPF_REG_3), true);
		asm_alu_constant(code, BPF_AND, REG_T0, ~VALID_FLAGS, true);
		asm_branch_constant(code, BPF_JNE, REG_T0, 0, true,
		        stub_at(compiler, insn, emit_redirect_helper, 0, back));
	}
	uint32_t no_port = stub_at(compiler, insn, emit_no_port, flags, back);
	asm_move(code, REG_T0, index, false);
	asm_branch_constant(code, BPF_JGE, REG_T0, (int32_t)path.limit, false, no_port);
	scale(code, REG_T0, path.stride);
	asm_constant(code, REG_R5, (uintptr_t)path.values);
	asm_load(code, REG_R1, (struct mem){REG_R5, REG_T0, 0}, 4, false);
	asm_branch_constant(code, BPF_JEQ, REG_R1, 0, false, no_port);
	asm_store_constant(code, ENGINE_FIELD(redirect), REDIRECT_PORT, 4);
	asm_store(code, ENGINE_FIELD(redirect_ifindex), REG_R1, 8);
	asm_constant(code, REG_R0, XDP_REDIRECT);
	asm_bind(code, back);
	return true;
}

static void look_up(struct compiler *compiler, const struct lookup *lookup)
{
	if (lookup->path.path == MAP_PATH_ARRAY)
		lookup_array(compiler, lookup);
	else if (lookup->path.path == MAP_PATH_HASH)
		lookup_hash(compiler, lookup);
	else
		lookup_lpm(compiler, lookup);
}

static void note_large(struct compiler *compiler, const struct map *map)
{
	uint32_t depth = compiler->depth;
	for (uint32_t i = 0; i < compiler->uses->large[depth].count; i++) {
		if (compiler->uses->large[depth].maps[i] == map)
			return;
	}
	if (compiler->uses->large[depth].count < AHEAD_MAPS)
		compiler->uses->large[depth].maps[compiler->uses->large[depth].count++] = map;
}

bool compile_map_ahead(struct compiler *compiler, uint32_t insn)
{
	struct lookup lookup;
	if (!find_lookup(compiler, insn, &lookup))
		return false;
	if (!is_large(compiler, &lookup))
		return compile_map(compiler, insn);
	uint32_t asked = 2 * compiler->depth + 1;
	if (compiler->ahead <= asked + 1) {
		note_large(compiler, lookup.map->map);
		look_up(compiler, &lookup);
		if (compiler->ahead > asked)
			asm_prefetch(compiler->code, mem_card(REG_R0, 0));
		return false;
	}
	bool goes_on = compile_map(compiler, insn);
	compiler->depth++;
	return goes_on;
}

bool compile_map(struct compiler *compiler, uint32_t insn)
{
	struct lookup lookup = {0};
	if (find_lookup(compiler, insn, &lookup))
		look_up(compiler, &lookup);
	else if (!redirect(compiler, insn))
		return false;
	compile_clear_arguments(compiler, insn);
	uint32_t target;
	compiler->skip_jump = lookup.map && jumps_at_null(compiler, insn, &target);
	return true;
}
