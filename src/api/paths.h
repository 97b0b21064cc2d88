// SPDX-License-Identifier: Apache-2.0
// Where agent, card and client meet: the defaults of the directories and sockets.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// /run/raio for root, else $XDG_RUNTIME_DIR/raio, else /tmp/raio-UID. -ENAMETOOLONG.
int path_runtime(char *path, size_t size);
// /var/lib/raio for root, else $XDG_STATE_HOME/raio, else ~/.local/state/raio. -ENAMETOOLONG,
// -ENOENT no home.
int path_state(char *path, size_t size);
// $RAIO_SOCKET, else raiod.sock in the runtime directory.
int path_socket(char *path, size_t size);
// A function's name: [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?
bool name_is_valid(const char *name);
