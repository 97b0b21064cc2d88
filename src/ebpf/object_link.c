// SPDX-License-Identifier: Apache-2.0
// Functions and their linking: a program's callees are put behind it, in the order in which they
// are met, as libbpf does; then every reference in its instructions is settled.
//
// clang leaves calls inside a section without a relocation, relative to the instruction. Others go
// by symbol: a global function's with imm -1, a static one's by its section's symbol with its
// offset in imm.
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ebpf/helper.h"
#include "ebpf/object_parts.h"
#include "ebpf/opcode.h"

#define INSN_SIZE ((uint32_t)sizeof(struct bpf_insn))

// Relocation types (LLVM: docs of the BPF target). <elf.h> of Debian 12 lacks some.
#define RELOC_64_64 1
#define RELOC_64_32 10

static int function_compare(const void *a, const void *b)
{
	const struct object_function *l = a, *r = b;
	if (l->section != r->section)
		return l->section < r->section ? -1 : 1;
	if (l->insn != r->insn)
		return l->insn < r->insn ? -1 : 1;
	if (l->is_global != r->is_global) // of two names for one place the global one first
		return l->is_global ? -1 : 1;
	return strncmp(l->name, r->name, IMAGE_NAME_MAX);
}

static int function_add(struct object *o, const char *name, uint32_t section, uint64_t offset,
        uint64_t size, bool is_global)
{
	const struct elf_section *in = &o->elf.sections[section];
	if (offset % INSN_SIZE || size % INSN_SIZE || offset > in->size || size > in->size - offset)
		return error_set(o->err, EINVAL,
		        "function '%.64s' at byte %llu of section '%.64s' (%llu bytes) is not made "
		        "of "
		        "whole instructions inside it: file corrupt?",
		        name, (unsigned long long)offset, in->name, (unsigned long long)size);
	if (!size)
		return 0;
	if (array_grow((void **)&o->functions, o->function_count, sizeof(*o->functions)))
		return error_set(o->err, ENOMEM, "no memory for the functions of the object");
	o->sections[section].has_function = true;
	o->sections[section].has_global |= is_global;
	o->functions[o->function_count++] = (struct object_function){
	        .name = name,
	        .section = section,
	        .insn = (uint32_t)(offset / INSN_SIZE),
	        .insn_count = (uint32_t)(size / INSN_SIZE),
	        .is_global = is_global,
	};
	return 0;
}

// Sections that have code but no function symbols (old assemblers) are one function of their name.
static int add_nameless(struct object *o)
{
	for (uint32_t s = 1; s < o->elf.section_count; s++) {
		if (o->sections[s].role != ROLE_CODE || o->sections[s].has_function)
			continue;
		int rc = function_add(
		        o, o->elf.sections[s].name, s, 0, o->elf.sections[s].size, true);
		if (rc)
			return rc;
	}
	return 0;
}

int object_read_functions(struct object *o)
{
	for (uint32_t i = 1; i < o->elf.symbol_count; i++) {
		const struct elf_symbol *symbol = &o->elf.symbols[i];
		if (symbol->type != STT_FUNC || o->sections[symbol->section].role != ROLE_CODE)
			continue;
		int rc = function_add(o, symbol->name, symbol->section, symbol->value, symbol->size,
		        symbol->binding != STB_LOCAL);
		if (rc)
			return rc;
	}
	int rc = add_nameless(o);
	if (!rc && o->function_count)
		qsort(o->functions, o->function_count, sizeof(*o->functions), function_compare);
	return rc;
}

struct object_function *object_function_at(const struct object *o, uint32_t section, uint64_t insn)
{
	uint32_t low = 0, high = o->function_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct object_function *at = &o->functions[middle];
		if (at->section < section || (at->section == section && at->insn < insn))
			low = middle + 1;
		else
			high = middle;
	}
	struct object_function *at = o->functions + low;
	return low < o->function_count && at->section == section && at->insn == insn ? at : NULL;
}

static int relocation_compare(const void *a, const void *b)
{
	const struct elf_relocation *l = a, *r = b;
	return l->offset < r->offset ? -1 : l->offset > r->offset;
}

