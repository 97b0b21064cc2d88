// SPDX-License-Identifier: Apache-2.0
// The ELF reader. libelf is not used: it hands out what the headers claim, so that every use needs
// a check of its own, and all that a BPF object needs of ELF is three tables.
#include "ebpf/elf64.h"

#include <ctype.h>
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

#ifndef EM_BPF
#define EM_BPF 247
#endif

struct file {
	const uint8_t *data;
	size_t size;
};

// The `size` bytes at `offset`, or NULL where the file has fewer.
static const uint8_t *file_at(const struct file *file, uint64_t offset, uint64_t size)
{
	if (offset > file->size || size > file->size - offset)
		return NULL;
	return file->data + offset;
}

static const struct {
	uint16_t machine;
	const char *name;
} machines[] = {
        {EM_386, "an x86 (32-bit)"},
        {EM_X86_64, "an x86-64"},
        {EM_ARM, "an ARM"},
        {EM_AARCH64, "an aarch64"},
        {EM_RISCV, "a RISC-V"},
        {EM_PPC64, "a PowerPC"},
        {EM_S390, "an s390"},
        {EM_MIPS, "a MIPS"},
};

static int not_elf(const struct file *file, struct error *err)
{
	static const char advice[] =
	        "make it with: clang -O2 -g -target bpf -c program.c -o program.o";
	if (!file->size)
		return error_set(err, EINVAL, "the object file is empty; %s", advice);
	if (file->size >= 4 && !memcmp(file->data,
	                               "\x7f"
	                               "ELF",
	                               4))
		return error_set(err, EINVAL,
		        "the object file is cut off: %zu bytes are less than an ELF header; %s",
		        file->size, advice);
	if (file->size >= 4 && !memcmp(file->data, "BC\xc0\xde", 4))
		return error_set(err, EINVAL,
		        "this is LLVM bitcode, not an object file: compile without -emit-llvm or "
		        "-flto, "
		        "or pass it through llc -march=bpf -filetype=obj");
	size_t sample = file->size < 64 ? file->size : 64, text = 0;
	for (size_t i = 0; i < sample; i++)
		text += isprint(file->data[i]) || isspace(file->data[i]);
	if (text == sample)
		return error_set(err, EINVAL,
		        "this is text, not an object file; if it is C, %s, or pass it as a source "
		        "file",
		        advice);
	return error_set(err, EINVAL, "this is not an ELF object file; %s", advice);
}

static int header_check(const Elf64_Ehdr *header, struct error *err)
{
	static const char advice[] = "compile with: clang -O2 -g -target bpf -c";
	if (header->e_ident[EI_DATA] != ELFDATA2LSB)
		return error_set(err, EINVAL,
		        "this object is big-endian (bpfeb); cards are little-endian: %s, without "
		        "-target bpfeb",
		        advice);
	uint16_t machine = le16toh(header->e_machine);
	if (machine != EM_BPF && machine != EM_NONE) {
		for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
			if (machines[i].machine == machine)
				return error_set(err, EINVAL,
				        "this is %s object, not a BPF object: %s", machines[i].name,
				        advice);
		return error_set(err, EINVAL, "this object is for ELF machine %u, not BPF: %s",
		        machine, advice);
	}
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return error_set(
		        err, EINVAL, "this ELF file is 32-bit; BPF objects are 64-bit: %s", advice);
	if (le16toh(header->e_type) != ET_REL)
		return error_set(err, EINVAL,
		        "this ELF file is of type %u, not a relocatable object (1): give the file "
		        "that %s "
		        "makes, not a linked one",
		        le16toh(header->e_type), advice);
	if (le16toh(header->e_shentsize) != sizeof(Elf64_Shdr))
		return error_set(err, EINVAL,
		        "ELF section headers of %u bytes, not %zu: file corrupt?",
		        le16toh(header->e_shentsize), sizeof(Elf64_Shdr));
	return 0;
}

