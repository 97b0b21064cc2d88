// SPDX-License-Identifier: Apache-2.0
// Options stand anywhere, also before the command; `--` ends them. A value follows its option as
// the next word or behind `=`; behind a letter also without either.
#include "cli/args.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/suggest.h"

static int too_many(struct error *err)
{
	return error_set(err, EINVAL, "more than %d words on the command line", ARGS_MAX);
}

static int option_put(
        struct args *args, const struct option *option, const char *value, struct error *err)
{
	if (args->option_count == ARGS_MAX)
		return too_many(err);
	args->option[args->option_count].option = option;
	args->option[args->option_count++].value = value;
	return 0;
}

static int option_unknown(const struct command *command, const char *word, struct error *err)
{
	const char *names[ARGS_MAX];
	size_t count = 0;
	for (const struct option *o = command ? command->options : NULL; o && o->name; o++)
		names[count++] = o->name;
	for (const struct option *o = command_global_options; o->name; o++)
		names[count++] = o->name;
	char name[64];
	size_t size = strcspn(word + 2, "=");
	snprintf(name, sizeof(name), "%.*s", (int)(size < 63 ? size : 63), word + 2);
	const char *nearest = word[1] == '-' ? suggest_nearest(name, names, count) : NULL;
	if (nearest)
		return error_set(
		        err, EINVAL, "no option '%s' here; did you mean '--%s'?", word, nearest);
	return error_set(err, EINVAL, "no option '%s' here", word);
}

// Takes the option at argv[*at], and its value.
static int option_take(struct args *args, const struct command *command, int argc, char **argv,
        int *at, struct error *err)
{
	const char *word = argv[*at], *value = NULL;
	const struct option *option;
	if (word[1] == '-') {
		char name[64];
		size_t size = strcspn(word + 2, "=");
		snprintf(name, sizeof(name), "%.*s", (int)(size < 63 ? size : 63), word + 2);
		option = command_option(command, name);
		if (word[2 + size] == '=')
			value = word + 2 + size + 1;
	} else {
		option = command_letter(command, word[1]);
		if (word[2])
			value = word + 2 + (word[2] == '=');
	}
	if (!option)
		return option_unknown(command, word, err);
	if (value && !option->value)
		return error_set(err, EINVAL, "option --%s takes no value", option->name);
	if (!value && option->value) {
		if (*at + 1 >= argc)
			return error_set(err, EINVAL, "option --%s needs a value: --%s %s",
			        option->name, option->name, option->value);
		value = argv[++*at];
	}
	return option_put(args, option, value, err);
}

static bool is_option(const char *word)
{
	// A negative number is an argument: map values may be some.
	return word[0] == '-' && word[1] && strcmp(word, "--") != 0 && !isdigit((uint8_t)word[1]);
}

static int command_unknown(const char *noun, const char *word, struct error *err)
{
	const char *words[ARGS_MAX];
	size_t count = command_words(noun, words, ARGS_MAX);
	const char *nearest = suggest_nearest(word, words, count);
	char what[160];
	if (noun)
		snprintf(what, sizeof(what), "'%.60s' has no verb '%.60s'", noun, word);
	else
		snprintf(what, sizeof(what), "no command '%.60s'", word);
	if (nearest)
		return error_set(err, EINVAL, "%s; did you mean '%s'?", what, nearest);
	return error_set(err, EINVAL, "%s; 'raio help' lists them", what);
}

// Finds the command among the words that are no options, which may stand between them.
static int find_command(struct args *args, int argc, char **argv, bool taken[], struct error *err)
{
	const char *words[2];
	int at[2], count = 0, used = 0;
	for (int i = 1; i < argc && count < 2; i++) {
		if (strcmp(argv[i], "--") == 0)
			break;
		if (!is_option(argv[i])) {
			words[count] = argv[i];
			at[count++] = i;
			continue;
		}
		// Only global options may stand before the command; their values are no words of
		// it.
		const struct option *option =
		        argv[i][1] == '-' ? command_option(NULL, argv[i] + 2)
		                          : (argv[i][2] ? NULL : command_letter(NULL, argv[i][1]));
		if (option && option->value)
			i++;
		else if (!option && count)
			break;
	}
	if (!count)
		return 0;
	args->command = command_find(count, words, &used);
	for (int i = 0; i < used; i++)
		taken[at[i]] = true;
	if (args->command)
		return 0;
	if (!command_is_noun(words[0]))
		return command_unknown(NULL, words[0], err);
	if (count < 2)
		return error_set(err, EINVAL, "'%s' needs a verb; 'raio help %s' lists them",
		        words[0], words[0]);
	return command_unknown(words[0], words[1], err);
}

static int check_words(const struct args *args, struct error *err)
{
	size_t least = 0, most = 0;
	for (const struct argument *a = args->command->arguments; a->name; a++) {
		most = a->is_repeated ? ARGS_MAX : most + 1;
		if (!a->is_optional && args->word_count == least++)
			return error_set(err, EINVAL, "%s is missing", a->name);
		if (a->is_repeated)
			break;
	}
	if (args->word_count > most) {
		const struct command *command = args->command;
		const char *verbs[ARGS_MAX];
		size_t count = command->is_default && command->verb
		                       ? command_words(command->noun, verbs, ARGS_MAX)
		                       : 0;
		// A default command met a word that is no verb of its noun, or a mistyped one.
		if (count && (!most || suggest_nearest(args->word[0], verbs, count)))
			return command_unknown(command->noun, args->word[0], err);
		return error_set(err, EINVAL, "'%s' is one word too many", args->word[most]);
	}
	return 0;
}

int args_parse(struct args *args, int argc, char **argv, struct error *err)
{
	bool taken[ARGS_MAX] = {false};
	*args = (struct args){0};
	if (argc > ARGS_MAX)
		return too_many(err);
	int result = find_command(args, argc, argv, taken, err);
	bool only_words = false;
	for (int i = 1; i < argc && result == 0; i++) {
		if (taken[i])
			continue;
		if (!only_words && strcmp(argv[i], "--") == 0)
			only_words = true;
		else if (!only_words && is_option(argv[i]))
			result = option_take(args, args->command, argc, argv, &i, err);
		else
			args->word[args->word_count++] = argv[i];
	}
	if (result == 0 && args->command && !args_has(args, "help"))
		result = check_words(args, err);
	return result;
}

const char *args_word(const struct args *args, size_t index)
{
	return index < args->word_count ? args->word[index] : NULL;
}

bool args_has(const struct args *args, const char *option)
{
	for (size_t i = 0; i < args->option_count; i++)
		if (strcmp(args->option[i].option->name, option) == 0)
			return true;
	return false;
}

const char *args_value(const struct args *args, const char *option)
{
	const char *value = NULL;
	for (size_t i = 0; i < args->option_count; i++)
		if (strcmp(args->option[i].option->name, option) == 0)
			value = args->option[i].value;
	return value;
}
