// SPDX-License-Identifier: Apache-2.0
// raio: the command line. Sorts the words, sets up where output goes, and calls the command's
// handler.
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/help.h"

static void set_output(struct cli *cli)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	cli->is_terminal = isatty(STDOUT_FILENO);
	cli->has_progress = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
	cli->has_color = cli->is_terminal && cli->has_progress && !(no_color && *no_color);
	cli->is_ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	cli->is_quiet = args_has(&cli->args, "quiet");
}

// The options that every command has.
static int set_options(struct cli *cli)
{
	const char *format = args_value(&cli->args, "output");
	const char *timeout = args_value(&cli->args, "timeout");
	double seconds;
	if (format && strcmp(format, "json") == 0)
		cli->is_json = true;
	else if (format && strcmp(format, "table") != 0)
		return cli_usage(cli, "no output format '%s': table or json", format);
	if (timeout && (!text_seconds(timeout, &seconds) || seconds <= 0))
		return cli_usage(
		        cli, "--timeout %s: a time over zero, as in 30s or 500ms", timeout);
	if (timeout)
		cli->deadline_ns = clock_ns() + (uint64_t)(seconds * 1e9);
	client_socket(args_value(&cli->args, "socket"), cli->socket, sizeof(cli->socket));
	return EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct error err = {0};
	int result = args_parse(&cli->args, argc, argv, &err);
	set_output(cli);
	if (result < 0)
		return cli_usage(cli, "%s", err.text);
	if (args_has(&cli->args, "version"))
		return version_main(cli);
	const struct command *command = cli->args.command;
	if (args_has(&cli->args, "help")) {
		if (command)
			help_command(cli, command, stdout);
		else
			help_overview(cli, stdout);
		return EXIT_DONE;
	}
	if (!command) {
		help_overview(cli, stderr);
		return EXIT_USAGE;
	}
	result = set_options(cli);
	return result == EXIT_DONE ? command->run(cli) : result;
}

int main(int argc, char **argv)
{
	struct cli cli = {0};
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	int code = run(&cli, argc, argv);
	client_free(&cli.client);
	// Results that could not be written are no success: a full disk, a reader that is gone.
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE) {
		fputs("raio: cannot write the results to stdout\n", stderr);
		code = EXIT_FAILED;
	}
	return code;
}
