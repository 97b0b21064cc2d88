// SPDX-License-Identifier: Apache-2.0
// Lines of bpf_trace_printk from one worker to the control thread: a bounded ring of bytes without
// a lock. Lines that find no room are dropped and counted.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define TRACE_SIZE (32u << 10) // a power of two

struct trace {
	_Atomic uint32_t head, tail;
	_Atomic uint64_t dropped;
	char bytes[TRACE_SIZE];
};

// The engine's callback; `trace` is a struct trace. A newline is added where the line has none.
void trace_put(void *trace, const char *line);
// Moves whole lines into `text`, at most `size` bytes. Returns how many bytes.
uint32_t trace_take(struct trace *trace, char *text, uint32_t size);
