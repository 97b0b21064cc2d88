// SPDX-License-Identifier: Apache-2.0
// The words of a command line, sorted into command, options and arguments by the command table.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct command;
struct error;
struct option;

#define ARGS_MAX 256

struct args {
	const struct command *command; // NULL where only global options were given
	struct {
		const struct option *option;
		const char *value; // NULL for a flag
	} option[ARGS_MAX];
	size_t option_count;
	const char *word[ARGS_MAX]; // arguments in order
	size_t word_count;
};

// Sorts argv[1..]. Words are borrowed from argv. EINVAL with what is wrong and what may have been
// meant; `args` then has what stood before the fault (its command, for a usage line).
int args_parse(struct args *args, int argc, char **argv, struct error *err);
// Argument `index`, or NULL.
const char *args_word(const struct args *args, size_t index);
bool args_has(const struct args *args, const char *option);
// The value that was given last, or NULL.
const char *args_value(const struct args *args, const char *option);
