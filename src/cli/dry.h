// SPDX-License-Identifier: Apache-2.0
// What --dry-run checks beside the options: rules and map entries against the function that they
// are for, ports against the card. Each says what is wrong and returns the exit code.
#pragma once

#include <stddef.h>

#include <jansson.h>

struct cli;
struct image;

// `file` is what messages call the text.
int dry_rules(struct cli *cli, const struct image *image, const char *file, const char *text,
        size_t size);
// The same against a function that the agent has.
int dry_function_rules(
        struct cli *cli, const char *function, const char *file, const char *text, size_t size);
int dry_ports(struct cli *cli, const json_t *ports); // an array, "all", or NULL
