// SPDX-License-Identifier: Apache-2.0
// A bounded view of a relocatable ELF64 object for BPF: sections, symbols and relocations of bytes
// that a stranger sent. Everything in the view was checked when it was opened: names end, data lies
// in the file, indices exist. The data need not be aligned.
//
// Sections are told by their type, never by their name alone: authors may name theirs `.symtab`.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define ELF_SECTIONS_MAX 4096

struct elf_section {
	const char *name; // never NULL
	uint32_t type, link, info;
	uint64_t flags, size;
	const uint8_t *data; // `size` bytes; NULL for SHT_NOBITS
};

struct elf_symbol {
	const char *name; // never NULL
	uint64_t value, size;
	uint32_t section; // below section_count; 0 where undefined or of no section
	bool is_undefined;
	uint8_t type, binding; // STT_…, STB_…
};

struct elf_relocation {
	uint64_t offset;
	uint32_t type, symbol; // R_BPF_…; below symbol_count
};

struct elf {
	struct elf_section *sections; // [0] is the null section
	uint32_t section_count;
	struct elf_symbol *symbols; // [0] is the null symbol
	uint32_t symbol_count;
};

// `data` stays borrowed until elf_close(). Errors: EINVAL with what it is instead, ENOMEM.
int elf_open(const void *data, size_t size, struct elf *elf, struct error *err);
void elf_close(struct elf *elf);

// Relocations in a SHT_REL section, and the one numbered `index` (below that count) of it. The
// second fails with EINVAL where it names a symbol that does not exist.
uint64_t elf_relocation_count(const struct elf_section *section);
int elf_relocation(const struct elf *elf, const struct elf_section *section, uint64_t index,
        struct elf_relocation *relocation, struct error *err);
