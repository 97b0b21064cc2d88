// SPDX-License-Identifier: Apache-2.0
// Reading an object: sections get their roles, functions and maps are found, programs chosen and
// linked.
//
// Names of sections are the author's affair, so a section's role comes from its type, flags and
// name together, and a program's kind from its section's name or, by BTF, from its context's type.
#include "ebpf/object.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ebpf/layout.h"
#include "ebpf/object_parts.h"

// How good a program is as the one that packets enter; the least is best.
enum rank {
	RANK_XDP,       // section xdp, xdp/…, xdp_…, xdp.frags
	RANK_OPTIONAL,  // ?xdp: libbpf loads it only when asked
	RANK_PROG,      // section prog: what iproute2 takes
	RANK_CONTEXT,   // a section of another name, but it takes a struct xdp_md
	RANK_UNKNOWN,   // any other name of the author's own
	RANK_SECONDARY, // run behind a redirect: xdp_devmap, xdp_cpumap
	RANK_OTHER,     // for another hook of the kernel
	RANK_NONE,      // not a program
};

// Sections of programs for other hooks: what libbpf's section_defs, gobpf and the samples have.
static const char *const other_hooks[] = {"action", "cgroup", "classifier", "fentry", "fexit",
        "flow_dissector", "fmod_ret", "freplace", "iter", "kprobe", "kretprobe", "ksyscall",
        "kretsyscall", "lirc_mode2", "lsm", "lsm_cgroup", "lwt_in", "lwt_out", "lwt_seg6local",
        "lwt_xmit", "netfilter", "netkit", "perf_event", "raw_tp", "raw_tracepoint", "sk_lookup",
        "sk_msg", "sk_reuseport", "sk_skb", "socket", "sockops", "struct_ops", "syscall", "tc",
        "tcx", "tp", "tp_btf", "tracepoint", "uprobe", "uretprobe", "usdt"};

void object_name(char to[IMAGE_NAME_MAX], const char *from)
{
	size_t i = 0;
	for (; from[i] && i < IMAGE_NAME_MAX - 1; i++) {
		unsigned char c = (unsigned char)from[i];
		to[i] = c < ' ' || c == 0x7f ? '?' : from[i];
	}
	memset(to + i, 0, IMAGE_NAME_MAX - i);
}

