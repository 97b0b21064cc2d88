// SPDX-License-Identifier: Apache-2.0
// The command table: one row a command, one a option. The parser, the help texts, the completion of
// the shells and the manual page raio(1) are all made from it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cli;

// What may stand in a word, so that a shell can offer it.
enum complete {
	COMPLETE_NONE,
	COMPLETE_FILE,
	COMPLETE_WORDS,    // one of `words`
	COMPLETE_FUNCTION, // a function that the agent knows
	COMPLETE_SOURCE,   // a function that the agent knows, or a file
	COMPLETE_RUN,      // a run that is queued or live
	COMPLETE_MAP,      // a map of a live run
	COMPLETE_COMMAND,
};

struct option {
	const char *name;  // "slice", without dashes
	char letter;       // 'o', or 0
	const char *value; // what its value is called; NULL for a flag
	const char *summary;
	enum complete complete;
	const char *words; // parted by blanks
};

struct argument {
	const char *name; // "NAME"; NULL ends the list
	bool is_optional, is_repeated;
	enum complete complete;
	const char *words;
};

#define COMMAND_ARGUMENTS_MAX 4

struct command {
	const char *noun, *verb; // verb is NULL for a command of one word
	const char *shorthand;   // the one word that does the same; or NULL
	bool is_default;         // the noun alone, or with what is no verb of it, means this one
	const char *summary;     // one line
	const char *detail;      // sentences for the help and the manual; may be NULL
	struct argument arguments[COMMAND_ARGUMENTS_MAX];
	const struct option *options; // ended by a row without name; may be NULL
	const char *example;          // lines; may be NULL
	int (*run)(struct cli *cli);  // returns the exit code
};

extern const struct command command_table[];
extern const size_t command_count;
extern const struct option command_global_options[]; // ended by a row without name

// The command whose first words are argv[0] (and argv[1]); how many of them it took into *words.
// NULL where there is none.
const struct command *command_find(int argc, const char *const *argv, int *words);
// All first words (nouns, shorthands) or the verbs of `noun`, each once, in the table's order.
// Returns how many.
size_t command_words(const char *noun, const char **words, size_t max);
bool command_is_noun(const char *word);
const struct option *command_option(const struct command *command, const char *name);
const struct option *command_letter(const struct command *command, char letter);
// "raio map set", or its shorthand where it has one.
const char *command_name(const struct command *command, char *text, size_t size);
