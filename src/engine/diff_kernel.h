// SPDX-License-Identifier: Apache-2.0
// The kernel as one more way to run a random program (BPF_PROG_TEST_RUN), over one packet, with the
// maps that mean the same there. For tests only.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct diff_kernel;
struct diff_outcome;
struct random_program;

// NULL where bpf(2) is not allowed.
struct diff_kernel *diff_kernel_new(void);
void diff_kernel_free(struct diff_kernel **kernel);

enum diff_kernel_answer { KERNEL_REFUSES, KERNEL_AGREES, KERNEL_DIFFERS };
// Runs `program` over `packet` (RANDOM_PACKET_SIZE) and holds the result, the packet and the maps
// against `ours`, which is of one such packet. A difference is printed to `to`, if not NULL.
enum diff_kernel_answer diff_kernel_compare(struct diff_kernel *kernel,
        const struct random_program *program, const uint8_t *packet,
        const struct diff_outcome *ours, FILE *to);
