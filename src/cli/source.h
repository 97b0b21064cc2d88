// SPDX-License-Identifier: Apache-2.0
// A function's file, as commands take it: C source or an object of clang -target bpf.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct cli;
struct image;

enum source_kind { SOURCE_C, SOURCE_OBJECT };

struct source {
	char name[256]; // for messages: the path's last part
	enum source_kind kind;
	uint8_t *data;
	size_t size;
};

void source_free(struct source *source);
// Whether `word` means a file rather than a function's name: it ends in .c or .o, or has a slash.
bool source_is_file(const char *word);
// Reads the file and tells its kind by its content and name. Says what is wrong; returns the exit
// code.
int source_read(struct cli *cli, const char *path, struct source *source);
// Adds "source" or "object", and "file", to a create or update body.
int source_put(struct cli *cli, const struct source *source, json_t *body);
// Compiles where it is C, reads the object in a box, and checks it: what a card would load. Says
// what is wrong.
int source_image(
        struct cli *cli, const struct source *source, const char *program, struct image **image);
// The image of FUNCTION as `raio test` and others take it: a file, or a name that the agent knows.
int source_any(struct cli *cli, const char *word, const char *program, struct image **image);
