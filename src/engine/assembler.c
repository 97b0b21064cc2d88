// SPDX-License-Identifier: Apache-2.0
// Mnemonics are tables of name and code; operands are what the form of an instruction asks for. Its
// encoding is written from RFC 9669 and shares nothing with opcode.c, so that a mistake in one
// shows.
#include "engine/assembler.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define TOKENS 6
#define LABELS 256

struct label {
	char name[32];
	int32_t at;
};

struct assembler {
	struct bpf_insn *insns;
	int32_t count;
	struct label labels[LABELS];
	int32_t label_count;
	bool final; // second pass: labels are known
	char *wrong;
	char *token[TOKENS];
};

struct word {
	const char *name;
	int32_t value;
};

static const struct word alu[] = {{"add", 0x00}, {"sub", 0x10}, {"mul", 0x20}, {"div", 0x30},
        {"or", 0x40}, {"and", 0x50}, {"lsh", 0x60}, {"rsh", 0x70}, {"mod", 0x90}, {"xor", 0xa0},
        {"mov", 0xb0}, {"arsh", 0xc0}};
// Name, operation and offset field in one number.
static const struct word alu_off[] = {
        {"sdiv", 0x130}, {"smod", 0x190}, {"movs8", 0x8b0}, {"movs16", 0x10b0}, {"movs32", 0x20b0}};
static const struct word swaps[] = {{"le", 0xd4}, {"be", 0xdc}, {"bswap", 0xd7}};
static const struct word sizes[] = {{"w", 0x00}, {"h", 0x08}, {"b", 0x10}, {"dw", 0x18}};
static const struct word jumps[] = {{"jeq", 0x10}, {"jgt", 0x20}, {"jge", 0x30}, {"jset", 0x40},
        {"jne", 0x50}, {"jsgt", 0x60}, {"jsge", 0x70}, {"jlt", 0xa0}, {"jle", 0xb0}, {"jslt", 0xc0},
        {"jsle", 0xd0}};
static const struct word atomics[] = {{"atomic_add", 0x00}, {"atomic_or", 0x40},
        {"atomic_and", 0x50}, {"atomic_xor", 0xa0}, {"atomic_fetch_add", 0x01},
        {"atomic_fetch_or", 0x41}, {"atomic_fetch_and", 0x51}, {"atomic_fetch_xor", 0xa1},
        {"xchg", 0xe1}, {"cmpxchg", 0xf1}};

#define FIND(table, name, value) find(table, ARRAY_SIZE(table), name, value)

static bool find(const struct word *table, size_t count, const char *name, int32_t *value)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].name, name) == 0) {
			*value = table[i].value;
			return true;
		}
	}
	return false;
}

static bool fail(struct assembler *as, const char *what)
{
	if (!as->wrong[0])
		snprintf(as->wrong, 256, "instruction %d (%s): %s", as->count,
		        as->token[0] ? as->token[0] : "", what);
	return false;
}

static bool reg(struct assembler *as, int i, unsigned *number)
{
	char *end;
	const char *text = as->token[i];
	if (!text || text[0] != 'r')
		return fail(as, "register expected");
	*number = (unsigned)strtoul(text + 1, &end, 10);
	return *end == '\0' && end != text + 1 ? true : fail(as, "register expected");
}

static bool is_reg(struct assembler *as, int i)
{
	return as->token[i] && as->token[i][0] == 'r' && as->token[i][1] >= '0' &&
	       as->token[i][1] <= '9';
}

static bool number(struct assembler *as, int i, int64_t *value)
{
	char *end;
	if (!as->token[i])
		return fail(as, "number expected");
	*value = as->token[i][0] == '-' ? strtoll(as->token[i], &end, 0)
	                                : (int64_t)strtoull(as->token[i], &end, 0);
	return *end == '\0' ? true : fail(as, "number expected");
}

// [r1+4]
static bool memory(struct assembler *as, int i, unsigned *base, int16_t *off)
{
	int value;
	if (!as->token[i] || sscanf(as->token[i], "[r%u%d]", base, &value) != 2)
		return fail(as, "[register+offset] expected");
	*off = (int16_t)value;
	return true;
}

static bool target(struct assembler *as, int i, int32_t *distance)
{
	*distance = 0;
	if (!as->final)
		return true;
	for (int32_t l = 0; as->token[i] && l < as->label_count; l++) {
		if (strcmp(as->labels[l].name, as->token[i]) == 0) {
			*distance = as->labels[l].at - as->count - 1;
			return true;
		}
	}
	return fail(as, "no such label");
}

