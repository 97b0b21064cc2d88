// SPDX-License-Identifier: Apache-2.0
// What the card's process gives up once its ports are open: root, capabilities, and all system
// calls but those that its loops need.
#pragma once

struct error;

// Becomes `user` where the process is root (in a user namespace that maps no such user: keeps its
// id), and drops every capability of this thread. Threads drop their own (soft/worker.c).
int confine_privileges(const char *user, struct error *err);
// Filters the system calls of all threads: what is not needed answers EPERM; what only an intruder
// would call ends the process. No executable memory can be made from here on.
int confine_syscalls(struct error *err);
