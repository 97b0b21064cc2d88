// SPDX-License-Identifier: Apache-2.0
// Reads an ELF object as clang 14 to 19 make them with -target bpf, and its BTF, into a program
// image: sections of any name that hold programs, BTF and legacy maps, global data, bpf-to-bpf
// calls (also across sections), prog array and inner map initialisers, CO-RE relocations, line
// information. The bytes are a stranger's: nothing in them is trusted. Run it in a box (docs:
// security).
#pragma once

#include <stddef.h>

struct error;
struct image;

#define OBJECT_SIZE_MAX (16u << 20)

// `program` names the function or section to enter; NULL takes the first XDP program, or the only
// program. Programs of other kinds in the file (kprobe, tc, …) are left out.
// CO-RE relocations resolve against `kernel_btf` (raw BTF, may be NULL), else the object's own
// types. Errors: EINVAL malformed, ENOENT no such program, ENOTSUP what no card offers (named),
// ENOMEM.
int object_read(const void *data, size_t size, const char *program, const void *kernel_btf,
        size_t kernel_btf_size, struct image **image, struct error *err);
