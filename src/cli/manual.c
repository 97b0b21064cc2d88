// SPDX-License-Identifier: Apache-2.0
// raio(1) in scdoc, made from the command table: docs/man/raio.1.scd is this program's output.
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/help.h"

// scdoc takes some letters as markup.
static void put(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (strchr("_*\\~<>[]#`", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_option(const struct option *option, FILE *out)
{
	if (option->letter)
		fprintf(out, "*-%c*, ", option->letter);
	fprintf(out, "*--%s*", option->name);
	if (option->value)
		fprintf(out, " _%s_", option->value);
	fputs("\n\t", out);
	put(option->summary, out);
	fputs("\n\n", out);
}

static void put_command(const struct command *command, FILE *out)
{
	char name[64];
	fprintf(out, "## %s\n\n*%s*", command_name(command, name, sizeof(name)) + 5, name);
	for (const struct argument *a = command->arguments; a->name; a++)
		fprintf(out, a->is_optional ? " \\[_%s_%s\\]" : " _%s_%s", a->name,
		        a->is_repeated ? "..." : "");
	fputs(command->options ? " \\[OPTIONS\\]\n\n" : "\n\n", out);
	fprintf(out, "%c", command->summary[0] - 32);
	put(command->summary + 1, out);
	fputs(". ", out);
	if (command->detail)
		put(command->detail, out);
	if (command->shorthand && command->verb)
		fprintf(out, " Short for *raio %s %s*.", command->noun, command->verb);
	else if (command->is_default)
		fprintf(out, " Also *raio %s* alone.", command->noun);
	fputs("\n\n", out);
	for (const struct option *o = command->options; o && o->name; o++)
		put_option(o, out);
	if (command->example)
		fprintf(out, "```\n%s\n```\n\n", command->example);
}

static const struct {
	enum cli_exit code;
	const char *text;
} exits[] = {
        {EXIT_DONE, "Done."},
        {EXIT_FAILED, "Failed."},
        {EXIT_USAGE, "Wrong use of the command line."},
        {EXIT_NOT_FOUND, "No such function, run, map or entry."},
        {EXIT_BUSY, "Busy, over quota, or there already."},
        {EXIT_REJECTED, "Rejected by the compiler or the check."},
        {EXIT_TIMEOUT, "The time of --timeout was over."},
        {EXIT_MISMATCH, "raio test: the packets are not those expected."},
        {EXIT_DENIED, "Not allowed."},
        {EXIT_NO_AGENT, "No agent answers."},
        {EXIT_ROLLED_BACK, "The run was not confirmed and was rolled back."},
};

int help_man(struct cli *cli)
{
	(void)cli;
	FILE *out = stdout;
	fputs("raio(1)\n\n; Made by `raio __man` from src/cli/commands.c.\n\n"
	      "# NAME\n\nraio - run packet functions as a service\n\n"
	      "# SYNOPSIS\n\n*raio* _COMMAND_ \\[ARGUMENTS\\] \\[OPTIONS\\]\n\n"
	      "# DESCRIPTION\n\n"
	      "*raio* talks to the agent, raiod(8), which keeps packet functions (XDP programs in "
	      "C), "
	      "queues their runs, and puts them on a card, a packet processor with ports, for a "
	      "slice "
	      "of time.\n\n"
	      "Results go to stdout, messages and progress to stderr. Names of functions and maps "
	      "may "
	      "be cut to a prefix that is unique (not by *raio delete*).\n\n"
	      "# OPTIONS OF ALL COMMANDS\n\n",
	        out);
	for (const struct option *o = command_global_options; o->name; o++)
		put_option(o, out);
	fputs("# COMMANDS\n\n", out);
	for (size_t i = 0; i < command_count; i++)
		if (command_table[i].noun[0] != '_')
			put_command(&command_table[i], out);
	fputs("# EXIT STATUS\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
		fprintf(out, "*%d*\n\t%s\n\n", exits[i].code, exits[i].text);
	fputs("# ENVIRONMENT\n\n*RAIO\\_SOCKET*\n\tThe agent's Unix socket. Default: "
	      "/run/raio/raiod.sock for root, $XDG\\_RUNTIME\\_DIR/raio/raiod.sock for others.\n\n"
	      "*NO\\_COLOR*\n\tIf set, no color. Color never says anything alone.\n\n"
	      "# SEE ALSO\n\nraiod(8), raio-card(8), raio-rules(5)\n",
	        out);
	return EXIT_DONE;
}
