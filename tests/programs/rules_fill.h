// SPDX-License-Identifier: Apache-2.0
#pragma once

struct generation;
struct kernel;

// Writes the rules file of the program whose object `path` is to both sides; `kernel` may be NULL.
void rules_fill(const char *path, struct generation *generation, struct kernel *kernel);
