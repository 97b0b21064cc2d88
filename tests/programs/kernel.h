// SPDX-License-Identifier: Apache-2.0
// The other side of programs_test.c: the same object in the Linux kernel, by libbpf.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generation;
struct image;
struct kernel;

// Loads the object's programs of `image`; its entry is the one that runs. -1, after a line that
// says why, where libbpf or the kernel refuses.
int kernel_new(const char *path, const struct image *image, struct kernel **kernel);
void kernel_free(struct kernel **kernel);
void kernel_write(struct kernel *kernel, const char *map, const void *key, size_t key_size,
        const void *value, size_t value_size);
void kernel_tail(struct kernel *kernel, const char *map, uint32_t key, const char *program);
// *out_size: room in `out`, then what came; metadata comes in front of the packet. 0 or -errno.
int kernel_run(struct kernel *kernel, const void *data, uint32_t size, uint32_t *result, void *out,
        uint32_t *out_size);
// Compares arrays, hashes, tries (per-CPU: the first CPU's copy), globals and ring buffers; says
// what differs.
bool kernel_maps_agree(struct kernel *kernel, struct generation *generation);
