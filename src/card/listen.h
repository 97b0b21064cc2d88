// SPDX-License-Identifier: Apache-2.0
// A listening Unix socket for a daemon: one process a path.
#pragma once

struct error;

// Binds and listens (mode 0660, owned by `user` where that is not NULL and we are root). A socket
// at `path` that nobody answers is stale and replaced; where somebody answers: EADDRINUSE. The
// descriptor into *fd.
int listen_unix(const char *path, const char *user, int *fd, struct error *err);
