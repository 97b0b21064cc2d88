// SPDX-License-Identifier: Apache-2.0
// What is said about commands: help, usage, completion scripts and the manual page, all from the
// table.
#pragma once

#include <stdio.h>

struct cli;
struct command;

void help_usage(const struct command *command, FILE *out); // one line
void help_command(const struct cli *cli, const struct command *command, FILE *out);
void help_overview(const struct cli *cli, FILE *out);               // all commands
void help_noun(const struct cli *cli, const char *noun, FILE *out); // the verbs of a noun

int help_main(struct cli *cli);        // raio help [COMMAND…]
int help_man(struct cli *cli);         // raio __man: raio(1) in scdoc
int completion_main(struct cli *cli);  // raio completion SHELL
int completion_words(struct cli *cli); // raio __complete WORD…
