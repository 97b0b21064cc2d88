// SPDX-License-Identifier: Apache-2.0
#pragma once

struct bench;

// Cases `compile, NAME` in us, side `native`: the functions that ship with Raio, and a program of
// 4,096 instructions. `only`: those that begin with it; NULL: all.
void compile_bench(struct bench *bench, int rounds, const char *only);
