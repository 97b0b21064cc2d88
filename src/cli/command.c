// SPDX-License-Identifier: Apache-2.0
// Look-ups in the command table.
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

const struct command *command_find(int argc, const char *const *argv, int *words)
{
	const struct command *found = NULL;
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		bool is_noun = strcmp(command->noun, argv[0]) == 0;
		if (is_noun && command->verb && argc > 1 && strcmp(command->verb, argv[1]) == 0) {
			*words = 2;
			return command;
		}
		if ((is_noun && (!command->verb || command->is_default)) ||
		        (command->shorthand && strcmp(command->shorthand, argv[0]) == 0)) {
			found = command;
			*words = 1;
		}
	}
	return found;
}

static size_t word_add(const char *word, const char **words, size_t count, size_t max)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return count;
	if (count < max)
		words[count++] = word;
	return count;
}

size_t command_words(const char *noun, const char **words, size_t max)
{
	size_t count = 0;
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		if (noun && strcmp(noun, command->noun) == 0 && command->verb)
			count = word_add(command->verb, words, count, max);
		if (!noun && command->shorthand)
			count = word_add(command->shorthand, words, count, max);
	}
	for (size_t i = 0; i < command_count && !noun; i++)
		if (command_table[i].noun[0] != '_')
			count = word_add(command_table[i].noun, words, count, max);
	return count;
}

bool command_is_noun(const char *word)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(command_table[i].noun, word) == 0)
			return true;
	return false;
}

const struct option *command_option(const struct command *command, const char *name)
{
	for (const struct option *o = command ? command->options : NULL; o && o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	for (const struct option *o = command_global_options; o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

const struct option *command_letter(const struct command *command, char letter)
{
	for (const struct option *o = command ? command->options : NULL; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	for (const struct option *o = command_global_options; o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}

const char *command_name(const struct command *command, char *text, size_t size)
{
	if (command->shorthand)
		snprintf(text, size, "raio %s", command->shorthand);
	else if (command->verb)
		snprintf(text, size, "raio %s %s", command->noun, command->verb);
	else
		snprintf(text, size, "raio %s", command->noun);
	return text;
}
