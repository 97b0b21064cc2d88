// SPDX-License-Identifier: Apache-2.0
// The helper and kfunc table: number, name and signature of each helper that cards offer, shared by
// the check, the engines and the documentation. Numbers are those of enum bpf_func_id.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum helper_arg {
	ARG_NONE,
	ARG_ANY, // a scalar, or a value that the helper looks at itself
	ARG_CTX,
	ARG_MAP,     // a map handle
	ARG_KEY,     // key_size readable bytes of the map in an earlier argument
	ARG_VALUE,   // value_size readable bytes
	ARG_MEM_IN,  // readable; its size is the next argument
	ARG_MEM_OUT, // writable; its size is the next argument
	ARG_SIZE,
	ARG_FUNC,   // address of a subprogram of this program
	ARG_OBJECT, // something fixed in size that the helper checks: spin lock, dynptr, …
};

struct helper {
	uint32_t id; // enum bpf_func_id; kfuncs count from 0 in a table of their own
	const char *name;
	enum helper_arg args[5];
};

// The offered helper with this number, or NULL.
const struct helper *helper_find(uint32_t id);
// The name that the kernel gives helper `id`, offered or not; "unknown" beyond the kernel's list.
const char *helper_name(uint32_t id);
const struct helper *kfunc_find(const char *name); // offered kfunc, or NULL
extern const struct helper helper_table[], kfunc_table[];
extern const uint32_t helper_count, kfunc_count;
