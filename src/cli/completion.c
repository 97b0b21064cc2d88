// SPDX-License-Identifier: Apache-2.0
// Completion. The scripts know nothing of commands: they ask `raio __complete -- WORD…`, which
// prints what the last word may become, a line each, "word<TAB>summary"; a line of only a TAB means
// file names.
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/help.h"

#define ANSWER_NS (500 * NS_PER_MS) // a shell must not hang for an agent that does

static const char bash_script[] =
        "# bash completion of raio: source <(raio completion bash)\n"
        "_raio() {\n"
        "\tlocal line word\n"
        "\tCOMPREPLY=()\n"
        "\twhile IFS= read -r line; do\n"
        "\t\tif [[ $line == $'\\t' ]]; then\n"
        "\t\t\tcompopt -o filenames 2>/dev/null\n"
        "\t\t\twhile IFS= read -r word; do COMPREPLY+=(\"$word\"); done \\\n"
        "\t\t\t\t< <(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
        "\t\telse\n"
        "\t\t\tCOMPREPLY+=(\"${line%%$'\\t'*}\")\n"
        "\t\tfi\n"
        "\tdone < <(\"${COMP_WORDS[0]}\" __complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
        "2>/dev/null)\n"
        "}\n"
        "complete -F _raio raio\n";

static const char zsh_script[] =
        "#compdef raio\n"
        "# zsh completion of raio: source <(raio completion zsh)\n"
        "_raio() {\n"
        "\tlocal line\n"
        "\tlocal -a found\n"
        "\twhile IFS= read -r line; do\n"
        "\t\tif [[ $line == $'\\t' ]]; then\n"
        "\t\t\t_files\n"
        "\t\telse\n"
        "\t\t\tfound+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
        "\t\tfi\n"
        "\tdone < <(\"${words[1]}\" __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
        "\t(( $#found )) && _describe raio found\n"
        "}\n"
        "if [[ $funcstack[1] == _raio ]]; then _raio \"$@\"; else compdef _raio raio; fi\n";

static const char fish_script[] =
        "# fish completion of raio: raio completion fish | source\n"
        "function __raio_complete\n"
        "\tset -l words (commandline -opc) (commandline -ct)\n"
        "\tfor line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
        "\t\tif test \"$line\" = \\t\n"
        "\t\t\t__fish_complete_path (commandline -ct)\n"
        "\t\telse\n"
        "\t\t\techo $line\n"
        "\t\tend\n"
        "\tend\n"
        "end\n"
        "complete -c raio -f -a '(__raio_complete)'\n";

int completion_main(struct cli *cli)
{
	static const struct {
		const char *shell, *script;
	} scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
	const char *shell = args_word(&cli->args, 0);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (strcmp(scripts[i].shell, shell) == 0) {
			fputs(scripts[i].script, stdout);
			return EXIT_DONE;
		}
	}
	return cli_usage(cli, "no completion for shell '%s': bash, zsh or fish", shell);
}

// Prints `word` behind `before` if it continues `begun`.
static void offer(const char *before, const char *begun, const char *word, const char *summary)
{
	if (strncmp(word, begun, strlen(begun)) == 0)
		printf("%s%s\t%s\n", before, word, summary ? summary : "");
}

// Names that only the agent knows; none where it does not answer at once.
static void offer_live(struct cli *cli, enum complete kind, const char *before, const char *begun)
{
	static const struct {
		const char *path, *name, *summary;
	} live[] = {
	        [COMPLETE_FUNCTION] = {"/v1/functions", "name", "version"},
	        [COMPLETE_RUN] = {"/v1/runs?state=queued,loading,running", "id", "function"},
	        [COMPLETE_MAP] = {"/v1/maps", "name", "type"},
	};
	json_t *list = NULL;
	cli->deadline_ns = clock_ns() + ANSWER_NS;
	client_request(cli_client(cli), "GET", live[kind].path, NULL, &list, &cli->failure);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		char summary[32];
		snprintf(summary, sizeof(summary), "%.12s", member_text(item, live[kind].summary));
		offer(before, begun, member_text(item, live[kind].name), summary);
	}
	json_decref(list);
}