static bool put(struct assembler *as, int code, unsigned dst, unsigned src, int off, int64_t imm)
{
	if (as->count >= (int32_t)ASSEMBLER_MAX)
		return fail(as, "too many instructions");
	as->insns[as->count++] = (struct bpf_insn){.code = (uint8_t)code,
	        .dst_reg = dst & 15,
	        .src_reg = src & 15,
	        .off = (int16_t)off,
	        .imm = (int32_t)imm};
	return true;
}

static bool put_wide(struct assembler *as, unsigned dst, unsigned src, int64_t low, int64_t high)
{
	return put(as, 0x18, dst, src, 0, low) && put(as, 0, 0, 0, 0, high);
}

// dst, then a register or a number.
static bool put_alu(struct assembler *as, int code, int off)
{
	unsigned dst, src = 0;
	int64_t imm = 0;
	bool by_reg = is_reg(as, 2);
	if (!reg(as, 1, &dst) || !(by_reg ? reg(as, 2, &src) : number(as, 2, &imm)))
		return false;
	return put(as, code | (by_reg ? 0x08 : 0), dst, src, off, imm);
}

static bool put_jump(struct assembler *as, int code)
{
	unsigned dst, src = 0;
	int64_t imm = 0;
	int32_t distance;
	bool by_reg = is_reg(as, 2);
	if (!reg(as, 1, &dst) || !(by_reg ? reg(as, 2, &src) : number(as, 2, &imm)) ||
	        !target(as, 3, &distance))
		return false;
	return put(as, code | (by_reg ? 0x08 : 0), dst, src, distance, imm);
}

static bool put_load(struct assembler *as, int code, int64_t imm)
{
	unsigned dst, base;
	int16_t off;
	return reg(as, 1, &dst) && memory(as, 2, &base, &off) && put(as, code, dst, base, off, imm);
}

static bool put_store(struct assembler *as, int code, int64_t imm)
{
	unsigned base, src;
	int16_t off;
	return memory(as, 1, &base, &off) && reg(as, 2, &src) && put(as, code, base, src, off, imm);
}

static bool put_store_imm(struct assembler *as, int code)
{
	unsigned base;
	int16_t off;
	int64_t imm;
	return memory(as, 1, &base, &off) && number(as, 2, &imm) &&
	       put(as, code, base, 0, off, imm);
}

// Cuts a suffix 32, 64 or 16 off `name`; 0 where there is none.
static int cut_width(char *name)
{
	size_t length = strlen(name);
	for (int width = 16; width <= 64; width *= 2) {
		char suffix[4];
		snprintf(suffix, sizeof(suffix), "%d", width);
		if (length > 2 && strcmp(name + length - 2, suffix) == 0) {
			name[length - 2] = '\0';
			return width;
		}
	}
	return 0;
}

// 1: done, 0: no such mnemonic, -1: wrong.
static int put_arithmetic(struct assembler *as, const char *mnemonic)
{
	char name[32];
	int32_t op;
	unsigned dst;
	snprintf(name, sizeof(name), "%s", mnemonic);
	if (FIND(alu_off, name, &op))
		return put_alu(as, 0x07 | (op & 0xf0), op >> 8) ? 1 : -1;
	int width = cut_width(name), class = width == 32 ? 0x04 : 0x07;
	if (width && FIND(swaps, name, &op))
		return reg(as, 1, &dst) && put(as, op, dst, 0, 0, width) ? 1 : -1;
	if (FIND(alu, name, &op))
		return put_alu(as, class | op, 0) ? 1 : -1;
	if (FIND(alu_off, name, &op))
		return put_alu(as, class | (op & 0xf0), op >> 8) ? 1 : -1;
	if (strcmp(name, "neg") == 0)
		return reg(as, 1, &dst) && put(as, class | 0x80, dst, 0, 0, 0) ? 1 : -1;
	if (FIND(jumps, name, &op))
		return put_jump(as, (width == 32 ? 0x06 : 0x05) | op) ? 1 : -1;
	if (width && FIND(atomics, name, &op))
		return put_store(as, width == 32 ? 0xc3 : 0xdb, op) ? 1 : -1;
	return 0;
}

