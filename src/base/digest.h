// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4) through nettle: a function's version is the digest of its object.
#pragma once

#include <stddef.h>

#define DIGEST_TEXT_SIZE 65

// Lower-case hex with its terminator.
void digest_sha256(const void *data, size_t size, char text[DIGEST_TEXT_SIZE]);
