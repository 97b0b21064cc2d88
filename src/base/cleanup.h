// SPDX-License-Identifier: Apache-2.0
// Scope-bound ownership for control code: a variable marked `autofree` is freed when it leaves its
// scope; TAKE_PTR() moves its value out first.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define cleanup(fn) __attribute__((cleanup(fn)))
#define autofree    cleanup(cleanup_free)
#define autoclose   cleanup(cleanup_close)
#define autofclose  cleanup(cleanup_fclose)

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int take_ = (fd);                                                                  \
		(fd) = -1;                                                                         \
		take_;                                                                             \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