static int section_relocations(struct object *o, const struct elf_section *from)
{
	struct object_section *to = &o->sections[from->info];
	uint64_t count = elf_relocation_count(from);
	for (uint64_t i = 0; i < count; i++) {
		struct elf_relocation relocation;
		int rc = elf_relocation(&o->elf, from, i, &relocation, o->err);
		if (rc)
			return rc;
		if (array_grow((void **)&to->relocations, to->relocation_count, sizeof(relocation)))
			return error_set(o->err, ENOMEM, "no memory for relocations");
		to->relocations[to->relocation_count++] = relocation;
	}
	return 0;
}

int object_read_relocations(struct object *o)
{
	for (uint32_t i = 1; i < o->elf.section_count; i++) {
		const struct elf_section *section = &o->elf.sections[i];
		if (section->type != SHT_REL && section->type != SHT_RELA)
			continue;
		if (section->info >= o->elf.section_count)
			return error_set(o->err, EINVAL,
			        "relocation section '%.64s' is for section %u; there are %u: file "
			        "corrupt?",
			        section->name, section->info, o->elf.section_count);
		if (o->sections[section->info].role == ROLE_OTHER)
			continue;
		if (section->type == SHT_RELA)
			return error_set(o->err, ENOTSUP,
			        "section '%.64s' holds relocations with addends, which clang does "
			        "not make "
			        "for BPF: compile with clang -O2 -g -target bpf -c",
			        section->name);
		int rc = section_relocations(o, section);
		if (rc)
			return rc;
	}
	for (uint32_t i = 1; i < o->elf.section_count; i++)
		if (o->sections[i].relocation_count)
			qsort(o->sections[i].relocations, o->sections[i].relocation_count,
			        sizeof(struct elf_relocation), relocation_compare);
	return 0;
}

