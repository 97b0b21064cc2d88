// SPDX-License-Identifier: Apache-2.0
#include "card/soft/trace.h"

#include <string.h>

void trace_put(void *context, const char *line)
{
	struct trace *trace = context;
	uint32_t size = (uint32_t)strnlen(line, TRACE_SIZE);
	while (size && line[size - 1] == '\n')
		size--;
	uint32_t tail = atomic_load_explicit(&trace->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&trace->head, memory_order_acquire);
	if (size + 1 > TRACE_SIZE - (tail - head)) {
		atomic_fetch_add_explicit(&trace->dropped, 1, memory_order_relaxed);
		return;
	}
	for (uint32_t i = 0; i < size; i++) // a line is one line, whatever a program prints
		trace->bytes[(tail + i) % TRACE_SIZE] = line[i] == '\n' ? ' ' : line[i];
	trace->bytes[(tail + size) % TRACE_SIZE] = '\n';
	atomic_store_explicit(&trace->tail, tail + size + 1, memory_order_release);
}

uint32_t trace_take(struct trace *trace, char *text, uint32_t size)
{
	uint32_t head = atomic_load_explicit(&trace->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&trace->tail, memory_order_acquire);
	uint32_t whole = 0;
	for (uint32_t i = 0; i < tail - head && i < size; i++) {
		text[i] = trace->bytes[(head + i) % TRACE_SIZE];
		if (text[i] == '\n')
			whole = i + 1;
	}
	if (!whole && size && tail - head >= size)
		whole = size; // a line longer than the caller's room comes in pieces
	atomic_store_explicit(&trace->head, head + whole, memory_order_release);
	return whole;
}