static int put_access(struct assembler *as, const char *name)
{
	int32_t size;
	if (strncmp(name, "ldxs", 4) == 0 && FIND(sizes, name + 4, &size))
		return put_load(as, 0x81 | size, 0) ? 1 : -1;
	if (strncmp(name, "ldx", 3) == 0 && FIND(sizes, name + 3, &size))
		return put_load(as, 0x61 | size, 0) ? 1 : -1;
	if (strncmp(name, "stx", 3) == 0 && FIND(sizes, name + 3, &size))
		return put_store(as, 0x63 | size, 0) ? 1 : -1;
	if (strncmp(name, "st", 2) == 0 && FIND(sizes, name + 2, &size))
		return put_store_imm(as, 0x62 | size) ? 1 : -1;
	if (strncmp(name, "load_acq", 8) == 0 && FIND(sizes, name + 8, &size))
		return put_load(as, 0xc3 | size, 0x100) ? 1 : -1;
	if (strncmp(name, "store_rel", 9) == 0 && FIND(sizes, name + 9, &size))
		return put_store(as, 0xc3 | size, 0x110) ? 1 : -1;
	return 0;
}

static bool put_special(struct assembler *as, const char *name)
{
	unsigned dst = 0;
	int64_t value = 0, offset = 0;
	int32_t distance = 0;
	if (strcmp(name, "exit") == 0)
		return put(as, 0x95, 0, 0, 0, 0);
	if (strcmp(name, "call") == 0 || strcmp(name, "kcall") == 0)
		return number(as, 1, &value) && put(as, 0x85, 0, name[0] == 'k' ? 2 : 0, 0, value);
	if (strcmp(name, "callf") == 0)
		return target(as, 1, &distance) && put(as, 0x85, 0, 1, 0, distance);
	if (strcmp(name, "ja") == 0)
		return target(as, 1, &distance) && put(as, 0x05, 0, 0, distance, 0);
	if (strcmp(name, "jal") == 0)
		return target(as, 1, &distance) && put(as, 0x06, 0, 0, 0, distance);
	if (strcmp(name, "word") == 0 && number(as, 1, &value))
		return put(as, (int)(value & 255), (unsigned)(value >> 8), (unsigned)(value >> 12),
		        (int)(value >> 16), value >> 32);
	if (!reg(as, 1, &dst))
		return false;
	if (strcmp(name, "lddw") == 0)
		return number(as, 2, &value) && put_wide(as, dst, 0, value, value >> 32);
	if (strcmp(name, "map") == 0)
		return number(as, 2, &value) && put_wide(as, dst, 1, value, 0);
	if (strcmp(name, "value") == 0)
		return number(as, 2, &value) && number(as, 3, &offset) &&
		       put_wide(as, dst, 2, value, offset);
	if (strcmp(name, "func") == 0)
		return target(as, 2, &distance) && put_wide(as, dst, 4, distance, 0);
	return fail(as, "unknown mnemonic");
}

// A label in front of an instruction, or alone on its line.
static bool take_label(struct assembler *as, int *count)
{
	const char *name = as->token[0];
	size_t length = strlen(name);
	if (name[length - 1] != ':')
		return true;
	if (!as->final) {
		if (as->label_count >= LABELS)
			return fail(as, "too many labels");
		struct label *label = &as->labels[as->label_count++];
		snprintf(label->name, sizeof(label->name), "%.*s", (int)length - 1, name);
		label->at = as->count;
	}
	memmove(as->token, as->token + 1, (TOKENS - 1) * sizeof(as->token[0]));
	as->token[TOKENS - 1] = NULL;
	--*count;
	return true;
}

static bool put_line(struct assembler *as, char *line)
{
	char *save = NULL, *hash = strchr(line, '#');
	if (hash)
		*hash = '\0';
	memset(as->token, 0, sizeof(as->token));
	int count = 0;
	for (char *t = strtok_r(line, " \t,", &save); t && count < TOKENS;
	        t = strtok_r(NULL, " \t,", &save))
		as->token[count++] = t;
	if (count && !take_label(as, &count))
		return false;
	if (!count)
		return true;
	const char *name = as->token[0];
	int done = put_arithmetic(as, name);
	if (!done)
		done = put_access(as, name);
	return done ? done > 0 : put_special(as, name);
}

static bool pass(struct assembler *as, const char *text)
{
	autofree char *copy = strdup(text);
	char *save = NULL;
	as->count = 0;
	for (char *line = strtok_r(copy, "\n;", &save); line; line = strtok_r(NULL, "\n;", &save)) {
		if (!put_line(as, line))
			return false;
	}
	return true;
}

int assemble(const char *text, struct bpf_insn insns[ASSEMBLER_MAX], char *wrong)
{
	struct assembler as = {.insns = insns, .wrong = wrong};
	wrong[0] = '\0';
	if (!pass(&as, text))
		return -1;
	as.final = true;
	return pass(&as, text) ? as.count : -1;
}