// The relocation of the instruction at slot `insn` of a section, or NULL.
static const struct elf_relocation *relocation_at(
        const struct object *o, uint32_t section, uint32_t insn)
{
	const struct object_section *in = &o->sections[section];
	uint64_t offset = (uint64_t)insn * INSN_SIZE;
	uint32_t low = 0, high = in->relocation_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (in->relocations[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	bool found = low < in->relocation_count && in->relocations[low].offset < offset + INSN_SIZE;
	return found ? &in->relocations[low] : NULL;
}

// One program being linked.
struct link {
	struct object *o;
	struct object_function **functions; // in the order in which they stand
	uint32_t function_count, insn_count;
	struct image_program *program;
};

static bool is_func_address(const struct bpf_insn *insn)
{
	return insn_is_lddw(insn) && insn->src_reg == BPF_PSEUDO_FUNC;
}

static bool is_local_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

static struct bpf_insn insn_read(const struct object *o, uint32_t section, uint32_t insn)
{
	struct bpf_insn read;
	memcpy(&read, o->elf.sections[section].data + (size_t)insn * INSN_SIZE, INSN_SIZE);
	return read;
}

// Sets *callee to the function that a call or function address refers to, NULL where it is not one
// of this file or no such instruction.
static int callee_of(struct link *l, const struct object_function *function, uint32_t at,
        const struct bpf_insn *insn, struct object_function **callee)
{
	struct object *o = l->o;
	uint32_t slot = function->insn + at, section = function->section;
	const struct elf_relocation *relocation = relocation_at(o, section, slot);
	int64_t target;
	*callee = NULL;
	if (relocation) {
		const struct elf_symbol *symbol = &o->elf.symbols[relocation->symbol];
		bool is_call = is_local_call(insn), is_address = insn_is_lddw(insn);
		if (o->sections[symbol->section].role != ROLE_CODE || (!is_call && !is_address))
			return 0;
		section = symbol->section;
		target = (int64_t)(symbol->value / INSN_SIZE);
		target += is_call ? (int64_t)insn->imm + 1 : insn->imm / (int64_t)INSN_SIZE;
	} else if (is_local_call(insn)) {
		target = (int64_t)slot + insn->imm + 1;
	} else if (is_func_address(insn)) {
		return error_set(o->err, EINVAL,
		        "function '%.64s', instruction %u: address of a function without a "
		        "relocation",
		        function->name, at);
	} else {
		return 0;
	}
	if (target >= 0)
		*callee = object_function_at(o, section, (uint64_t)target);
	if (!*callee)
		return error_set(o->err, EINVAL,
		        "function '%.64s', instruction %u: calls slot %lld of section '%.64s', "
		        "where no "
		        "function begins: file corrupt?",
		        function->name, at, (long long)target, o->elf.sections[section].name);
	return 0;
}

static int link_take(struct link *l, struct object_function *function)
{
	struct object *o = l->o;
	if (function->stamp == o->stamp)
		return 0;
	if (function->insn_count > IMAGE_INSNS_MAX - l->insn_count)
		return error_set(o->err, E2BIG,
		        "program '%.64s' with the functions that it calls has over %u "
		        "instructions: split "
		        "it into programs that tail call each other",
		        l->functions ? l->functions[0]->name : function->name, IMAGE_INSNS_MAX);
	if (array_grow((void **)&l->functions, l->function_count, sizeof(*l->functions)))
		return error_set(o->err, ENOMEM, "no memory for linking");
	function->stamp = o->stamp;
	function->linked = l->insn_count;
	l->functions[l->function_count++] = function;
	l->insn_count += function->insn_count;
	return 0;
}

// Finds all functions that the first one reaches.
static int link_collect(struct link *l)
{
	for (uint32_t i = 0; i < l->function_count; i++) {
		const struct object_function *function = l->functions[i];
		for (uint32_t at = 0; at < function->insn_count; at++) {
			struct bpf_insn insn =
			        insn_read(l->o, function->section, function->insn + at);
			struct object_function *callee;
			int rc = callee_of(l, function, at, &insn, &callee);
			if (!rc && callee)
				rc = link_take(l, callee);
			if (rc)
				return rc;
			at += insn_is_lddw(&insn);
		}
	}
	return 0;
}

struct place { // of an instruction that is being settled
	const struct object_function *function;
	uint32_t at;
	struct bpf_insn *insn;
	uint32_t left;
	const struct elf_relocation *relocation;
	const struct elf_symbol *symbol;
};

static int refuse(struct object *o, const struct place *p, int code, const char *what)
{
	return error_set(o->err, code, "function '%.64s', instruction %u: %s ('%.64s')",
	        p->function->name, p->at, what, p->symbol->name);
}

static void lddw_set(struct bpf_insn *insn, uint8_t src, uint32_t low, uint32_t high)
{
	insn[0].src_reg = src & 0xf;
	insn[0].imm = (int32_t)low;
	insn[1].imm = (int32_t)high;
}

// An address of data or of a map: LDDW only.
static int settle_data(struct object *o, struct place *p)
{
	uint32_t section = p->symbol->section;
	uint64_t offset = p->symbol->value + (uint64_t)(int64_t)p->insn->imm;
	struct image_map *maps = o->image->maps;
	if (o->sections[section].role == ROLE_GLOBAL) {
		uint32_t map = o->sections[section].map;
		if (offset >= maps[map].value_size)
			return refuse(o, p, EINVAL,
			        "refers to a place outside of its section; index a local pointer "
			        "instead");
		lddw_set(p->insn, BPF_PSEUDO_MAP_VALUE, map, (uint32_t)offset);
		return 0;
	}
	uint32_t map = object_map_at(o, section, offset);
	if (map == IMAGE_NONE)
		return refuse(o, p, EINVAL, "refers into a map's definition, not to a map");
	lddw_set(p->insn, BPF_PSEUDO_MAP_FD, map, 0);
	return 0;
}

static int kfunc_index(struct object *o, const char *name, uint32_t *index)
{
	struct image *image = o->image;
	for (*index = 0; *index < image->kfunc_count; ++*index)
		if (!strncmp(image->kfuncs[*index], name, IMAGE_NAME_MAX - 1))
			return 0;
	if (*index == IMAGE_KFUNCS_MAX)
		return error_set(
		        o->err, E2BIG, "the object calls over %u kfuncs", IMAGE_KFUNCS_MAX);
	if (array_grow((void **)&image->kfuncs, image->kfunc_count, IMAGE_NAME_MAX))
		return error_set(o->err, ENOMEM, "no memory for kfuncs");
	object_name(image->kfuncs[image->kfunc_count++], name);
	return 0;
}

// Is `name` declared with __ksym in the object?
static bool is_ksym(const struct object *o, const char *name)
{
	const struct btf_type *section = btf_type(&o->btf, btf_datasec(&o->btf, ".ksyms"));
	for (uint32_t i = 0; i < btf_count(section); i++)
		if (!strncmp(btf_name(&o->btf, btf_vars(section)[i].type), name, IMAGE_NAME_MAX))
			return true;
	return false;
}

// What an undefined symbol means, once for each symbol.
static int extern_resolve(struct object *o, uint32_t index, bool is_call, const struct place *p)
{
	const struct elf_symbol *symbol = &o->elf.symbols[index];
	struct object_extern *ext = &o->externs[index];
	bool is_weak = symbol->binding == STB_WEAK;
	if (ext->kind != EXTERN_NEW)
		return 0;
	bool found;
	int rc = object_kconfig_find(o, symbol->name, is_weak, &found, &ext->at);
	if (rc)
		return rc;
	if (found) {
		ext->kind = EXTERN_VALUE;
		return 0;
	}
	if (kfunc_find(symbol->name) || (is_call && !is_weak && is_ksym(o, symbol->name))) {
		ext->kind = EXTERN_KFUNC; // one that is not offered is named by the check
		return kfunc_index(o, symbol->name, &ext->at);
	}
	if (is_weak) {
		ext->kind = EXTERN_MISSING;
		return 0;
	}
	if (is_call)
		return refuse(o, p, ENOTSUP,
		        "calls a function that the file does not define; define it here, or, if it "
		        "is "
		        "memcpy or memset, use __builtin_memcpy with a constant size");
	return refuse(o, p, ENOTSUP,
	        "refers to a variable of the kernel or of another file, which no card has; define "
	        "it "
	        "here, or declare it __weak");
}

static int settle_extern(struct object *o, struct place *p)
{
	bool is_call = is_local_call(p->insn);
	int rc = extern_resolve(o, p->relocation->symbol, is_call, p);
	if (rc)
		return rc;
	const struct object_extern *ext = &o->externs[p->relocation->symbol];
	if (is_call && ext->kind == EXTERN_KFUNC) {
		p->insn->src_reg = BPF_PSEUDO_KFUNC_CALL;
		p->insn->imm = (int32_t)ext->at;
		p->insn->off = 0;
	} else if (is_call) {
		// A weak function that is not there: never reached where the program asked for it.
		// An endless loop keeps the code legal and ends in an abort.
		*p->insn = (struct bpf_insn){.code = BPF_JMP | BPF_JA, .off = -1};
	} else if (ext->kind == EXTERN_VALUE) {
		lddw_set(p->insn, BPF_PSEUDO_MAP_VALUE, o->kconfig, ext->at);
	} else { // the address of a kfunc is compared with NULL only
		lddw_set(p->insn, 0, ext->kind == EXTERN_KFUNC, 0);
	}
	return 0;
}

static int settle_relocation(struct object *o, struct place *p)
{
	bool is_lddw = insn_is_lddw(p->insn) && p->left > 1, is_call = is_local_call(p->insn);
	enum section_role role = o->sections[p->symbol->section].role;
	if ((p->relocation->type != RELOC_64_64 && p->relocation->type != RELOC_64_32) ||
	        (!is_lddw && !is_call) || p->relocation->offset % INSN_SIZE)
		return error_set(o->err, EINVAL,
		        "function '%.64s', instruction %u: relocation of type %u for '%.64s', "
		        "which is "
		        "neither an address (1) nor a call (10): compile with clang -O2 -g -target "
		        "bpf -c",
		        p->function->name, p->at, p->relocation->type, p->symbol->name);
	if (p->symbol->is_undefined)
		return settle_extern(o, p);
	if (is_call)
		return refuse(o, p, EINVAL, "calls what is not a function");
	if (role == ROLE_OTHER)
		return error_set(o->err, ENOTSUP,
		        "function '%.64s', instruction %u: refers to '%.64s' in section '%.64s', "
		        "which is "
		        "not loaded; put the variable into .data, .rodata, .bss or a section named "
		        ".data.NAME",
		        p->function->name, p->at, p->symbol->name,
		        o->elf.sections[p->symbol->section].name);
	return settle_data(o, p);
}

// Is this an instruction whose meaning only a relocation tells?
static bool refers_to_object(const struct bpf_insn *insn)
{
	if (insn->code == (BPF_JMP | BPF_CALL))
		return insn->src_reg == BPF_PSEUDO_KFUNC_CALL;
	return insn_is_lddw(insn) &&
	       (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE);
}

static int link_settle_insn(struct link *l, struct place *p)
{
	struct object_function *callee;
	struct bpf_insn original = insn_read(l->o, p->function->section, p->function->insn + p->at);
	int rc = callee_of(l, p->function, p->at, &original, &callee);
	if (rc)
		return rc;
	if (callee && insn_is_lddw(p->insn) && p->left > 1) {
		lddw_set(p->insn, BPF_PSEUDO_FUNC,
		        callee->linked - (p->function->linked + p->at) - 1, 0);
		return 0;
	}
	if (callee) {
		p->insn->imm = (int32_t)(callee->linked - (p->function->linked + p->at) - 1);
		return 0;
	}
	p->relocation = relocation_at(l->o, p->function->section, p->function->insn + p->at);
	if (!p->relocation && refers_to_object(p->insn))
		return error_set(l->o->err, EINVAL,
		        "function '%.64s', instruction %u: reference to a map or kfunc without a "
		        "relocation: name it in C instead",
		        p->function->name, p->at);
	if (!p->relocation)
		return 0;
	p->symbol = &l->o->elf.symbols[p->relocation->symbol];
	return settle_relocation(l->o, p);
}

static int link_settle(struct link *l, const struct object_function *function)
{
	struct bpf_insn *insns = l->program->insns + function->linked;
	memcpy(insns,
	        l->o->elf.sections[function->section].data + (size_t)function->insn * INSN_SIZE,
	        (size_t)function->insn_count * INSN_SIZE);
	int rc = object_apply_core(l->o, function, insns);
	for (uint32_t at = 0; at < function->insn_count && !rc; at++) {
		struct place place = {
		        function, at, insns + at, function->insn_count - at, NULL, NULL};
		if (insn_is_lddw(insns + at) && place.left == 1)
			return error_set(l->o->err, EINVAL,
			        "function '%.64s' ends in the middle of an instruction: file "
			        "corrupt?",
			        function->name);
		rc = link_settle_insn(l, &place);
		at += insn_is_lddw(insns + at);
	}
	return rc ? rc : object_add_lines(l->o, function, function->linked, l->program);
}

static int link_program(struct link *l)
{
	struct object *o = l->o;
	struct image_program *program = l->program;
	program->insns = calloc(l->insn_count, sizeof(*program->insns));
	program->functions = calloc(l->function_count, sizeof(*program->functions));
	if (!program->insns || !program->functions)
		return error_set(o->err, ENOMEM, "no memory for %u instructions", l->insn_count);
	program->insn_count = l->insn_count;
	for (uint32_t i = 0; i < l->function_count; i++) {
		struct image_function *function = &program->functions[program->function_count++];
		object_name(function->name, l->functions[i]->name);
		function->insn = l->functions[i]->linked;
		int rc = link_settle(l, l->functions[i]);
		if (rc)
			return rc;
	}
	return 0;
}

int object_link(struct object *o, struct object_function *main, struct image_program *program)
{
	struct link l = {.o = o, .program = program};
	o->stamp++;
	object_name(program->name, main->name);
	object_name(program->section, o->elf.sections[main->section].name);
	int rc = link_take(&l, main);
	if (!rc)
		rc = link_collect(&l);
	if (!rc)
		rc = link_program(&l);
	free(l.functions);
	return rc;
}
