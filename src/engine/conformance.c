// SPDX-License-Identifier: Apache-2.0
// The plugin that the field's conformance runner (bpf_conformance) drives:
//
//	raio-conformance ["HEX BYTES OF MEMORY"] [--engine NAME] [--elf] <PROGRAM
//
// The program stands on standard input as hex bytes (with --elf: an object file, in hex or as it
// is). R1 is the memory's address, R2 its size. Prints R0 in hex and exits 0; else says what went
// wrong and exits 1.
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "engine/bare.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/space.h"

static const struct {
	const char *name;
	enum engine_kind kind;
} engines[] = {
        {"interpreter", ENGINE_INTERPRETER},
        {"native", ENGINE_NATIVE},
};

struct run {
	const char *memory; // hex
	bool is_elf;
	enum engine_kind kind;
};

// Hex pairs with or without space between into a new block, which the caller frees.
static int parse_hex(const char *text, uint8_t **data, size_t *size, struct error *err)
{
	uint8_t *bytes = malloc(strlen(text) / 2 + 1);
	size_t count = 0;
	if (!bytes)
		return error_set(err, ENOMEM, "out of memory");
	for (const char *at = text; *at;) {
		unsigned value;
		if (isspace((unsigned char)*at)) {
			at++;
			continue;
		}
		const char pair[3] = {at[0], at[1], '\0'};
		if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]) ||
		        sscanf(pair, "%2x", &value) != 1) {
			free(bytes);
			return error_set(err, EINVAL,
			        "character %zu is not part of a pair of hex digits",
			        (size_t)(at - text));
		}
		bytes[count++] = (uint8_t)value;
		at += 2;
	}
	*data = bytes;
	*size = count;
	return 0;
}

static int read_image(const struct run *run, struct image **image, struct error *err)
{
	autofree uint8_t *input = NULL, *decoded = NULL;
	size_t input_size, size;
	int r = file_read("-", 2 * OBJECT_SIZE_MAX, &input, &input_size, err);
	if (r)
		return r;
	if (run->is_elf && input_size > 4 && memcmp(input, "\177ELF", 4) == 0)
		return object_read(input, input_size, NULL, NULL, 0, image, err);
	r = parse_hex((const char *)input, &decoded, &size, err);
	if (r)
		return error_prefix(err, "standard input");
	if (run->is_elf)
		return object_read(decoded, size, NULL, NULL, 0, image, err);
	if (!size || size % sizeof(struct bpf_insn))
		return error_set(err, EINVAL,
		        "standard input: %zu bytes; a program is a number of instructions of 8 "
		        "bytes, "
		        "in hex (an object file needs --elf)",
		        size);
	return bare_image((const struct bpf_insn *)decoded,
	        (uint32_t)(size / sizeof(struct bpf_insn)), NULL, 0, image, err);
}

static int run_image(struct space *space, struct engine *engine, struct generation *generation,
        const uint8_t *memory, size_t size, struct error *err)
{
	uint32_t address = 0;
	int r = size ? space_map(space, size, &address, err) : 0;
	if (r)
		return r;
	if (size)
		memcpy(space_base(space) + address, memory, size);
	struct verdict verdict;
	uint64_t result;
	r = engine_call(engine, generation, address, (uint32_t)size, &verdict, &result);
	if (r)
		return error_set(err, EFAULT, "instruction %u: %s (address 0x%llx)", verdict.insn,
		        fault_name(verdict.fault), (unsigned long long)verdict.address);
	printf("%llx\n", (unsigned long long)result);
	return 0;
}

static int run_all(const struct run *run, struct error *err)
{
	struct space *space = NULL;
	struct engine *engine = NULL;
	struct generation *generation = NULL;
	struct image *image = NULL;
	autofree uint8_t *memory = NULL;
	size_t size = 0;
	const struct engine_options engine_options = {.kind = run->kind};
	const struct generation_options options = {
	        .id = 1, .engine_count = 1, .ports = 1, .is_bare = true};

	int r = parse_hex(run->memory, &memory, &size, err);
	if (r)
		return error_prefix(err, "memory");
	r = read_image(run, &image, err);
	if (!r)
		r = space_new(&space, err);
	if (!r)
		r = generation_new(space, TAKE_PTR(image), &options, &generation, err);
	if (!r)
		r = engine_new(space, &engine_options, &engine, err);
	if (!r)
		r = run_image(space, engine, generation, memory, size, err);
	engine_free(&engine);
	generation_free(&generation);
	space_free(&space);
	image_free(&image);
	return r;
}

static bool find_engine(const char *name, enum engine_kind *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		if (strcmp(engines[i].name, name) == 0) {
			*kind = engines[i].kind;
			return true;
		}
	}
	fprintf(stderr, "raio-conformance: unknown engine '%s'; this machine offers:", name);
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		if (engine_kind_offered(engines[i].kind))
			fprintf(stderr, " %s", engines[i].name);
	}
	fprintf(stderr, "\n");
	return false;
}

int main(int argc, char **argv)
{
	struct run run = {.memory = NULL};
	struct error err = {0};
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		if (strcmp(arg, "--elf") == 0) {
			run.is_elf = true;
		} else if (strcmp(arg, "--engine") == 0 && i + 1 < argc) {
			if (!find_engine(argv[++i], &run.kind))
				return 1;
		} else if (strncmp(arg, "--engine=", 9) == 0) {
			if (!find_engine(arg + 9, &run.kind))
				return 1;
		} else if (arg[0] != '-' && !run.memory) {
			run.memory = arg;
		} else {
			fprintf(stderr, "usage: raio-conformance [\"HEX MEMORY\"] [--engine NAME] "
			                "[--elf] <PROGRAM\n");
			return 2;
		}
	}
	if (!run.memory)
		run.memory = "";
	if (run_all(&run, &err)) {
		fprintf(stderr, "raio-conformance: %s\n", err.text);
		return 1;
	}
	return 0;
}
