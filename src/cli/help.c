// SPDX-License-Identifier: Apache-2.0
// Help and usage texts.
#include "cli/help.h"

#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/suggest.h"
#include "cli/table.h"

#define HELP_WIDTH 80

static void print_arguments(const struct command *command, FILE *out)
{
	for (const struct argument *a = command->arguments; a->name; a++)
		fprintf(out, a->is_optional ? " [%s%s]" : " %s%s", a->name,
		        a->is_repeated ? "…" : "");
}

void help_usage(const struct command *command, FILE *out)
{
	char name[64];
	if (!command) {
		fputs("usage: raio COMMAND [ARGUMENTS] [OPTIONS]   (raio help)\n", out);
		return;
	}
	fprintf(out, "usage: %s", command_name(command, name, sizeof(name)));
	print_arguments(command, out);
	if (command->options)
		fputs(" [OPTIONS]", out);
	fprintf(out, "   (%s --help)\n", name);
}

// Words of `text` in lines of HELP_WIDTH.
static void print_wrapped(const char *text, FILE *out, const char *indent)
{
	size_t at = 0;
	for (const char *word = text; *word;) {
		size_t size = strcspn(word, " ");
		if (at && at + 1 + size > HELP_WIDTH - strlen(indent)) {
			fputc('\n', out);
			at = 0;
		}
		fprintf(out, "%s%.*s", at ? " " : indent, (int)size, word);
		at += size + (at > 0);
		word += size + (word[size] == ' ');
	}
	fputc('\n', out);
}

static void print_options(const struct option *options, FILE *out)
{
	size_t width = 0;
	for (const struct option *o = options; o->name; o++) {
		size_t size = strlen(o->name) + (o->value ? strlen(o->value) + 1 : 0);
		width = size > width ? size : width;
	}
	for (const struct option *o = options; o->name; o++) {
		char text[64];
		snprintf(text, sizeof(text), "%s%s%s", o->name, o->value ? " " : "",
		        o->value ? o->value : "");
		if (o->letter)
			fprintf(out, "  -%c, ", o->letter);
		else
			fputs("      ", out);
		fprintf(out, "--%-*s  %s\n", (int)width, text, o->summary);
	}
}

void help_command(const struct cli *cli, const struct command *command, FILE *out)
{
	char name[64];
	fprintf(out, "%s%s%s - %s\n\nusage: %s", cli_color(cli, COLOR_BOLD),
	        command_name(command, name, sizeof(name)), cli_color(cli, COLOR_PLAIN),
	        command->summary, name);
	print_arguments(command, out);
	fputs(command->options ? " [OPTIONS]\n" : "\n", out);
	if (command->shorthand && command->verb)
		fprintf(out, "       (short for raio %s %s)\n", command->noun, command->verb);
	else if (command->is_default)
		fprintf(out, "       (or just raio %s)\n", command->noun);
	if (command->detail) {
		fputc('\n', out);
		print_wrapped(command->detail, out, "");
	}
	if (command->options) {
		fputs("\noptions:\n", out);
		print_options(command->options, out);
	}
	fputs("\noptions of all commands:\n", out);
	print_options(command_global_options, out);
	if (command->example) {
		fputs("\nexample:\n", out);
		for (const char *line = command->example; *line;) {
			size_t size = strcspn(line, "\n");
			fprintf(out, "  %.*s\n", (int)size, line);
			line += size + (line[size] == '\n');
		}
	}
}

static void print_row(const char *name, const char *summary, FILE *out)
{
	fprintf(out, "  %-18s %s\n", name, summary);
}

void help_noun(const struct cli *cli, const char *noun, FILE *out)
{
	(void)cli;
	fprintf(out, "usage: raio %s VERB\n\nverbs:\n", noun);
	for (size_t i = 0; i < command_count; i++)
		if (command_table[i].verb && strcmp(command_table[i].noun, noun) == 0)
			print_row(command_table[i].verb, command_table[i].summary, out);
	fprintf(out, "\n`raio help %s VERB` explains one.\n", noun);
}

void help_overview(const struct cli *cli, FILE *out)
{
	const char *bold = cli_color(cli, COLOR_BOLD), *plain = cli_color(cli, COLOR_PLAIN);
	fputs("raio runs packet functions as a service.\n\nusage: raio COMMAND [ARGUMENTS] "
	      "[OPTIONS]\n",
	        out);
	fprintf(out, "\n%sdaily%s\n", bold, plain);
	for (size_t i = 0; i < command_count; i++)
		if (command_table[i].shorthand)
			print_row(command_table[i].shorthand, command_table[i].summary, out);
	fprintf(out, "\n%sall%s\n", bold, plain);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		char name[64];
		if (command->shorthand || command->noun[0] == '_')
			continue;
		snprintf(name, sizeof(name), command->verb ? "%s %s" : "%s", command->noun,
		        command->verb);
		print_row(name, command->summary, out);
	}
	fprintf(out, "\n%soptions of all commands%s\n", bold, plain);
	print_options(command_global_options, out);
	fputs("\n`raio help COMMAND` explains one. Begin with `raio new NAME`.\n", out);
}

int help_main(struct cli *cli)
{
	const char *words[2] = {args_word(&cli->args, 0), args_word(&cli->args, 1)};
	int count = words[1] ? 2 : words[0] ? 1 : 0, used = 0;
	if (!count) {
		help_overview(cli, stdout);
		return EXIT_DONE;
	}
	const struct command *command = command_find(count, words, &used);
	if (command && used == count &&
	        (count == 2 || !command->is_default || command->shorthand)) {
		help_command(cli, command, stdout);
		// `run` and its like are commands and nouns with verbs.
		if (count == 1 && command_is_noun(words[0]) && command->verb) {
			fputc('\n', stdout);
			help_noun(cli, words[0], stdout);
		}
		return EXIT_DONE;
	}
	if (count == 1 && command_is_noun(words[0])) {
		help_noun(cli, words[0], stdout);
		return EXIT_DONE;
	}
	const char *all[64];
	bool is_noun = command_is_noun(words[0]) && count == 2;
	size_t known = command_words(is_noun ? words[0] : NULL, all, ARRAY_SIZE(all));
	const char *nearest = suggest_nearest(words[is_noun], all, known);
	if (nearest)
		return cli_fail(cli, EXIT_USAGE, "no command '%s'; did you mean '%s'?",
		        words[is_noun], nearest);
	return cli_fail(cli, EXIT_USAGE, "no command '%s'; 'raio help' lists them", words[is_noun]);
}
