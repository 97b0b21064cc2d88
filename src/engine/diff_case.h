// SPDX-License-Identifier: Apache-2.0
// Cases of tests/data/engines: programs in assembler text, with how to run them and how they must
// end, on every engine alike. For tests only.
//
//	# Why it is here.
//	case NAME
//	run bursts=2 burst=4 size=64 budget=100 seed=7 carry churn large bare
//		instructions (assembler.h); maps are those of random_program.h
//	second
//		the second program, for tail calls
//	result HEX | fault NAME | alike
//
// Each setting of a run may be left out. How it ends is said of the last packet.
#pragma once

#include "engine/diff.h"
#include "engine/random_program.h"

struct diff_case {
	char name[64];
	struct random_program program;
	struct diff_setup setup;
	bool expects; // else all that counts is that engines agree
	uint8_t fault;
	uint32_t result;
};

// Reads the next case of an open file; false at its end. Whatever it cannot read ends the process
// with the place.
bool diff_case_next(FILE *file, const char *path, struct diff_case *it);
// What diff_case_next() would read, with the program as words and a listing of it.
void diff_case_print(FILE *to, const struct diff_case *it);
// For diff_setup.make; context: the struct random_program.
struct image *diff_case_image(void *program, struct error *err);
