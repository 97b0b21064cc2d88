// SPDX-License-Identifier: Apache-2.0
// DPDK's testpmd as a peer: a child process with two net_null ports and one forwarding core, held
// still between measurements.
#pragma once

#include <stdint.h>

struct testpmd;

// `mode` is testpmd's forward mode, "io" or "macswap". -ENOENT where there is no dpdk-testpmd.
int testpmd_start(const char *mode, struct testpmd **testpmd);
void testpmd_end(struct testpmd **testpmd);
// Lets it run for `ms`. Packets that its ports sent, and the CPU time that it took.
int testpmd_round(struct testpmd *testpmd, uint32_t ms, uint64_t *packets, uint64_t *cpu_ns);