// The string at `offset` of string table `table`, or NULL.
static const char *string_at(const struct elf_section *table, uint64_t offset)
{
	if (!table->data || offset >= table->size)
		return NULL;
	const char *text = (const char *)table->data + offset;
	return table->data[table->size - 1] ? NULL : text; // the last one ends, so all do
}

static int section_read(const struct file *file, const uint8_t *at, uint32_t index, struct elf *elf,
        struct error *err)
{
	Elf64_Shdr header;
	memcpy(&header, at, sizeof(header));
	struct elf_section *section = &elf->sections[index];
	section->name = "";
	section->type = le32toh(header.sh_type);
	section->link = le32toh(header.sh_link);
	section->info = le32toh(header.sh_info);
	section->flags = le64toh(header.sh_flags);
	if (index == 0 || section->type == SHT_NULL)
		return 0;
	section->size = le64toh(header.sh_size);
	if (section->type == SHT_NOBITS)
		return 0;
	section->data = file_at(file, le64toh(header.sh_offset), section->size);
	if (!section->data)
		return error_set(err, EINVAL,
		        "ELF section %u lies outside the file of %zu bytes: file cut off or "
		        "corrupt?",
		        index, file->size);
	return 0;
}

static int sections_name(const uint8_t *headers, uint32_t table, struct elf *elf, struct error *err)
{
	if (table >= elf->section_count)
		return error_set(err, EINVAL,
		        "the ELF header names section %u for the section names; "
		        "there are %u: file corrupt?",
		        table, elf->section_count);
	for (uint32_t i = 1; i < elf->section_count; i++) {
		Elf64_Shdr header;
		memcpy(&header, headers + (size_t)i * sizeof(header), sizeof(header));
		const char *name = string_at(&elf->sections[table], le32toh(header.sh_name));
		if (!name)
			return error_set(
			        err, EINVAL, "ELF section %u has no valid name: file corrupt?", i);
		elf->sections[i].name = name;
	}
	return 0;
}

static int symbol_read(const uint8_t *at, const struct elf_section *names, uint32_t index,
        struct elf *elf, struct error *err)
{
	Elf64_Sym raw;
	memcpy(&raw, at, sizeof(raw));
	struct elf_symbol *symbol = &elf->symbols[index];
	symbol->name = string_at(names, le32toh(raw.st_name));
	if (!symbol->name && raw.st_name)
		return error_set(
		        err, EINVAL, "ELF symbol %u has no valid name: file corrupt?", index);
	if (!symbol->name)
		symbol->name = "";
	symbol->value = le64toh(raw.st_value);
	symbol->size = le64toh(raw.st_size);
	symbol->type = ELF64_ST_TYPE(raw.st_info);
	symbol->binding = ELF64_ST_BIND(raw.st_info);
	uint16_t section = le16toh(raw.st_shndx);
	if (section == SHN_XINDEX)
		return error_set(err, EINVAL, "ELF symbol '%.64s' stands in an extended section",
		        symbol->name);
	symbol->is_undefined = section == SHN_UNDEF;
	if (section >= SHN_LORESERVE)
		section = 0;
	if (section >= elf->section_count)
		return error_set(err, EINVAL,
		        "ELF symbol '%.64s' stands in section %u; there are %u: file corrupt?",
		        symbol->name, section, elf->section_count);
	symbol->section = section;
	// A section's symbol goes by the name of its section.
	if (symbol->type == STT_SECTION && !symbol->name[0])
		symbol->name = elf->sections[section].name;
	return 0;
}

