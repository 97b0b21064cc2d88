// SPDX-License-Identifier: Apache-2.0
// Giving rights up, for good: Landlock rules over files, seccomp filters, limits, another user.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct error;

// A directory tree that stays reachable.
struct confine_path {
	const char *path; // one that does not exist is left out
	bool write, execute;
};

// No file outside `paths` can be opened any more, by this process and its children. ENOSYS: the
// kernel has no Landlock.
int confine_files(const struct confine_path *paths, uint32_t count, struct error *err);

enum confine_filter {
	CONFINE_AGENT,    // no new programs, no mounts, no bpf, no tracing, no other kernel surface
	                  // than it uses
	CONFINE_COMPILER, // what clang needs; threads but no processes, no sockets, no signals to
	                  // others
	CONFINE_READER,   // memory, and the descriptors that are open
};
int confine_calls(enum confine_filter filter, struct error *err);
// The compiler's filter as a program for bubblewrap: a descriptor at its start, or -errno.
int confine_calls_fd(void);
// Limits of a box: bytes of address space, seconds of CPU, bytes of a file; no core.
void confine_limits(uint64_t memory, unsigned cpu_s, uint64_t file_size);

// The user that daemons run as when root starts them: `raio` if there is one, else `nobody`.
int confine_user(uid_t *uid, gid_t *gid, struct error *err);
// Becomes that user, without supplementary groups, and can gain nothing by exec any more.
int confine_become(uid_t uid, gid_t gid, struct error *err);
