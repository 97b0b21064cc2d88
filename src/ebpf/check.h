// SPDX-License-Identifier: Apache-2.0
// The static check: what must hold for execution to be defined. Opcodes and their fields, jump
// targets (inside their function, never into the second half of LDDW), calls to the start of a
// function, every path's end (no falling off), helpers, kfuncs and map types that the card offers,
// references to maps. It never judges whether an access is safe: engines do that as they run.
#pragma once

struct error;
struct image;

// Passes the image of a function that any card may run. Errors: EINVAL malformed, ENOTSUP not
// offered; the text has file and line where the object gives lines, else function and instruction.
int check_image(const struct image *image, struct error *err);