static int symbols_read(struct elf *elf, struct error *err)
{
	const struct elf_section *table = NULL;
	bool is_taken = false; // by a section of the author's own: clang then loses the table
	for (uint32_t i = 1; i < elf->section_count && !table; i++) {
		if (elf->sections[i].type == SHT_SYMTAB)
			table = &elf->sections[i];
		is_taken = is_taken || !strcmp(elf->sections[i].name, ".symtab");
	}
	if (!table && is_taken)
		return error_set(err, EINVAL,
		        "a section of the source is named '.symtab', which is the name of ELF's "
		        "own "
		        "symbol table: give it another one in SEC()");
	if (!table)
		return error_set(err, EINVAL,
		        "the object has no symbol table: it was stripped; give it as clang wrote "
		        "it "
		        "(llvm-strip -g keeps what is needed)");
	if (table->link >= elf->section_count || table->size % sizeof(Elf64_Sym) || !table->size)
		return error_set(err, EINVAL, "the ELF symbol table is malformed: file corrupt?");
	elf->symbol_count = (uint32_t)(table->size / sizeof(Elf64_Sym));
	elf->symbols = calloc(elf->symbol_count, sizeof(*elf->symbols));
	if (!elf->symbols)
		return error_set(err, ENOMEM, "no memory for %u ELF symbols", elf->symbol_count);
	for (uint32_t i = 0; i < elf->symbol_count; i++) {
		int rc = symbol_read(table->data + (size_t)i * sizeof(Elf64_Sym),
		        &elf->sections[table->link], i, elf, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int tables_read(
        const struct file *file, const Elf64_Ehdr *header, struct elf *elf, struct error *err)
{
	elf->section_count = le16toh(header->e_shnum);
	if (!elf->section_count || elf->section_count > ELF_SECTIONS_MAX)
		return error_set(err, EINVAL, "the object has %u ELF sections; 1 to %u are taken",
		        elf->section_count, ELF_SECTIONS_MAX);
	const uint8_t *headers = file_at(
	        file, le64toh(header->e_shoff), (uint64_t)elf->section_count * sizeof(Elf64_Shdr));
	if (!headers)
		return error_set(err, EINVAL,
		        "the ELF section headers lie outside the file of %zu bytes: file cut off?",
		        file->size);
	elf->sections = calloc(elf->section_count, sizeof(*elf->sections));
	if (!elf->sections)
		return error_set(err, ENOMEM, "no memory for %u ELF sections", elf->section_count);
	for (uint32_t i = 0; i < elf->section_count; i++) {
		int rc = section_read(file, headers + (size_t)i * sizeof(Elf64_Shdr), i, elf, err);
		if (rc)
			return rc;
	}
	int rc = sections_name(headers, le16toh(header->e_shstrndx), elf, err);
	return rc ? rc : symbols_read(elf, err);
}

int elf_open(const void *data, size_t size, struct elf *elf, struct error *err)
{
	struct file file = {data, size};
	struct elf opened = {0};
	Elf64_Ehdr header;
	if (size < sizeof(header) || memcmp(data, ELFMAG, SELFMAG))
		return not_elf(&file, err);
	memcpy(&header, data, sizeof(header));
	int rc = header_check(&header, err);
	if (!rc)
		rc = tables_read(&file, &header, &opened, err);
	if (rc) {
		elf_close(&opened);
		return rc;
	}
	*elf = opened;
	return 0;
}

void elf_close(struct elf *elf)
{
	free(elf->sections);
	free(elf->symbols);
	*elf = (struct elf){0};
}

uint64_t elf_relocation_count(const struct elf_section *section)
{
	return section->data ? section->size / sizeof(Elf64_Rel) : 0;
}

int elf_relocation(const struct elf *elf, const struct elf_section *section, uint64_t index,
        struct elf_relocation *relocation, struct error *err)
{
	Elf64_Rel raw;
	memcpy(&raw, section->data + index * sizeof(raw), sizeof(raw));
	uint64_t info = le64toh(raw.r_info);
	uint64_t symbol = ELF64_R_SYM(info);
	if (symbol >= elf->symbol_count)
		return error_set(err, EINVAL,
		        "relocation %llu of section '%.64s' names symbol %llu; there are %u: file "
		        "corrupt?",
		        (unsigned long long)index, section->name, (unsigned long long)symbol,
		        elf->symbol_count);
	relocation->offset = le64toh(raw.r_offset);
	relocation->type = (uint32_t)ELF64_R_TYPE(info);
	relocation->symbol = (uint32_t)symbol;
	return 0;
}
