// SPDX-License-Identifier: Apache-2.0
// DPDK's environment (EAL), of which a process has one: started when the first DPDK port opens, and
// never ended. What it logs goes to our log, and into the errors of calls that fail. Private to the
// DPDK driver.
#pragma once

struct error;

// DPDK's control calls (probing, memory, starting and stopping devices) are made between these two,
// by one thread at a time. dpdk_begin() starts the environment where it is not; after its error no
// dpdk_end() follows. Errors: EIO with what DPDK said.
int dpdk_begin(struct error *err);
void dpdk_end(void);

// error_set(), followed by the first complaint that DPDK logged since dpdk_begin(), or since
// dpdk_listen().
int dpdk_error(struct error *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

void dpdk_listen(void);

// Gives the calling thread a number of DPDK's own, so that it has a cache of free frames. Without
// one (there are RTE_MAX_LCORE) all works, slower. The number goes with the thread.
void dpdk_join(void);
