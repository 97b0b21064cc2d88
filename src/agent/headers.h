// SPDX-License-Identifier: Apache-2.0
// The headers that a function may include beside the system's: copied into the state directory,
// where the compiler's box can be given a folder that holds nothing else, whoever owns the files
// they come from.
#pragma once

struct error;

// Copies them to STATE/headers. ENOENT: they are neither installed nor in the source tree.
int headers_install(const char *state_dir, struct error *err);
