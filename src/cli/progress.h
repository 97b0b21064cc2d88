// SPDX-License-Identifier: Apache-2.0
// What a waiting `raio run` shows on stderr: a line a change of state, and on a terminal a bar of
// the slice with the card's live rate, redrawn in place.
#pragma once

#include <stdbool.h>

#include <jansson.h>

struct cli;
struct progress;

int progress_new(
        struct cli *cli, struct progress **progress); // from now Ctrl-C only ends the waiting
void progress_free(struct progress **progress);
void progress_state(struct progress *progress, const json_t *run);
void progress_tick(struct progress *progress);
bool progress_interrupted(void); // Ctrl-C was pressed