int array_grow(void **array, uint32_t count, size_t size)
{
	// Capacities are powers of two, so only there is more room needed.
	if (count & (count - 1))
		return 0;
	if (count >= 1u << 30)
		return -ENOMEM;
	void *grown = realloc(*array, (count ? (size_t)count * 2 : 1) * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	return 0;
}

static bool begins(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static enum section_role role_of(const struct elf_section *section)
{
	static const char *const globals[] = {".data", ".rodata", ".bss"};
	bool has_bytes = section->type == SHT_PROGBITS;
	if (!(section->flags & SHF_ALLOC) || (!has_bytes && section->type != SHT_NOBITS) ||
	        !section->size)
		return ROLE_OTHER;
	if (section->flags & SHF_EXECINSTR)
		return has_bytes ? ROLE_CODE : ROLE_OTHER;
	for (size_t i = 0; i < ARRAY_SIZE(globals); i++) {
		char next =
		        begins(section->name, globals[i]) ? section->name[strlen(globals[i])] : 'x';
		if (!next || next == '.')
			return ROLE_GLOBAL;
	}
	if (has_bytes && !strcmp(section->name, ".maps"))
		return ROLE_MAPS;
	if (has_bytes && (!strcmp(section->name, "maps") || begins(section->name, "maps/")))
		return ROLE_LEGACY;
	return ROLE_OTHER;
}

// clang's own sections are not loaded (SHF_ALLOC); those that an author gives the same name are.
static const struct elf_section *debug_section(const struct object *o, const char *name)
{
	for (uint32_t i = 1; i < o->elf.section_count; i++) {
		const struct elf_section *section = &o->elf.sections[i];
		if (section->type == SHT_PROGBITS && !(section->flags & SHF_ALLOC) &&
		        section->size && !strcmp(section->name, name))
			return section;
	}
	return NULL;
}

static int read_sections(struct object *o)
{
	o->sections = calloc(o->elf.section_count, sizeof(*o->sections));
	o->externs = calloc(o->elf.symbol_count, sizeof(*o->externs));
	if (!o->sections || !o->externs)
		return error_set(o->err, ENOMEM, "no memory for sections");
	for (uint32_t i = 1; i < o->elf.section_count; i++) {
		const struct elf_section *section = &o->elf.sections[i];
		o->sections[i].role = role_of(section);
		if (!strcmp(section->name, "license") && section->type == SHT_PROGBITS) {
			char license[IMAGE_NAME_MAX] = "";
			size_t size = section->size < sizeof(license) ? section->size
			                                              : sizeof(license) - 1;
			memcpy(license, section->data, size);
			object_name(o->image->license, license);
		}
	}
	return 0;
}

static int read_types(struct object *o)
{
	const struct elf_section *types = debug_section(o, ".BTF"),
	                         *ext = debug_section(o, ".BTF.ext");
	if (!types)
		return 0;
	int rc = btf_open(types->data, types->size, &o->btf, o->err);
	if (rc)
		return rc;
	o->has_btf = true;
	if (!ext)
		return 0;
	rc = btf_ext_open(ext->data, ext->size, &o->ext, o->err);
	return rc ? rc : object_read_ext(o);
}

// The name of the struct that a function's first argument points to, or "".
static const char *context_type(const struct object *o, const struct object_function *function)
{
	for (uint32_t id = 1; id < o->btf.count; id++) {
		const struct btf_type *type = btf_type(&o->btf, id);
		if (btf_kind(type) != BTF_KIND_FUNC ||

		        strncmp(btf_name(&o->btf, id), function->name, IMAGE_NAME_MAX))
			continue;
		const struct btf_type *proto = btf_type(&o->btf, type->type);
		if (btf_kind(proto) != BTF_KIND_FUNC_PROTO || !btf_count(proto))
			break;
		const struct btf_type *pointer =
		        btf_type(&o->btf, btf_skip(&o->btf, btf_params(proto)[0].type));
		if (btf_kind(pointer) != BTF_KIND_PTR)
			break;
		uint32_t context = btf_skip(&o->btf, pointer->type);
		if (btf_kind(btf_type(&o->btf, context)) != BTF_KIND_STRUCT)
			break;
		return btf_name(&o->btf, context);
	}
	return "";
}

static enum rank rank_of(const struct object *o, const struct object_function *function)
{
	const char *section = o->elf.sections[function->section].name;
	if (section[0] == '?')
		return !strncasecmp(section + 1, "xdp", 3) ? RANK_OPTIONAL : RANK_OTHER;
	if (!strncasecmp(section, "xdp", 3))
		return strstr(section, "devmap") || strstr(section, "cpumap") ? RANK_SECONDARY
		                                                              : RANK_XDP;
	const char *context = context_type(o, function);
	bool is_xdp = !strcmp(context, "xdp_md") || !strcmp(context, "xdp_buff");
	if (context[0] && !is_xdp)
		return RANK_OTHER;
	if (!strcmp(section, "prog"))
		return RANK_PROG;
	if (is_xdp)
		return RANK_CONTEXT;
	for (size_t i = 0; i < ARRAY_SIZE(other_hooks); i++) {
		char next = section[begins(section, other_hooks[i]) ? strlen(other_hooks[i]) : 0];
		if (begins(section, other_hooks[i]) && (!next || strchr("/_.+:", next)))
			return RANK_OTHER;
	}
	return RANK_UNKNOWN;
}

// Programs are the global functions of sections other than .text; where a section has no global
// function all of its, and where there is only .text its global ones.
static int rank_functions(struct object *o)
{
	bool only_text = true;
	uint32_t programs = 0;
	for (uint32_t i = 0; i < o->function_count; i++)
		only_text = only_text &&
		            !strcmp(o->elf.sections[o->functions[i].section].name, ".text");
	for (uint32_t i = 0; i < o->function_count; i++) {
		struct object_function *function = &o->functions[i];
		bool is_text = !strcmp(o->elf.sections[function->section].name, ".text");
		bool is_sub = !function->is_global && o->sections[function->section].has_global;
		function->rank = RANK_NONE;
		if ((is_text && !only_text) || is_sub ||
		        object_function_at(o, function->section, function->insn) != function)
			continue;
		if (++programs > IMAGE_PROGRAMS_MAX)
			return error_set(o->err, E2BIG,
			        "the object has over %u programs; split the file",
			        IMAGE_PROGRAMS_MAX);
		function->rank = rank_of(o, function);
	}
	return 0;
}

int object_take(struct object *o, struct object_function *function)
{
	if (function->is_taken)
		return 0;
	if (o->program_count == IMAGE_PROGRAMS_MAX)
		return error_set(o->err, E2BIG, "the object has over %u programs; split the file",
		        IMAGE_PROGRAMS_MAX);
	if (array_grow((void **)&o->programs, o->program_count, sizeof(*o->programs)))
		return error_set(o->err, ENOMEM, "no memory for programs");
	function->is_taken = true;
	function->program = o->program_count;
	o->programs[o->program_count++] = function;
	return 0;
}

// The names of all programs, "f (section xdp), g (section tc)", into `text`.
static const char *list_programs(const struct object *o, char *text, size_t size)
{
	size_t length = 0;
	text[0] = '\0';
	for (uint32_t i = 0; i < o->function_count && length < size; i++) {
		const struct object_function *function = &o->functions[i];
		if (function->rank == RANK_NONE)
			continue;
		length += (size_t)snprintf(text + length, size - length, "%s%.64s (section %.64s)",
		        length ? ", " : "", function->name,
		        o->elf.sections[function->section].name);
	}
	if (length >= size)
		memcpy(text + size - 4, "…", 4);
	return text;
}

static struct object_function *find_named(const struct object *o, const char *program)
{
	struct object_function *found = NULL;
	for (uint32_t i = 0; i < o->function_count; i++) {
		struct object_function *function = &o->functions[i];
		if (!strcmp(function->name, program))
			return object_function_at(o, function->section, function->insn);
		bool is_section = !strcmp(o->elf.sections[function->section].name, program);
		if (is_section && function->rank != RANK_NONE && !found)
			found = function;
	}
	return found;
}

static struct object_function *find_best(const struct object *o, bool *is_ambiguous)
{
	struct object_function *best = NULL;
	*is_ambiguous = false;
	for (uint32_t i = 0; i < o->function_count; i++) {
		struct object_function *function = &o->functions[i];
		if (function->rank == RANK_NONE)
			continue;
		if (best && function->rank == best->rank)
			*is_ambiguous = best->rank == RANK_UNKNOWN || best->rank == RANK_OTHER;
		if (!best || function->rank < best->rank) {
			best = function;
			*is_ambiguous = false;
		}
	}
	return best;
}

static int choose(struct object *o, const char *program, struct object_function **entry)
{
	char names[320];
	bool is_ambiguous = false;
	int rc = rank_functions(o);
	if (rc)
		return rc;
	struct object_function *best =
	        program ? find_named(o, program) : find_best(o, &is_ambiguous);
	list_programs(o, names, sizeof(names));
	if (!best && program)
		return error_set(o->err, ENOENT,
		        "the object has no program or section '%.64s'; it has: %s", program,
		        names[0] ? names : "no program at all");
	if (!best)
		return error_set(o->err, ENOENT,
		        "the object has no program; write one as SEC(\"xdp\") int f(struct xdp_md "
		        "*ctx) "
		        "and compile it with clang -O2 -g -target bpf -c");
	if (is_ambiguous)
		return error_set(o->err, ENOENT,
		        "the object has no XDP program but several of other names: %s; name the "
		        "one to enter",
		        names);
	for (uint32_t i = 0; i < o->function_count; i++) {
		struct object_function *function = &o->functions[i];
		if (function != best && function->rank >= RANK_OTHER)
			continue;
		rc = object_take(o, function);
		if (rc)
			return rc;
	}
	*entry = best;
	return 0;
}

static int link_programs(struct object *o, const struct object_function *entry)
{
	o->image->programs = calloc(o->program_count, sizeof(*o->image->programs));
	if (!o->image->programs)
		return error_set(o->err, ENOMEM, "no memory for programs");
	for (uint32_t i = 0; i < o->program_count; i++) {
		o->image->program_count++;
		int rc = object_link(o, o->programs[i], &o->image->programs[i]);
		if (rc)
			return rc;
	}
	o->image->entry = entry->program;
	return object_drop_maps(o);
}

static int read_parts(struct object *o, const char *program, const struct btf *kernel)
{
	struct object_function *entry;
	int rc = read_sections(o);
	if (!rc)
		rc = read_types(o);
	if (!rc && core_open(&o->btf, o->core_count ? kernel : NULL, &o->core))
		rc = error_set(o->err, ENOMEM, "no memory for the kernel's types");
	if (!rc)
		rc = object_read_functions(o);
	if (!rc)
		rc = object_read_relocations(o);
	if (!rc)
		rc = object_read_maps(o);
	if (!rc)
		rc = choose(o, program, &entry);
	if (!rc)
		rc = object_read_slots(o);
	return rc ? rc : link_programs(o, entry);
}

static void object_close(struct object *o)
{
	for (uint32_t i = 0; o->sections && i < o->elf.section_count; i++)
		free(o->sections[i].relocations);
	free(o->sections);
	free(o->functions);
	free(o->programs);
	free(o->maps);
	free(o->by_name);
	free(o->lines);
	free(o->cores);
	free(o->externs);
	free(o->string_index);
	free(o->string_offsets);
	core_close(&o->core);
	btf_close(&o->btf);
	elf_close(&o->elf);
	image_free(&o->image);
}

int object_read(const void *data, size_t size, const char *program, const void *kernel_btf,
        size_t kernel_btf_size, struct image **image, struct error *err)
{
	struct error ignored;
	struct object o = {
	        .err = err ? err : &ignored, .kconfig = IMAGE_NONE, .layout_budget = LAYOUT_BUDGET};
	struct btf kernel = {0};
	if (size > OBJECT_SIZE_MAX)
		return error_set(err, EFBIG, "the object file has %zu bytes; at most %u are taken",
		        size, OBJECT_SIZE_MAX);
	o.image = calloc(1, sizeof(*o.image));
	if (!o.image)
		return error_set(err, ENOMEM, "no memory for a program image");
	int rc = elf_open(data, size, &o.elf, o.err);
	if (!rc && kernel_btf && btf_open(kernel_btf, kernel_btf_size, &kernel, o.err))
		rc = error_prefix(o.err, "the kernel's types");
	if (!rc)
		rc = read_parts(&o, program, kernel_btf ? &kernel : NULL);
	if (!rc)
		*image = TAKE_PTR(o.image);
	object_close(&o);
	btf_close(&kernel);
	return rc;
}