static void offer_kind(struct cli *cli, enum complete kind, const char *words, const char *before,
        const char *begun)
{
	const char *all[64];
	switch (kind) {
	case COMPLETE_NONE:
		break;
	case COMPLETE_FILE:
		puts("\t");
		break;
	case COMPLETE_SOURCE:
		offer_live(cli, COMPLETE_FUNCTION, before, begun);
		puts("\t");
		break;
	case COMPLETE_WORDS:
		for (const char *word = words; *word;) {
			char one[64];
			size_t size = strcspn(word, " ");
			snprintf(one, sizeof(one), "%.*s", (int)size, word);
			offer(before, begun, one, NULL);
			word += size + (word[size] == ' ');
		}
		break;
	case COMPLETE_COMMAND:
		for (size_t i = 0, count = command_words(NULL, all, ARRAY_SIZE(all)); i < count;
		        i++)
			offer(before, begun, all[i], NULL);
		break;
	default:
		offer_live(cli, kind, before, begun);
	}
}

static void offer_options(const struct command *command, const char *begun)
{
	const struct option *lists[] = {command ? command->options : NULL, command_global_options};
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (const struct option *o = lists[i]; o && o->name; o++)
			offer("--", begun[1] == '-' ? begun + 2 : "", o->name, o->summary);
}

static const struct option *option_of(const struct command *command, const char *word)
{
	if (word[0] != '-' || !word[1])
		return NULL;
	if (word[1] != '-')
		return word[2] ? NULL : command_letter(command, word[1]);
	return command_option(command, word + 2);
}

// What an argument may be: words of the command line that are neither options nor their values
// count.
static void offer_argument(
        struct cli *cli, const struct command *command, size_t place, const char *begun)
{
	for (const struct argument *a = command->arguments; a->name; a++) {
		if (place-- == 0 || a->is_repeated) {
			offer_kind(cli, a->complete, a->words, "", begun);
			return;
		}
	}
}

static void offer_first(struct cli *cli, const char *noun, const char *begun)
{
	(void)cli;
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		if (noun && command->verb && strcmp(command->noun, noun) == 0)
			offer("", begun, command->verb, command->summary);
		if (!noun && command->shorthand)
			offer("", begun, command->shorthand, command->summary);
	}
	const char *all[64];
	for (size_t i = 0, count = noun ? 0 : command_words(NULL, all, ARRAY_SIZE(all)); i < count;
	        i++) {
		int used;
		const struct command *command = command_find(1, &all[i], &used);
		if (!command || !command->shorthand)
			offer("", begun, all[i], command ? command->summary : "verbs");
	}
}

int completion_words(struct cli *cli)
{
	const struct args *args = &cli->args;
	const char *begun = args->word_count ? args->word[args->word_count - 1] : "";
	const char *plain[ARGS_MAX];
	const struct option *pending = NULL;
	const struct command *command = NULL;
	size_t count = 0;
	int used = 0;
	for (size_t i = 0; i + 1 < args->word_count; i++) {
		if (pending) {
			if (strcmp(pending->name, "socket") == 0)
				snprintf(cli->socket, sizeof(cli->socket), "%s", args->word[i]);
			pending = NULL;
			continue;
		}
		if (args->word[i][0] == '-') {
			pending = option_of(command, args->word[i]);
			pending = pending && pending->value ? pending : NULL;
			continue;
		}
		plain[count++] = args->word[i];
		command = command_find(count > 2 ? 2 : (int)count, plain, &used);
	}
	if (pending) {
		offer_kind(cli, pending->complete, pending->words, "", begun);
	} else if (begun[0] == '-') {
		const char *value = strchr(begun, '=');
		char name[64];
		snprintf(name, sizeof(name), "%.*s", value ? (int)(value - begun) : 0, begun);
		const struct option *option = value ? option_of(command, name) : NULL;
		if (option) {
			char before[80];
			snprintf(before, sizeof(before), "%s=", name);
			offer_kind(cli, option->complete, option->words, before, value + 1);
		} else {
			offer_options(command, begun);
		}
	} else if (!count) {
		offer_first(cli, NULL, begun);
	} else {
		if (count == 1 && command_is_noun(plain[0]))
			offer_first(cli, plain[0], begun);
		if (command)
			offer_argument(cli, command, count - (size_t)used, begun);
	}
	return EXIT_DONE;
}
